"""Print the names of a chart's values.

    python -m tests.infra.services.charts CHART VERSION FOLDER > CHART.txt

The folder is the unpacked chart. Each line is a dotted name, without its value. A star at the end marks a
value that is empty by default: the values file does not say what it may contain. The names of the charts that
it depends on are included, if they are unpacked in it too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml


def names(values: dict[str, Any], above: str = "") -> list[str]:
    """Return the names of all values, depth first."""
    dotted = []
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, dict) and value:
            dotted += [name, *names(value, f"{name}.")]
        else:
            dotted.append(f"{name}*" if value in ({}, [], None) else name)
    return dotted


def known(folder: Path) -> list[str]:
    """Return the names of a chart's values and those of the charts that it depends on."""
    dotted = set(names(yaml.safe_load((folder / "values.yaml").read_text())))
    for below in (folder / "charts").glob("*/values.yaml"):
        dotted |= {f"{below.parent.name}.{name}" for name in known(below.parent)}
    return sorted(dotted)


if __name__ == "__main__":
    chart, version, folder = sys.argv[1:]
    sys.stdout.write("\n".join([f"{chart} {version}", *known(Path(folder))]) + "\n")
