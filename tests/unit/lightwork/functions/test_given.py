"""Values on a command line: texts, and contents of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import strategies

from lightwork.errors import InputError
from lightwork.functions import given

UNICODE = strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@for_all(UNICODE)
def test_a_files_content_arrives_to_the_byte(text: str) -> None:
    path = Path("given.txt")
    path.write_bytes(text.encode())
    assert given.texts("p", [f"a={path}", f"b=@{path}", f"c=@@{path}"]) == {
        "a": str(path),
        "b": text,
        "c": f"@{path}",
    }


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.chdir(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("@", "'@' names no file; expected @FILE, or @@ for a value that begins with @"),
        ("@nowhere.txt", "'nowhere.txt' cannot be read (No such file or directory); expected @FILE"),
        ("@.", "'.' cannot be read (Is a directory)"),
        ("@~nobody-here/x", "'~nobody-here/x' cannot be read"),
        (
            "@large.txt",
            "'large.txt' has more than 1,000,000 bytes, the most for a value; write it into the lake",
        ),
        ("@/dev/zero", "'/dev/zero' has more than 1,000,000 bytes"),
        ("@latin.txt", "'latin.txt' is not UTF-8 at byte 3; expected a text"),
        ("@nul.txt", "'nul.txt' has the character NUL at position 2; expected a text"),
        ("a\udcff", "parameter text is not UTF-8 at position 2; expected a text"),
    ],
)
def test_what_is_not_a_text_is_one_line(value: str, words: str) -> None:
    Path("large.txt").write_bytes(b"x" * 1_000_001)
    Path("latin.txt").write_bytes("ab\xe9".encode("latin-1"))
    Path("nul.txt").write_bytes(b"a\0")
    with pytest.raises(InputError) as caught:
        given.texts("windy-city", [f"text={value}"])
    assert str(caught.value).startswith("windy-city: parameter text")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_the_most_bytes_is_taken() -> None:
    Path("most.txt").write_bytes(b"x" * 1_000_000)
    assert given.texts("p", ["a=@most.txt"])["a"] == "x" * 1_000_000


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (["unit"], "windy-city: 'unit' has no '='; expected name=value"),
        (["=mph"], "windy-city: '=mph' has no '='"),
        (["unit=a", "unit=b"], "windy-city: parameter unit is given twice, 'a' and 'b'; expected once"),
    ],
)
def test_malformed_items_are_one_line(items: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        given.texts("windy-city", items)
    assert words in str(caught.value)
