"""The commands of `docs/operating.md`, and the sections that alerts lead to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "operating.md"
ENVIRONMENT, TENANT = "prod", "acme"
RUN = "windy-city-20261124t063518-k3x9q"
OTHER_RUN = "windy-city-20261123t063514-p7d2m"
"""What the page names."""


def commands() -> list[list[str]]:
    """Return the words of each command in a block, and of each within a line that has options."""
    text = PAGE.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    typed = [line for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    within = [
        code for code in re.findall(r"`([^`\n]+)`", prose) if re.match(r"(lightwork|kubectl|aws) .*--", code)
    ]
    return [words for line in [*typed, *within] if (words := shlex.split(line, comments=True))]


def of(program: str) -> list[list[str]]:
    """Return the page's commands of one program, each once, in their order."""
    found = {tuple(words): None for words in commands() if words[0] == program}
    return [list(words) for words in found]


def sections() -> dict[str, str]:
    """Return the sections about alerts, by their headings."""
    (part,) = re.findall(r"^## Alerts\n(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    pieces = re.split(r"^### (\w+)\n", part, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))
