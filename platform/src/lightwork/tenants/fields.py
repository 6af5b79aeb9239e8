"""The named types of what a tenant's file says."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from lightwork.tenants import quantities, schedules

Environment = Literal["dev", "staging", "prod"]

TenantName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", min_length=2, max_length=20)
]
"""A DNS label, and short enough for every name that is made from it."""


def _entry(value: str) -> str:
    if value == "tenant":
        raise ValueError("is the name of the semaphore of all the tenant's runs; another one will do")
    return value


EntryName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", min_length=2, max_length=30),
    AfterValidator(_entry),
]
"""A DNS label; a run's objects carry it with a moment and a role behind it, in 63 characters."""

StepName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=30)]
"""A DNS label; a step's objects carry it behind the run's name."""

OutputName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9_-]*[a-z0-9])?$", max_length=40)]
"""The name of a small text that a step writes, which is a file's name too."""

SecretName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$", max_length=64)
]
"""The last part of a secret's name; what is before it is the tenant's own prefix."""

ResourceName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=100)
]
"""The name that a resource has in its stack; one resource, no pattern."""


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
"""A container image with its tag or digest; never `latest`, which is another one tomorrow."""


def _schema(title: str, *, numbers: bool = False, **more: Any) -> WithJsonSchema:
    kind = ["string", "number"] if numbers else "string"
    return WithJsonSchema({"type": kind, "title": title, **more})


Cpu = Annotated[
    str,
    BeforeValidator(quantities.canonical_cpu),
    _schema("Processor", numbers=True, examples=["500m", "2"]),
]
"""Processor cores: `500m`, `2`."""

Size = Annotated[
    str,
    BeforeValidator(quantities.canonical_size),
    _schema("Bytes", numbers=True, examples=["512Mi", "4Gi"]),
]
"""Bytes of memory or storage: `512Mi`, `4Gi`."""

Duration = Annotated[
    str,
    BeforeValidator(quantities.canonical_duration),
    _schema("Length of time", pattern=r"^\s*(\d+d)?(\d+h)?(\d+m)?(\d+s)?\s*$", examples=["30m", "6h"]),
]
"""A length of time: `30m`, `6h`, `1h30m`."""

Cron = Annotated[
    str, BeforeValidator(schedules.canonical_cron), _schema("Cron schedule", examples=["30 6 * * *"])
]
"""Minute, hour, day of month, month, day of week."""

TimeZone = Annotated[
    str,
    BeforeValidator(schedules.canonical_zone),
    _schema("Time zone of the IANA database", examples=["Europe/Berlin", "UTC"]),
]
"""The name of a time zone: `Europe/Berlin`."""


def _plain(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        # A date that YAML made of 2026-01-31 is what the text says.
        if hasattr(value, "isoformat"):
            return value.isoformat()
        raise ValueError("should be a text, a number, true or false, null, a list or a mapping") from None
    return value


ParameterValue = Annotated[Any, AfterValidator(_plain)]
"""The value of a pipeline's parameter, as YAML has it."""

Count = Annotated[int, Field(strict=True, ge=1, le=1000)]
"""A number of things, at least one."""
