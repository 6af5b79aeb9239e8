"""Numbers as people read them, and the ticks of an axis of numbers."""

from __future__ import annotations

import decimal
import itertools
import math
from collections.abc import Sequence
from decimal import Decimal

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGE, _SMALL = 1e15, 1e-4
"""Numbers from here on, and below here, are written with a power of ten."""
_SUFFIXED_FROM = Decimal("1e7")
_SUFFIXES = ((Decimal("1e12"), "tn"), (Decimal("1e9"), "bn"), (Decimal("1e6"), "M"))


def number(value: float, *, decimals: int = 1) -> str:
    """Format a number for people: `26,115`, `1,234.5`, `0.0312`, `1.2×10²⁰`; `–` for NaN.

    Args:
        value: any float, also infinite.
        decimals: digits after the point of numbers of 1,000 or more that are not whole.
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if size >= _LARGE or 0 < size < _SMALL:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return _power(mantissa.rstrip("0").rstrip("."), int(exponent))
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.{decimals}f}" if size >= 1000 else f"{value:.4g}"


def ticks(
    low: float, high: float, most: int, *, around: bool = False, finest: float | None = None
) -> list[Decimal]:
    """Return round numbers at even steps.

    Args:
        low: the smallest value; finite.
        high: the largest value; finite. If both are equal, the ticks surround them.
        most: the most ticks; at least 3 with `around`.
        around: begin at or below `low` and end at or above `high`, in place of staying between them.
        finest: the smallest step, for instance 1 for whole numbers.

    Returns:
        At least two ticks with `around`; otherwise perhaps none.
    """
    with decimal.localcontext(prec=60):
        first, last = Decimal(repr(float(low))), Decimal(repr(float(high)))
        if first == last:
            room = abs(first) / 10 or Decimal(1)
            first, last = first - (room if first else 0), last + room
        down, up = decimal.ROUND_FLOOR, decimal.ROUND_CEILING
        exponent = (last - first).adjusted() - 1
        while True:
            for digit in (1, 2, 5):
                step = Decimal(digit).scaleb(exponent)
                if finest is not None and step < Decimal(repr(float(finest))):
                    continue
                begin = (first / step).to_integral_value(down if around else up)
                end = (last / step).to_integral_value(up if around else down)
                if end - begin + 1 <= most:
                    return [step * (begin + i) for i in range(int(end - begin) + 1)]
            exponent += 1


def labels(values: Sequence[Decimal], *, grouped_from: int = 1000) -> list[str]:
    """Format the ticks of one axis alike: the same decimals, and the same suffix or power of ten.

    Args:
        values: the ticks.
        grouped_from: thousands are separated if a tick is at least as large; 10,000 suits years.
    """
    largest = max((abs(value) for value in values), default=Decimal(0))
    step = min((abs(b - a) for a, b in itertools.pairwise(values)), default=largest)
    with decimal.localcontext(prec=60):
        if largest and not Decimal(_SMALL) <= largest < Decimal(_LARGE):
            power = largest.adjusted()
            texts = _alike([value.scaleb(-power) for value in values], grouped_from)
            return ["0" if not value else _power(t, power) for value, t in zip(values, texts, strict=True)]
        for unit, suffix in _SUFFIXES:
            if largest >= max(unit, _SUFFIXED_FROM) and step >= unit / 100:
                texts = _alike([value / unit for value in values], grouped_from)
                return ["0" if not v else f"{t}{suffix}" for v, t in zip(values, texts, strict=True)]
        return _alike(list(values), grouped_from)


def _alike(values: list[Decimal], grouped_from: int) -> list[str]:
    exponents = (value.normalize().as_tuple().exponent for value in values)
    decimals = max((-exponent for exponent in exponents if isinstance(exponent, int)), default=0)
    comma = "," if any(abs(value) >= grouped_from for value in values) else ""
    return [f"{value or abs(value):{comma}.{max(decimals, 0)}f}" for value in values]


def _power(mantissa: str, exponent: int) -> str:
    return f"{mantissa}×10{str(exponent).translate(_SUPERSCRIPTS)}"
