"""Of two results of a key, the one that was refreshed last counts, whatever clocks say and merges do."""

from __future__ import annotations

import random
import time
from hashlib import blake2b
from pathlib import Path

import pytest

from lightwork import connect, task
from lightwork.keys import code_key
from lightwork.lake import open_lake
from lightwork.store import catalog, index_files, segments, tending
from lightwork.store.artifacts import Artifacts
from lightwork.store.results import MISSING, CodeResults, ResultStore

HOUR = 3600 * 10**9


@pytest.fixture
def lake(tmp_path):
    return open_lake(tmp_path, tenant="acme")


@pytest.fixture
def clock(monkeypatch):
    """A clock that can be set to be fast or late, in nanoseconds."""
    offset = [0]
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + offset[0])
    monkeypatch.setattr(tending, "_LISTING", 0)

    def set_to(nanoseconds: int) -> None:
        offset[0] = nanoseconds

    return set_to


def key(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def view(lake) -> CodeResults:
    return CodeResults(lake, "tests.square", "c0de").refresh()


def commit(lake, values: dict[int, object], *, refresh: bool = False, blocks=None) -> str:
    results = view(lake)
    generation = results.next_generation() if refresh else results.generation
    blocks = blocks or segments.to_blocks(list(values.values()))
    return results.commit(b"".join(map(key, values)), blocks, generation)


def merge(lake, paths) -> None:
    work = tending._Tending(lake, "results/tests.square/c0de", lambda: False)
    work.merge([entry for entry in work.listed() if entry.path in paths])


def look_up(lake, numbers):
    return view(lake).lookup([key(number) for number in numbers])


CLOCKS = {"right": 0, "30 s late": -30 * 10**9, "an hour fast": HOUR, "a year late": -365 * 24 * HOUR}


@pytest.mark.parametrize("refreshed_by", CLOCKS)
@pytest.mark.parametrize("first_by", CLOCKS)
def test_a_refreshed_result_stays_whatever_is_merged(lake, clock, first_by, refreshed_by):
    clock(CLOCKS[first_by])
    first = commit(lake, {1: "old", 2: "other"})
    clock(CLOCKS[refreshed_by])
    refreshed = commit(lake, {1: "new"}, refresh=True)
    assert look_up(lake, [1, 2]) == ["new", "other"]
    clock(HOUR)
    later = commit(lake, {3: "later"})
    merge(lake, {first, later})
    assert look_up(lake, [1, 2, 3]) == ["new", "other", "later"]
    last = commit(lake, {4: "last"})
    merge(lake, {entry.path for entry in view(lake).lake.entries(view(lake).folder)} - {refreshed})
    assert last not in {entry.path for entry in lake.entries()}
    assert look_up(lake, [1, 2, 3, 4]) == ["new", "other", "later", "last"]
    view(lake).compact()
    assert look_up(lake, [1, 2, 3, 4]) == ["new", "other", "later", "last"]
    clock(CLOCKS[refreshed_by] - HOUR)
    commit(lake, {1: "newest"}, refresh=True)
    assert look_up(lake, [1]) == ["newest"]


def test_each_key_keeps_its_generation_in_a_merge_of_a_merge(lake, clock, monkeypatch):
    """Also where the merges know nothing of what overtook a result."""
    monkeypatch.setattr(tending._Tending, "_taken", lambda self, parts: [None] * len(parts))
    first = commit(lake, {1: "old", 2: "old"})
    kept = commit(lake, {1: "new"}, refresh=True)
    second = commit(lake, {2: "new"}, refresh=True)
    merge(lake, {first, second})
    for number in (3, 4):
        commit(lake, {number: number})
        merge(lake, {entry.path for entry in lake.entries()} - {kept})
        assert len(lake.entries()) == 2
        assert look_up(lake, range(1, 4)) == ["new", "new", 3]


def test_a_writer_that_began_before_a_refresh_does_not_undo_it(lake, clock):
    began = view(lake)
    generation = began.generation
    commit(lake, {1: "new"}, refresh=True)
    clock(HOUR)
    began.commit(key(1), segments.to_blocks(["old"]), generation)
    assert look_up(lake, [1]) == ["new"]
    view(lake).compact()
    assert look_up(lake, [1]) == ["new"]


def test_a_refresh_overtakes_results_of_earlier_versions_of_lightwork(lake):
    """Their generation is the time in their name."""
    _, index, block = segments.encode(key(1), segments.to_blocks(["old"]))
    body = index[: 16 + 32]
    old = segments._OLD_HEAD.pack(segments._OLD_MAGIC, 1, 1, segments.digest(body)) + body + block
    for moment, value in ((time.time_ns() + HOUR, old), (time.time_ns(), old)):
        lake.write(f"results/tests.square/c0de/{moment:020d}-{'0' * 16}.seg", value)
    assert look_up(lake, [1]) == ["old"]
    commit(lake, {1: "new"}, refresh=True)
    assert look_up(lake, [1]) == ["new"]
    view(lake).compact()
    assert look_up(lake, [1]) == ["new"]


def test_what_overtook_a_result_and_is_gone_does_not_bring_it_back(lake, monkeypatch):
    monkeypatch.setattr(tending, "INDEXED", 1)
    commit(lake, {1: "old"})
    tending.tend(lake, "results/tests.square/c0de")
    refreshed = commit(lake, {1: "new"}, refresh=True)
    tending.tend(lake, "results/tests.square/c0de")
    assert len([entry for entry in lake.entries() if entry.path.endswith(".idx")]) == 2
    lake.delete([refreshed])
    assert look_up(lake, [1]) == [MISSING]
    commit(lake, {1: "again"})
    assert look_up(lake, [1]) == ["again"]


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_commits_refreshes_merges_and_indexes(lake, clock, monkeypatch, seed):
    """Many processes' worth of random steps, each with a clock of its own, against a dict."""
    draw = random.Random(seed)
    monkeypatch.setattr(tending, "MANY", draw.choice([2, 5]))
    monkeypatch.setattr(tending, "INDEXED", draw.choice([1, 20]))
    monkeypatch.setattr(catalog, "RECENT", draw.choice([4, 40, 1 << 17]))
    monkeypatch.setattr(catalog, "FAN", draw.choice([2, 8]))
    monkeypatch.setattr(tending, "FAN", draw.choice([2, 8]))
    if draw.random() < 0.5:  # as if all else was committed after the merge had looked
        monkeypatch.setattr(tending._Tending, "_taken", lambda self, parts: [None] * len(parts))
    monkeypatch.setattr(index_files, "MERGED_ROWS", 64)
    expected: dict[int, object] = {}
    long_lived = view(lake)
    for step in range(40):
        clock(draw.randrange(-HOUR, HOUR))
        numbers = draw.sample(range(150), draw.randrange(1, 30))
        what = draw.choice(["commit", "commit", "refresh", "merge", "tend", "look"])
        if what == "commit":
            values = {n: f"{n} of {step}" for n in numbers if n not in expected}
            if values:
                commit(lake, values)
        elif what == "refresh":
            values = {n: [n, step] if draw.random() < 0.5 else f"{n} again {step}" for n in numbers}
            commit(lake, values, refresh=True)
        elif what == "merge":
            paths = [e.path for e in lake.entries() if e.path.endswith(".seg")]
            merge(lake, set(draw.sample(paths, draw.randrange(len(paths) + 1))))
        elif what == "tend":
            tending.tend(lake, "results/tests.square/c0de")
        if what in ("commit", "refresh"):
            expected |= values
        if what == "look":
            long_lived.refresh()
            got = long_lived.lookup([key(n) for n in range(150)])
            assert got == [expected.get(n, MISSING) for n in range(150)]
            assert [long_lived.lookup([key(n)])[0] for n in range(150)] == got
    assert look_up(lake, range(150)) == [expected.get(n, MISSING) for n in range(150)]
    assert view(lake).count() == len(expected)


@task
def reads(file: str) -> str:
    """A result that changes without a change of its key, which is what --refresh is for."""
    return Path(file).read_text()


@pytest.mark.parametrize("how", ["map", "submit"])
def test_refreshes_by_late_clocks_count(tmp_path, clock, how):
    source = tmp_path / "value"

    def run(text: str, *, refresh: bool = False) -> str:
        source.write_text(text)
        with connect("serial", lake=tmp_path / "lake", refresh=refresh, progress="off"):
            if how == "map":
                return next(iter(reads.map([str(source)])))
            return reads.submit(str(source)).result()

    clock(HOUR)
    assert run("first") == "first"
    clock(0)
    assert run("second") == "first"
    assert run("third", refresh=True) == "third"
    clock(-HOUR)
    assert run("fourth", refresh=True) == "fourth"
    assert run("fifth") == "fourth"
    lake = open_lake(tmp_path / "lake", tenant="local")
    ResultStore(lake, reads.name).open(code_key(reads)).compact()
    assert run("sixth") == "fourth"


def test_refreshes_on_workers_with_other_clocks_count(tmp_path, scheduler):
    source = tmp_path / "value"

    def shift(nanoseconds: int) -> None:
        real = getattr(time, "real_time_ns", time.time_ns)
        time.real_time_ns = real
        time.time_ns = lambda: real() + nanoseconds

    def run(text: str, clock: int, how: str, *, refresh: bool) -> str:
        source.write_text(text)
        with connect(scheduler, lake=tmp_path / "lake", refresh=refresh, progress="off") as session:
            session.client.run(shift, clock)
            try:
                if how == "map":
                    return next(iter(reads.map([str(source)])))
                return reads.submit(str(source)).result()
            finally:
                session.client.run(shift, 0)

    for how, other in (("map", "submit"), ("submit", "map")):
        run(f"{how} first", HOUR, how, refresh=True)
        assert run(f"{how} second", -HOUR, how, refresh=True) == f"{how} second"
        assert run("none", 0, how, refresh=False) == f"{how} second"
        assert run("none", HOUR, other, refresh=False) == f"{how} second"


def test_the_later_of_two_refreshes_in_one_session_counts(tmp_path, clock):
    source = tmp_path / "value"
    with connect("serial", lake=tmp_path / "lake", refresh=True, progress="off"):
        for number, text in enumerate(["one", "two", "three"]):
            clock(-number * HOUR)
            source.write_text(text)
            assert list(reads.map([str(source)])) == [text]
        for text in ("four", "five"):
            source.write_text(text)
            assert reads.submit(str(source)).result() == text
    source.write_text("six")
    with connect("serial", lake=tmp_path / "lake", progress="off"):
        assert list(reads.map([str(source)])) == ["five"]


@pytest.mark.parametrize("kind", ["table", "file"])
def test_the_newest_artifact_is_that_written_last(lake, clock, kind):
    import pandas as pd

    class Fast(Artifacts):
        """Written as by another process, which has a clock of its own."""

    for number, name in enumerate(["right", "an hour fast", "30 s late", "right", "a year late"]):
        clock(CLOCKS[name])
        from lightwork.store import artifacts as module

        module._last_time = 0
        writer = Artifacts(lake, run_id=f"run-{number}", provenance={})
        if kind == "table":
            writer.write("wins", pd.DataFrame({"n": [number]}))
            assert writer.read("wins")["n"].tolist() == [number]
        else:
            writer.write_file("wins", str(number))
            assert writer.read_file("wins") == str(number).encode()
        assert writer.list("wins")[0].run_id == f"run-{number}"
        assert writer.list()[0].run_id == f"run-{number}"


def test_versions_of_artifacts_by_earlier_versions_of_lightwork_are_older(lake):
    writer = Artifacts(lake, run_id="run", provenance={})
    artifact = writer.write_file("a.txt", "old")
    path = f"artifacts/a.txt/_versions/{artifact.version}.json"
    from lightwork.store import documents

    document = documents.parse(lake.read(path))
    version = "29991231T235959.999999Z-run"
    lake.write(f"artifacts/a.txt/{version}/a.txt", lake.read(artifact.path))
    lake.write(path.replace(artifact.version, version), documents.seal(document | {"version": version}))
    lake.delete([path, artifact.path])
    assert writer.read_file("a.txt") == b"old"
    writer.write_file("a.txt", "new")
    assert writer.read_file("a.txt") == b"new"
