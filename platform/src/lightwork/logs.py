"""Logging: one JSON line per event in production, readable text on a terminal.

Every line of a task carries tenant, pipeline, run, task, attempt and host, on workers too, even if the task
uses the standard `logging` module. In a run's pods, every line of every process also carries step and role,
Dask's own lines included.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import socket
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from lightwork.errors import public, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextvars import ContextVar, Token

    import structlog
    from rich.console import Console
    from rich.segment import Segment
    from structlog.typing import EventDict, Processor

Style = Literal["json", "text"]
ENV_LOG = "LIGHTWORK_LOG"
ENV_TENANT = "LIGHTWORK_TENANT"
ENV_PIPELINE = "LIGHTWORK_PIPELINE"
"""The pipeline's name in the tenant's file. Set on every pod of a run, for the tenant's code too."""
ENV_RUN = "LIGHTWORK_RUN"
"""The name of the run's Workflow. Set on every pod of a run; `runs.run` puts it into the run's record."""
ENV_STEP = "LIGHTWORK_STEP"
"""The step's name, or empty. Set on every pod of a run, for the tenant's code too."""
ENV_ROLE = "LIGHTWORK_ROLE"
"""driver, scheduler, worker or step. Set on every pod of a run; without it, this is not such a pod."""
TOPIC = "lightwork-log"
"""The Dask topic by which a local worker forwards its lines to the driver."""

_PLACE = {
    "tenant": ENV_TENANT,
    "pipeline": ENV_PIPELINE,
    "run": ENV_RUN,
    "step": ENV_STEP,
    "role": ENV_ROLE,
}
"""The variables of a run's pods with the fields that all of a pod's lines have."""
_ORDER = (
    "timestamp",
    "level",
    "event",
    "tenant",
    "pipeline",
    "run",
    "step",
    "task",
    "attempt",
    "role",
    "host",
)
_OWN = (*_ORDER, "exception", "logger", "worker")
"""Fields that a record of the standard library has itself, or that are the same for every line."""
_NOISY = ("botocore", "boto3", "urllib3", "asyncio", "s3transfer", "tornado", "bokeh", "distributed")
"""Loggers whose lines below warnings are of no use to anybody."""
_RUN = ("tenant", "pipeline", "run")
_role = ["driver"]
"""The role of this process in a run on one machine; `configure` sets it on workers."""
_HIDDEN = ("tenant", "pipeline", "run", "step", "role", "host", "logger", "waits_for")
"""Fields that text omits: every line on a terminal has the same, or the text says it."""


@public
def get_logger(name: str = "lightwork") -> structlog.stdlib.BoundLogger:
    """Return a logger whose events carry the context of the run.

    >>> log = get_logger("windy_city")
    >>> log.info("read", rows=3)
    """
    import structlog

    _structure()
    if name.partition(".")[0] == "lightwork":
        # `logging.config.dictConfig` disables all loggers that exist unless it is told not to.
        logging.getLogger(name).disabled = False
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def default_style() -> Style:
    """Return `LIGHTWORK_LOG` if it is json or text; otherwise json in a pod, and text elsewhere."""
    style = os.environ.get(ENV_LOG, "")
    if style == "json" or (style != "text" and "KUBERNETES_SERVICE_HOST" in os.environ):
        return "json"
    return "text"


@functools.lru_cache(maxsize=1)
def place() -> Mapping[str, str]:
    """Return the fields that all lines of this process have in a run's pod; none anywhere else."""
    if not os.environ.get(ENV_ROLE):
        return {}
    return {name: value for name, variable in _PLACE.items() if (value := os.environ.get(variable))}


def terminal(*, stderr: bool = False) -> Console:
    """Return a console on which a text shows what a terminal would obey, instead of sending it."""
    return _terminal_type()(stderr=stderr, highlight=False, emoji=False, soft_wrap=False)


@functools.lru_cache(maxsize=1)
def _terminal_type() -> type[Console]:
    from rich.console import Console

    class Terminal(Console):
        """A console that escapes texts by `visible`, after the styles have been read from them."""

        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            """Yield the segments of an object with visible texts; rich's own control codes are kept."""
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=visible(segment.text))

        def on_broken_pipe(self) -> None:
            """Raise the error, which the command line handles; rich would end the process."""
            self.quiet = True
            raise

    return Terminal


