"""Options of a task: a wrong one is refused in one line where it is written, before anything starts."""

from __future__ import annotations

import pickle
import reprlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightwork import InputError, backoff, task
from lightwork.errors import one_line
from lightwork.functions.options import Backoff, TaskOptions

WRONG = {
    "retry_delay": [-0.1, float("nan"), float("inf"), "1", None, (1, 2)],
    "retry_on": ["OSError", OSError("x"), [OSError, "KeyError"], (), [int], 5, object],
    "timeout": [0, -1, 0.0, float("nan"), float("inf"), "30", True],
    "ordered": [0, "no", None],
    "expires": [7, "7", "7 days", "d", "-1d", "0s", "0.5s", "1e3d", "٣d"],
    "refresh": ["speed", 1, None],
    "resources": [{}, {"GPU": 0}, {"GPU": "1"}, {1: 1}, "GPU", {"GPU": -1}, {"": 1}],
    "concurrency": [0, 1.5, "3", 3],
    "limit": ["", 4, ["api"], True],
}
"""Values that are nearly right; `test_decorated` refuses others."""


@pytest.mark.parametrize(
    ("name", "value"),
    [pytest.param(name, value, id=f"{name}-{value!r}") for name, values in WRONG.items() for value in values],
)
def test_a_wrong_option_is_refused_in_one_line(name, value):
    with pytest.raises(InputError) as error:
        task(**{name: value})(abs)
    text = str(error.value)
    assert text.startswith("@task")
    assert name in text
    assert "\n" not in text


@given(st.floats(max_value=0), st.sampled_from(["timeout"]))
def test_no_time_below_zero_is_accepted(value, name):
    with pytest.raises(InputError, match=f"{name}="):
        task(**{name: value})(abs)


@given(st.text(alphabet=st.characters(categories=["Ll"]), min_size=1, max_size=12))
def test_an_unknown_option_is_refused(name):
    if name in TaskOptions.__dataclass_fields__:
        return
    with pytest.raises(InputError, match=r"@task: there is no option") as error:
        task(**{name: 1})(abs)
    assert one_line(error.value) == str(error.value)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"first": -1}, "first=-1"),
        ({"first": 3, "most": 2}, "most=2 is less than first=3"),
        ({"jitter": 1.5}, "jitter=1.5"),
        ({"jitter": "much"}, "jitter='much'"),
        ({"most": float("inf")}, "most=inf"),
    ],
    ids=reprlib.repr,
)
def test_a_wrong_backoff_is_refused(given, part):
    with pytest.raises(InputError, match=r"backoff: ") as error:
        backoff(**given)
    assert part in str(error.value)


def test_one_value_stands_for_several():
    options = task(ignore="x", retry_on=OSError)(lambda x: x).options
    assert (options.ignore, options.retry_on) == (("x",), (OSError,))


def test_options_are_written_as_they_were_given():
    options = task(
        retries=3, retry_on=(OSError, KeyError), retry_delay=backoff(1), timeout=30, ignore="x", limit="api"
    )(lambda x: x).options
    assert options.given() == [
        *("ignore='x'", "retries=3", "retry_delay=backoff(1, 60, 0.2)", "retry_on=(OSError, KeyError)"),
        *("timeout=30", "limit='api'"),
    ]
    assert TaskOptions().given() == []


def test_options_survive_a_pickle():
    options = TaskOptions(retries=2, retry_delay=Backoff(1, 2, 0.1), retry_on=(OSError,), timeout=3)
    assert pickle.loads(pickle.dumps(options)) == options


def test_options_in_an_older_pickle_have_the_defaults_of_new_ones():
    options = object.__new__(TaskOptions)
    options.__setstate__([False, None, (), 2, 0.5, "skip", None])
    assert options == TaskOptions(cache=False, retries=2, on_error="skip")
