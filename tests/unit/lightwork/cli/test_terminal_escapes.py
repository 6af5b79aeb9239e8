"""What a tenant has written reaches the terminal as text: no commands, nothing hidden or turned around."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

import lightwork as package
from lightwork import logs
from lightwork.cli import remote
from lightwork.errors import one_line, visible
from lightwork.functions import discovery
from lightwork.lake import open_lake
from lightwork.store import documents
from lightwork.store.artifacts import Artifacts

TEXTS = {
    "controls": "".join(map(chr, [*range(1, 9), *range(11, 32), 127])),
    "second controls": "".join(map(chr, range(0x80, 0xA0))),
    "directions": "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    "nothing to see": "\u00ad\u034f\u115f\u180e\u200b\u200c\u200d\u2028\u2029\u2060\ufeff\u3164\U000e0041",
    "clipboard": "\x1b]52;c;bHM=\x07",
    "title": "\x1b]0;root@prod\x1b\\",
    "screen": "\x1b[2J\x1b[H\x1b[31mdone",
    "over the line": "failed\rsucceeded\x08\x08ok",
}
NOT_UTF_8 = {"bytes of a terminal": "\udc9b2J\udc9d0;x"}
PLAIN = "Zürich 風速 ± 5 °C, tab\tand\nline, 👍🏽 ⚠️"


def obeyed(text: str) -> set[str]:
    """Return the characters of an output that a terminal obeys or hides."""
    blank = set("\u034f\u115f\u3164")
    return {
        c
        for c in text
        if c not in "\n\t" and (unicodedata.category(c)[0] == "C" or c in blank or c in "\u2028\u2029")
    }


CODE = """
import logging
import pandas as pd
from lightwork import InputError, current_session, get_logger, pipeline, task

TEXT = {text!r}

@task
def label(x: str) -> str:
    return x


@task
def bad(x):
    raise ValueError(TEXT)


@pipeline
def said(x: str = TEXT) -> dict:
    {text!r}
    session = current_session()
    get_logger("wind").warning(TEXT, **{{TEXT: TEXT, "other": [TEXT], "odd": Odd()}})
    logging.getLogger(TEXT).warning(TEXT)
    try:
        raise ValueError(TEXT)
    except ValueError:
        get_logger("wind").exception("failed")
    session.report.bars(TEXT, {{TEXT: 3}}, unit=TEXT)
    list(label.map([TEXT]))
    frame = pd.DataFrame({{TEXT: [TEXT], "[link=http://x]n[/link]": [1]}})
    return {{TEXT: TEXT, "pair": {{TEXT: 1}}, "table": frame, "[/]": "[red]"}}


class Odd:
    def __repr__(self):
        return TEXT


@pipeline
def text() -> str:
    return TEXT


@pipeline
def fails() -> None:
    raise ValueError(TEXT)


@pipeline
def refuses() -> None:
    raise InputError(TEXT)


@pipeline
def element_fails() -> list:
    return list(bad.map([TEXT]))
"""


@pytest.fixture
def text() -> str:
    return f"a{'a'.join(TEXTS.values())}z"


@pytest.fixture
def lake(project: Path, text: str):
    """A lake with a text in every place that another tenant's code can write."""
    (project / "cli_pipelines" / "pipes.py").write_text(CODE.format(text=text), encoding="utf-8")
    discovery.scan.cache_clear()
    opened = open_lake(project / ".lightwork/lake", tenant="local")
    record = dict.fromkeys(("pipeline", "status", "error"), text) | {"run_id": "1"}
    opened.write("runs/1/run.json", json.dumps(record).encode())
    damaged = record | {"run_id": text, "started": text}
    opened.write("runs/2/run.json", json.dumps(damaged).encode())
    artifacts = Artifacts(opened, run_id="1", provenance={})
    artifacts.write("winds", pd.DataFrame({text: [text], "[/]": ["[link=http://x]y[/link]"]}))
    (file,) = (project / ".lightwork/lake").glob("local/artifacts/winds/_versions/*.json")
    file.write_bytes(documents.seal(documents.parse(file.read_bytes()) | {"run_id": text}))
    opened.write(f"results/{text.replace(chr(92), '')}/{'0' * 32}/1.seg", b"x")
    return opened


LINES = [
    "runs", "runs --json", "show 1", "show 1 --json", "open 1",
    "artifacts", "artifacts --json", "artifacts winds", "artifacts winds --json",
    "cache size", "cache size --json", "list", "list --json", "run said --on serial",
    "run said --on serial --json", "run text --on serial", "run fails --on serial", "run refuses --on serial",
    "run element-fails --on serial", "explain said label", "explain said label --json",
]  # fmt: skip


def test_no_command_sends_what_the_lake_or_the_pipeline_says_to_the_terminal(
    lightwork: Callable, lake, text: str
) -> None:
    wrong = {}
    for line in LINES:
        done = lightwork(*line.split())
        if obeyed(done.out + done.err) or "MarkupError" in done.err:
            wrong[line] = done
        if line.endswith("--json"):
            json.loads(done.out)
    assert wrong == {}
    (record,) = [item for item in json.loads(lightwork("runs", "--json").out)["runs"] if item["run"] == "1"]
    assert record["error"] == text


def test_explain_shows_arguments_and_values_escaped(lightwork: Callable, lake, text: str) -> None:
    lightwork("run", "said", "--on", "serial")
    done = lightwork("explain", "said", "label", f"x={text}", "--value")
    assert ": cached: " in done.out
    assert obeyed(done.out + done.err) == set()
    done = lightwork("explain", "said", "label", f"x={text}", "--value", "--json")
    assert obeyed(done.out) == set()
    assert json.loads(done.out)["call"]["result"] == text


