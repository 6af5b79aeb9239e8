"""Looking up 100,000 results among many: time, memory, and what adding results rewrites.

The lake is built by the store's own writers, map by map, without computing anything; its keys are random but
for those of one map. The numbers of results are those of LIGHTWORK_BENCH_MANY, `FOLDER,S3`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Row, folder, wait_for
from lightwork import connect, task
from lightwork.keys import ElementKeys, code_key
from lightwork.lake import Lake, open_lake
from lightwork.store import segments, tending
from lightwork.store.results import ResultStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAP = 100_000
SIZES = (100_000_000, 10_000_000)
_BUCKET = "many"
_ROW = 24


@task
def increment(x: int) -> int:
    return x + 1


def run() -> list[Row]:
    """Build the lakes, and map over what they keep and do not keep, each in a process of its own."""
    sizes = os.environ.get("LIGHTWORK_BENCH_MANY", "").replace("_", "")
    in_folder, on_s3 = map(int, sizes.split(",")) if sizes else SIZES
    with folder() as path:
        return [*_in_folder(path, in_folder), *_on_s3(path, on_s3)]


def build(lake: Lake, count: int) -> tuple[float, float]:
    """Fill a lake with results of `increment`: those of range(MAP), and others under random keys.

    Returns:
        Seconds, and how many times the index of all results was written.
    """
    begin, written = time.perf_counter(), 0
    code = code_key(increment)
    results = ResultStore(lake, increment.name).open(code)
    results.describe(code)
    blocks = segments.to_blocks([x + 1 for x in range(MAP)])
    stream = type(lake).stream

    def counting(self: Lake, path: str, pieces: Callable[[], Iterator[bytes]], size: int) -> None:
        def counted() -> Iterator[bytes]:
            nonlocal written
            for piece in pieces():
                written += len(piece)
                yield piece

        stream(self, path, counted, size)

    type(lake).stream = counting  # type: ignore[method-assign, assignment]
    try:
        maps = count // MAP
        for number in range(maps):
            results.commit(keys_of(number, kept=maps // 3), blocks, 0)
            tending.tend(lake, results.folder)
    finally:
        type(lake).stream = stream  # type: ignore[method-assign]
    return time.perf_counter() - begin, written / (count * _ROW)


def keys_of(number: int, kept: int) -> bytes:
    """Return the keys of a map that the lake keeps; map number `kept` is that of range(MAP)."""
    if number != kept:
        return random.Random(number).randbytes(16 * MAP)
    keys = ElementKeys(increment.fn, code_key(increment), varying=1, fixed={}, ignore=())(range(MAP))
    return b"".join(key for key in keys if key is not None)


def _in_folder(path: Path, count: int) -> list[Row]:
    lake, empty = path / "many", path / "empty"
    seconds, rewritten = build(open_lake(lake, tenant="local"), count)
    _measure(lake, "absent", 1)  # reads the files of the interpreter and of the index into memory
    kept, plain = _measure(lake, "kept", 1), _measure(path / "warm", "absent", 1)
    absent, first = _measure(lake, "absent", 2), _measure(empty, "absent", 2)
    scattered = _measure(lake, "scattered", count // MAP)
    what = f"{MAP:,} of a map among {count:,}"
    return [
        Row(f"a lake of {count:,} results", "", f"{seconds:.0f} s", None, "to build it, map by map"),
        Row("index written for each result", "at most 10 times", f"{rewritten:.1f}", rewritten <= 10, ""),
        _row(f"{what}, all kept", kept, plain, 2.0),
        _row(f"{what}, none kept", absent, first, 2.0),
        Row(
            f"{MAP:,} scattered among {count:,}",
            "10 s",
            f"{scattered['seconds']:.2f} s",
            scattered["seconds"] <= 10,
            f"the index alone; {scattered['own']:.2f} s of processor time, "
            f"{scattered['anonymous'] / 1e6:.0f} MB of anonymous memory",
        ),
    ]


def _row(what: str, one: dict[str, float], empty: dict[str, float], target: float) -> Row:
    above = (one["anonymous"] - empty["anonymous"]) / 1e6
    ok = one["seconds"] <= target and above <= 300
    detail = (
        f"{one['own']:.2f} s of processor time; on an empty lake {empty['seconds']:.2f} s, "
        f"{empty['own']:.2f} s, and {empty['anonymous'] / 1e6:.0f} MB"
    )
    return Row(what, f"{target:g} s, 300 MB more", f"{one['seconds']:.2f} s, {above:.0f} MB", ok, detail)


def _on_s3(path: Path, count: int) -> list[Row]:
    with _server(path) as ready:
        if not ready:
            return [Row("the same on S3", "", "skipped", None, "versitygw is not there: `make cluster-up`")]
        lake = f"s3://{_BUCKET}/lake"
        seconds, _ = build(open_lake(lake, tenant="local"), count)
        os.environ["XDG_CACHE_HOME"] = str(path / "copies")
        first, second = _measure(lake, "kept", 1), _measure(lake, "kept", 1)
    what = f"{MAP:,} of a map among {count:,} on S3"
    detail = f"{first['own']:.2f} s of processor time; the lake was built in {seconds:.0f} s"
    return [
        Row(f"{what}, at first", "5 s", f"{first['seconds']:.2f} s", first["seconds"] <= 5, detail),
        Row(
            f"{what}, then",
            "2 s",
            f"{second['seconds']:.2f} s",
            second["seconds"] <= 2,
            f"index cached here; {second['own']:.2f} s of processor time",
        ),
    ]


@contextlib.contextmanager
def _server(path: Path) -> Iterator[bool]:
    """Run the S3 server of the cluster tests with an empty bucket; yields whether there is one."""
    programs = sorted((Path.home() / ".cache/lightwork/cluster").glob("versitygw-*/**/versitygw"))
    program = str(programs[-1]) if programs else shutil.which("versitygw")
    if program is None:
        yield False
        return
    (path / "s3" / _BUCKET).mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    os.environ |= environment
    arguments = ["--port", f"127.0.0.1:{port}", "--quiet", "posix", str(path / "s3")]
    keys = {"ROOT_ACCESS_KEY": "bench", "ROOT_SECRET_KEY": environment["AWS_SECRET_ACCESS_KEY"]}
    server = subprocess.Popen(
        [program, *arguments], env=os.environ | keys, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for("the S3 server", lambda: _answers(port), 30)
        yield True
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _measure(lake: Path | str, what: str, number: int) -> dict[str, float]:
    """Measure a process of its own: its seconds, and the peak of its anonymous memory in bytes."""
    command = [sys.executable, "-m", "bench.many", str(lake), what, str(number)]
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, check=False)
        if done.returncode:
            errors.seek(0)
            raise RuntimeError(errors.read().decode()[-2000:])
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


class _Anonymous:
    """The peak of this process's anonymous memory, while it runs."""

    def __init__(self) -> None:
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            status = Path("/proc/self/status").read_text()
            now = int(status.split("RssAnon:")[1].split()[0]) * 1024
            self.peak = max(self.peak, now)

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        return self.peak


