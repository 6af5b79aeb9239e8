"""The space that a lake takes, the old results in it, and the age in `cache prune --older-than AGE`."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from lightwork.errors import InputError
from lightwork.lake import open_lake
from lightwork.store import kinds, usage


@pytest.mark.parametrize(
    ("age", "seconds"),
    [("45m", 2700), ("12H", 43200), ("30 d", 2592000), ("2w", 1209600), ("1h30m", 5400), ("0s", 0)],
)
def test_an_age_is_a_number_of_seconds(age: str, seconds: int) -> None:
    assert usage.seconds(age) == seconds


@pytest.mark.parametrize("age", ["soon", "", "30", "-1d", "1.5h", "1y", "3 0d", "9" * 400 + "s"])
def test_a_wrong_age_is_refused_with_an_example(age: str) -> None:
    with pytest.raises(InputError, match=f"age {age!r}: .*30d"):
        usage.seconds(age)


PATHS = [
    "results/task/code/1.seg", "results/task/code/code.json", "results/task/code/index/a.idx",
    "results/task/code/.tmp-1-a", "results/stray", "runs/r1/run.json", "runs/r1/report.html", "runs/r1/alive",
    "runs/r1/owner-1", "runs/r1/jobs/a.job", "runs/r2/jobs/.tmp-1-b", "runs/stray",
    "artifacts/winds/_versions/v1.json", "artifacts/winds/v1/part-0.parquet",
    "artifacts/winds/v1/day=1/part-0.parquet", "artifacts/winds/v2/part-0.parquet", "artifacts/stray",
    "mapped/abc/owner", "mapped/abc/token", "mapped/.new-abc/owner", "argo/flow/pod/main.log",
    "lightwork-lake", "lightwork-collected", "by-hand/table.csv", ".tmp-1-c", "empty/",
]  # fmt: skip


def fill(folder: Path, sizes: random.Random) -> None:
    """Fill a lake's folder with files of all kinds, of random sizes, some sparse, linked or doubly named."""
    for path in PATHS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            (folder / path).mkdir()
            continue
        with (folder / path).open("wb") as file:
            file.write(sizes.randbytes(sizes.choice([0, 1, 100, 5000, 100_000])))
            file.truncate(sizes.choice([file.tell(), 300_000]))
    (folder / "results/task/code/2.seg").symlink_to("1.seg")
    os.link(folder / "results/task/code/1.seg", folder / "results/task/code/.tmp-1-also")
    os.link(folder / "mapped/abc/token", folder / "by-hand/also")


@pytest.mark.parametrize("seed", range(5))
def test_the_kinds_together_are_what_du_counts(tmp_path: Path, seed: int) -> None:
    lake = open_lake(tmp_path, tenant="acme")
    fill(tmp_path / "acme", random.Random(seed))
    _, spaces = usage.measure(lake)
    for option, name in (("--apparent-size", "bytes"), ("--block-size=1", "disk")):
        done = subprocess.run(
            ["du", "-s", "--block-size=1", option, tmp_path / "acme"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert sum(getattr(space, name) for space in spaces) == int(done.stdout.split()[0]), option
    files = {space.kind: space.files for space in spaces}
    assert files == {
        kinds.RESULTS: 4, kinds.RUNS: 1, kinds.REPORTS: 1, kinds.ARTIFACTS: 3, kinds.STEP_LOGS: 1,
        kinds.JOBS: 1, kinds.SIGNS: 2, kinds.UNCOMMITTED: 1, kinds.INPUTS: 3, kinds.TEMPORARY: 4,
        kinds.FOLDERS: files[kinds.FOLDERS], kinds.OTHER: 7,
    }  # fmt: skip


def test_an_empty_lake_takes_no_space_and_is_not_created(tmp_path: Path) -> None:
    assert usage.measure(open_lake(tmp_path / "lake", tenant="acme")) == ([], [])
    assert not (tmp_path / "lake").exists()


def test_unknown_files_beside_results_go_with_the_last_of_them(tmp_path: Path) -> None:
    lake = open_lake(tmp_path, tenant="acme")
    for path in (
        "a/1.seg",
        "a/2.seg",
        "a/index/x.idx",
        "a/code.json",
        "b/1.seg",
        "b/deep/er/y",
        "c/code.json",
    ):
        lake.write(f"results/task/{path}", b"x")
    day_ago = lake.now() - 86400
    for path in ("a/1.seg", "b/1.seg"):
        os.utime(tmp_path / "acme/results/task" / path, (day_ago, day_ago))
    paths = sorted(
        entry.path.removeprefix("results/task/") for entry in usage.prunable(lake, older_than=3600)
    )
    assert paths == ["a/1.seg", "b/1.seg", "b/deep/er/y"]
    assert len(usage.prunable(lake, task="task")) == 7
