"""The note on a merge request, against a simulated GitLab."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.ci import note
from infra.ci.note import LIMIT, Place, put, text
from lightwork.errors import InputError, RunFailed
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ME, SOMEBODY = 7, 8
TOKEN = "glpat-of-a-test"
NOTES = "/api/v4/projects/1/merge_requests/5/notes"


class GitLab(ThreadingHTTPServer):
    """A simulated GitLab that stores notes and returns them in pages of a hundred."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.notes: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.answers: dict[str, int] = {}
        self.lock = threading.Lock()
        self.meeting: threading.Barrier | None = None
        self.number = 0

    def add(self, body: str, author: int = ME, *, system: bool = False) -> dict[str, Any]:
        self.number += 1
        note = {"id": self.number, "body": body, "author": {"id": author}, "system": system}
        self.notes.append(note)
        return note


class Handler(BaseHTTPRequestHandler):
    server: GitLab

    def answer(self, code: int, content: Any = None, **headers: str) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_all(self) -> None:
        gitlab, method = self.server, self.command
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        sent = json.loads(self.rfile.read(length)) if length else {}
        with gitlab.lock:
            gitlab.calls.append(f"{method} {url.path}")
        if self.headers["PRIVATE-TOKEN"] != TOKEN:
            self.answer(401, {"message": "401 Unauthorized"})
        elif method in gitlab.answers:
            self.answer(gitlab.answers[method], {"message": "no"})
        elif url.path == "/api/v4/user":
            self.answer(200, {"id": ME})
        elif method == "GET" and url.path == NOTES:
            page = int(parse_qs(url.query)["page"][0])
            with gitlab.lock:
                notes = list(gitlab.notes)
                meeting = gitlab.meeting if not notes else None
            if meeting:
                meeting.wait(timeout=patience(20))
            next_page = str(page + 1) if len(notes) > 100 * page else ""
            self.answer(200, notes[100 * (page - 1) : 100 * page], x_next_page=next_page)
        elif method == "POST" and url.path == NOTES:
            if len(sent["body"]) > LIMIT:
                self.answer(400, {"message": "note is too long"})
            else:
                with gitlab.lock:
                    note = gitlab.add(sent["body"])
                self.answer(201, note)
        else:
            self.change(method, int(url.path.rpartition("/")[2]), sent)

    def change(self, method: str, number: int, sent: dict[str, str]) -> None:
        gitlab = self.server
        with gitlab.lock:
            note = next((entry for entry in gitlab.notes if entry["id"] == number), None)
            if note and method == "PUT":
                note["body"] = sent["body"]
            if note and method == "DELETE":
                gitlab.notes.remove(note)
        self.answer(404 if not note else 200 if method == "PUT" else 204, {} if method == "PUT" else None)

    do_GET = do_POST = do_PUT = do_DELETE = handle_all

    def log_message(self, *_: Any) -> None:
        """Print nothing to the terminal."""


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    server = GitLab()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def place(gitlab: GitLab) -> Place:
    return Place(
        api=f"http://127.0.0.1:{gitlab.server_port}/api/v4",
        project="1",
        merge_request="5",
        pipeline=100,
        job="https://gitlab.example.com/jobs/1",
    )


def body(place: Place, summary: str) -> str:
    return text({"dev": f"### preview dev: {summary}"}, place)


def test_the_first_pipeline_creates_the_note_and_later_ones_update_it(gitlab: GitLab, place: Place) -> None:
    assert put(place, TOKEN, body(place, "one")) == "created"
    later = replace(place, pipeline=101)
    assert put(later, TOKEN, body(later, "two")) == "updated"
    (only,) = gitlab.notes
    assert "preview dev: two" in only["body"]
    assert "preview dev: one" not in only["body"]


def test_the_note_is_found_among_hundreds_and_no_other_is_changed(gitlab: GitLab, place: Place) -> None:
    quote = gitlab.add(body(place, "quoted by somebody"), SOMEBODY)
    for number in range(250):
        gitlab.add(f"remark {number}")
    mine = gitlab.add(body(place, "old"))
    system = gitlab.add(body(place, "a system note"), system=True)
    before = [dict(quote), dict(system)]
    assert put(place, TOKEN, body(place, "new")) == "updated"
    assert len(gitlab.notes) == 253
    assert "preview dev: new" in mine["body"]
    assert [quote, system] == before


def test_an_unchanged_note_is_not_written_again(gitlab: GitLab, place: Place) -> None:
    put(place, TOKEN, body(place, "one"))
    put(place, TOKEN, body(place, "one"))
    assert not [call for call in gitlab.calls if call.startswith("PUT")]


