"""Amounts and durations: what is accepted, their canonical forms, what is refused."""

from __future__ import annotations

import pytest

from lightwork.tenants import quantities


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (0.5, "500m"),
        (2, "2"),
        ("1500m", "1500m"),
        (" 2 ", "2"),
        (".25", "250m"),
    ],
)
def test_an_amount_of_processor_has_one_canonical_form(written: object, canonical: str) -> None:
    assert quantities.canonical_cpu(written) == canonical


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000M", "1G"),
        ("1500M", "1500M"),
        (1073741824, "1Gi"),
        ("1000", "1000"),
        ("0.5Ti", "512Gi"),
    ],
)
def test_an_amount_of_bytes_keeps_binary_or_decimal_units(written: object, canonical: str) -> None:
    assert quantities.canonical_size(written) == canonical


def test_the_canonical_form_is_the_same_number_of_bytes() -> None:
    for written in ("1.5Gi", "1500M", "3000k", "7", "2Ti", "1024Ki"):
        assert quantities.octets(quantities.canonical_size(written)) == quantities.octets(written)


@pytest.mark.parametrize(
    "written", ["", "0", "0m", "-1", "1.0001", "0.5m", "2 cores", "1e3", True, None, ["1"], "1Gi"]
)
def test_a_wrong_amount_of_processor_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"should be"):
        quantities.canonical_cpu(written)


@pytest.mark.parametrize("written", ["", "0", "-1Gi", "1GiB", "1 Gi", "1gi", "0.3", "1KI", True, None])
def test_a_wrong_amount_of_bytes_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"should be"):
        quantities.canonical_size(written)


def test_thousandths_of_a_byte_are_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="did you mean Mi"):
        quantities.canonical_size("512m")


@pytest.mark.parametrize(
    ("written", "canonical", "seconds"),
    [
        ("90s", "90s", 90),
        ("120m", "2h", 7200),
        ("1h30m", "90m", 5400),
        ("24h", "1d", 86400),
        ("1d1s", "86401s", 86401),
        ("1w", "7d", 604800),
    ],
)
def test_a_duration_has_one_canonical_form(written: str, canonical: str, seconds: int) -> None:
    assert quantities.canonical_duration(written) == canonical
    assert quantities.seconds(canonical) == seconds


@pytest.mark.parametrize(
    "written", ["", "90", "0s", "-1h", "1.5h", "30m1h", "h", "2 h", "1" * 10 + "s", 90, None]
)
def test_a_wrong_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"should be"):
        quantities.canonical_duration(written)
