"""A table that goes to no terminal is written without Rich, and is the same as with it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lightwork.cli import output

SPACES = st.sampled_from(" \t\xa0\u2003\u3000\u200b\u2028\x85\x1f0日")
CELLS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12), st.text(SPACES, max_size=4), st.integers(), st.none()
)


def printed(capfd: pytest.CaptureFixture[str], columns: list[str], rows: list[list[object]]) -> str:
    capfd.readouterr()
    output.show_table(columns, rows, right=columns[1:2])
    return capfd.readouterr().out


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)
    )
)
@example([["a", "日本", None], ["\x1b[1m", "", 12]])
@example([["a ", "1 ", "b "], [" ", " ", " "]])
def test_it_is_the_same(rows: list[list[object]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        columns = [f"column {number}" for number in range(len(rows[0]))]
        lines = output._plain_lines(columns, rows, columns[1:2])
        if lines is None:
            return
        shown: list[str] = []
        patch.setattr(output, "is_piped", lambda: False)
        patch.setattr(output, "console", lambda: console(shown))
        output.show_table(columns, rows, right=columns[1:2])
        assert "".join(shown).splitlines() == "\n".join(lines).splitlines()


def console(shown: list[str]) -> object:
    """Return a console as that of a pipe, which keeps what it prints."""
    from lightwork.logs import terminal

    class Kept:
        def write(self, text: str) -> int:
            shown.append(text)
            return len(text)

        def flush(self) -> None:
            pass

    result = terminal()
    result.file = Kept()  # type: ignore[assignment]
    result.width = 1000
    return result


def test_rich_is_not_imported() -> None:
    code = (
        "import sys; from lightwork.cli.output import show_table; show_table(['a'], [['b']]);"
        "sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "a\n─\nb\n")