REFUSED = [
    "{}", "run {}", "run said {}", "run said {}=1", "run said --on {}", "run said --lake s3:{}",
    "run said --tenant {}", "run said --workers {}", "run said --result {}/x", "run --{}", "runs --last {}",
    "artifacts {}", "runs {}", "cache {}", "cache prune --older-than {}", "cache prune --task {}",
    "explain said {}", "explain {} x", "explain said label {}", "explain said label {}=1", "new {}",
    "tenant new {}", "tenant {}", "tenant validate {}", "tenant validate {}.yaml", "tenant show {}",
    "tenant render {}.yaml --env dev", "logs {} --env {}",
    "submit said {} --env dev", "--{}", "runs --lake {}", "artifacts --tenant {}",
]  # fmt: skip


@pytest.mark.parametrize("text", ["a".join(TEXTS.values()), *NOT_UTF_8.values()], ids=["all", *NOT_UTF_8])
def test_refusals_quote_their_input_escaped(lightwork: Callable, project: Path, text: str) -> None:
    (project / "cli_pipelines" / "pipes.py").write_text(CODE.format(text="x"))
    discovery.scan.cache_clear()
    wrong = {}
    for line in REFUSED:
        done = lightwork(*(word.format(text) for word in line.split()))
        if obeyed(done.out + done.err) or "Traceback" in done.err:
            wrong[line] = done
    assert wrong == {}


def test_what_a_cluster_says_is_escaped(
    lightwork: Callable, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    status = SimpleNamespace(phase=text, progress=text, message=text, ended=True)
    cluster = SimpleNamespace(
        logs=lambda *_: [(text, text)],
        submit=lambda *_: text,
        follow=lambda _: [status],
        status=lambda _: status,
        namespace=text,
        tenant=text,
        stop=lambda *_, **__: None,
    )
    monkeypatch.setattr(remote, "_remote", lambda *_: cluster)
    for command in ("logs x", "submit x --wait", "submit x", "stop x", "dashboard x"):
        done = lightwork(*command.split(), "--env", "dev")
        assert obeyed(done.out + done.err) == set()
        assert done.out + done.err != ""


TENANT = """
name: acme
environments: [dev]
quota: {cpu: 4, memory: 16Gi}
pipelines:
  winds:
    steps:
      one:
        image: registry.example/x@sha256:%s
        command: [echo, TEXT, "several\\nlines TEXT"]
"""


def test_a_rendered_tenant_keeps_its_texts_and_shows_them_escaped(
    lightwork: Callable, project: Path, text: str
) -> None:
    document = yaml.safe_load(TENANT % ("0" * 64))
    step = document["pipelines"]["winds"]["steps"]["one"]
    text = re.sub("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", "\x1b", text)
    step["command"] = [word.replace("TEXT", text) for word in step["command"]]
    (project / "acme.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    for command in ("validate", "show"):
        done = lightwork("tenant", command, "acme.yaml")
        assert obeyed(done.out + done.err) == set()
        assert done.code == 0, done.err
    done = lightwork("tenant", "render", "acme.yaml", "--env", "dev")
    assert obeyed(done.out) == set()
    assert step["command"] in list(lists(list(yaml.safe_load_all(done.out))))


def lists(value: object):
    """Yield all lists in a document."""
    if isinstance(value, list):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from lists(item)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_log_line_is_escaped_with_and_without_colours(
    text: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    event = {
        "event": text,
        "level": "error",
        "timestamp": "2026-01-01T00:00:00Z",
        text: text,
        "exception": text,
    }
    for style in ("text", "json"):
        monkeypatch.setenv(logs.ENV_LOG, style)
        logs.show(json.dumps(event))
        assert obeyed(capfd.readouterr().err) == set()


def test_plain_text_stays_as_it_is() -> None:
    assert visible(PLAIN) == PLAIN
    assert one_line("wind\x1b[2J\r\n  speed") == "wind\\x1b[2J speed"


STYLES = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*m|[0-9]*A|[0-9]*K)|\r(?=\x1b\[|$)|\r", re.MULTILINE)
"""What rich itself sends: the cursor, colours, a line up, and the start and the rest of a line deleted."""


@pytest.mark.slow
def test_a_terminal_gets_only_richs_own_commands(lake, text: str, project: Path) -> None:
    """On a real terminal, with colours and a progress bar whose title is the task's name."""
    program = project / "program.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(project)!r})\n"
        "from lightwork.functions import discovery\ndiscovery.packages = lambda: ['cli_pipelines']\n"
        "from lightwork.cli.main import execute\n"
        "from lightwork.engine.progress import Progress, Stats\n"
        f"bar = Progress('bar').start({text!r} + '[link=http://x]y[/link]', 3)\n"
        "bar.close(Stats(computed=3))\n"
        "for line in ['runs', 'artifacts', 'artifacts winds', 'cache', 'run said --on serial',"
        " 'run element-fails --on serial', 'list']:\n    execute(line.split())\n"
    )
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST  # or the terminal itself adds carriage returns
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(package.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        cwd=project,
    )
    os.close(theirs)
    output = b""
    try:
        while part := os.read(ours, 65536):
            output += part
    except OSError:
        pass  # Linux says so when the other end is closed
    os.close(ours)
    assert process.wait() == 0
    shown = output.decode()
    assert "said" in shown
    assert "[red]" in shown
    for attack in ("\x1b]", "\x1b[2J", "\x1b[H", "\x1b[31mdone", "failed\rsucceeded", "\x07", "\x08"):
        assert attack not in shown
    assert obeyed(STYLES.sub("", shown)) == set()
