"""The tasks that a pipeline's code names, directly or by functions, modules, classes and closures."""

from __future__ import annotations

import sys
from typing import Any

from lightwork import pipeline, task
from lightwork.functions import wanted


@task(resources={"GPU": 1})
def by_name(x: int) -> int:
    return x


@task(resources={"FPGA": 2})
def by_module(x: int) -> int:
    return x


@task(limit="api")
def by_task(x: int) -> int:
    return x


@task
def outer(x: int) -> int:
    return by_task(x)


@task(resources={"DISK": 1})
def unused(x: int) -> int:
    return x


class Steps:
    @task(resources={"CORES": 3})
    def in_class(self) -> int:
        return 1


def helper() -> Any:
    return list(by_name.map([1]))


def _with_closure() -> Any:
    inner = task(resources={"CELL": 1})(abs)

    @pipeline
    def closing() -> int:
        return sum(inner.map([1]))

    return closing


@pipeline
def work() -> int:
    helper()
    return Steps().in_class() + sum(outer.map([1]))


@pipeline
def recursive(again: bool = False) -> int:
    return recursive(again) if again else 0


def test_tasks_are_found_by_the_code_that_names_them():
    assert wanted.resources(work) == {"by_name": {"GPU": 1}, "in_class": {"CORES": 3}}
    assert wanted.limits(work) == {"by_task": "api"}
    assert "unused" not in wanted.tasks(work)


def test_a_task_in_a_module_that_is_named_is_found():
    here = sys.modules[__name__]

    @pipeline
    def by_attribute() -> int:
        return here.by_module(1)

    assert wanted.resources(by_attribute) == {"by_module": {"FPGA": 2}}


def test_a_task_in_a_closure_is_found():
    assert wanted.resources(_with_closure()) == {"abs": {"CELL": 1}}


def test_a_name_that_is_not_bound_yet_is_left_out():
    @pipeline
    def early() -> int:
        return later(1)

    assert wanted.tasks(early) == {}
    later = abs


def test_a_pipeline_that_names_itself_has_an_end():
    assert wanted.tasks(recursive) == {}
