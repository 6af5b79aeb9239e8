"""Log lines: their fields, their order, and the context of run, task and attempt."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.waiting import patience

SCRIPT = """
import logging, os, sys
from lightwork import connect, get_logger, task

@task(cache=False, retries=1, retry_delay=0)
def work(x: int) -> int:
    get_logger().info("working", element=x)
    logging.getLogger("mine").warning("plain %s", x)
    if x == 1 and not os.path.exists("tried"):
        open("tried", "w").close()
        raise OSError("once")
    return x

if __name__ == "__main__":
    names = {"tenant": "acme", "pipeline": "demo", "run_id": "r1"}
    with connect(on=sys.argv[1], workers=1, lake="lake", progress="off", **names):
        list(work.map(range(2)))
        get_logger().info("done")
"""


@pytest.fixture(scope="module", params=["serial", "local"])
def lines(request, tmp_path_factory):
    """The JSON lines that a run writes to standard error."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "LIGHTWORK_LOG": "json"}
    process = subprocess.run(
        [sys.executable, "script.py", request.param],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=patience(60), check=True,
    )  # fmt: skip
    assert process.stdout == ""
    return [json.loads(line) for line in process.stderr.splitlines()]


def test_every_line_is_json_with_time_level_event_and_host(lines):
    assert all({"timestamp", "level", "event", "host"} <= line.keys() for line in lines)


def test_a_tasks_line_has_tenant_pipeline_run_task_and_attempt(lines):
    line = next(line for line in lines if line["event"] == "working" and line["element"] == 0)
    expected = {"tenant": "acme", "pipeline": "demo", "run": "r1", "task": "script.work", "attempt": 1}
    assert expected.items() <= line.items()


def test_a_second_attempt_is_numbered(lines):
    attempts = [line["attempt"] for line in lines if line["event"] == "working" and line["element"] == 1]
    assert attempts == [1, 2]
    assert any("retrying" in line["event"] and "OSError: once" in line["event"] for line in lines)


def test_lines_from_the_standard_logging_module_have_the_context(lines):
    line = next(line for line in lines if line["event"] == "plain 0")
    assert (line["logger"], line["run"], line["task"]) == ("mine", "r1", "script.work")


def test_a_line_says_whether_it_is_of_the_driver_or_of_a_worker(lines):
    working, done = (next(line for line in lines if line["event"] == event) for event in ("working", "done"))
    is_local = "worker" in working
    assert (working["role"], done["role"]) == ("worker" if is_local else "driver", "driver")


def test_a_line_outside_tasks_has_the_run_and_no_task(lines):
    line = next(line for line in lines if line["event"] == "done")
    assert line["run"] == "r1"
    assert "task" not in line


def test_text_is_readable_and_short():
    code = (
        "from lightwork import logs; logs.configure('text')\n"
        "with logs.context(tenant='acme', run='r1', task='t', attempt=1):\n"
        "    logs.get_logger().info('hello', rows=3)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=patience(60), check=True
    )
    assert "hello" in process.stderr
    assert "rows=3" in process.stderr
    assert "acme" not in process.stderr
    assert "attempt" not in process.stderr


def test_a_program_that_has_configured_logging_keeps_its_own():
    code = (
        "import logging, sys\n"
        "logging.basicConfig(stream=sys.stdout, format='MINE %(message)s', level='INFO')\n"
        "from lightwork import logs; logs.configure()\n"
        "logging.getLogger('x').info('hello')\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=patience(60), check=True
    )
    assert process.stdout == "MINE hello\n"
    assert process.stderr == ""


CONTEXTS = """
import logging, sys, threading
import structlog
from lightwork import logs

logs.configure(sys.argv[1])
log = logs.get_logger()
with logs.context(run="r1", attempt=1):
    enter, leave = logs.element_context("t")
    tokens = enter()
    logs.set_attempt(2)
    log.info("an element", worker="w1")
    leave(tokens)
    log.info("after it")
    with structlog.contextvars.bound_contextvars(city="Oslo"):
        logging.getLogger("botocore").warning("foreign")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("mine").exception("failed")
        log.exception("failed too")
    thread = threading.Thread(target=log.info, args=["in a thread"])
    thread.start()
    thread.join()
logs.show('{"timestamp": "2026-01-02T03:04:05.678Z", "level": "warning", "event": "forwarded", "rows": 3, "run": "r9"}')
"""  # noqa: E501


@pytest.fixture(scope="module")
def contexts():
    """The output of `CONTEXTS`: its JSON lines, and its text."""
    output = {
        style: subprocess.run(
            [sys.executable, "-c", CONTEXTS, style],
            capture_output=True, text=True, timeout=patience(60), check=True,
        ).stderr
        for style in ("json", "text")
    }  # fmt: skip
    return [json.loads(line) for line in output["json"].splitlines()], output["text"]


def line_of(contexts, event):
    return next(line for line in contexts[0] if line["event"] == event)


def test_an_elements_context_ends_with_the_element(contexts):
    line = line_of(contexts, "an element")
    assert (line["run"], line["task"], line["attempt"], line["worker"]) == ("r1", "t", 2, "w1")
    line = line_of(contexts, "after it")
    assert (line["run"], line["attempt"]) == ("r1", 1)
    assert "task" not in line


