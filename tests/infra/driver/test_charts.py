"""Where the archives of charts come from, with a repository on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import pytest

from infra.config import versions
from infra.driver import charts
from infra.manifests import CHARTS
from lightwork.errors import InputError, LightworkError
from tests import chart as charts_of_tests
from tests.estate import files

if TYPE_CHECKING:
    from pathlib import Path

NAME = "argo-workflows"
ARCHIVE = charts_of_tests.packed(NAME, "9.8.7", {"a.yaml": "{}"})
OTHER = charts_of_tests.packed(NAME, "9.8.7", {"b.yaml": "{}"})
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture
def chart(monkeypatch: pytest.MonkeyPatch) -> versions.Chart:
    chart = dataclasses.replace(versions.CHARTS[NAME], version="9.8.7", digest=DIGEST)
    monkeypatch.setitem(versions.CHARTS, NAME, chart)
    return chart


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


def bring(root: Path, source: str | None) -> list[str]:
    said: list[str] = []
    charts.bring(root, [NAME], source, said.append)
    return said


def cached(root: Path, chart: versions.Chart) -> bytes:
    return (root / CHARTS / chart.file).read_bytes()


def test_a_mirror_is_asked_once(tmp_path: Path, folder: Path, chart: versions.Chart) -> None:
    charts_of_tests.write_index(folder, chart, ARCHIVE)
    with charts_of_tests.served(folder) as (url, asked):
        assert bring(tmp_path, url) == [f"fetched the chart argo-workflows-9.8.7.tgz from {url}"]
        assert asked == ["/index.yaml", "/argo-workflows-9.8.7.tgz"]
        assert bring(tmp_path, url) == []
        assert len(asked) == 2
    assert cached(tmp_path, chart) == ARCHIVE
    assert bring(tmp_path, "http://127.0.0.1:1") == [], "the repository may be away from then on"


def test_a_folder_is_relative_to_the_settings(tmp_path: Path, folder: Path, chart: versions.Chart) -> None:
    (folder / chart.file).write_bytes(ARCHIVE)
    bring(tmp_path, "mirror")
    assert cached(tmp_path, chart) == ARCHIVE


def test_without_a_source_the_charts_own_repository_is_asked(
    tmp_path: Path, folder: Path, chart: versions.Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    charts_of_tests.write_index(folder, chart, ARCHIVE)
    with charts_of_tests.served(folder) as (url, _):
        monkeypatch.setitem(versions.CHARTS, NAME, dataclasses.replace(chart, repository=url))
        bring(tmp_path, None)
    assert cached(tmp_path, chart) == ARCHIVE


def test_another_archive_than_the_pinned_one_is_refused_and_not_kept(
    tmp_path: Path, folder: Path, chart: versions.Chart
) -> None:
    (folder / chart.file).write_bytes(OTHER)
    with pytest.raises(LightworkError, match=f"expected {DIGEST} .*it is another chart, or was changed"):
        bring(tmp_path, "mirror")
    assert not (tmp_path / CHARTS / chart.file).exists()


def test_a_kept_archive_that_was_changed_is_fetched_again(
    tmp_path: Path, folder: Path, chart: versions.Chart
) -> None:
    (folder / chart.file).write_bytes(ARCHIVE)
    bring(tmp_path, "mirror")
    (tmp_path / CHARTS / chart.file).write_bytes(OTHER)
    assert bring(tmp_path, "mirror")
    assert cached(tmp_path, chart) == ARCHIVE


def test_a_repository_whose_index_has_another_digest_is_refused(
    tmp_path: Path, folder: Path, chart: versions.Chart
) -> None:
    charts_of_tests.write_index(folder, chart, ARCHIVE, digest="sha256:0")
    with (
        charts_of_tests.served(folder) as (url, _),
        pytest.raises(LightworkError, match="the repository is broken"),
    ):
        bring(tmp_path, url)


def test_an_unknown_digest_is_said_with_what_to_write(
    tmp_path: Path, folder: Path, chart: versions.Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(versions.CHARTS, NAME, dataclasses.replace(chart, digest=None))
    charts_of_tests.write_index(folder, chart, ARCHIVE)
    with charts_of_tests.served(folder) as (url, _):
        (line,) = bring(tmp_path, url)
    assert line.endswith(f"no digest is pinned: put digest='{DIGEST}' into infra/config/versions.py")


def test_what_cannot_be_had_names_chart_place_and_remedy(
    tmp_path: Path, folder: Path, chart: versions.Chart
) -> None:
    charts_of_tests.write_index(folder, dataclasses.replace(chart, version="1.2.3"), ARCHIVE)
    with charts_of_tests.served(folder) as (url, _):
        for source, reason in {
            f"{url}/nowhere": "404",
            url: "its index.yaml has no version 9.8.7",
            "http://127.0.0.1:1": "Connection refused",
            "nowhere": "No such file or directory",
        }.items():
            with pytest.raises(LightworkError) as caught:
                bring(tmp_path, source)
            line = str(caught.value)
            assert line.startswith(f"the chart {chart.file} cannot be had from {source}: "), line
            assert reason in line
            assert "lightwork:charts names a mirror or a folder" in line


def test_local_stacks_need_a_chart_only_to_make_argo(tmp_path: Path, chart: versions.Chart) -> None:
    root = files.repository(tmp_path / "copy")
    (root / "mirror").mkdir()
    (root / "mirror" / chart.file).write_bytes(ARCHIVE)
    path = root / "Pulumi.local.yaml"
    text = path.read_text()
    for argo, expected in (("exists", False), ("make", True)):
        more = f"  lightwork:argo: {argo}\n  lightwork:charts: mirror\n"
        path.write_text(text.replace("config:\n", f"config:\n{more}"))
        charts.bring_all(root, "local", lambda _: None)
        assert (root / CHARTS / chart.file).exists() is expected


@pytest.mark.parametrize("source", ["https://me:secret@example.com/charts", "ftp://example.com", ""])
def test_a_source_that_cannot_be_is_refused_with_its_line(tmp_path: Path, source: str) -> None:
    root = files.repository(tmp_path / "copy", account="123456789012")
    path = root / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace("config:\n", f"config:\n  lightwork:charts: '{source}'\n"))
    with pytest.raises(InputError, match=r"lightwork:charts: .*the URL of a Helm repository, without cred"):
        charts.bring_all(root, "dev", lambda _: None)
