"""Files that somebody writes to hang, exhaust or mislead whoever checks them: one line for each mistake."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightwork import documents, tenants
from lightwork.cli.main import execute
from lightwork.errors import InputError

GOOD = "name: acme\nenvironments: [dev]\n"
ENTRY = GOOD + "pipelines:\n  winds:\n    image: team/winds:1\n    parameters:\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 11)
)
MERGES = "m0: &m0 {a: 1, b: 2}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}], k{i}: 1}}\n" for i in range(1, 11)
)
VALUES_BOMB = "m0: &m0 {a: 1, b: 2}\n" + "".join(
    f"m{i}: &m{i} {{{', '.join(f'k{n}: *m{i - 1}' for n in range(10))}}}\n" for i in range(1, 11)
)

HOSTILE = {
    "a bomb of lists": GOOD + BOMB,
    "a bomb of mappings": GOOD + VALUES_BOMB,
    "a bomb of merges": GOOD + MERGES,
    "a bomb in parameters": ENTRY + "".join(f"      {line}\n" for line in BOMB.splitlines()),
    "a list in itself": GOOD + "quota: &a [*a]\n",
    "a mapping in itself": GOOD + "quota: &a {cpu: *a}\n",
    "a mapping merged into itself": GOOD + "quota: &a {<<: *a}\n",
    "the file in itself": "&a\n" + GOOD + "quota: *a\n",
    "an alias of nothing": GOOD + "quota: *nothing\n",
    "a list as a key": GOOD + "? [1]\n: 2\n",
    "a mapping as a key": GOOD + "? {a: 1}\n: 2\n",
    "an alias of a list as a key": GOOD + "quota: &a [1]\n? *a\n: 2\n",
    "a key of two lines": GOOD + "? |\n  quota\n  cpu\n: 2\n",
    "a long key": GOOD + f"? {'k' * 5000}\n: 2\n",
    "a deep list": GOOD + "quota: " + "[" * 900 + "]" * 900,
    "a deeper list": GOOD + "quota: " + "[" * 100_000,
    "a deep mapping": GOOD + "quota: " + "{a: " * 900 + "1" + "}" * 900,
    "deep dashes": GOOD + "quota: " + "- " * 2000 + "\n",
    "many values": GOOD + "secrets: [" + "a, " * 60_000 + "a]\n",
    "many fields": GOOD + "".join(f"f{i}: 1\n" for i in range(20_000)),
    "a huge file": GOOD + "# " + "x" * 3_000_000,
    "a huge text": GOOD + "quota: {cpu: '" + "1" * 200_000 + "\\n'}\n",
    "digits": GOOD + f"budget: {'9' * 5000}\n",
    "digits of a parameter": ENTRY + f"      a: {'9' * 5000}\n",
    "digits of an amount": GOOD + "quota: {cpu: " + "9" * 100_000 + ", memory: 1Gi}\n",
    "a huge exponent": ENTRY + "      a: 1.0e+999\n",
    "infinity": ENTRY + "      a: .inf\n",
    "minus infinity": GOOD + "budget: -.Inf\n",
    "not a number": ENTRY + "      a: .NaN\n",
    "a time as a number": ENTRY + "      a: 1:30\n",
    "a time as a fraction": ENTRY + "      a: 1:30.5\n",
    "an octal number": ENTRY + "      a: 010\n",
    "a binary number": ENTRY + "      a: 0b11\n",
    "a hexadecimal number": ENTRY + "      a: 0x1F\n",
    "underscores": ENTRY + "      a: 1_000\n",
    "an octal budget": GOOD + "budget: 0100\n",
    "yes": ENTRY + "      a: yes\n",
    "off": ENTRY + "      a: Off\n",
    "a field that is no": GOOD + "quota: no\n",
    "a merge of a number": GOOD + "quota: {<<: 3}\n",
    "a merge of a text": GOOD + "<<: text\n",
    "two merges": GOOD + "a: &a {b: 1}\n<<: *a\n<<: *a\n",
    "twice": GOOD + "name: globex\n",
    "twice in a flow": GOOD + "quota: {cpu: 1, 'cpu': 2}\n",
    "twice as a number and a text": ENTRY + "      1: a\n      '1': b\n",
    "twice deep inside": ENTRY + "      a: [{b: {c: 1, c: 2}}]\n",
    "tabs": GOOD + "\tquota: {}\n",
    "a tab as a space": GOOD + "quota:\n\tcpu: 1\n",
    "a NUL": GOOD + "quota: \x00\n",
    "an escaped NUL": ENTRY + '      a: "\\0"\n',
    "half a character": ENTRY + '      a: "\\ud800"\n',
    "half a character as a key": ENTRY + '      "\\ud800": 1\n',
    "a character beyond all": ENTRY + '      a: "\\UFFFFFFFF"\n',
    "a character just beyond": ENTRY + '      a: "\\U00110000"\n',
    "an escape": GOOD + "quota: \x1b[2J\n",
    "Python": GOOD + "quota: !!python/object/apply:os.system [touch sprung]\n",
    "Python's name": GOOD + "quota: !!python/name:os.system\n",
    "a tag of a key": GOOD + "!!python/name:os.system quota: 1\n",
    "a tag of the file": "!!set\n" + GOOD,
    "a tag of one's own": GOOD + "quota: !secret x\n",
    "binary": ENTRY + "      a: !!binary aGFsbG8=\n",
    "a set": ENTRY + "      a: !!set {x, y}\n",
    "an ordered mapping": ENTRY + "      a: !!omap [x: 1]\n",
    "a timestamp by its tag": ENTRY + "      a: !!timestamp 2026-13-45\n",
    "no number": ENTRY + "      a: !!int x\n",
    "no truth": ENTRY + "      a: !!bool x\n",
    "no fraction": ENTRY + "      a: !!float x\n",
    "not null": ENTRY + "      a: !!null x\n",
    "a text as a mapping": GOOD + "quota: !!map x\n",
    "a tag with a percent sign": GOOD + "quota: !<%ff> x\n",
    "a later YAML": "%YAML 9.9\n---\n" + GOOD,
    "a YAML of many digits": f"%YAML 1.{'9' * 5000}\n---\n" + GOOD,
    "two documents": GOOD + "---\n" + GOOD,
    "a text": "acme\n",
    "a number": "3\n",
    "an open quote": GOOD + 'quota: "\n',
    "an equals sign": ENTRY + "      a: =\n",
}  # fmt: skip
BYTES = {
    "Latin-1": GOOD.encode() + b"# Z\xfcrich\n",
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-32": GOOD.encode("utf-32"),
    "half a character": GOOD.encode() + b"# \xed\xa0\x80\n",
    "an overlong NUL": GOOD.encode() + b"# \xc0\x80\n",
    "bytes of nothing": bytes(range(256)) * 50,
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], tenants.Tenant]:
    """Write and read a tenant's file."""

    def write_and_read(text: str | bytes) -> tenants.Tenant:
        path = tmp_path / "acme.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tenants.load(path)

    return write_and_read


