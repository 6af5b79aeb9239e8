"""Write the previews of a merge request's stacks into one note on it, which later pipelines update.

    python -m infra.ci.note summary

It reads each environment's `summary/<environment>/summary.md`. An invisible mark identifies the note. The
newest pipeline's previews are kept, even if an older pipeline finishes later.
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
from lightwork.cli.output import echo
from lightwork.errors import InputError, RunFailed, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN = "LIGHTWORK_NOTE_TOKEN"  # noqa: S105 - the name of a variable
"""The variable with the token that writes the note. A job's own token has no permission to."""

ENVIRONMENTS = "LIGHTWORK_ENVIRONMENTS"
"""The variable with the environments that CI deploys, such as `dev staging`."""

LIMIT = 1_000_000
"""GitLab's limit for a note, in characters."""

SECONDS = 30.0
"""The timeout for a response from GitLab."""

MARK = re.compile(r"<!-- lightwork previews, pipeline (\d+) -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of the note.

    Attributes:
        api: the address of GitLab's API, such as `https://gitlab.com/api/v4`.
        project: the project's number.
        merge_request: the merge request's number in the project.
        pipeline: the pipeline's number; newer pipelines have greater ones.
        job: the address of the job, which has the full text if the note is cut.
    """

    api: str
    project: str
    merge_request: str
    pipeline: int
    job: str

    @classmethod
    def of(cls, job: Mapping[str, str]) -> Place:
        """Read the place from the variables that GitLab sets in a merge request's job.

        Raises:
            InputError: a variable is missing or wrong.
        """
        names = ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_MERGE_REQUEST_IID", "CI_PIPELINE_ID", "CI_JOB_URL")
        missing = [name for name in names if not job.get(name)]
        if missing:
            raise InputError(f"{missing[0]}: is not set; GitLab sets it in the jobs of a merge request")
        api, project, merge_request, pipeline, url = (job[name] for name in names)
        if not api.startswith(("https://", "http://127.0.0.1:")):
            raise InputError(f"CI_API_V4_URL: expected an https address, got {api!r}; the token is secret")
        if not pipeline.isdigit():
            raise InputError(f"CI_PIPELINE_ID: expected a number, got {pipeline!r}")
        return cls(api=api, project=project, merge_request=merge_request, pipeline=int(pipeline), job=url)

    @property
    def notes(self) -> str:
        """The path of the merge request's notes."""
        return f"/projects/{self.project}/merge_requests/{self.merge_request}/notes"


def text(summaries: Mapping[str, str | None], place: Place, *, limit: int = LIMIT) -> str:
    """Return the text of the note.

    Args:
        summaries: each environment's summary in Markdown; None if its preview wrote none.
        place: the place of the note.
        limit: the maximum length in characters. A note that is cut says so.
    """
    head = f"<!-- lightwork previews, pipeline {place.pipeline} -->\n## What would be deployed\n"
    parts = [
        f"\n{summary.strip()}\n"
        if summary is not None
        else f"\n### {environment}\n\nThe preview failed before it came to anything: see its job.\n"
        for environment, summary in summaries.items()
    ]
    note = head + "".join(parts)
    if len(note) <= limit:
        return note
    end = f"\n\n**Cut here: the whole does not fit into a note.** It is in the artifacts of {place.job}\n"
    return _cut(note, limit - len(end)) + end


def put(place: Place, token: str, body: str) -> str:
    """Create the note, or update the existing one.

    Two pipelines at once may both create one. Each then lists the notes again, and the oldest note is kept.

    Returns:
        `created`, `updated`, or `kept` if the note is a newer pipeline's.

    Raises:
        InputError: GitLab refuses the token.
        RunFailed: GitLab cannot be reached, or refuses the request for another reason.
    """
    gitlab = _GitLab(place, token)
    notes = gitlab.marked()
    action = "created"
    if not notes:
        gitlab.call("POST", place.notes, {"body": body})
        # The list may lag behind; then there is nothing to compare with.
        notes = gitlab.marked()
        if len(notes) < 2:
            return action
    else:
        action = "updated"
    first, *duplicates = notes
    newest = max(notes, key=_pipeline)
    if _pipeline(newest) > place.pipeline:
        body, action = str(newest["body"]), "kept"
    if first["body"] != body:
        gitlab.call("PUT", f"{place.notes}/{first['id']}", {"body": body})
    for duplicate in duplicates:
        gitlab.call("DELETE", f"{place.notes}/{duplicate['id']}", missing_ok=True)
    return action


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write the note from the summaries in a folder."""
    place = Place.of(os.environ)
    token = os.environ.get(TOKEN)
    if not token:
        raise InputError(
            f"{TOKEN}: is not set; add a project access token (role Reporter, scope api) to the project's"
            " CI/CD variables, masked"
        )
    environments = listed(os.environ.get(ENVIRONMENTS, ""))
    action = put(place, token, text(summaries(folder, environments), place))
    echo(f"the note on !{place.merge_request} was {action}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return run(command, "infra.ci.note", arguments)


def summaries(folder: Path, environments: Sequence[str]) -> dict[str, str | None]:
    """Read each environment's summary, in the order of promotion; None if its preview wrote none."""
    files = {name: folder / name / "summary.md" for name in stack.ENVIRONMENTS if name in environments}
    return {name: file.read_text(encoding="utf-8") if file.exists() else None for name, file in files.items()}


def listed(value: str) -> list[str]:
    """Parse the variable with the environments that CI deploys.

    Raises:
        InputError: it is empty, or has an unknown environment.
    """
    names = value.replace(",", " ").split()
    unknown = [name for name in names if name not in stack.ENVIRONMENTS]
    if unknown or not names:
        raise InputError(
            f"{ENVIRONMENTS}: expected one or more of {' '.join(stack.ENVIRONMENTS)}, got {value!r}"
        )
    return names


class _GitLab:
    """A minimal client of GitLab's API. Its errors are one line each."""

    def __init__(self, place: Place, token: str) -> None:
        self._place, self._token = place, token
        self._user: int | None = None

    def marked(self) -> list[dict[str, Any]]:
        """Return the token's own notes with the mark, the oldest first. A user may have quoted the mark."""
        if self._user is None:
            self._user = int(self.call("GET", "/user")[0]["id"])
        marked, page = [], "1"
        while page:
            notes, page = self.call(
                "GET", f"{self._place.notes}?per_page=100&order_by=created_at&sort=asc&page={page}"
            )
            marked += [
                note
                for note in notes
                if MARK.match(note["body"]) and not note.get("system") and note["author"]["id"] == self._user
            ]
        return sorted(marked, key=lambda note: int(note["id"]))

    def call(
        self, method: str, path: str, body: Mapping[str, str] | None = None, *, missing_ok: bool = False
    ) -> tuple[Any, str]:
        """Return GitLab's response, and the number of the next page; empty on the last one."""
        request = urllib.request.Request(  # noqa: S310 - Place.of checks the scheme
            self._place.api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"PRIVATE-TOKEN": self._token, "Content-Type": "application/json"},
        )
        call = f"{method} {path.partition('?')[0]}"
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
                content = response.read()
                return json.loads(content) if content else None, response.headers.get("x-next-page") or ""
        except urllib.error.HTTPError as error:
            if error.code == 404 and missing_ok:
                return None, ""
            if error.code in (401, 403):
                raise InputError(
                    f"{TOKEN}: GitLab responded {error.code} to {call}; use an unexpired project access token"
                    " with the role Reporter and the scope api"
                ) from None
            raise RunFailed(f"GitLab responded {error.code} to {call}: {_reason(error)}") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise RunFailed(f"GitLab at {self._place.api} did not respond to {call}: {reason}") from None
        except ValueError:
            raise RunFailed(f"GitLab's response to {call} is not JSON") from None


def _pipeline(note: Mapping[str, Any]) -> int:
    """Return the number of the pipeline that wrote a note; 0 without a mark."""
    mark = MARK.match(str(note["body"]))
    return int(mark[1]) if mark else 0


def _reason(error: urllib.error.HTTPError) -> str:
    return one_line(error.read(300).decode(errors="replace")) or str(error.reason)


def _cut(note: str, limit: int) -> str:
    """Cut a note at the end of a line, and close the blocks that are still open."""
    kept = note[: max(limit - 20, 0)]
    kept = kept[: kept.rfind("\n") + 1] or kept
    if kept.count("\n```") % 2:
        kept += "```\n"
    return kept + "</details>\n" * (kept.count("<details>") - kept.count("</details>"))


if __name__ == "__main__":
    sys.exit(main())
