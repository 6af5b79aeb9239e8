"""The archives of Helm charts: fetched once from a repository, mirror or folder, and checked by digest."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from infra.config import versions
from infra.config.stack import LOCAL
from infra.manifests import CHARTS
from lightwork.errors import LightworkError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from infra.config.stack import AnyEnvironment
    from infra.config.versions import Chart

TIMEOUT = 60.0
"""Seconds without an answer after which a repository counts as away."""
SETTING = "lightwork:charts"
VERSIONS = "infra/config/versions.py"


def bring_all(root: Path, environment: AnyEnvironment, say: Callable[[str], None]) -> None:
    """Bring the charts of an environment's estate, from where its settings say.

    Args:
        root: the repository's root.
        environment: the environment.
        say: is told what was fetched, and which digest is missing.

    Raises:
        LightworkError: a chart cannot be had, or its archive is not the pinned one.
    """
    from infra.config import local, settings

    if environment == LOCAL:
        at_hand = local.load(root)
        bring(root, ["argo-workflows"] if at_hand.argo == "make" else [], at_hand.charts, say)
    else:
        bring(root, versions.CHARTS, settings.load(root, environment).charts, say)


def bring(root: Path, names: Iterable[str], source: str | None, say: Callable[[str], None]) -> None:
    """Bring charts to the folder in which the program expects them; those that are there stay.

    Args:
        root: the repository's root.
        names: the charts' names in `versions.CHARTS`.
        source: a Helm repository's URL or a folder; None for each chart's own repository.
        say: is told what was fetched, and which digest is missing.

    Raises:
        LightworkError: a chart cannot be had, or its archive is not the pinned one.
    """
    for name in names:
        chart = versions.CHARTS[name]
        target = root / CHARTS / chart.file
        if target.exists() and chart.digest in (None, _digest(target.read_bytes())):
            continue
        place = source or chart.repository
        is_url = place.startswith(("http://", "https://"))
        try:
            archive = _fetched(chart, place) if is_url else (root / place / chart.file).read_bytes()
        except OSError as error:
            raise LightworkError(_away(chart, place, error, root)) from None
        found = _digest(archive)
        if chart.digest not in (None, found):
            raise LightworkError(
                f"the chart {chart.file} from {place} has the digest {found}; expected {chart.digest}"
                f" ({VERSIONS}): it is another chart, or was changed on its way"
            )
        _write(target, archive)
        hint = "" if chart.digest else f"; no digest is pinned: put digest={found!r} into {VERSIONS}"
        say(f"fetched the chart {chart.file} from {place}{hint}")


def _fetched(chart: Chart, repository: str) -> bytes:
    """Fetch a chart's archive by the index of its repository.

    Raises:
        OSError: the repository does not answer, or lacks the chart.
        LightworkError: the archive is not the one of the index.
    """
    base = f"{repository.rstrip('/')}/"
    entry = _entry(chart, _get(f"{base}index.yaml"))
    archive = _get(urllib.parse.urljoin(base, str(entry["urls"][0])))
    if (listed := entry.get("digest")) and str(listed).removeprefix("sha256:") != _digest(archive):
        raise LightworkError(
            f"the chart {chart.file} from {repository} has the digest {_digest(archive)}, in the repository's"
            f" index {listed}: the repository is broken"
        )
    return archive


def _entry(chart: Chart, index: bytes) -> dict[str, Any]:
    """Return a chart's entry in the index of a repository."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        entries = yaml.load(index, Loader=loader)["entries"][chart.name]  # noqa: S506  (a safe loader)
        return next(item for item in entries if item["version"] == chart.version and item["urls"])
    except (yaml.YAMLError, KeyError, TypeError):
        raise OSError(f"its index.yaml has no chart {chart.name}") from None
    except StopIteration:
        raise OSError(f"its index.yaml has no version {chart.version}") from None


def _get(url: str) -> bytes:
    """Return what an HTTP server answers."""
    if not url.startswith(("http://", "https://")):
        raise OSError(f"{url} is not an HTTP address")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310  (checked above)
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        raise OSError(f"{url}: {error.code} {error.reason}") from None
    return content


def _away(chart: Chart, place: str, error: OSError, root: Path) -> str:
    reason = one_line(getattr(error, "reason", None) or error)
    return (
        f"the chart {chart.file} cannot be had from {place}: {reason}; {SETTING} names a mirror or a folder"
        f" instead, or put the file into {root / CHARTS}"
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(target: Path, content: bytes) -> None:
    """Write a file at once, also where several processes do."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).rename(target)