def test_an_older_pipeline_that_finishes_late_does_not_overwrite_a_newer_one(
    gitlab: GitLab, place: Place
) -> None:
    later = replace(place, pipeline=101)
    put(later, TOKEN, body(later, "newer"))
    assert put(place, TOKEN, body(place, "older")) == "kept"
    assert "preview dev: newer" in gitlab.notes[0]["body"]


def test_two_pipelines_at_once_leave_one_note_with_the_newer_previews(gitlab: GitLab, place: Place) -> None:
    gitlab.meeting = threading.Barrier(2)  # both list the notes before either creates one
    places = [place, replace(place, pipeline=101)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda own: put(own, TOKEN, body(own, str(own.pipeline))), places))
    assert [call for call in gitlab.calls if call.startswith("POST")] == [f"POST {NOTES}"] * 2, "no race"
    (only,) = gitlab.notes
    assert "preview dev: 101" in only["body"]


def test_a_note_that_is_too_long_is_cut_at_a_line_and_names_the_job(gitlab: GitLab, place: Place) -> None:
    lines = "\n".join(f"+ aws:s3/bucket:Bucket number-{number}" for number in range(40_000))
    long = text({"dev": f"<details>\n\n```\n{lines}\n```\n\n</details>"}, place)
    assert len(long) <= LIMIT
    assert place.job in long[-300:], "the address of the full text"
    assert long.count("<details>") == long.count("</details>"), "the end would be hidden"
    assert long.count("\n```") % 2 == 0, "the end would be shown as code"
    assert re.search(r"number-\d+\n```\n</details>", long), "between two lines"
    put(place, TOKEN, long)
    assert gitlab.notes[0]["body"] == long, "GitLab accepts it"


def test_a_short_note_is_complete(place: Place) -> None:
    assert text({"dev": "### a", "prod": None}, place) == (
        "<!-- lightwork previews, pipeline 100 -->\n## What would be deployed\n\n### a\n\n### prod\n\n"
        "The preview failed before it came to anything: see its job.\n"
    )


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_that_gitlab_refuses_is_reported_in_one_line(gitlab: GitLab, place: Place, code: int) -> None:
    gitlab.answers["GET"] = code
    with pytest.raises(InputError) as refused:
        put(place, TOKEN if code == 403 else "wrong", body(place, "x"))
    message = str(refused.value)
    assert re.match(f"LIGHTWORK_NOTE_TOKEN: .*{code} to GET /user.*Reporter", message), message
    assert "\n" not in message
    assert TOKEN not in message
    assert not gitlab.notes


def test_any_other_error_of_gitlab_is_reported_in_one_line(gitlab: GitLab, place: Place) -> None:
    gitlab.answers["POST"] = 500
    with pytest.raises(RunFailed, match=r'^GitLab .*500 to POST /projects/1/.*: \{"message": "no"\}$'):
        put(place, TOKEN, body(place, "x"))


def test_an_unreachable_gitlab_is_reported_in_one_line(gitlab: GitLab, place: Place) -> None:
    unreachable = replace(place, api="http://127.0.0.1:1/api/v4")
    with pytest.raises(RunFailed, match=r"^GitLab at http://127.0.0.1:1/api/v4 .* GET /user: "):
        put(unreachable, TOKEN, body(place, "x"))


@pytest.fixture
def job(gitlab: GitLab, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CI_API_V4_URL": place.api,
        "CI_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_IID": "5",
        "CI_PIPELINE_ID": "100",
        "CI_JOB_URL": place.job,
        "LIGHTWORK_NOTE_TOKEN": TOKEN,
        "LIGHTWORK_ENVIRONMENTS": "dev staging",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("job")
def test_the_command_gathers_the_summaries_in_the_order_of_promotion(gitlab: GitLab, tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/summary.md").write_text("### preview staging\n")
    (tmp_path / "prod").mkdir()
    (tmp_path / "prod/summary.md").write_text("### left over from another run\n")
    assert note.main([str(tmp_path)]) == 0
    written = gitlab.notes[0]["body"]
    assert re.findall("### .*", written) == ["### dev", "### preview staging"]
    assert "preview failed" in written, "an environment without a summary is not left out"


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("LIGHTWORK_NOTE_TOKEN", "", "is not set; .*role Reporter, scope api"),
        ("CI_MERGE_REQUEST_IID", "", "is not set; GitLab sets it"),
        ("CI_PIPELINE_ID", "x", "a number, got 'x'"),
        ("CI_API_V4_URL", "http://gitlab.example.com", "https.*got 'http://gitlab.example.com'"),
        ("LIGHTWORK_ENVIRONMENTS", "dev live", "dev staging prod, got 'dev live'"),
        ("LIGHTWORK_ENVIRONMENTS", "", "dev staging prod, got ''"),
    ],
)
def test_a_missing_or_wrong_variable_is_reported_in_one_line(
    gitlab: GitLab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert note.main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"{variable}: .*{message}", line), line
    assert not gitlab.calls, "refused before any request"
