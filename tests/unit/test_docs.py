"""The pages are true: links, paths, make's targets and commands exist; tables and indexes are complete."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import lightwork
from lightwork.cli.main import COMMANDS, cli

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "tests/cluster/README.md")
    for page in REPOSITORY.glob(pattern)
)
GROUPS = {
    **{str(page.relative_to(REPOSITORY)): [page] for page in PAGES},
    "pipelines": sorted(REPOSITORY.glob("pipelines/*/README.md")),
    "examples": sorted(REPOSITORY.glob("examples/*/README.md")),
}
"""Every page is a case; the pages of all pipelines are one together, and so are those of the examples."""
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))

PATH = re.compile(r"`((?:bench|ci|infra|platform|requirements|tests)/[\w./*-]+)`")
LIGHTWORK = REPOSITORY / "platform" / "src" / "lightwork"


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


def unknown_options(line: str) -> set[str]:
    """Return the options in a command line of `lightwork` that its command has not."""
    words = re.split(r" [|#>]|&&|;", line)[0].split()
    context = click.Context(cli, info_name="lightwork")
    command: click.Command | None = cli
    known = {"--help", "--version"}
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        command = command.get_command(context, word)
    assert command is not None, line
    known |= {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    return {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)} - known


@pytest.mark.parametrize("group", GROUPS)
def test_options_of_lightwork_exist(group: str) -> None:
    for page in GROUPS[group]:
        for line in re.findall(r"(?<![\w-])(?<!from )lightwork ([a-z][a-z-]* .*--.*)", code(page)):
            assert not unknown_options(line), f"{name(page)}: lightwork {line}"


def test_an_option_that_is_not_there_would_be_found() -> None:
    assert unknown_options("runs --env dev --since-when 7d | head --lines=1") == {"--since-when"}
    assert unknown_options("tenant validate --strict acme") == {"--strict"}


@pytest.mark.parametrize("group", GROUPS)
def test_files_that_a_page_names_exist(group: str) -> None:
    roots = (REPOSITORY, REPOSITORY / "tests")  # the threat model names tests by their paths below `tests`
    for page in GROUPS[group]:
        named = PATH.findall(page.read_text())
        missing = {path for path in named if not any(any(root.glob(path)) for root in roots)}
        assert not missing, name(page)


@pytest.mark.parametrize("group", GROUPS)
def test_code_within_a_line_ends_on_it(group: str) -> None:
    for page in GROUPS[group]:
        prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        wrapped = [line for line in prose.splitlines() if line.count("`") % 2]
        assert not wrapped, f"{name(page)}: the other tests read code line by line"


def test_the_index_lists_every_decision() -> None:
    decisions = REPOSITORY / "docs" / "decisions"
    listed = re.findall(
        r"^- \[[^]]+\]\(([\w-]+\.md)\): .", (decisions / "README.md").read_text(), flags=re.MULTILINE
    )
    assert sorted(listed) == sorted(page.name for page in decisions.glob("*.md") if page.name != "README.md")


def folders(parent: Path) -> set[str]:
    """The names of the folders that hold Python modules."""
    return {path.parent.name for path in parent.glob("*/*.py")}


@pytest.mark.parametrize(
    ("heading", "parent"),
    [("In `platform/src/lightwork`", LIGHTWORK), ("In `infra/`", REPOSITORY / "infra")],
    ids=["lightwork", "infra"],
)
def test_the_readme_says_what_each_folder_is_for(heading: str, parent: Path) -> None:
    text = (REPOSITORY / "README.md").read_text()
    table = re.search(rf"^{re.escape(heading)}.*?\n\n((?:\|[^\n]*\n)+)", text, flags=re.MULTILINE | re.DOTALL)
    assert table, f"no table below {heading!r}"
    first_cells = [row.split(" | ")[0] for row in table[1].splitlines()[2:]]
    listed = re.findall(r"`(\w+)/`", " ".join(first_cells))
    assert sorted(listed) == sorted(folders(parent))


def test_code_owners_are_groups_and_own_files_that_exist() -> None:
    lines = (REPOSITORY / ".gitlab" / "CODEOWNERS").read_text().splitlines()
    sections = [line for line in lines if line.startswith("[")]
    assert all(re.fullmatch(r"\[[^]]+\]( @your-group/[a-z]+)+", section) for section in sections), sections
    patterns = [line.removeprefix("!") for line in lines if line and not line.startswith(("#", "["))]
    assert len(patterns) > len(sections)
    missing = [pattern for pattern in patterns if not any(REPOSITORY.glob(pattern.strip("/")))]
    assert not missing
    assert "@" not in "".join(line for line in lines if line.startswith("#")), (
        "GitLab reads owners in comments"
    )


def test_the_changelog_covers_the_released_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert versions[:2] == ["Unreleased", lightwork.__version__]
