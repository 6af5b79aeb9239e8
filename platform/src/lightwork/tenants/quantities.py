"""Amounts of processor, memory and time as Kubernetes and people write them, and their canonical forms."""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(.*)", re.ASCII)
_BINARY = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTP", start=1)}
_DECIMAL = {letter: 1000**power for power, letter in enumerate("kMGTP", start=1)}

_SECONDS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?=\d)" + "".join(rf"(?:(\d{{1,9}}){unit})?" for unit in _SECONDS), re.ASCII)
_LONGEST = 60
"""Characters of an amount at most."""
_CANONICAL_UNITS = ("d", "h", "m", "s")


def millicores(text: str) -> int:
    """Return thousandths of a core: 500 for `500m`, 2000 for `2`.

    >>> millicores("0.5")
    500

    Raises:
        ValueError: it is not an amount of processor, or not a whole number of thousandths.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2] not in ("", "m"):
        raise ValueError("should be a number of processor cores, for example 500m or 2")
    amount = Decimal(match[1]) * (1 if match[2] else 1000)
    if amount != amount.to_integral_value():
        raise ValueError("should be a multiple of 1m, a thousandth of a core")
    return int(amount)


def cores(millis: int) -> str:
    """Return thousandths of a core in the canonical form: `2`, `500m`."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def octets(text: str) -> int:
    """Return bytes: 2147483648 for `2Gi`, 2000000000 for `2G`.

    >>> octets("0.5Gi")
    536870912

    Raises:
        ValueError: it is not an amount of bytes, or not a whole number of them.
    """
    match = _NUMBER.fullmatch(text.strip())
    units = {"": 1, **_BINARY, **_DECIMAL}
    if match is None or match[2] not in units:
        hint = "; m means thousandths of a byte, did you mean Mi?" if match and match[2] == "m" else ""
        raise ValueError(f"should be an amount of bytes, for example 512Mi or 2Gi{hint}")
    amount = Decimal(match[1]) * units[match[2]]
    if amount != amount.to_integral_value():
        raise ValueError("should be a whole number of bytes")
    return int(amount)


def size(count: int, *, decimal: bool = False) -> str:
    """Return bytes in the canonical form, with the largest unit that divides them: `1536Mi`, `2Gi`."""
    units = _DECIMAL if decimal else _BINARY
    for unit, factor in reversed(units.items()):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)


def canonical_cpu(value: object) -> str:
    """Return an amount of processor (a string or a number in a file) in the canonical form.

    Raises:
        ValueError: it is not an amount above zero.
    """
    millis = millicores(_text(value))
    if millis == 0:
        raise ValueError("should be greater than 0")
    return cores(millis)


def canonical_size(value: object) -> str:
    """Return an amount of memory or storage in the canonical form, keeping binary or decimal units.

    >>> canonical_size("2048Mi"), canonical_size("2000M")
    ('2Gi', '2G')

    Raises:
        ValueError: it is not an amount above zero.
    """
    text = _text(value)
    count = octets(text)
    if count == 0:
        raise ValueError("should be greater than 0")
    return size(count, decimal=text.strip()[-1] in _DECIMAL)


def canonical_duration(value: object) -> str:
    """Return a duration in the canonical form: `90s` stays `90s`, `120m` becomes `2h`.

    >>> canonical_duration("120m")
    '2h'

    Raises:
        ValueError: it is not a duration above zero.
    """
    count = seconds(_text(value))
    if count == 0:
        raise ValueError("should be greater than 0")
    unit = next(unit for unit in _CANONICAL_UNITS if count % _SECONDS[unit] == 0)
    return f"{count // _SECONDS[unit]}{unit}"


def seconds(text: str) -> int:
    """Return a duration in seconds: 5400 for `90m` or `1h30m`, 1209600 for `2w`.

    Raises:
        ValueError: it is not a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("should be a duration, for example 90s, 30m, 6h or 1h30m")
    return sum(
        int(part or 0) * factor for part, factor in zip(match.groups(), _SECONDS.values(), strict=True)
    )


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > _LONGEST:
        raise ValueError("should be an amount, for example 2 or 500m")
    return str(value)
