"""Each code block of the page on a task's options runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "task-options.md"
BLOCKS = {
    re.findall(r"^## (.+)$", PAGE.read_text()[: match.start()], flags=re.MULTILINE)[-1]: match[1]
    for match in re.finditer(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
}


@pytest.mark.parametrize("title", BLOCKS)
def test_the_block_runs(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTWORK_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("LIGHTWORK_ON", "serial")
    monkeypatch.chdir(tmp_path)
    # As a module of a file, so that the tasks have a source.
    script = tmp_path / "block.py"
    script.write_text(BLOCKS[title])
    exec(compile(BLOCKS[title], str(script), "exec"), {"__name__": "__main__", "__file__": str(script)})
