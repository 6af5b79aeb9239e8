"""The types of the fields in a tenant's file."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from lightwork.errors import InputError
from lightwork.functions.limits import limits_of
from lightwork.tenants import quantities, schedules
from lightwork.tenants.names import reserved

Environment = Literal["dev", "staging", "prod"]


def _tenant(value: str) -> str:
    if reserved(value):
        raise ValueError("is a name of the cluster or the platform; choose another name")
    return value


TenantName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", min_length=2, max_length=20),
    AfterValidator(_tenant),
]
"""A DNS label, short enough for every name that is built from it."""


def _entry(value: str) -> str:
    if value == "tenant":
        raise ValueError("is reserved for the semaphore of all the tenant's runs; choose another name")
    return value


EntryName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", min_length=2, max_length=30),
    AfterValidator(_entry),
]
"""A DNS label; the names of a run's objects append a timestamp and a role, and have 63 characters at most."""

StepName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=30)]
"""A DNS label; the names of a step's objects append it to the run's name."""

ParameterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=60)]
"""The name of a parameter of a run."""

OutputName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9_-]*[a-z0-9])?$", max_length=40)]
"""The name of a step's output, which is also the name of the file that the step writes it to."""

SecretName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$", max_length=64)
]
"""The last part of a secret's name, after the tenant's prefix."""

ResourceName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=100)
]
"""The logical name of one resource in its stack; patterns are not allowed."""


def _image(value: str) -> str:
    name, _, tag = value.rpartition("/")[2].partition(":")
    if "@" not in value and (not tag or tag == "latest"):
        raise ValueError(f"should name a version, for example {value.partition(':')[0] or name}:1.4.0")
    return value


Image = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([a-zA-Z0-9._:/-]*[a-zA-Z0-9])?(@sha256:[0-9a-f]{64})?$", max_length=255
    ),
    AfterValidator(_image),
]
"""A container image with its tag or digest; not `latest`, whose image changes over time."""


def _schema(title: str, *, numbers: bool = False, **more: Any) -> WithJsonSchema:
    kind = ["string", "number"] if numbers else "string"
    return WithJsonSchema({"type": kind, "title": title, **more})


Cpu = Annotated[
    str,
    BeforeValidator(quantities.canonical_cpu),
    _schema("Processor cores", numbers=True, examples=["500m", "2"]),
]
"""Processor cores: `500m`, `2`."""

Size = Annotated[
    str,
    BeforeValidator(quantities.canonical_size),
    _schema("Bytes", numbers=True, examples=["512Mi", "4Gi"]),
]
"""An amount of memory or storage: `512Mi`, `4Gi`."""

Duration = Annotated[
    str,
    BeforeValidator(quantities.canonical_duration),
    _schema("Duration", pattern=r"^\s*(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?\s*$", examples=["30m", "6h"]),
]
"""A duration: `30m`, `6h`, `1h30m`."""

Cron = Annotated[
    str, BeforeValidator(schedules.canonical_cron), _schema("Cron schedule", examples=["30 6 * * *"])
]
"""A cron schedule: minute, hour, day of month, month, day of week."""

TimeZone = Annotated[
    str,
    BeforeValidator(schedules.canonical_zone),
    _schema("IANA time zone", examples=["Europe/Berlin", "UTC"]),
]
"""The name of an IANA time zone: `Europe/Berlin`."""


def _plain(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        # YAML parses 2026-01-31 as a date; a pipeline's parameter takes it as text.
        if hasattr(value, "isoformat"):
            return value.isoformat()
        raise ValueError("should be a string, number, boolean, null, list or mapping") from None
    return value


ParameterValue = Annotated[Any, AfterValidator(_plain)]
"""The value of a pipeline's parameter: anything that JSON can hold, or a date."""

_LIMIT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def _limits(value: dict[str, Any]) -> dict[str, str]:
    if wrong := [name for name in value if not _LIMIT_NAME.fullmatch(name)]:
        raise ValueError(f"found {wrong[0]!r}; a limit's name should be letters, digits, `.`, `_` and `-`")
    try:
        limits_of("", value)
    except InputError as error:
        raise ValueError(
            str(error).removeprefix(": limits: ").replace("; expected", "; should be", 1)
        ) from None
    return {name: "".join(str(limit).split()) for name, limit in value.items()}


Limits = Annotated[
    dict[str, Any],
    AfterValidator(_limits),
    WithJsonSchema(
        {
            "type": "object",
            "title": "Limits",
            "additionalProperties": {"type": ["integer", "string"]},
            "examples": [{"weather": "10/s", "gpu-api": 4}],
        }
    ),
]
"""Limits of a run by name: numbers of calls at once, or rates such as `10/s`."""

Count = Annotated[int, Field(strict=True, ge=1, le=1000)]
"""A count, at least one."""
