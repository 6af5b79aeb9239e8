"""Arguments that vary by name, and tuples of arguments."""

from __future__ import annotations

import itertools

import pytest

from lightwork import InputError, task


@task
def convert(x: float, offset: float = 0.0, *, unit: str = "m", digits: int = 1) -> str:
    return f"{x + offset:.{digits}f} {unit}"


@task
def named(*, unit: str) -> list[str]:
    return [unit]


@task
def anything(*args: int, **kwargs: int) -> tuple[object, ...]:
    return (args, tuple(sorted(kwargs.items())))


def test_keyword_arguments_vary(session):
    values = list(convert.map([1, 2, 3], unit=["km", "m", "mm"], shared={"digits": 0}))
    assert values == ["1 km", "2 m", "3 mm"]
    assert list(convert.map([1, 2], [0.5, 0.5], unit=iter(["a", "b"]), digits=[1, 2])) == ["1.5 a", "2.50 b"]
    assert list(named.map(unit=["a", "b"])) == [["a"], ["b"]]
    assert list(anything.map([1], [2], b=[3], a=[4])) == [((1, 2), (("a", 4), ("b", 3)))]


def test_they_share_results_with_calls_and_other_ways_to_map(session):
    convert.map([1, 2], unit=["km", "m"]).wait()
    assert convert.is_cached(1, unit="km")
    assert convert.map([1, 2], shared={"unit": "km"}).wait().cached == 1
    assert not convert.is_cached(1, unit="mm")
    convert.starmap([(1, 0.5), (2,)]).wait()
    assert convert.map([1], [0.5]).wait().cached == 1
    assert convert.is_cached(2)


def test_the_shortest_input_ends_the_map(session):
    results = convert.map(itertools.count(), unit=["a", "b"])
    assert list(results) == ["0.0 a", "1.0 b"]
    with pytest.raises(TypeError):
        len(convert.map(itertools.count(), unit=["a", "b"]))
    assert len(convert.map([1, 2, 3], unit=["a", "b"])) == 2


def test_tuples_are_arguments(session):
    assert list(convert.starmap([(1, 2), [3], (4, 0.5)])) == ["3.0 m", "3.0 m", "4.5 m"]
    assert list(convert.starmap(iter([(1,)]), shared={"unit": "s"})) == ["1.0 s"]
    assert list(convert.starmap([])) == []
    assert len(convert.starmap([(1,), (2,)])) == 2


def test_a_tuple_of_one_argument_is_that_argument(session):
    @task
    def only(x):
        return x

    assert list(only.starmap([(1,), ((2, 3),)])) == [1, (2, 3)]
    assert only.map([1]).wait().cached == 1


def test_starmap_reads_nothing_before_it_is_iterated(session):
    read = []
    results = convert.starmap(read.append(x) or (x,) for x in range(3))
    assert read == []
    assert len(list(results)) == 3


@pytest.mark.parametrize(
    ("element", "got"), [((), "0"), ((1, 2, 3), "3"), (5, "int"), ("ab", "str"), (None, "NoneType")]
)
def test_a_wrong_tuple_is_named(session, element, got):
    results = convert.starmap([(1,), element])
    with pytest.raises(
        InputError, match=f"starmap: element 1: expected a tuple of 1 to 2 arguments, got {got}$"
    ):
        list(results)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda: convert.map([1], unit=3), "argument unit: expected an iterable, got int"),
        (lambda: convert.map([1], units=["a"]), "got an unexpected keyword argument 'units'"),
        (lambda: convert.map([1], x=[1]), "multiple values for argument 'x'"),
        (lambda: convert.map([1], unit=["a"], shared={"unit": "b"}), "unit is given for each element and in"),
        (lambda: convert.map(shared={"unit": "b"}), "nothing to map over"),
        (lambda: convert.map(unit=["b"]), "missing a required argument: 'x'"),
        (lambda: convert.starmap(3), "expected an iterable of tuples, got int"),
        (lambda: anything.starmap([(1,)]), "expected one with a fixed number of positional parameters"),
        (lambda: named.starmap([("a",)]), "expected one with a fixed number of positional parameters"),
        (lambda: convert.starmap([(1,)], shared={"uni": 1}), "unexpected keyword argument 'uni'"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(session, use, text):
    with pytest.raises(InputError) as error:
        use()
    assert text in str(error.value)
    assert "\n" not in str(error.value)
