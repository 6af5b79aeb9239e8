"""The previews of a merge request's stacks as one note on it, which later pipelines bring up to date.

    python -m infra.ci.note summary

It takes `summary/<environment>/summary.md` of each environment. The note is found again by a mark in it that
nobody sees. Of two pipelines the newer one is right, whichever comes last.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.ci.common import run
from infra.config import stack
from lightwork.errors import InputError, RunFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN = "LIGHTWORK_NOTE_TOKEN"  # noqa: S105 - the name of a variable
"""The variable with the token that writes the note; a job's own token may not."""

ENVIRONMENTS = "LIGHTWORK_ENVIRONMENTS"
"""The variable with the environments that CI deploys, such as `dev staging`."""

LIMIT = 1_000_000
"""The characters that GitLab takes in a note."""

SECONDS = 30.0
"""For how long GitLab may keep silent."""

MARK = re.compile(r"<!-- lightwork previews, pipeline (\d+) -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the note is.

    Attributes:
        api: GitLab's address, `https://gitlab.com/api/v4`.
        project: the project's number.
        merge_request: the merge request's number in the project.
        pipeline: the pipeline's number; later ones are greater.
        job: the address of the job, for what does not fit.
    """

    api: str
    project: str
    merge_request: str
    pipeline: int
    job: str

    @classmethod
    def of(cls, job: Mapping[str, str]) -> Place:
        """From the variables that GitLab sets in a merge request's job.

        Raises:
            InputError: one of them is missing.
        """
        names = ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_MERGE_REQUEST_IID", "CI_PIPELINE_ID", "CI_JOB_URL")
        missing = [name for name in names if not job.get(name)]
        if missing:
            raise InputError(f"{missing[0]}: is not set; GitLab sets it in the jobs of a merge request")
        api, project, merge_request, pipeline, url = (job[name] for name in names)
        if not api.startswith(("https://", "http://127.0.0.1:")):
            raise InputError(f"CI_API_V4_URL: found {api!r}; a token is sent by https alone")
        if not pipeline.isdigit():
            raise InputError(f"CI_PIPELINE_ID: found {pipeline!r}; a number belongs there")
        return cls(api=api, project=project, merge_request=merge_request, pipeline=int(pipeline), job=url)

    @property
    def notes(self) -> str:
        """The path of the merge request's notes."""
        return f"/projects/{self.project}/merge_requests/{self.merge_request}/notes"


def text(summaries: Mapping[str, str | None], place: Place, *, limit: int = LIMIT) -> str:
    """The note.

    Args:
        summaries: by environment what would change there, in Markdown; None where nothing came of it.
        place: where it goes.
        limit: how many characters it may have. What is left out is said.
    """
    head = f"<!-- lightwork previews, pipeline {place.pipeline} -->\n## What would be deployed\n"
    parts = [
        f"\n{summary.strip()}\n"
        if summary is not None
        else f"\n### {environment}\n\nThe preview failed before it came to anything: see its job.\n"
        for environment, summary in summaries.items()
    ]
    whole = head + "".join(parts)
    if len(whole) <= limit:
        return whole
    end = f"\n\n**Cut here: the whole does not fit into a note.** It is in the artifacts of {place.job}\n"
    return _cut(whole, limit - len(end)) + end


def put(place: Place, token: str, body: str) -> str:
    """Make the note, or bring the one that is there up to date.

    Two pipelines that both find none both make one; each then looks again and the oldest note stays.

    Returns:
        What was done, in a word: `created`, `updated`, or `kept` where a newer pipeline's is there.

    Raises:
        InputError: GitLab does not take the token.
        RunFailed: GitLab cannot be reached, or refuses otherwise.
    """
    gitlab = _GitLab(place, token)
    mine = gitlab.marked()
    done = "created"
    if not mine:
        gitlab.call("POST", place.notes, {"body": body})
        # A list may lag behind; then there is nothing to compare with.
        mine = gitlab.marked()
        if len(mine) < 2:
            return done
    else:
        done = "updated"
    first, *others = mine
    # Others are there only if two made one at once.
    newest = max((first, *others), key=_pipeline)
    if _pipeline(newest) > place.pipeline:
        body, done = str(newest["body"]), "kept"
    if first["body"] != body:
        gitlab.call("PUT", f"{place.notes}/{first['id']}", {"body": body})
    for other in others:
        gitlab.call("DELETE", f"{place.notes}/{other['id']}", gone_is_fine=True)
    return done


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write the note from the summaries in a folder."""
    place = Place.of(os.environ)
    token = os.environ.get(TOKEN)
    if not token:
        raise InputError(
            f"{TOKEN}: is not set; put a token of the project (role Reporter, scope api) into its CI/CD"
            " variables, masked"
        )
    environments = listed(os.environ.get(ENVIRONMENTS, ""))
    done = put(place, token, text(summaries(folder, environments), place))
    print(f"the note on !{place.merge_request} was {done}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return run(command, "infra.ci.note", arguments)


def summaries(folder: Path, environments: Sequence[str]) -> dict[str, str | None]:
    """By environment, in the order of promotion, what its preview wrote; None where it wrote nothing."""
    files = {name: folder / name / "summary.md" for name in stack.ENVIRONMENTS if name in environments}
    return {name: file.read_text(encoding="utf-8") if file.exists() else None for name, file in files.items()}


def listed(value: str) -> list[str]:
    """The environments that CI deploys, from the variable that says so.

    Raises:
        InputError: none is named, or one that there is not.
    """
    found = value.replace(",", " ").split()
    wrong = [name for name in found if name not in stack.ENVIRONMENTS]
    if wrong or not found:
        raise InputError(
            f"{ENVIRONMENTS}: found {value!r}; some of {' '.join(stack.ENVIRONMENTS)} belong there"
        )
    return found


class _GitLab:
    """The few calls, each with one line for what may go wrong."""

    def __init__(self, place: Place, token: str) -> None:
        self._place, self._token = place, token
        self._me: int | None = None

    def marked(self) -> list[dict[str, Any]]:
        """The notes with the mark that are ours, the oldest first. A quote of one by somebody is not ours."""
        if self._me is None:
            self._me = int(self.call("GET", "/user")[0]["id"])
        found, page = [], "1"
        while page:
            notes, page = self.call(
                "GET", f"{self._place.notes}?per_page=100&order_by=created_at&sort=asc&page={page}"
            )
            found += [
                note
                for note in notes
                if MARK.match(note["body"]) and not note.get("system") and note["author"]["id"] == self._me
            ]
        return sorted(found, key=lambda note: int(note["id"]))

    def call(
        self, method: str, path: str, body: Mapping[str, str] | None = None, *, gone_is_fine: bool = False
    ) -> tuple[Any, str]:
        """What GitLab answers, and which page comes next, if any."""
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at by Place.of
            self._place.api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"PRIVATE-TOKEN": self._token, "Content-Type": "application/json"},
        )
        where = f"{method} {path.partition('?')[0]}"
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
                content = response.read()
                return json.loads(content) if content else None, response.headers.get("x-next-page") or ""
        except urllib.error.HTTPError as error:
            if error.code == 404 and gone_is_fine:
                return None, ""
            if error.code in (401, 403):
                raise InputError(
                    f"{TOKEN}: GitLab answers {error.code} to {where}: a token of the project that has not"
                    " expired belongs there, with the role Reporter and the scope api"
                ) from None
            raise RunFailed(f"GitLab answers {error.code} to {where}: {_said(error)}") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise RunFailed(f"GitLab at {self._place.api} does not answer to {where}: {reason}") from None
        except ValueError:
            raise RunFailed(f"GitLab's answer to {where} is no JSON") from None


def _pipeline(note: Mapping[str, Any]) -> int:
    found = MARK.match(str(note["body"]))
    return int(found[1]) if found else 0


def _said(error: urllib.error.HTTPError) -> str:
    return " ".join(error.read(300).decode(errors="replace").split()) or str(error.reason)


def _cut(whole: str, limit: int) -> str:
    """The beginning, up to the end of a line, with whatever it opens closed again."""
    kept = whole[: max(limit - 20, 0)]
    kept = kept[: kept.rfind("\n") + 1] or kept
    if kept.count("\n```") % 2:
        kept += "```\n"
    return kept + "</details>\n" * (kept.count("<details>") - kept.count("</details>"))


if __name__ == "__main__":
    sys.exit(main())
