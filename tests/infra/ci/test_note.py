"""One note on a merge request, against a GitLab of a few lines on this machine."""

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
    """Keeps notes as GitLab does, a page of a hundred at a time."""

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
        made = {"id": self.number, "body": body, "author": {"id": author}, "system": system}
        self.notes.append(made)
        return made


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
                whole = list(gitlab.notes)
                meeting, gitlab_waits = gitlab.meeting, not whole
            if meeting and gitlab_waits:
                meeting.wait(timeout=patience(20))
            part = whole[100 * (page - 1) : 100 * page]
            more = str(page + 1) if len(whole) > 100 * page else ""
            self.answer(200, part, x_next_page=more)
        elif method == "POST" and url.path == NOTES:
            if len(sent["body"]) > LIMIT:
                self.answer(400, {"message": "note is too long"})
            else:
                with gitlab.lock:
                    made = gitlab.add(sent["body"])
                self.answer(201, made)
        else:
            self.one(method, int(url.path.rpartition("/")[2]), sent)

    def one(self, method: str, number: int, sent: dict[str, str]) -> None:
        gitlab = self.server
        with gitlab.lock:
            found = [entry for entry in gitlab.notes if entry["id"] == number]
            if found and method == "PUT":
                found[0]["body"] = sent["body"]
            if found and method == "DELETE":
                gitlab.notes.remove(found[0])
        self.answer(404 if not found else 200 if method == "PUT" else 204, {} if method == "PUT" else None)

    do_GET = do_POST = do_PUT = do_DELETE = handle_all

    def log_message(self, *_: Any) -> None:
        """Nothing to the terminal."""


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


def body(place: Place, said: str) -> str:
    return text({"dev": f"### preview dev: {said}"}, place)


def test_the_first_pipeline_makes_the_note_and_later_ones_change_it(gitlab: GitLab, place: Place) -> None:
    assert put(place, TOKEN, body(place, "one")) == "created"
    later = replace(place, pipeline=101)
    assert put(later, TOKEN, body(later, "two")) == "updated"
    (only,) = gitlab.notes
    assert "preview dev: two" in only["body"]
    assert "preview dev: one" not in only["body"]


def test_the_note_is_found_among_hundreds_and_nobody_elses_is_touched(gitlab: GitLab, place: Place) -> None:
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


def test_a_note_that_says_so_already_is_not_written_again(gitlab: GitLab, place: Place) -> None:
    put(place, TOKEN, body(place, "one"))
    put(place, TOKEN, body(place, "one"))
    assert not [call for call in gitlab.calls if call.startswith("PUT")], "nothing is new"


def test_an_older_pipeline_that_comes_late_does_not_write_over_a_newer_one(
    gitlab: GitLab, place: Place
) -> None:
    later = replace(place, pipeline=101)
    put(later, TOKEN, body(later, "newer"))
    assert put(place, TOKEN, body(place, "older")) == "kept"
    assert "preview dev: newer" in gitlab.notes[0]["body"]


def test_two_pipelines_at_once_leave_one_note_and_it_is_the_newer_ones(gitlab: GitLab, place: Place) -> None:
    gitlab.meeting = threading.Barrier(2)  # both have seen that there is none before either makes one
    places = [place, replace(place, pipeline=101)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: put(one, TOKEN, body(one, str(one.pipeline))), places))
    assert [call for call in gitlab.calls if call.startswith("POST")] == [f"POST {NOTES}"] * 2, "else no race"
    (only,) = gitlab.notes
    assert "preview dev: 101" in only["body"]


def test_a_note_that_is_too_long_is_cut_at_a_line_and_says_so(gitlab: GitLab, place: Place) -> None:
    lines = "\n".join(f"+ aws:s3/bucket:Bucket number-{number}" for number in range(40_000))
    long = text({"dev": f"<details>\n\n```\n{lines}\n```\n\n</details>"}, place)
    assert len(long) <= LIMIT
    assert place.job in long[-300:], "where the whole is"
    assert long.count("<details>") == long.count("</details>"), "else the end is folded away"
    assert long.count("\n```") % 2 == 0, "else the end is shown as code"
    assert re.search(r"number-\d+\n```\n</details>", long), "between two lines"
    put(place, TOKEN, long)
    assert gitlab.notes[0]["body"] == long, "GitLab takes it"


def test_a_short_note_is_whole(place: Place) -> None:
    assert text({"dev": "### a", "prod": None}, place) == (
        "<!-- lightwork previews, pipeline 100 -->\n## What would be deployed\n\n### a\n\n### prod\n\n"
        "The preview failed before it came to anything: see its job.\n"
    )


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_that_gitlab_does_not_take_is_one_line(gitlab: GitLab, place: Place, code: int) -> None:
    gitlab.answers["GET"] = code
    with pytest.raises(InputError) as refused:
        put(place, TOKEN if code == 403 else "wrong", body(place, "x"))
    said = str(refused.value)
    assert said.startswith(f"LIGHTWORK_NOTE_TOKEN: GitLab answers {code} to GET /user: ")
    assert "\n" not in said
    assert TOKEN not in said
    assert not gitlab.notes


def test_whatever_else_gitlab_refuses_is_one_line(gitlab: GitLab, place: Place) -> None:
    gitlab.answers["POST"] = 500
    with pytest.raises(RunFailed, match=r'^GitLab answers 500 to POST /projects/1/.*: \{"message": "no"\}$'):
        put(place, TOKEN, body(place, "x"))


def test_a_gitlab_that_is_not_there_is_one_line(gitlab: GitLab, place: Place) -> None:
    nobody = replace(place, api="http://127.0.0.1:1/api/v4")
    with pytest.raises(
        RunFailed, match=r"^GitLab at http://127.0.0.1:1/api/v4 does not answer to GET /user: "
    ):
        put(nobody, TOKEN, body(place, "x"))


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
    (tmp_path / "prod/summary.md").write_text("### left from another time\n")
    assert note.main([str(tmp_path)]) == 0
    written = gitlab.notes[0]["body"]
    assert re.findall("### .*", written) == ["### dev", "### preview staging"]
    assert "failed before it came to anything" in written, "a preview that wrote nothing is not left out"


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("LIGHTWORK_NOTE_TOKEN", "", "LIGHTWORK_NOTE_TOKEN: is not set; put a token of the project"),
        ("CI_MERGE_REQUEST_IID", "", "CI_MERGE_REQUEST_IID: is not set; GitLab sets it"),
        ("CI_PIPELINE_ID", "x", "CI_PIPELINE_ID: found 'x'; a number belongs there"),
        ("CI_API_V4_URL", "http://gitlab.example.com", "CI_API_V4_URL: found 'http://gitlab.example.com'"),
        ("LIGHTWORK_ENVIRONMENTS", "dev live", "LIGHTWORK_ENVIRONMENTS: found 'dev live'"),
        ("LIGHTWORK_ENVIRONMENTS", "", "LIGHTWORK_ENVIRONMENTS: found ''"),
    ],
)
def test_what_is_missing_is_one_line_and_exit_code_two(
    gitlab: GitLab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    says: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert note.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(says)
    assert not gitlab.calls, "refused before anything is asked"
