"""What workers offer to tasks, and limits of runs: what a file may say, and what it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lightwork import pipeline, task, tenants
from lightwork.errors import InputError
from lightwork.manifests import namespace
from lightwork.tenants import checks, fit
from tests.unit.lightwork.manifests import objects

HEAD = "name: acme\nenvironments: [dev]\n"
QUOTA = "quota: {resources: {nvidia.com/gpu: 4}}\n"
WORKERS = "    workers: {count: 2, resources: {nvidia.com/gpu: 1, LICENSE: 2.5}}\n"
ENTRY = f"{HEAD}{QUOTA}pipelines:\n  gpu-work:\n{WORKERS}"


@task(resources={"GPU": 1}, limit="api")
def on_gpu(x: int) -> int:
    return x


@task
def on_any(x: int) -> int:
    return x


@pipeline
def gpu_work() -> int:
    return sum(on_gpu.map(range(3)))


@pipeline
def plain_work() -> int:
    return sum(on_any.map(range(3)))


PIPELINES: dict[str, Any] = {"gpu-work": gpu_work, "plain-work": plain_work}


def read(folder: Path, text: str) -> tenants.Loaded:
    path = folder / "acme.yaml"
    path.write_text(text)
    return tenants.read(path)


def arguments(tenant: tenants.Tenant, name: str) -> dict[str, str]:
    """Return what a pipeline's template passes to the scaler."""
    from lightwork import manifests

    made = manifests.tenant_objects(tenant, objects.TARGET, PIPELINES)
    (template,) = [
        item for item in made if (item["kind"], item["metadata"]["name"]) == ("WorkflowTemplate", name)
    ]
    ((step,),) = template["spec"]["templates"][-2]["steps"]
    return {item["name"]: item["value"] for item in step["arguments"]["parameters"]}


def test_devices_are_requested_by_kubernetes_name_and_offered_by_their_short_one(tmp_path: Path) -> None:
    tenant = read(tmp_path, f"{ENTRY}    limits: {{api: 4, weather: 90 / min}}\n").tenant
    passed = arguments(tenant, "gpu-work")
    assert passed["worker-devices"] == "nvidia.com/gpu: 1"
    assert passed["worker-offers"] == "GPU=1 LICENSE=2.5"
    assert passed["limits"] == "api=4,weather=90/min"
    assert namespace.quota(tenant)["spec"]["hard"]["requests.nvidia.com/gpu"] == "4"
    filled = objects.filled_in(objects.template("workers")["resource"]["manifest"], passed["worker-devices"])
    (worker,) = yaml.safe_load(filled)["spec"]["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("nvidia.com/gpu: 0", "resources.nvidia.com/gpu: found 0; should be a number above 0"),
        ("nvidia.com/gpu: 1.5", "nvidia.com/gpu: 1.5 should be a whole number, since a pod requests it"),
        ("nvidia.com/gpu: '1'", "found '1'; should be a number above 0"),
        ("nvidia.com/gpu: true", "found True; should be a number above 0"),
        ("LICENSE: -1", "found -1; should be a number above 0"),
        (
            "gpu: 1",
            "found 'gpu'; should be a resource of nodes such as nvidia.com/gpu, or a name in capitals",
        ),
        ("memory: 4", "(cpu, memory and storage have fields of their own)"),
        ("Nvidia/gpu: 1", "should be the name of a resource of nodes, for example nvidia.com/gpu"),
        ("nvidia.com/gpu/x: 1", "should be the name of a resource of nodes"),
        ("kubernetes.io/batteries: 1", "a resource of nodes that Kubernetes itself does not define"),
        ("node.kubernetes.io/x: 1", "a resource of nodes that Kubernetes itself does not define"),
        ("'{{x}}/gpu': 1", "should be the name of a resource of nodes"),
        ("nvidia.com/gpu: 1, GPU: 2", "nvidia.com/gpu and GPU are both GPU to tasks; keep one of them"),
        ("nvidia.com/gpu: 1, amd.com/gpu: 1", "nvidia.com/gpu and amd.com/gpu are both GPU to tasks"),
    ],
)
def test_wrong_resources_are_refused_in_one_line(tmp_path: Path, resources: str, message: str) -> None:
    text = f"{HEAD}{QUOTA}pipelines:\n  gpu-work:\n    workers:\n      resources: {{{resources}}}\n"
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert message in str(error.value)
    assert "acme.yaml:7: pipelines.gpu-work.workers.resources" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("{GPU: 1}", "should be the name of a resource of nodes, for example nvidia.com/gpu"),
        ("{nvidia.com/gpu: 0}", "should be a whole number, 1 or more"),
        ("{nvidia.com/gpu: 1.5}", "should be a whole number, 1 or more"),
    ],
)
def test_a_wrong_quota_of_resources_is_refused_in_one_line(
    tmp_path: Path, resources: str, message: str
) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, f"{HEAD}quota: {{resources: {resources}}}\n")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("{api: 0}", "api=0; should be a whole number of calls at once, 1 or more, or a rate such as"),
        ("{api: 10/day}", "api='10/day'; should be"),
        ("{'a=b': 1}", "found 'a=b'; a limit's name should be letters, digits"),
        ("{'a,b': 1}", "a limit's name should be letters, digits"),
        ("{'': 1}", "a limit's name should be letters, digits"),
    ],
)
def test_wrong_limits_are_refused_in_one_line(tmp_path: Path, limits: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, f"{HEAD}pipelines:\n  plain-work:\n    limits: {limits}\n")
    assert message in str(error.value)
    assert "acme.yaml:5: pipelines.plain-work.limits" in str(error.value)
    assert "\n" not in str(error.value)


