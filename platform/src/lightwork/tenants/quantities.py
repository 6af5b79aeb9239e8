"""Amounts of processor, memory and time, as Kubernetes and people write them, in one canonical form each."""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(.*)", re.ASCII)
_BINARY = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTP", start=1)}
_DECIMAL = {letter: 1000**power for power, letter in enumerate("kMGTP", start=1)}
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def millicores(text: str) -> int:
    """Thousandths of a core: 500 for `500m`, 2000 for `2`.

    >>> millicores("0.5")
    500

    Raises:
        ValueError: it is no such amount, or not of whole thousandths.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2] not in ("", "m"):
        raise ValueError("should be an amount of processor, for example 500m or 2")
    amount = Decimal(match[1]) * (1 if match[2] else 1000)
    if amount != amount.to_integral_value():
        raise ValueError("should be no finer than a thousandth of a core (1m)")
    return int(amount)


def cores(millis: int) -> str:
    """Thousandths of a core in the canonical form: `2`, `500m`."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def octets(text: str) -> int:
    """Bytes: 2147483648 for `2Gi`, 2000000000 for `2G`.

    >>> octets("0.5Gi")
    536870912

    Raises:
        ValueError: it is no such amount, or not of whole bytes.
    """
    match = _NUMBER.fullmatch(text.strip())
    units = {"": 1, **_BINARY, **_DECIMAL}
    if match is None or match[2] not in units:
        hint = "; m is thousandths of a byte, Mi is meant" if match and match[2] == "m" else ""
        raise ValueError(f"should be an amount of bytes, for example 512Mi or 2Gi{hint}")
    amount = Decimal(match[1]) * units[match[2]]
    if amount != amount.to_integral_value():
        raise ValueError("should be whole bytes")
    return int(amount)


def size(count: int, *, decimal: bool = False) -> str:
    """Bytes in the canonical form: with the largest unit that divides them, `1536Mi`, `2Gi`."""
    units = _DECIMAL if decimal else _BINARY
    for unit, factor in reversed(units.items()):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)


def canonical_cpu(value: object) -> str:
    """What a file says of processor (a text or a number) in the canonical form.

    Raises:
        ValueError: it is no amount above zero.
    """
    millis = millicores(_text(value))
    if millis == 0:
        raise ValueError("should be more than nothing")
    return cores(millis)


def canonical_size(value: object) -> str:
    """What a file says of memory or storage in the canonical form; binary and decimal units stay apart.

    >>> canonical_size("2048Mi"), canonical_size("2000M")
    ('2Gi', '2G')

    Raises:
        ValueError: it is no amount above zero.
    """
    text = _text(value)
    count = octets(text)
    if count == 0:
        raise ValueError("should be more than nothing")
    return size(count, decimal=text.strip()[-1] in _DECIMAL)


def canonical_duration(value: object) -> str:
    """What a file says of a length of time in the canonical form: `90s` is `90s`, `120m` is `2h`.

    >>> canonical_duration("120m")
    '2h'

    Raises:
        ValueError: it is none, or no time at all.
    """
    count = seconds(_text(value))
    unit = next(unit for unit, factor in _SECONDS.items() if count % factor == 0)
    return f"{count // _SECONDS[unit]}{unit}"


def seconds(text: str) -> int:
    """Seconds: 5400 for `90m` or `1h30m`.

    Raises:
        ValueError: it is no length of time above zero.
    """
    pattern = r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?"
    match = re.fullmatch(pattern, text.strip(), re.ASCII)
    if match is None:
        raise ValueError("should be a length of time, for example 90s, 30m, 6h or 1h30m")
    total = sum(
        int(part or 0) * factor for part, factor in zip(match.groups(), _SECONDS.values(), strict=True)
    )
    if total == 0:
        raise ValueError("should be more than nothing")
    return total


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("should be an amount, for example 2 or 500m")  # noqa: TRY004  (pydantic's kind)
    return str(value)
