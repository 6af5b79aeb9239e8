"""Write down which values a chart has.

    python -m tests.infra.services.charts CHART VERSION FOLDER > CHART.txt

The folder is the unpacked chart. The names alone are kept, a line each, with dots between them. A line that
ends in a star is a value that the chart leaves empty: what may be in it, its values file does not say.
Below it are those of the charts that it depends on, where they are unpacked in it too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml


def names(values: dict[str, Any], above: str = "") -> list[str]:
    """The names of all values, depth first."""
    found = []
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, dict) and value:
            found += [name, *names(value, f"{name}.")]
        else:
            found.append(f"{name}*" if value in ({}, [], None) else name)
    return found


def known(folder: Path) -> list[str]:
    """The names of a chart's values and of those of the charts below it."""
    found = set(names(yaml.safe_load((folder / "values.yaml").read_text())))
    for below in (folder / "charts").glob("*/values.yaml"):
        found |= {f"{below.parent.name}.{name}" for name in known(below.parent)}
    return sorted(found)


if __name__ == "__main__":
    chart, version, folder = sys.argv[1:]
    sys.stdout.write("\n".join([f"{chart} {version}", *known(Path(folder))]) + "\n")
