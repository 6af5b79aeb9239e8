"""Single calls: what `Task.submit` does."""

from __future__ import annotations

import inspect
import uuid
from typing import TYPE_CHECKING, Any

from lightwork import logs, segments
from lightwork.engine.compute import Failure, compute
from lightwork.engine.worker import as_error, fill, pack_call
from lightwork.errors import InputError
from lightwork.futures import Future, take_out
from lightwork.store import MISSING

if TYPE_CHECKING:
    from lightwork.keys import CodeKey
    from lightwork.session import Session
    from lightwork.tasks import Task


def start_call(
    session: Session, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Future[Any]:
    """Start one call of a task; what the lake has already is not computed.

    Raises:
        InputError: arguments that do not fit the function.
    """
    signature = inspect.signature(task.fn)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InputError(
            f"{task.name}.submit: {error}; the function is {task.fn.__name__}{signature}"
        ) from None
    future: Future[Any] = Future(f"{task.fn.__name__}-{uuid.uuid4().hex[:16]}", session)
    session.elements["total"] += 1
    inputs: list[Future[Any]] = []
    call = take_out((args, kwargs), inputs)
    code = session.code_of(task)
    if session.on == "serial":
        return _here(future, task, code, fill(call, [item.result() for item in inputs]))
    key = None
    if code is not None and not inputs:
        code, key = _key_of(session, task, code, call)
        if _found(future, task, code, key):
            return future
    return future.start(pack_call(session.parcel(task, code), call, code, key, session.refresh), inputs)


def _here(future: Future[Any], task: Task[..., Any], code: CodeKey | None, call: Any) -> Future[Any]:
    session = future.session
    key = None
    if code is not None:
        code, key = _key_of(session, task, code, call)
        if _found(future, task, code, key):
            return future
    options = task.options
    with logs.context(task=task.name, attempt=1):
        done = compute(
            lambda both: task.fn(*both[0], **both[1]),
            [call],
            retries=options.retries,
            retry_delay=options.retry_delay,
        )
    value = done.values[0]
    if isinstance(value, Failure):
        return future.settle(error=as_error(task.name, None, value))
    if key is not None and code is not None:
        session.results_of(task, code).commit(key, segments.to_blocks([value]))
    return future.settle(value)


def _key_of(
    session: Session, task: Task[..., Any], code: CodeKey, call: Any
) -> tuple[CodeKey | None, bytes | None]:
    from lightwork.keys import Unkeyable, call_key

    try:
        return code, call_key(task.fn, code, call[0], call[1], task.options.ignore)
    except Unkeyable as error:
        session.log.warning(f"{task.name}: this call is not cached: {error}")
        return None, None


def _found(future: Future[Any], task: Task[..., Any], code: CodeKey | None, key: bytes | None) -> bool:
    session = future.session
    if key is None or code is None or session.refresh:
        return False
    value = session.results_of(task, code).lookup([key])[0]
    if value is MISSING:
        return False
    future.settle(value, cached=True)
    return True