def test_devices_beyond_the_quota_are_refused_with_the_sum(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, ENTRY.replace("gpu: 1", "gpu: 3"))
    assert str(error.value).endswith(
        "pipelines.gpu-work.workers: does not fit the quota: nvidia.com/gpu: 2 workers of 3 = 6;"
        " the limit is 4 (`resources` of the quota)"
    )
    with pytest.raises(InputError, match=r"2 workers of 1 = 2; the limit is 0 "):
        read(tmp_path, ENTRY.replace(QUOTA, ""))


def test_runs_that_have_no_devices_for_all_of_them_queue(tmp_path: Path) -> None:
    two = ENTRY + ENTRY.partition("pipelines:\n")[2].replace("gpu-work", "more").replace(
        "count: 2", "count: 4"
    )
    tenant = read(tmp_path, two.replace("    workers", "    pipeline: gpu-work\n    workers")).tenant
    assert fit.concurrent(tenant) == 1
    assert fit.concurrent(read(tmp_path, two.replace("gpu: 4}", "gpu: 6}")).tenant) is None


def test_steps_that_run_together_need_their_devices_together(tmp_path: Path) -> None:
    step = "{pipeline: gpu-work, workers: {count: 3, resources: {nvidia.com/gpu: 1}}"
    text = f"{HEAD}{QUOTA}pipelines:\n  both:\n    steps:\n      a: {step}}}\n      b: {step}%s}}\n"
    with pytest.raises(InputError, match=r"nvidia.com/gpu: 3 for a \+ 3 for b = 6; the limit is 4"):
        read(tmp_path, text % "")
    read(tmp_path, text % ", after: [a]")


def test_a_task_that_asks_for_what_its_workers_do_not_offer_is_refused_before_anything(
    tmp_path: Path,
) -> None:
    limits = "    limits: {api: 4}\n"
    assert checks.check(read(tmp_path, ENTRY + limits), PIPELINES) == []
    plain = f"{HEAD}pipelines:\n  plain-work: {{}}\n"
    assert checks.check(read(tmp_path, plain), PIPELINES) == []
    for text, line, offered in (
        (
            f"{HEAD}pipelines:\n  gpu-work: {{limits: {{api: 1}}}}\n",
            "acme.yaml:4: pipelines.gpu-work",
            "nothing",
        ),
        (
            ENTRY.replace("nvidia.com/gpu: 1, LICENSE: 2.5", "GPU: 0.5") + limits,
            "acme.yaml:6: pipelines.gpu-work.workers",
            "GPU=0.5",
        ),
    ):
        with pytest.raises(InputError) as error:
            checks.check(read(tmp_path, text), PIPELINES)
        assert str(error.value).endswith(
            f"{line}: task on_gpu of gpu-work asks for GPU=1, and each worker offers {offered};"
            " add it to `resources` of the workers"
        )
        assert "\n" not in str(error.value)


def test_a_task_whose_limit_the_file_lacks_is_refused_before_anything(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        checks.check(read(tmp_path, f"{ENTRY}    limits: {{apis: 4}}\n"), PIPELINES)
    assert str(error.value).endswith(
        "acme.yaml:7: pipelines.gpu-work.limits: task on_gpu of gpu-work has limit='api', and there is none"
        " of this name; add it to `limits`, for example api: 4"
    )
