"""`lightwork search` up to the relay: where the logs are, wrong input, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest

from lightwork.cli import search
from lightwork.cli.main import execute
from lightwork.errors import InputError
from lightwork.kube import eks, log_store, logins
from lightwork.kube.contract import LOG_SEARCH
from lightwork.kube.log_store import LogStore, Place
from lightwork.search import lines

WHERE = ["--env", "dev", "--tenant", "acme"]
PATH = f"/api/v1/namespaces/tenant-acme/configmaps/{LOG_SEARCH}"
PLACE = Place(endpoint="vpc-logs.example", region="eu-central-1", stream="logs-tenant-acme")


@pytest.fixture(autouse=True)
def _logged_in(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    role = "arn:aws:iam::123456789012:role/people"
    login = logins.Login(
        environment="dev",
        tenant="acme",
        account="123456789012",
        region="eu-central-1",
        role=role,
        session="jane",
    )
    logins.write_private(logins.added(login))


@pytest.fixture
def deployed(api, monkeypatch):
    """The fake API, with the place of acme's logs."""
    api.answers["GET", PATH] = (200, {"data": PLACE.data()})
    monkeypatch.setattr(eks, "credentials", lambda *_: None)
    return api


@pytest.fixture
def found(deployed, monkeypatch):
    """Have each search find two lines of seven; returns the queries."""
    queries = []

    def newest(self, query, limit):
        queries.append((query, limit))
        items = [lines.Line(f"t{number}", "pod-1", "main", f"line {number}\x1b[2J") for number in (1, 2)]
        return lines.Found(items, 7)

    monkeypatch.setattr(lines.Logs, "newest", newest)
    return queries


def test_the_place_is_read_from_the_tenants_namespace(deployed):
    assert LogStore("dev", "acme").place() == PLACE
    assert [request[:2] for request in deployed.requests] == [("GET", PATH)]


def test_lines_are_printed_and_what_is_left_out_is_said(found, capsys):
    words = ["no wind", "--run", "windy-city-x7k2p", "--limit", "2"]
    assert execute(["search", *words, *WHERE]) == 0
    out, err = capsys.readouterr()
    assert out == "t1  pod-1  line 1\\x1b[2J\nt2  pod-1  line 2\\x1b[2J\n", "the terminal obeys no line"
    assert "5 older lines match too" in err
    assert found == [(lines.Query(text="no wind", run="windy-city-x7k2p"), 2)]


def test_json_is_one_object(found, capsys):
    assert execute(["search", "--json", *WHERE]) == 0
    shown = json.loads(capsys.readouterr().out)
    line = {"time": "t1", "pod": "pod-1", "container": "main", "text": "line 1\x1b[2J"}
    assert (shown["lines"][0], shown["total"]) == (line, 7)
    assert found == [(lines.Query(), 1000)]


def test_no_line_is_no_failure_and_is_said(deployed, monkeypatch, capsys):
    monkeypatch.setattr(lines.Logs, "newest", lambda *_: lines.Found([], 0))
    assert execute(["search", "x", *WHERE]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "no line matches" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--since", "soon", *WHERE], r"--since: expected an age such as 2h or 7d, or 20..-.*, got 'soon'"),
        (["--until", "2026-13-01", *WHERE], "--until: expected an age"),
        (["--limit", "0", *WHERE], "invalid value for '--limit': 0 is not in"),
        (["--env", "dev"], "--tenant is missing"),
        (["--tenant", "acme"], "--env is missing"),
        (["a", "b", *WHERE], "unexpected extra argument"),
    ],
)
def test_wrong_input_is_one_line(deployed, monkeypatch, capsys, words, message):
    monkeypatch.delenv("LIGHTWORK_TENANT", raising=False)
    assert execute(["search", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
    assert not deployed.requests


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ((404, {"message": "not found"}), 2, r"dev has no logs of 'acme' to search; .*`people`"),
        ((403, {"message": 'User "ann" cannot get resource "configmaps" in API group ""'}), 1, "not allowed"),
        ((200, {"data": {"endpoint": "x"}}), 2, "log-search of tenant-acme has not the expected fields"),
        ((200, {"data": {**PLACE.data(), "more": "x"}}), 2, "has not the expected fields"),
        ((200, {}), 2, "has not the expected fields"),
    ],
)
def test_a_place_that_cannot_be_read_is_one_line(api, capsys, answer, code, message):
    api.answers["GET", PATH] = answer
    assert execute(["search", "x", *WHERE]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line


def test_who_has_not_logged_in_is_told_how(deployed, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    assert execute(["search", "x", *WHERE]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("you have not logged in: lightwork login --env dev --tenant acme")
    assert not deployed.requests


def test_a_relay_that_is_refused_is_one_line_with_the_apis_reason(deployed, monkeypatch, capsys):
    from botocore.credentials import Credentials

    monkeypatch.setattr(eks, "credentials", lambda *_: Credentials("AKIAEXAMPLE", "example"))
    assert execute(["search", "x", *WHERE]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"cannot reach log-relay-0 in logging through the cluster's API: .*40\d", line), line


def test_an_age_counts_from_now_and_a_time_is_of_this_machines_zone():
    now = dt.datetime.now(dt.UTC)
    two_hours_ago = dt.datetime.fromisoformat(search.moment("since", "2h"))
    assert abs(now - dt.timedelta(hours=2) - two_hours_ago) < dt.timedelta(minutes=1)
    local = dt.datetime(2026, 11, 27, 20, 15).astimezone()
    assert dt.datetime.fromisoformat(search.moment("since", "2026-11-27T20:15")) == local
    with pytest.raises(InputError, match="--since"):
        search.moment("since", "9" * 30 + "d")


def test_the_data_of_a_place_is_text_alone():
    assert all(isinstance(value, str) for value in PLACE.data().values())
    assert log_store.Place(**PLACE.data()) == PLACE
