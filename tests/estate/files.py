"""The tests' own settings, tenants and pipelines.

Tests use these, and not the files at the root of the repository: a customer who edits `tenants/acme.yaml`, or
a platform engineer who fills in `Pulumi.dev.yaml` or adds a pipeline, changes no test. The names are those of
the examples. `tests/infra/test_live_files.py` alone looks at the files at the root.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lightwork import tenants
from lightwork.functions import discovery

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
NAMES = tuple(path.stem for path in sorted((HERE / "tenants").glob("*.yaml")))
"""The tests' tenants."""
PIPELINES = "tests.estate.pipelines"
UNCHOSEN = "000000000000"
"""The account in the tests' settings: the one that means that nobody has chosen any."""


def load(name: str) -> tenants.Tenant:
    """Load one of the tests' tenants."""
    return tenants.load(HERE / "tenants" / f"{name}.yaml")


def settings(environment: str, account: str = UNCHOSEN) -> str:
    """Return the text of an environment's settings, with an account."""
    return (HERE / f"Pulumi.{environment}.yaml").read_text(encoding="utf-8").replace(UNCHOSEN, account)


def repository(target: Path, account: str = UNCHOSEN, *, modules: bool = True) -> Path:
    """Write a repository: the program, and the tests' settings and tenants.

    Args:
        target: its folder.
        account: the account in its settings.
        modules: whether it has all of the program's modules, which a process of its own imports. What this
            process records has imported them from here, and needs none but the first.
    """
    if modules:
        shutil.copytree(REPOSITORY / "infra", target / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    else:
        (target / "infra").mkdir(parents=True)
        shutil.copy(REPOSITORY / "infra" / "__main__.py", target / "infra")
    shutil.copytree(HERE / "tenants", target / "tenants")
    shutil.copy(REPOSITORY / "tenants" / "tenant.schema.json", target / "tenants")
    for path in HERE.glob("Pulumi*.yaml"):
        text = path.read_text(encoding="utf-8").replace(UNCHOSEN, account)
        (target / path.name).write_text(text, encoding="utf-8")
    return target


@contextlib.contextmanager
def own_pipelines() -> Iterator[None]:
    """Let discovery find the tests' pipelines alone."""
    packages = discovery.packages
    discovery.packages = lambda: [PIPELINES]
    discovery.scan.cache_clear()
    try:
        yield
    finally:
        discovery.packages = packages
        discovery.scan.cache_clear()
