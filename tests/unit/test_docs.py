"""What the pages say is there: files that they link to, make's targets, lightwork's commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lightwork.cli.main import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "tests/cluster/README.md")
    for page in REPOSITORY.glob(pattern)
)
GROUPS = {
    **{str(page.relative_to(REPOSITORY)): [page] for page in PAGES},
    "pipelines": sorted(REPOSITORY.glob("pipelines/*/README.md")),
}
"""Every page is a case, and those of the pipelines are one together, however many there are."""
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made where pages are shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def code(page: Path) -> str:
    """All code of a page: fenced, and within lines."""
    text = page.read_text()
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", rest)])


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/why.md"} <= {name(page) for page in PAGES}


def links(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{name(page)} links to {link}"


@pytest.mark.parametrize("group", GROUPS)
def test_links_lead_somewhere(group: str) -> None:
    for page in GROUPS[group]:
        links(page)


@pytest.mark.parametrize("group", GROUPS)
def test_targets_of_make_exist(group: str) -> None:
    for page in GROUPS[group]:
        called = set(re.findall(r"(?:^|[ (])make ([a-z][a-z-]*)", code(page), flags=re.MULTILINE))
        assert called <= TARGETS, name(page)


@pytest.mark.parametrize("group", GROUPS)
def test_commands_of_lightwork_exist(group: str) -> None:
    for page in GROUPS[group]:
        called = set(re.findall(r"(?<![\w-])(?<!from )lightwork ([a-z][a-z-]*)", code(page)))
        assert called <= COMMANDS.keys(), name(page)