@pytest.mark.parametrize("text", [*HOSTILE.values(), *BYTES.values()], ids=[*HOSTILE, *BYTES])
def test_a_hostile_file_is_refused_in_short_lines(read: Callable, tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{tmp_path}/acme.yaml:") for line in lines), "each line names the file"
    assert len(lines) < 3 or text == HOSTILE["a bomb in parameters"]
    assert all(len(line) < len(str(tmp_path)) + 400 for line in lines)
    assert not Path("sprung").exists()


def test_validate_exits_as_for_other_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in HOSTILE.items():
        (tmp_path / "acme.yaml").write_text(text)
        assert execute(["tenant", "validate", str(tmp_path / "acme.yaml")]) == 2, name
        assert "Traceback" not in capsys.readouterr().err, name


def test_memory_and_processor_time_are_bounded(tmp_path: Path) -> None:
    """All hostile files, each in at most a gigabyte and ten seconds of processor time."""
    for number, text in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}.yaml").write_text(text)
    code = (
        "import sys; from lightwork import tenants, errors; from pathlib import Path\n"
        "for path in sorted(Path(sys.argv[1]).glob('*.yaml')):\n"
        "    try: tenants.load(path)\n"
        "    except errors.InputError: continue\n"
        "    sys.exit(str(path))\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], preexec_fn=limit, capture_output=True, text=True
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-31", "2026-01-31"), ("2026-13-45", "2026-13-45"), ("'010'", "010"), ("'yes'", "yes"),
        ("true", True), ("False", False), ("0", 0), ("-7", -7), ("+7", 7), ("1.50", 1.5),
        ("6.02e+23", 6.02e23), ("~", None), ("", None), ("!!str 12", "12"),
        ('"\\u00fc\\U0001F4A8"', "ü💨"), ("{1: a, no: b}", {"1": "a", "no": "b"}),
        ("2026-01-31 06:30:00", "2026-01-31 06:30:00"), ("06:30:00Z", "06:30:00Z"), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_values_that_all_of_yaml_reads_alike_are_taken(read: Callable, text: str, value: object) -> None:
    tenant = read(f"{ENTRY}      a: {text}\n")
    assert tenant.pipelines["winds"].parameters == {"a": value}


def test_anchors_and_merges_of_a_reasonable_size_are_taken(read: Callable) -> None:
    tenant = read(
        GOOD + "pipelines:\n  one:\n    image: team/a:1\n    workers: &small {cpu: 1, memory: 1Gi}\n"
        "  two:\n    image: team/a:1\n    workers: {<<: *small, memory: 2Gi}\n  six:\n    image: team/a:1\n"
        "    workers: *small\n"
    )
    assert [entry.workers.memory for entry in tenant.pipelines.values()] == ["1Gi", "2Gi", "1Gi"]


def test_a_byte_order_mark_is_not_a_mistake(read: Callable) -> None:
    assert read(b"\xef\xbb\xbf" + GOOD.encode()).name == "acme"


def test_random_changes_of_a_file_never_end_in_another_error(tmp_path: Path) -> None:
    source = random.Random(15)
    pieces = [
        *"[]{}:,&*!|>-?#%@`'\"\\\n\t 0aé",
        "*a",
        "&a ",
        "<<: ",
        "!!",
        "---\n",
        "\\U",
        "? ",
        "1:30",
        "\x00",
        "\ud7ff",
    ]
    good = ENTRY + "      a: &a {b: [1, 2]}\n      c: *a\n"
    path = tmp_path / "acme.yaml"
    for _ in range(400):
        text = good
        for _ in range(source.randint(1, 6)):
            place = source.randrange(len(text))
            text = (
                text[:place]
                + source.choice(pieces) * source.choice([1, 1, 1, 60])
                + text[place + source.randint(0, 3) :]
            )
        path.write_text(text)
        assert problems(documents.read, path) < 2
        assert problems(tenants.load, path) < 1_000


def problems(read: Callable[[Path], object], path: Path) -> int:
    """Return the number of mistakes in a file, each of them one line that names it."""
    try:
        read(path)
    except InputError as error:
        lines = str(error).splitlines()
        return len(lines) if all(line.startswith(f"{path}:") for line in lines) else 1_000
    return 0
