"""Looking up results among millions, as `make bench ARGS=many` does among a hundred million."""

from __future__ import annotations

import time

import pytest

from bench import many
from lightwork.lake import open_lake
from lightwork.store import segments, tending
from lightwork.store.results import CodeResults

pytestmark = pytest.mark.slow

COUNT = 2_000_000


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    path = tmp_path_factory.mktemp("many")
    _, rewritten = many.build(open_lake(path, tenant="local"), COUNT)
    assert rewritten <= 10
    return path


@pytest.mark.parametrize("what", ["kept", "absent"])
def test_a_map_among_millions_takes_little_time_and_memory(lake, tmp_path, what):
    number = 1 if what == "kept" else 2
    empty = many._measure(tmp_path, "absent", number)
    measured = many._measure(lake, what, number)
    assert measured["anonymous"] - empty["anonymous"] < 300e6
    assert measured["own"] - empty["own"] < 2


def test_scattered_results_among_millions_are_found(lake):
    measured = many._measure(lake, "scattered", COUNT // many.MAP)
    assert measured["own"] < 10
    assert measured["anonymous"] < 300e6


@pytest.mark.parametrize("count", [1_000, 5_000])
def test_thousands_of_small_segments_on_s3_are_merged_at_once(tmp_path, monkeypatch, count):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))  # restored afterwards
    with many._server(tmp_path) as is_ready:
        if not is_ready:
            pytest.skip("needs versitygw, which `make cluster-up` builds")
        lake = open_lake("s3://many/small", tenant="local")
        keys = [number.to_bytes(16, "big") for number in range(count)]
        for number, key in enumerate(keys):
            CodeResults(lake, "t", "c").commit(key, segments.to_blocks([number]))

        def look() -> float:
            begin = time.process_time()
            assert CodeResults(lake, "t", "c").refresh().lookup(keys) == list(range(count))
            return time.process_time() - begin

        before = look()
        tending.tend(lake, "results/t/c")
        assert len(lake.entries("results/t/c")) == 1
        assert look() < before / 10
