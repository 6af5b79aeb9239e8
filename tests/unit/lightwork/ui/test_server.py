"""The server answers its user's browser, and nobody else: no other page, host, method or user."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lightwork import InputError
from lightwork.lake import Lake, open_lake
from lightwork.ui.pages import Place
from lightwork.ui.schedules import Firings
from lightwork.ui.server import CONNECTIONS, HEAD_BYTES, Server
from lightwork.ui.site import Site
from tests.unit.lightwork.ui import lakes
from tests.unit.lightwork.ui.serving import Served, serving
from tests.waiting import patience, wait_until


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        lake = open_lake(folder / "lake", tenant="acme", patience=0)
        lakes.run(lake, "windy-city-1", report="/srv/lake/runs/windy-city-1/report.html")
        lake.write("runs/windy-city-1/report.html", b"<script>top.stolen = 1</script>")
        lakes.run(lake, "steps-1", pipeline="steps", report={"first": "/x/report-first.html"})
        lake.write("runs/steps-1/report-first.html", b"of the first step")
        with serving(lake) as running:
            yield running


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    """The server of this module has a cache of its own."""


def test_the_address_gives_a_cookie_with_which_the_page_is_seen(served: Served) -> None:
    first = served.ask(f"/?token={served.token}", cookie=False, Sec_Fetch_Site="cross-site")
    assert first.status == 200
    assert 'content="0;url=/"' in first.body
    assert "windy-city" not in first.body, "nothing is told before the browser has shown the cookie"
    cookie = first.headers["set-cookie"]
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    second = served.ask("/", cookie=False, Cookie=cookie.partition(";")[0], Sec_Fetch_Site="same-origin")
    assert second.status == 200
    assert "windy-city" in second.body


@pytest.mark.parametrize(
    "path", ["/", "/run/windy-city-1", "/run/windy-city-1/report", "/artifact/a/b", "/x"]
)
def test_nothing_is_seen_without_the_cookie(served: Served, path: str) -> None:
    for headers in ({}, {"Cookie": f"{served.door.cookie}=guessed"}, {"Cookie": "other=1"}, {"Cookie": "ü"}):
        answer = served.ask(path, cookie=False, **headers)
        assert answer.status == 403
        assert "windy" not in answer.body


@pytest.mark.parametrize("token", ["", "guessed", "é", "%00", "x" * 5000])
def test_a_wrong_token_gives_no_cookie(served: Served, token: str) -> None:
    answer = served.ask(f"/?token={token.encode().hex() if token == 'é' else token}", cookie=False)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


def test_the_token_opens_only_the_start_page(served: Served) -> None:
    assert served.ask(f"/run/windy-city-1?token={served.token}", cookie=False).status == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_a_name_that_somebody_points_to_this_machine_is_refused(served: Served, host: str) -> None:
    for path in ("/", f"/?token={served.token}"):
        answer = served.ask(path, Host=host.format(port=served.port))
        assert answer.status in (400, 403)
        assert "windy" not in answer.body
        assert "set-cookie" not in answer.headers


def test_localhost_is_a_name_of_it(served: Served) -> None:
    assert served.ask("/", Host=f"localhost:{served.port}").status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
)
def test_a_foreign_page_is_refused_even_with_the_cookie(served: Served, origin: str) -> None:
    assert served.ask("/", Origin=origin.format(port=served.port)).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_another_page_makes_is_refused_even_with_the_cookie(served: Served, site: str) -> None:
    assert served.ask("/", Sec_Fetch_Site=site).status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "ODD"])
def test_it_can_only_be_read(served: Served, method: str) -> None:
    assert served.ask("/", method).status == 405


def test_head_has_no_content(served: Served) -> None:
    answer = served.ask("/", "HEAD")
    assert (answer.status, answer.body) == (200, "")


@pytest.mark.parametrize("path", ["/", "/run/windy-city-1", "/run/none", "/nowhere"])
def test_every_answer_is_for_this_page_alone(served: Served, path: str) -> None:
    headers = served.ask(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/run/none",
        "/run/a%00b",
        "/run/..",
        "/run/%2e%2e%2fother",
        "/run/none/report",
        "/run/a%00b/report",
        "/artifact/x/y",
        "/artifact/..%2f/y",
        "/nowhere",
    ],
)
def test_what_is_not_there_is_not_found(served: Served, path: str) -> None:
    assert served.ask(path).status == 404


def test_a_report_belongs_to_no_origin_and_reaches_nothing(served: Served) -> None:
    answer = served.ask("/run/windy-city-1/report")
    assert "stolen" in answer.body
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in policy
    assert served.ask("/run/steps-1/report?step=first").body == "of the first step"
    assert served.ask("/run/steps-1/report?step=second").status == 404


def test_the_token_is_in_no_log(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/?token={served.token}"
    with caplog.at_level(logging.DEBUG):
        for method in ("GET", "POST"):
            served.ask(path, method)
        monkeypatch.setattr(served.door, "refusal", lambda asked: 1 / 0)
        assert served.ask(path).status == 500
    assert served.token not in caplog.text


def test_an_address_to_open_is_good_once(served: Served) -> None:
    path = f"/?{served.door.once().partition('?')[2]}"
    assert [served.ask(path, cookie=False).status for _ in range(2)] == [200, 403]


def test_an_error_of_the_lake_is_told_on_the_page(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lake = open_lake(tmp_path / "lake", tenant="acme", patience=0)

    def entries(self: Lake, prefix: str = "") -> None:
        raise InputError("the lake says no: <b>")

    monkeypatch.setattr(type(lake), "entries", entries)
    with serving(lake) as running:
        answer = running.ask("/")
    assert answer.status == 502
    assert "the lake says no: &lt;b&gt;" in answer.body


def test_so_many_connections_are_open_and_no_more(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(open_lake(tmp_path / "lake", tenant="acme")) as running:
        idle = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(CONNECTIONS)]
        one_more = socket.create_connection(("127.0.0.1", running.port), timeout=patience(20))
        with one_more, contextlib.suppress(ConnectionResetError):
            assert one_more.recv(1) == b"", "it is closed at once"
        for connection in idle:
            connection.close()
        wait_until(lambda: answers(running), "there is room again")


def raw(served: Served, *parts: bytes) -> bytes:
    """Send bytes as they are; return the beginning of the answer."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=patience(20)) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        with contextlib.suppress(ConnectionResetError):
            return connection.recv(1 << 16)
    return b""


