"""Workers on this machine obey the user who started them, and no other one; so does their dashboard."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import psutil
import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from lightwork import connect, task
from lightwork.cluster import private
from lightwork.cluster.local import start_local
from lightwork.engine.shared import LargeInputs
from lightwork.functions import mapped
from tests.coroutines import run_coroutine
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Iterable

IS_ROOT = os.getuid() == 0


@task(cache=False)
def double(x: int) -> int:
    return 2 * x


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A local session with a worker, its new sockets, and the folder of its temporary files."""
    folder = tmp_path_factory.mktemp("temporary")
    before = sockets()
    umask = os.umask(0)  # the most open one
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("TMPDIR", str(folder))
        with connect("local", workers=1, lake=folder / "lake", progress="off") as session:
            assert list(double.map(range(4))) == [0, 2, 4, 6]
            os.umask(umask)
            yield SimpleNamespace(session=session, folder=folder, sockets=sockets() - before)
    os.umask(umask)


def sockets() -> set[tuple[str, int]]:
    """Return what this process and those it started listen on: the kind of socket, and its port or inode."""
    own = psutil.Process()
    listening = set()
    for process in [own, *own.children(recursive=True)]:
        for connection in process.net_connections(kind="inet"):
            if connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE) and connection.laddr:
                listening.add((connection.type.name, connection.laddr.port))
        listening |= {("AF_UNIX", inode) for inode in _inodes(process.pid) & _listening_at_paths()}
    return listening


def _inodes(pid: int) -> set[int]:
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").glob("*") if path.is_symlink()]
    return {int(link[8:-1]) for link in links if link.startswith("socket:[")}


def _listening_at_paths() -> set[int]:
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {int(row[6]) for row in rows if int(row[3], 16) & 0x10000}


def certificate(folder: Path) -> Path:
    """Write a certificate and its key, as anybody can make them."""
    security = private.credentials()
    path = folder / "own.pem"
    path.write_text(security.tls_client_key + security.tls_client_cert)
    return path


def told(program: str, own: Path, ports: Iterable[tuple[str, int]]) -> Any:
    """Run a program of another user; return what it prints."""
    numbers = [str(port) for _, port in ports]
    command = [sys.executable, str(Path(__file__).parent / program), str(own), *numbers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(60))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needs_proc = pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="needs Linux's /proc")


@needs_proc
def test_a_stranger_hears_nothing_at_any_socket_of_a_local_session(running, tmp_path):
    # A scheduler, a nanny, a worker.
    assert Counter(kind for kind, _ in running.sockets) == {"SOCK_STREAM": 3}
    assert told("stranger.py", certificate(tmp_path), running.sockets) == {}


@needs_proc
@pytest.mark.slow
def test_a_stranger_runs_no_code_on_a_scheduler_a_nanny_or_a_worker(running, tmp_path):
    assert told("attacker.py", certificate(tmp_path), running.sockets) == []


@needs_proc
def test_the_key_is_in_no_command_line_environment_or_file(running):
    key = running.session.runner.cluster._owned.security.tls_worker_key
    secret = max(key.splitlines(), key=len)
    shown = []
    for process in psutil.Process().children(recursive=True):
        shown += [
            Path(f"/proc/{process.pid}/{name}").read_text(errors="replace") for name in ("cmdline", "environ")
        ]
    shown += [path.read_text(errors="replace") for path in running.folder.rglob("*") if path.is_file()]
    assert len(shown) >= 3
    assert not [text for text in shown if secret in text]
    assert secret not in repr(running.session.runner.cluster._owned.security)


def test_temporary_files_of_workers_are_in_a_folder_that_only_their_user_enters(running):
    scratch = running.session.runner.cluster.client.run(lambda dask_worker: dask_worker.local_directory)
    nannies = [nanny.local_directory for nanny in running.session.runner.cluster._owned.workers.values()]
    for path in [
        *scratch.values(),
        *nannies,
        running.session.runner.cluster._owned.scheduler.local_directory,
    ]:
        own = [part for part in [Path(path), *Path(path).parents] if running.folder in part.parents]
        assert own
        assert own[-1].stat().st_mode & 0o777 == 0o700


def test_without_a_dashboard_none_is_named(running):
    assert running.session.runner.cluster.dashboard is None
    assert not running.session.runner.cluster._owned.dashboard_link


# The folder


def odd_folder(path: Path, kind: str) -> None:
    if kind == "open to all":
        path.mkdir()
        path.chmod(0o777)
    elif kind == "readable by a group":
        path.mkdir(0o750)
    elif kind == "a file":
        path.touch(0o600)
    elif kind == "a link to a folder":
        (path.parent / "other").mkdir(0o700)
        path.symlink_to("other")
    elif kind == "a link to nothing":
        path.symlink_to("nowhere")
    else:
        path.mkdir(0o700)
        os.chown(path, 65534, 65534)


