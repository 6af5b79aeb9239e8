"""What botocore's models say against a call: names, kinds, sizes, choices and forms of its parameters."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from botocore.model import ServiceModel, Shape

    from tests.infra.models.calls import Call


def mistakes(call: Call) -> list[str]:
    """Return a line for each parameter that the service's model refuses."""
    shape = _service(call.service).operation_model(call.operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(call.parameters, shape)
    lines = report.generate_report().splitlines() if report.has_errors() else []
    return [f"{call.operation}: {line}" for line in [*lines, *_misfits(call.parameters, shape, "")]]


@functools.cache
def _service(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(name)


def _misfits(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Yield what `ParamValidator` leaves to the service: texts that are not one of a list, or of a form."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            members = getattr(shape, "members", None)
            inner = members.get(name) if members is not None else getattr(shape, "value", None)
            if inner is not None:
                yield from _misfits(part, inner, f"{path}.{name}")
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _misfits(part, shape.member, f"{path}[{position}]")
    elif isinstance(value, str):
        if getattr(shape, "enum", None) and value not in shape.enum:
            yield f"{path}: {value!r} is not one of {', '.join(shape.enum[:20])}"
        if (pattern := _compiled(shape.metadata.get("pattern", ""))) and not pattern.fullmatch(value):
            yield f"{path}: {value!r} does not match {pattern.pattern}"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    r"""Compile a pattern; None for those with what Python's `re` lacks, such as `\p{L}`."""
    try:
        return re.compile(pattern, re.DOTALL) if pattern else None
    except re.error:
        return None