class Shared:
    """A change of the process that several users share: the first one makes it, the last one undoes it.

    Args:
        make: makes the change; returns a function that undoes it.
    """

    def __init__(self, make: Callable[[], Callable[[], None]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._users = 0
        self._undo: Callable[[], None] = lambda: None

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._undo = self._make()
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._undo()


def _configure_for_a_while() -> Callable[[], None]:
    """Configure logging; return a function that undoes what nobody else has changed since."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in _NOISY}
    configure()
    added = [handler for handler in root.handlers if handler not in handlers]

    def undo() -> None:
        if not added:
            return
        for handler in added:
            root.removeHandler(handler)
        if root.level == logging.INFO:
            root.setLevel(level)
        for name, before in levels.items():
            if logging.getLogger(name).level == logging.WARNING:
                logging.getLogger(name).setLevel(before)

    return undo


session_logging = Shared(_configure_for_a_while)
"""Logging as `configure` sets it up, while any session is open."""


def configure(
    style: Style | None = None, *, forward: Callable[[str], None] | None = None, runs_code: bool = True
) -> None:
    """Send log lines to standard error, unless this process has configured logging itself.

    Args:
        style: json or text; by default the result of `default_style`.
        forward: receives each event as a JSON line, in place of standard error.
        runs_code: whether this process runs a pipeline's code, which may use structlog itself. It is imported
            now then, else with the first line.
    """
    root = logging.getLogger()
    if any(isinstance(handler, _Lines) for handler in root.handlers):
        return
    if root.handlers and forward is None:
        return
    if runs_code:
        _structure()
    if forward is not None:
        _role[:] = ["worker"]
        # The driver shows each line in the way that the program has configured there: once is enough.
        for handler in [handler for handler in root.handlers if _writes_to_console(handler)]:
            root.removeHandler(handler)
    root.addHandler(_Lines(style or default_style(), forward))
    if root.level == logging.WARNING:  # the default, not a choice
        root.setLevel(logging.INFO)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _writes_to_console(handler: logging.Handler) -> bool:
    return type(handler) is logging.StreamHandler and handler.stream in (sys.stderr, sys.stdout)


def show(line: str) -> None:
    """Write an event that another process forwarded, in this process's style.

    A program that has configured logging itself gets it as a record of the logger of that name. Without any
    handler it goes to standard error as usual.
    """
    event = json.loads(line)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Kept):
            handler.keep_event(event, line)
    ours = [handler for handler in logging.getLogger().handlers if isinstance(handler, _Lines)]
    logger = logging.getLogger(str(event.get("logger", "lightwork")))
    if not ours and logger.hasHandlers():
        record = _plain_record(event)
        vars(record)["lightwork_shown"] = True  # `_Kept` has it already
        if record.levelno >= logger.getEffectiveLevel():
            logger.callHandlers(record)
        return
    for handler in ours or [_Lines(default_style(), None)]:
        handler.write(_record(event))


def write_event(event: str, level: str, **fields: object) -> None:
    """Write an event to standard error as JSON, however logging is configured."""
    _Lines("json", None).write(_record({"level": level, "event": event, "logger": "lightwork", **fields}))


def _plain_record(event: EventDict) -> logging.LogRecord:
    """Make the log record of a complete event as the standard library would have made it."""
    fields = {key: value for key, value in event.items() if key not in _OWN}
    text = " ".join([str(event.get("event", "")), *(f"{key}={value}" for key, value in fields.items())])
    record = logging.makeLogRecord(
        {
            "name": event.get("logger", "lightwork"),
            "msg": text,
            "levelname": str(event.get("level", "info")).upper(),
            "levelno": logging.getLevelNamesMapping().get(
                str(event.get("level", "info")).upper(), logging.INFO
            ),
            "exc_text": event.get("exception"),
        }
    )
    with contextlib.suppress(KeyError, ValueError):
        record.created = datetime.fromisoformat(event["timestamp"]).timestamp()
        record.msecs = record.created % 1 * 1000
    return record


@contextmanager
def context(**fields: object) -> Iterator[None]:
    """Add fields to every event that this thread logs inside the context."""
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**fields):
        yield


def set_run(fields: Mapping[str, object]) -> Mapping[str, object]:
    """Set the run's fields of each event that this context logs: tenant, pipeline and run.

    Args:
        fields: their values; a missing one, or `...`, removes the field.

    Returns:
        The values before.
    """
    variables = _run_variables()
    before = {name: variable.get() for name, variable in variables.items()}
    for name, variable in variables.items():
        variable.set(fields.get(name, ...))
    return before


@functools.lru_cache(maxsize=1)
def _run_variables() -> Mapping[str, ContextVar[object]]:
    from structlog.contextvars import bind_contextvars, reset_contextvars

    tokens = bind_contextvars(**dict.fromkeys(_RUN, ...))
    reset_contextvars(**tokens)
    return {name: token.var for name, token in tokens.items()}


Tokens = tuple["Token[object]", "Token[object]"]


def element_context(task: str) -> tuple[Callable[[], Tokens], Callable[[Tokens], None]]:
    """Return the two halves of `context(task=task, attempt=1)`, for a loop of microseconds per element.

    Returns:
        A function that adds the fields and returns tokens, and one that takes these and removes the fields.
    """
    from structlog.contextvars import bind_contextvars, reset_contextvars

    # structlog has a variable for each field: setting them directly takes 0.4 µs, binding by name 1.1 µs.
    tokens = bind_contextvars(task=task, attempt=1)
    task_variable, attempt_variable = tokens["task"].var, tokens["attempt"].var
    reset_contextvars(**tokens)

    def enter() -> Tokens:
        return task_variable.set(task), attempt_variable.set(1)

    def leave(tokens: Tokens) -> None:
        task_variable.reset(tokens[0])
        attempt_variable.reset(tokens[1])

    return enter, leave


def set_attempt(number: int) -> None:
    """Set the number of the current attempt at an element in the context, from 1."""
    from structlog.contextvars import bind_contextvars

    bind_contextvars(attempt=number)


class _Lines(logging.Handler):
    """Writes each event as a line to standard error, or forwards it as JSON."""

    def __init__(self, style: Style, forward: Callable[[str], None] | None) -> None:
        super().__init__()
        self._forward = forward
        self._style = style

    @functools.cached_property
    def _json(self) -> logging.Formatter:
        return _formatter("json")  # it takes a fifth of a second to import, and many commands log nothing

    @functools.cached_property
    def _shown(self) -> logging.Formatter:
        return self._json if self._style == "json" else _formatter(self._style)

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as the line that is shown."""
        return self._shown.format(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._forward is None:
                self.write(record)
            else:
                self._forward(self._json.format(record))
        except Exception:  # noqa: BLE001 - a log line must never stop the work
            self.handleError(record)

    def write(self, record: logging.LogRecord) -> None:
        """Write a record to the current standard error."""
        # A single call, so that lines of several threads do not mix.
        sys.stderr.write(f"{self.format(record)}\n")
        sys.stderr.flush()


class _Kept(logging.Handler):
    """Passes each event of one run on as a JSON line, beside what is shown.

    Args:
        run: the run's name; events of other runs in this process are left out.
        keep: receives the lines.
    """

    def __init__(self, run: str, keep: Callable[[str], None]) -> None:
        super().__init__()
        self._run = run
        self._keep = keep
        self.setFormatter(_formatter("json"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = record.msg if isinstance(record.msg, dict) else {}
            run = fields.get("run", _run_variables()["run"].get(...))
            if run in (..., self._run) and not hasattr(record, "lightwork_shown"):
                self._keep(self.format(record))
        except Exception:  # noqa: BLE001 - a log line must never stop the work
            self.handleError(record)

    def keep_event(self, event: Mapping[str, object], line: str) -> None:
        """Keep an event that another process forwarded."""
        if event.get("run", self._run) == self._run:
            self._keep(line)


@contextmanager
def keeping(run: str, keep: Callable[[str], None]) -> Iterator[None]:
    """Pass each event of a run to a function as well, as a JSON line, while the `with` block runs.

    Args:
        run: the run's name.
        keep: receives the lines.
    """
    handler = _Kept(run, keep)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _formatter(style: Style) -> logging.Formatter:
    from structlog.contextvars import merge_contextvars
    from structlog.dev import ConsoleRenderer
    from structlog.processors import JSONRenderer, format_exc_info
    from structlog.stdlib import ProcessorFormatter

    renderers: list[Processor] = [JSONRenderer(default=str), _without_delete]
    if style == "text":
        console = ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, sort_keys=False)
        renderers = [_shorten, _visible, console]
    return ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, format_exc_info],
        processors=[_complete, ProcessorFormatter.remove_processors_meta, *renderers],
    )


def _complete(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add the fields that the log record knows; put the common fields first."""
    record: logging.LogRecord = event["_record"]
    event.setdefault("timestamp", _time(record.created))
    event.setdefault("level", record.levelname.lower())
    event.setdefault("logger", record.name)
    event.setdefault("host", socket.gethostname())
    for name, value in place().items():
        event.setdefault(name, value)
    if event.get("run"):
        event.setdefault("role", *_role)
    first = {key: event.pop(key) for key in _ORDER if key in event}
    return {**first, **event}


def _shorten(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Reduce an event to what a person reads on a terminal."""
    shown = {key: value for key, value in event.items() if key not in _HIDDEN}
    if shown.get("attempt") == 1:
        del shown["attempt"]
    shown["timestamp"] = str(shown["timestamp"])[11:19]
    return shown


def _visible(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Escape everything in an event that a terminal would obey; the renderer adds its colours afterwards."""
    return {
        visible(key): visible(value if isinstance(value, str) else repr(value))
        for key, value in event.items()
    }


def _without_delete(_logger: Any, _method: str, line: Any) -> Any:
    """Escape the one control character that JSON allows in a line."""
    return line.replace("\x7f", "\\u007f")


def _record(event: EventDict) -> logging.LogRecord:
    """Make the log record that structlog's own logger would make of a complete event."""
    from structlog.stdlib import ProcessorFormatter

    level = str(event.get("level", "info"))
    (message,), options = ProcessorFormatter.wrap_for_formatter(logging.getLogger(), level, event)
    return logging.makeLogRecord({"msg": message, **options["extra"]})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _structure() -> None:
    import structlog

    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