def _look(lake: str, what: str, number: int) -> None:
    from bench.many import increment as same  # the task of the module bench.many, not of __main__

    memory = _Anonymous()
    if what == "scattered":
        opened = open_lake(lake, tenant="local")
        draw = random.Random(0)
        keys = []
        for one in range(number):
            if one != number // 3:
                some = keys_of(one, -1)
                keys += [some[16 * i : 16 * i + 16] for i in draw.sample(range(MAP), MAP // number)]
        draw.shuffle(keys)
        begin, own = time.perf_counter(), time.process_time()
        results = ResultStore(opened, same.name).open(code_key(same), mends=False).refresh()
        assert None not in results.catalog.locate(keys)
        seconds = time.perf_counter() - begin
    else:
        first = 0 if what == "kept" else number * 10 * MAP
        with connect("serial", lake=lake, progress="off"):
            mapped = same.map(range(first, first + MAP))
            begin, own = time.perf_counter(), time.process_time()
            assert sum(mapped) == sum(range(first + 1, first + MAP + 1))
            seconds = time.perf_counter() - begin
            assert mapped.stats.cached == (MAP if what == "kept" else 0), mapped.stats
    print(json.dumps({"seconds": seconds, "own": time.process_time() - own, "anonymous": memory.stop()}))


if __name__ == "__main__":
    _look(sys.argv[1], sys.argv[2], int(sys.argv[3]))
