"""Keys of calls and of the elements of a map."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightwork.keys import CodeKey, ElementKeys, Unkeyable, call_key

CODE = CodeKey("0" * 32, ())
OTHER = CodeKey("1" * 32, ())


def f(x, y=1, *rest, z=2, **more):
    raise AssertionError


def positional(x, /, y, *, z=0):
    raise AssertionError


def key(*args, fn=f, code=CODE, ignore=(), **kwargs):
    return call_key(fn, code, args, kwargs, ignore)


def test_positional_and_keyword_arguments_give_one_key():
    assert key(1, 2) == key(1, y=2) == key(y=2, x=1)
    assert len(key(1)) == 16


def test_a_default_counts_as_if_it_were_passed():
    assert key(1) == key(1, 1) == key(1, z=2)
    assert key(1) != key(1, 2)


def test_a_changed_default_gives_another_key_only_if_it_is_not_passed():
    def before(x, n=1):
        raise AssertionError

    def after(x, n=2):
        raise AssertionError

    assert key(1, fn=before) != key(1, fn=after)
    assert key(1, 5, fn=before) == key(1, 5, fn=after)


def test_the_assignment_of_values_to_parameters_counts():
    assert key(1, 2) != key(2, 1)
    assert key(1, a=1, b=2) == key(1, b=2, a=1) != key(1, a=2, b=1)
    assert key(1, 1, 2, 3) != key(1, 1, 3, 2)
    assert key(1, 1, (2, 3)) != key(1, 1, 2, 3)


def test_the_key_of_the_code_counts():
    assert key(1) != key(1, code=OTHER)


def test_an_ignored_parameter_does_not_count_even_if_it_has_no_key():
    assert key(1, ignore=["y"]) == key(1, open, ignore=["y"]) == key(1, y=iter([]), ignore=["y"])
    assert key(1, ignore=["more"]) == key(1, extra=1, ignore=["more"])


def test_an_argument_without_a_key_is_named():
    with pytest.raises(Unkeyable, match=r"argument y: a generator \(at \[0\]\) has no stable key; .*ignore="):
        key(1, [(i for i in [])])


@given(st.lists(st.integers() | st.text() | st.floats() | st.lists(st.integers())))
def test_the_keys_of_elements_equal_those_of_single_calls(elements):
    keys = ElementKeys(f, CODE, varying=1, fixed={"y": [3], "z": 4}, ignore=[])
    assert keys(elements) == [key(e, [3], z=4) for e in elements]


@pytest.mark.parametrize(
    ("varying", "fixed", "element", "args", "kwargs"),
    [
        (1, {}, 5, (5,), {}),
        (["x"], {}, 5, (5,), {}),
        (["y"], {"x": 1}, 5, (1, 5), {}),
        (["z"], {"x": 1}, 5, (1,), {"z": 5}),
        (["extra"], {"x": 1, "more": 2}, 5, (1,), {"extra": 5, "more": 2}),
        (2, {}, (5, 6), (5, 6), {}),
        (4, {"z": 1}, (5, 6, 7, 8), (5, 6, 7, 8), {"z": 1}),
        (["z", "x"], {"y": 9}, (5, 6), (6, 9), {"z": 5}),
        (0, {"x": 1}, (), (1,), {}),
    ],
)
def test_any_parameters_may_vary_in_a_map(varying, fixed, element, args, kwargs):
    for ignore in ([], ["x"], ["z", "y"], ["rest", "more"]):
        keys = ElementKeys(f, CODE, varying=varying, fixed=fixed, ignore=ignore)
        assert keys([element, element]) == [key(*args, ignore=ignore, **kwargs)] * 2


def test_positional_only_parameters_can_be_given_by_name():
    keys = ElementKeys(positional, CODE, varying=["y"], fixed={"x": 1})
    assert keys([2]) == [key(1, 2, fn=positional)]
    keys = ElementKeys(positional, CODE, varying=["x", "y"], fixed={})
    assert keys([(1, 2)]) == [key(1, 2, fn=positional)]


def test_a_builtin_without_a_signature_has_keys():
    assert ElementKeys(max, CODE, varying=2, fixed={})([(1, 2)]) == [key(1, 2, fn=max)]


@pytest.mark.parametrize("varying", [1, ["x"], 2])
def test_an_element_without_a_key_names_the_parameter(varying):
    keys = ElementKeys(f, CODE, varying=varying, fixed={})
    bad = iter([])
    with pytest.raises(Unkeyable, match=r"argument x: an iterator .*has no stable key"):
        keys([1, bad] if varying != 2 else [(1, 1), (bad, 1)])


def test_an_element_that_contains_itself_is_refused():
    cyclic: list[object] = []
    cyclic.append(cyclic)
    with pytest.raises(Unkeyable, match=r"argument x: a structure that contains itself"):
        ElementKeys(f, CODE, varying=1, fixed={})([1, cyclic])


def test_a_fixed_argument_without_a_key_is_refused_at_once():
    with pytest.raises(Unkeyable, match=r"argument y"):
        ElementKeys(f, CODE, varying=1, fixed={"y": iter([])})


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match=r"missing"):
        ElementKeys(positional, CODE, varying=1, fixed={})


def test_the_end_of_a_long_text_counts():
    keys = ElementKeys(f, CODE, varying=1, fixed={})
    one, other = keys(["x" * 10_000 + "a", "x" * 10_000 + "b"])
    assert one != other
