"""Logging: one JSON line an event in production, readable text on a terminal.

Every line of a task, also from a worker process, carries tenant, pipeline, run, task, attempt and host;
lines that a task writes by the standard `logging` module do too.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from lightwork.errors import public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import structlog

Style = Literal["json", "text"]
ENV_LOG = "LIGHTWORK_LOG"
TOPIC = "lightwork-log"
"""The topic under which a local worker's lines reach its driver."""

_fields: ContextVar[Mapping[str, object]] = ContextVar("lightwork_log_fields", default=MappingProxyType({}))
_ORDER = ("timestamp", "level", "event", "tenant", "pipeline", "run", "task", "attempt", "host")


@public
def get_logger(name: str = "lightwork") -> structlog.stdlib.BoundLogger:
    """A logger whose events carry the context of the run; use it like `log.info("read", rows=3)`."""
    import structlog

    _structure()
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def default_style() -> Style:
    """`LIGHTWORK_LOG` if it is set to json or text; else text on a terminal or a laptop, json in a pod."""
    wanted = os.environ.get(ENV_LOG, "")
    if wanted == "json" or (wanted != "text" and "KUBERNETES_SERVICE_HOST" in os.environ):
        return "json"
    return "text"


def configure(style: Style | None = None, *, forward: Callable[[str], None] | None = None) -> None:
    """Send log lines to standard error, unless this process has set up logging itself.

    Args:
        style: json or text; by default as `default_style` says.
        forward: takes each event as a JSON line instead of standard error.
    """
    root = logging.getLogger()
    if any(isinstance(handler, _Lines) for handler in root.handlers):
        return
    if root.handlers and forward is None:
        return
    _structure()
    root.addHandler(_Lines(style or default_style(), forward))
    if root.level == logging.WARNING:  # the default, not a choice
        root.setLevel(logging.INFO)
    for noisy in ("botocore", "boto3", "urllib3", "asyncio", "s3transfer", "tornado", "bokeh", "distributed"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def show(line: str) -> None:
    """Show an event that another process forwarded, in this process's own way."""
    event = json.loads(line)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Lines):
            handler.write(event)


@contextmanager
def context(**fields: object) -> Iterator[None]:
    """Add fields to every event logged inside, from this thread."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def enter(fields: Mapping[str, object]) -> Token[Mapping[str, object]]:
    """As `context`, in two steps and fast: add fields that `leave` takes away again."""
    return _fields.set({**_fields.get(), **fields})


def leave(token: Token[Mapping[str, object]]) -> None:
    """Take away the fields that `enter` added."""
    _fields.reset(token)


def set_attempt(number: int) -> None:
    """Say in the context which attempt at an element this is, from 1."""
    _fields.set({**_fields.get(), "attempt": number})


class _Lines(logging.Handler):
    """Writes each event as a line, to whatever standard error is at that moment."""

    def __init__(self, style: Style, forward: Callable[[str], None] | None) -> None:
        super().__init__()
        import structlog

        self._forward = forward
        self._json = structlog.processors.JSONRenderer(default=str)
        self._render: Any = self._json if style == "json" else _Text()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = _event(record)
            if self._forward is None:
                self.write(event)
            else:
                self._forward(str(self._json(None, "", event)))
        except Exception:  # noqa: BLE001 - a log line must never stop the work
            self.handleError(record)

    def write(self, event: dict[str, Any]) -> None:
        """Write one event."""
        # One call, so that lines of several threads never mix.
        sys.stderr.write(f"{self._render(None, '', event)}\n")
        sys.stderr.flush()


class _Text:
    """Readable text: the time, the message, its own fields; the run's context only where it helps."""

    def __init__(self) -> None:
        import structlog

        self._console = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, sort_keys=False
        )

    def __call__(self, logger: Any, method: str, event: dict[str, Any]) -> str:
        shown = {k: v for k, v in event.items() if k not in {"tenant", "pipeline", "run", "host", "logger"}}
        if shown.get("attempt") == 1:
            del shown["attempt"]
        shown["timestamp"] = str(shown["timestamp"])[11:19]
        return str(self._console(logger, method, shown))


def _event(record: logging.LogRecord) -> dict[str, Any]:
    if isinstance(record.msg, dict):  # from structlog
        event = dict(record.msg)
    else:
        event = {"event": record.getMessage(), **_fields.get()}
    if record.exc_info and "exception" not in event:
        event["exception"] = logging.Formatter().formatException(record.exc_info)
    event.setdefault("timestamp", _time(record.created))
    event.setdefault("level", record.levelname.lower())
    event.setdefault("logger", record.name)
    event.setdefault("host", socket.gethostname())
    first = {key: event.pop(key) for key in _ORDER if key in event}
    return {**first, **event}


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _structure() -> None:
    import structlog

    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            _with_context,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            _to_record,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _with_context(_logger: Any, _method: str, event: Any) -> Any:
    return {**_fields.get(), **event}


def _to_record(_logger: Any, _method: str, event: Any) -> Any:
    return (event,), {}
