"""A tenant's log lines: what is asked of OpenSearch, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, LightworkError, one_line

if TYPE_CHECKING:
    from lightwork.search.domain import Domain, Reply

PAGE = 1000
"""The lines of one request. OpenSearch gives 10,000 at most, and fewer are less memory on both sides."""
_FIELDS = ["@timestamp", "pod", "container", "log"]
_NEWEST_FIRST: list[dict[str, Any]] = [
    {"@timestamp": {"order": "desc", "numeric_type": "date_nanos"}},
    {"_index": "desc"},
    {"_seq_no": "desc"},
]
"""Lines of the same moment are in the order in which they came: a stream's indexes are numbered, and so are
an index's documents. So each line's place is its own, and the next page begins where this one ends.
"""
ERROR_LEVELS = ("error", "critical", "fatal")
ERROR_WORDS = ("Traceback (most recent call last)", "Fatal Python error")
"""The beginnings of what Python itself says of an error."""
CONTAINERS = ("main", "driver", "scheduler", "worker", "step")
"""The containers with a run's own programs: those that `kube.runs.Remote.container` chooses."""


def _own_pods(run: str) -> str:
    """Return a regular expression of OpenSearch's for the pods with a run's own programs, by their names.

    Argo's pods that create and delete a run's objects are named after the run as well.
    """
    name = run.replace(".", r"\.")
    dask = "(scheduler|workers?)-[a-z0-9]+-[a-z0-9]{5}"
    return f"{name}-(.*-)?(driver-[0-9]+|{dask})|{name}-step-.*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What lines are wanted; what is not given makes no difference.

    Attributes:
        text: words that the line has, one after the other, in any case.
        run: the name of a run: lines of its pods, and lines that name it.
        own: only lines of what the run itself has started: not of Argo's own containers and pods, and not of
            others that name the run.
        task: the name of a task in a run's own log lines.
        pipeline: the name of a pipeline in its own log lines.
        since: the earliest moment, in ISO 8601.
        until: the moment before which the lines are.
        errors: only lines that may tell of an error.
    """

    text: str | None = None
    run: str | None = None
    own: bool = False
    task: str | None = None
    pipeline: str | None = None
    since: str | None = None
    until: str | None = None
    errors: bool = False

    def filters(self) -> list[dict[str, Any]]:
        """Return the conditions, all of which must hold."""
        found: list[dict[str, Any]] = []
        if self.text:
            found.append({"match_phrase": {"log": self.text}})
        if self.run and self.own:
            found += [{"regexp": {"pod": _own_pods(self.run)}}, {"terms": {"container": [*CONTAINERS]}}]
        elif self.run:
            pods = {"prefix": {"pod": f"{self.run}-"}}
            found.append({"bool": {"should": [pods, {"term": {"run": self.run}}]}})
        named = {"task": self.task, "pipeline": self.pipeline}
        found += [{"term": {field: name}} for field, name in named.items() if name]
        if self.errors:
            words = [{"match_phrase": {"log": text}} for text in ERROR_WORDS]
            found.append({"bool": {"should": [{"terms": {"level": [*ERROR_LEVELS]}}, *words]}})
        moments = {"gte": self.since, "lt": self.until}
        if bounds := {name: moment for name, moment in moments.items() if moment}:
            found.append({"range": {"@timestamp": bounds}})
        return found


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log.

    Attributes:
        time: when it was written, in ISO 8601.
        pod: the name of its pod.
        container: the name of its container.
        text: the line, as it was written.
    """

    time: str
    pod: str
    container: str
    text: str

    @classmethod
    def of(cls, source: dict[str, Any]) -> Line:
        """Return the line of a document."""
        time, pod, container, text = (str(source.get(name, "")) for name in _FIELDS)
        return cls(time, pod, container, text)


@dataclass(frozen=True, slots=True)
class Found:
    """The newest lines that match, the oldest of them first.

    Attributes:
        lines: the lines.
        total: how many lines match, of which these are the newest.
    """

    lines: list[Line]
    total: int


class Logs:
    """The stream of one tenant's lines.

    Args:
        domain: the domain, and who asks it.
        stream: the stream's name.
    """

    def __init__(self, domain: Domain, stream: str) -> None:
        self._domain, self._stream = domain, stream

    def newest(self, query: Query, limit: int) -> Found:
        """Return the newest lines that match a query.

        Args:
            query: the query.
            limit: the most lines to return.

        Raises:
            InputError: there is no such stream, or OpenSearch does not take the query.
            LightworkError: it refuses the one who asks, cannot answer, or left out a part of the lines.
        """
        lines: list[Line] = []
        total, after = 0, None
        while len(lines) < limit:
            wanted = min(PAGE, limit - len(lines))
            hits = self._page(query, wanted, after)
            if after is None:
                total = int(hits["total"]["value"])
            lines += [Line.of(hit["_source"]) for hit in hits["hits"]]
            if len(hits["hits"]) < wanted:
                break
            after = hits["hits"][-1]["sort"]
        return Found(lines[::-1], max(total, len(lines)))

    def _page(self, query: Query, size: int, after: list[Any] | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "query": {"bool": {"filter": query.filters()}},
            "sort": _NEWEST_FIRST,
            "size": size,
            "track_total_hits": after is None,
            "_source": _FIELDS,
        }
        if after is not None:
            body["search_after"] = after
        reply = self._domain.ask("POST", f"{self._stream}/_search", body)
        if reply.status != 200:
            raise self._refusal(reply)
        answer = reply.body
        missing = answer.get("_shards", {}).get("failed", 0)
        if missing or answer.get("timed_out"):
            raise LightworkError(
                f"{self._stream}: OpenSearch answered without {missing or 'some'} of its parts; try again"
            )
        hits: dict[str, Any] = answer["hits"]
        return hits

    def _refusal(self, reply: Reply) -> LightworkError:
        text = reason(reply)
        if reply.status == 404:
            return InputError(
                f"{self._stream}: there is no such stream; the tenant's stack makes it ({text})"
            )
        if reply.status in (401, 403):
            return LightworkError(f"not allowed to read {self._stream}: {text}")
        kind = InputError if reply.status == 400 else LightworkError
        return kind(f"{self._stream}: OpenSearch answers {reply.status}: {text}")


def reason(reply: Reply) -> str:
    """Return what a refusal says, in one line: the words of OpenSearch, or those of AWS before it."""
    error = reply.body.get("error")
    if isinstance(error, dict):
        causes = error.get("root_cause") or [error]
        text = causes[0].get("reason") or error.get("reason") or reply.text
    else:
        text = error or reply.body.get("Message") or reply.body.get("message") or reply.text
    return one_line(text)[:500]
