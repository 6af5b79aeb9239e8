"""The options of tasks on the workers of `local`: the tests that other files run on `serial` and `tcp://`."""

from __future__ import annotations

import pytest

from lightwork import connect
from tests.unit.lightwork.engine import (
    test_arguments_that_vary,
    test_coroutines,
    test_expiry,
    test_limits,
    test_processes_inside,
    test_retries,
    test_time_limits,
    test_unordered,
)

pytestmark = pytest.mark.slow

ROWS = {
    test_time_limits: [
        "an_element_that_takes_too_long_fails_alone",
        "a_call_that_takes_too_long_fails",
        "an_attempt_that_takes_too_long_is_retried",
        "a_call_that_hangs_in_compiled_code_ends_with_its_process",
    ],
    test_retries: [
        "only_certain_errors_are_retried",
        "calls_are_retried_alike",
        "delays_double_up_to_a_limit",
        "a_lost_worker_is_no_attempt",
    ],
    test_unordered: [
        "results_come_as_they_are_computed",
        "each_result_comes_once",
        "an_error_ends_the_map",
        "a_killed_worker_loses_nothing",
    ],
    test_expiry: [
        "a_result_counts_until_it_expires",
        "a_call_is_forgotten",
        "a_task_is_forgotten",
        "one_task_is_computed_again",
    ],
    test_processes_inside: ["a_task_may_start_processes"],
    test_limits: [
        "no_more_calls_run_at_once_than_a_limit_allows",
        "no_more_calls_start_within_a_time_than_a_rate_allows",
        "no_slot_is_held_between_attempts_or_after_a_failure",
        "a_task_that_maps_another_of_its_limit_needs_no_second_slot",
        "a_call_that_exceeds_its_time_gives_its_slot_back",
        "a_slot_of_a_killed_worker_is_free_within_half_a_minute",
        "a_task_whose_limit_the_session_lacks_is_refused_in_one_line",
    ],
    test_arguments_that_vary: [
        "keyword_arguments_vary",
        "they_share_results_with_calls_and_other_ways_to_map",
        "tuples_are_arguments",
        "a_wrong_tuple_is_named",
    ],
    test_coroutines: [
        "a_call_is_awaited",
        "a_map_is_iterated_in_a_coroutine",
        "an_async_task_is_mapped_and_submitted",
        "errors_and_retries_are_as_those_of_other_tasks",
        "elements_of_a_batch_run_together_up_to_a_limit",
        "a_limit_holds_for_coroutines",
        "a_coroutine_that_takes_too_long_fails_alone",
    ],
}
"""The tests of each row, by their modules; `test_resources` has those of resources itself."""

for _module, _names in ROWS.items():
    for _name in _names:
        globals()[f"test_{_name}"] = getattr(_module, f"test_{_name}")
later = test_expiry.later


@pytest.fixture
def session(tmp_path):
    """A session on two worker processes of this machine, with its own lake."""
    with connect("local", workers=2, lake=tmp_path / "lake", tenant="acme", progress="off") as opened:
        yield opened


@pytest.fixture
def workers(session):
    """The same."""
    return session


@pytest.fixture
def place():
    """Where further sessions run."""
    return "local"


@pytest.fixture
def scheduler():
    """The same."""
    return "local"