ODD = ("open to all", "readable by a group", "a file", "a link to a folder", "a link to nothing")


@pytest.mark.parametrize("kind", [*ODD, *(["of another user"] if IS_ROOT else [])])
def test_a_folder_that_others_have_prepared_is_not_used(tmp_path, kind):
    odd_folder(tmp_path / f"lightwork-{os.getuid()}", kind)
    before = set(tmp_path.iterdir())
    folder, give_up = private.folder(tmp_path)
    assert folder not in before
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "spilled").touch()
    give_up()
    assert set(tmp_path.iterdir()) == before


def test_large_inputs_are_in_it_where_workers_cannot_map_the_memory_of_the_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(mapped.SharedMemory, "available", lambda: False)
    (tmp_path / "lightwork").mkdir()  # of somebody else
    places = LargeInputs("local", SimpleNamespace())  # a lake that is not a folder
    source = places.place(lake_is_used=True).put([b"customers' data"])
    assert bytes(source.view()).endswith(b"customers' data")
    top = tmp_path / Path(source.path).relative_to(tmp_path).parts[0]
    assert top.stat().st_mode & 0o777 == 0o700
    places.close()
    assert not [path for path in top.rglob("*") if path.is_file()]


def test_the_folder_of_a_user_is_the_same_each_time(tmp_path):
    first, give_up = private.folder(tmp_path / "new" / "parent")
    give_up()
    assert first.stat().st_mode & 0o777 == 0o700
    assert private.folder(tmp_path / "new" / "parent")[0] == first


# The dashboard


@pytest.fixture(scope="module")
def link():
    """The address of the dashboard of a cluster without workers."""
    cluster = start_local(0, dashboard=True)
    yield cluster.dashboard_link
    cluster.close()


def get(url: str) -> tuple[int, str]:
    """Return the status of a response, without following it elsewhere, and its headers and text."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    try:
        with opener.open(url, timeout=patience(20)) as response:
            return response.status, f"{response.headers}\n{response.read().decode(errors='replace')}"
    except urllib.error.HTTPError as error:
        return error.code, f"{error.headers}\n{error.read().decode(errors='replace')}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def path_of(link: str) -> str:
    return urlsplit(link).path.split("/")[1]


def test_the_dashboard_is_served_at_its_link(link):
    assert len(path_of(link)) >= 32
    assert get(link)[0] == 200
    for page in ("info/main/workers.html", "json/counts.json", "health", "individual-plots.json"):
        assert get(urljoin(link, page))[0] == 200, page


PATHS = (
    *("", "status", "status/ws", "status/autoload.js", "sitemap.json", "info", "info/main/workers.html"),
    *(
        "json/identity.json",
        "health",
        "metrics",
        "individual-plots.json",
        "eventstream",
        "statics/css/base.css",
    ),
    *("proxy/22/127.0.0.1/", "static/js/bokeh.min.js", "x/status", "%2e%2e/status"),
)


@pytest.mark.parametrize("path", PATHS)
def test_without_the_random_part_nothing_is_found_and_the_part_is_not_told(link, path):
    status, text = get(urljoin(link, f"/{path}"))
    assert status == 404
    assert path_of(link) not in text


@pytest.mark.parametrize(
    "change", [str.swapcase, lambda part: part[:-1], lambda part: part + "x", lambda _: ""]
)
def test_another_random_part_is_not_found(link, change):
    part = path_of(link)
    assert get(link.replace(part, change(part)))[0] == 404


@pytest.fixture(scope="module")
def token(link):
    """What the dashboard's page gives its websocket."""
    return re.search(r'"token":"([^"]+)"', get(link)[1]).group(1)


def dial(link: str, page: str, token: str, origin: str | None) -> int:
    """Return the status of a websocket's handshake."""
    headers = {} if origin is None else {"Origin": origin}

    async def attempt() -> int:
        url = urljoin(link, page).replace("http://", "ws://")
        try:
            socket = await websocket_connect(HTTPRequest(url, headers=headers), subprotocols=["bokeh", token])
        except HTTPClientError as error:
            return error.code
        message = await asyncio.wait_for(socket.read_message(), patience(20)) if "status" in page else ""
        socket.close()
        return 101 if message is not None else 0

    return run_coroutine(attempt())


SOCKETS = ("status/ws", "eventstream")


@pytest.mark.parametrize("page", SOCKETS)
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:1", "http://localhost:1", "null", None, "https://127.0.0.1"],
)
def test_a_websocket_of_another_page_is_refused(link, page, token, origin):
    assert dial(link, page, token, origin) == 403


@pytest.mark.parametrize("page", SOCKETS)
def test_a_websocket_of_the_dashboard_itself_is_open(link, page, token):
    parts = urlsplit(link)
    assert dial(link, page, token, f"http://{parts.netloc}") == 101
    assert dial(link.replace("127.0.0.1", "localhost"), page, token, f"http://localhost:{parts.port}") == 101