def test_the_common_fields_come_first_and_in_a_fixed_order(contexts):
    assert list(line_of(contexts, "an element"))[:8] == [
        *("timestamp", "level", "event", "run", "task", "attempt", "role", "host"),
    ]
    assert list(line_of(contexts, "foreign"))[:5] == ["timestamp", "level", "event", "run", "attempt"]


def test_fields_that_a_pipeline_binds_with_structlog_are_on_every_line(contexts):
    line = line_of(contexts, "foreign")
    assert (line["city"], line["logger"], line["level"]) == ("Oslo", "botocore", "warning")


@pytest.mark.parametrize("event", ["failed", "failed too"])
def test_an_exception_is_a_field_of_its_line(contexts, event):
    line = line_of(contexts, event)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ZeroDivisionError: division by zero")
    assert line["level"] == "error"
    assert "exc_info" not in line


def test_another_thread_has_its_own_context(contexts):
    assert "run" not in line_of(contexts, "in a thread")


def test_a_forwarded_line_keeps_its_fields_and_is_written_in_this_processs_style(contexts):
    assert line_of(contexts, "forwarded") == {
        "timestamp": "2026-01-02T03:04:05.678Z",
        "level": "warning",
        "event": "forwarded",
        "rows": 3,
        "run": "r9",
        "role": "driver",
    } | {key: line_of(contexts, "forwarded")[key] for key in ("host", "logger")}
    shown = next(line for line in contexts[1].splitlines() if "forwarded" in line)
    assert shown == "03:04:05 [warning  ] forwarded rows=3"


OWN_LOGGING = """
import logging, logging.config, sys
from lightwork import connect, get_logger, task

logging.basicConfig(format="EARLY %(message)s", level="INFO", stream=sys.stderr)  # the workers import it too

def basic(): logging.basicConfig(format="OWN %(message)s", level="INFO")
def basic_force(): logging.basicConfig(format="OWN %(message)s", level="INFO", force=True)
def to_file(): logging.basicConfig(filename="own.log", level="INFO", force=True)
def disabled(): logging.config.dictConfig({"version": 1})
def dictionary(): logging.config.dictConfig({
    "version": 1, "formatters": {"f": {"format": "OWN %(name)s %(message)s"}},
    "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
    "root": {"handlers": ["h"], "level": "INFO"}})
def removed(): logging.getLogger().handlers.clear()
def nothing(): pass
def levels():
    logging.getLogger().setLevel("WARNING")
    logging.getLogger("lightwork").setLevel("INFO")
    logging.getLogger("mine").setLevel("INFO")
def propagated():
    logging.getLogger().setLevel("INFO")
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger("mine").addHandler(handler)
    logging.getLogger("mine").propagate = False

WAYS = [nothing, basic, basic_force, to_file, disabled, dictionary, removed, levels, propagated]

@task(cache=False)
def configure(number): WAYS[number]()

@task(cache=False, retries=1, retry_delay=0)
def work(name, tried=set()):
    get_logger().warning(f"lightwork {name}", rows=3)
    logging.getLogger("mine").disabled = False  # as a logger made after dictConfig
    logging.getLogger("mine").warning("plain %s", name)
    print(f"printed {name}", flush=True)
    if name not in tried:
        tried.add(name)
        raise OSError(f"once {name}")

if __name__ == "__main__":
    with connect("local", workers=1, lake="lake", progress="off") as session:
        for number, way in enumerate(WAYS):
            for where in ("driver", "worker"):
                if where == "driver":
                    way()
                else:
                    list(configure.map([number]))
                name = f"{way.__name__}-{where}"
                list(work.map([name]))
                get_logger().warning(f"driver {name}")
"""
WAYS = [
    *(
        "nothing",
        "basic",
        "basic_force",
        "to_file",
        "disabled",
        "dictionary",
        "removed",
        "levels",
        "propagated",
    ),
]


@pytest.fixture(scope="module")
def own_logging(tmp_path_factory):
    """All that a script writes that configures logging in many ways: to its streams, and to its log file."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "script.py").write_text(OWN_LOGGING)
    process = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder, capture_output=True, text=True, timeout=patience(100), check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return process.stdout, process.stderr, (folder / "own.log").read_text()


@pytest.mark.parametrize("where", ["driver", "worker"])
@pytest.mark.parametrize("way", WAYS)
def test_no_line_of_a_worker_is_lost_however_the_script_configures_logging(own_logging, way, where):
    printed, written, logged = own_logging
    lines = f"{written}\n{logged}".splitlines()
    for text in (f"lightwork {way}-{where}", f"plain {way}-{where}", f"driver {way}-{where}"):
        assert any(text in line for line in lines), text
    assert any("retrying" in line and f"once {way}-{where}" in line for line in lines)
    assert f"printed {way}-{where}" in printed


@pytest.mark.parametrize("way", ["nothing", "basic"])
def test_a_line_of_a_worker_is_written_once_in_the_format_of_the_script(own_logging, way):
    lines = [line for line in own_logging[1].splitlines() if f"plain {way}-driver" in line]
    assert lines == [f"EARLY plain {way}-driver"] * 2, "one for each attempt"
