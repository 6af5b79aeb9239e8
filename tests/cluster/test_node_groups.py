"""Node groups that an autoscaler resizes, with the real engine and a stand-in for AWS and its provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.small_estate import Estate, deployed


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """An estate that has been deployed once, with its groups at their minimum."""
    with deployed(tmp_path_factory.mktemp("node-groups")) as estate:
        yield estate


def test_a_new_group_starts_at_its_minimum(estate: Estate) -> None:
    sizes = {name.rpartition("-")[0]: size["desiredSize"] for name, size in estate.account.groups.items()}
    assert sizes == {"system-a": 1, "system-b": 1, "system-c": 0, "drivers": 1, "workers": 0}


def test_an_up_leaves_grown_groups_alone(estate: Estate) -> None:
    estate.account.live("workers")["desiredSize"] = 12
    estate.account.live("drivers")["desiredSize"] = 4
    estate.account.sent.clear()
    for command, options in (("preview", ""), ("up", ""), ("up", "--refresh")):
        assert estate.updated(options, command) == []
    assert estate.account.sent == []


def test_new_limits_are_sent_with_the_live_size_moved_into_them(estate: Estate) -> None:
    for sizes, group, live, sent in (
        # A raised maximum during a run, a lowered maximum, a raised minimum, and one below the size.
        ({"workers_max": 40}, "workers", 12, {"minSize": 0, "maxSize": 40, "desiredSize": 12}),
        ({"workers_max": 10}, "workers", 12, {"minSize": 0, "maxSize": 10, "desiredSize": 10}),
        ({"drivers_min": 3}, "drivers", 1, {"minSize": 3, "maxSize": 10, "desiredSize": 3}),
        ({"drivers_min": 4}, "drivers", 6, {"minSize": 4, "maxSize": 10, "desiredSize": 6}),
    ):
        estate.account.live(group)["desiredSize"] = live
        estate.account.sent.clear()
        estate.sizes(**sizes)
        if live == 12:
            assert estate.updated(command="preview") == [f"nodes-{group}"], "what `up` does is shown"
            assert estate.account.sent == []
        assert estate.updated() == [f"nodes-{group}"], sizes
        assert estate.account.sent == [(group, sent)], sizes
    assert estate.updated() == [], "a second deployment has nothing to do"


def test_a_deployment_whose_answer_was_lost_does_not_send_the_old_size_again(estate: Estate) -> None:
    estate.account.live("workers")["desiredSize"] = 7
    estate.sizes(workers_max=30)
    estate.account.loses_answers = True
    assert estate.typed("up --env dev --estate")[0] == 1
    estate.account.loses_answers = False
    estate.account.live("workers")["desiredSize"] = 9
    estate.account.sent.clear()
    assert estate.updated() == []
    assert (estate.account.sent, estate.account.live("workers")["desiredSize"]) == ([], 9)
