"""What is asked for lines, and what becomes of each answer. `tests/cluster` asks a real OpenSearch."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lightwork.errors import InputError, LightworkError
from lightwork.kube.runs import ROLES
from lightwork.search import lines
from lightwork.search.domain import Reply
from lightwork.search.lines import Line, Logs, Query


class Scripted:
    """A domain that gives its replies, and keeps what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.asked = list(replies), []

    def ask(self, method: str, path: str, body: dict[str, Any]) -> Reply:
        self.asked.append((method, path, body))
        return self.replies.pop(0)


def hit(number: int) -> dict[str, Any]:
    pod = {"pod": "p", "container": "main"}
    source = {"@timestamp": f"2026-11-27T20:00:{number:02}Z", "log": f"line {number}", **pod}
    return {"_source": source, "sort": [number, number, "i"]}


def page(*numbers: int, total: int | None = None, **more: Any) -> Reply:
    hits = {"hits": [hit(number) for number in numbers]}
    if total is not None:
        hits["total"] = {"value": total, "relation": "eq"}
    return Reply(200, json.dumps({"hits": hits, "_shards": {"failed": 0}, **more}))


def newest(query: Query, limit: int, *replies: Reply) -> tuple[lines.Found, Scripted]:
    domain = Scripted(*replies)
    return Logs(domain, "logs-tenant-acme").newest(query, limit), domain  # type: ignore[arg-type]


def test_pages_follow_each_other_until_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PAGE", 2)
    found, domain = newest(Query(), 3, page(9, 8, total=7), page(7))
    assert [line.text for line in found.lines] == ["line 7", "line 8", "line 9"], "the oldest first"
    assert found.total == 7
    (_, path, first), (*_, second) = domain.asked
    assert path == "logs-tenant-acme/_search"
    assert (first["size"], second["size"]) == (2, 1)
    assert "search_after" not in first
    assert second["search_after"] == [8, 8, "i"]


def test_the_last_page_is_the_one_that_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PAGE", 2)
    found, domain = newest(Query(), 100, page(9, 8, total=3), page(7))
    assert (len(found.lines), len(domain.asked)) == (3, 2)


def test_only_what_is_given_is_a_condition() -> None:
    assert Query().filters() == []
    query = Query(text="no wind", run="windy-city-x7k2p", pipeline="windy-city", since="a", until="b")
    text, run, pipeline, moments = query.filters()
    assert text == {"match_phrase": {"log": "no wind"}}
    assert run["bool"]["should"][0] == {"prefix": {"pod": "windy-city-x7k2p-"}}
    assert pipeline == {"term": {"pipeline": "windy-city"}}
    assert moments == {"range": {"@timestamp": {"gte": "a", "lt": "b"}}}


def test_the_own_lines_of_a_run_are_those_of_its_programs() -> None:
    pods, containers = Query(run="a.b-x7k2p", own=True).filters()
    pattern = re.compile(pods["regexp"]["pod"])
    own = ["driver-1234567890", "scheduler-6f7d8-abcde", "workers-6f7d8-abcde", "step-fetch-123"]
    own += ["clean-scheduler-6f7d8-abcde", "clean-workers-6f7d8-abcde"]
    assert all(pattern.fullmatch(f"a.b-x7k2p-{name}") for name in own)
    others = ["scheduler-123", "delete-456", "workers-6f7d8-abcdef", "clear-1", "driver-a"]
    assert not any(pattern.fullmatch(f"a.b-x7k2p-{name}") for name in others)
    assert not pattern.fullmatch("a-b-x7k2p-driver-1")
    assert not pattern.fullmatch("controller-6f7d8-abcde")
    assert containers["terms"]["container"] == ["main", *ROLES], "which `logs` reads in pods that are there"


def test_errors_are_events_of_that_level_and_what_python_says_itself() -> None:
    (errors,) = Query(errors=True).filters()
    level, *words = errors["bool"]["should"]
    assert level == {"terms": {"level": ["error", "critical", "fatal"]}}
    assert len(words) == 2


def test_a_document_without_the_usual_fields_is_still_a_line() -> None:
    assert Line.of({}) == Line("", "", "", "")


REFUSALS = [
    (Reply(403, json.dumps({"Message": "User: x is not authorized to perform: es:ESHttpPost"})), "not auth"),
    (
        Reply(403, json.dumps({"error": {"root_cause": [{"reason": "no permissions for\n [x]"}]}})),
        "for \\[x\\]",
    ),
    (Reply(500, "<html>\nno"), "answers 500: <html> no"),
    (Reply(429, json.dumps({"error": "busy"})), "answers 429: busy"),
]


@pytest.mark.parametrize(("reply", "text"), REFUSALS)
def test_a_refusal_is_one_line(reply: Reply, text: str) -> None:
    with pytest.raises(LightworkError, match=f"logs-tenant-acme.*{text}") as caught:
        newest(Query(), 1, reply)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, InputError)


@pytest.mark.parametrize("status", [400, 404])
def test_a_wrong_query_and_a_missing_stream_are_wrong_input(status: int) -> None:
    with pytest.raises(InputError, match="the reason"):
        newest(Query(), 1, Reply(status, json.dumps({"error": {"reason": "the reason"}})))


@pytest.mark.parametrize("more", [{"timed_out": True}, {"_shards": {"failed": 1}}])
def test_an_answer_without_a_part_of_the_lines_is_none(more: dict[str, Any]) -> None:
    with pytest.raises(LightworkError, match=r"without .* of its parts; try again"):
        newest(Query(), 1, page(1, total=1, **more))