def test_a_request_that_comes_in_pieces_is_answered(served: Served) -> None:
    head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: {served.cookie}\r\n\r\n".encode()
    assert raw(served, head[:9], head[9:40], head[40:]).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "more",
    [
        "Host: evil.example\r\n",
        "Cookie: other=1\r\n",
        "Origin: http://127.0.0.1:{port}\r\nOrigin: http://evil.example\r\n",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
    ],
)
def test_a_repeated_header_is_not_taken_for_one_of_its_values(served: Served, more: str) -> None:
    host = f"127.0.0.1:{served.port}"
    own = "" if more.startswith("Cookie") else f"Cookie: {served.cookie}\r\n"
    head = f"GET / HTTP/1.1\r\nHost: {host}\r\n{own}{more.format(port=served.port)}\r\n"
    assert raw(served, head.encode()).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/x\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET /" + b"x" * HEAD_BYTES,
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /%ff HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_a_good_request_gets_no_page(served: Served, head: bytes) -> None:
    answer = raw(served, head + (b"" if head else b"\r\n\r\n"))
    assert b" 200 " not in answer
    assert b"windy" not in answer
    assert b"evil" not in answer
    assert served.ask("/").status == 200, "the server still answers"


def answers(running: Served) -> bool:
    try:
        return running.ask("/").status == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_port_in_use_is_refused(served: Served, lake: Lake) -> None:
    site = Site(lake, Place(tenant="acme", lake="x"), Firings(dict))
    with pytest.raises(InputError, match=rf"--port {served.port}: .*in use.*another port"):
        Server(served.port, site)


STRANGER = """
import encodings.idna, os, socket, sys
port, request, other = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3] == "True"
if other:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection = socket.create_connection(("127.0.0.1", port), 60)
try:
    connection.sendall(request)
    sys.stdout.buffer.write(connection.recv(12))
except OSError:
    pass
"""


@pytest.mark.parametrize(
    "is_other", [pytest.param(True, marks=pytest.mark.root), pytest.param(False, marks=pytest.mark.slow)]
)
def test_another_user_of_the_machine_sees_nothing_even_with_the_cookie(
    served: Served, is_other: bool
) -> None:
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: {served.cookie}\r\n\r\n"
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(served.port), request, str(is_other)],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(60),
    )
    assert done.stdout == ("" if is_other else "HTTP/1.1 200")
