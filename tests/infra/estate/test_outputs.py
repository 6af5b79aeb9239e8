"""The estate's outputs as a tenant's stack reads them: from the estate's stack, or from a file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from infra.estate.outputs import READ, VARIABLE, EstateOutputs, export
from infra.offline.answers import estate as pretended
from lightwork.errors import InputError
from tests.infra.engine import run_program

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tenants_stack_reads_its_own_estates_stack(root: Path) -> None:
    run = run_program(root, "prod.acme")
    assert run.error is None, f"it must deploy: {run.error}"
    assert [token for token, _ in run.invokes].count(READ) == 1, "once, at the program's entry point"
    config = json.loads(run.one("pulumi:providers:kubernetes").inputs["kubeconfig"])
    assert config["current-context"] == "lightwork-prod", (
        "otherwise another environment's cluster would change"
    )


def test_a_file_replaces_a_stack_that_the_backend_does_not_have(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({**pretended("prod"), "cluster_endpoint": "https://from-the-file.example"}))
    monkeypatch.setenv(VARIABLE, str(file))
    run = run_program(root, "prod.acme")
    assert run.error is None, f"it must deploy: {run.error}"
    assert READ not in [token for token, _ in run.invokes], "a temporary backend does not have the stack"
    assert "from-the-file" in run.one("pulumi:providers:kubernetes").inputs["kubeconfig"], "the file's value"


def test_the_outputs_of_another_environment_are_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(pretended("dev")))
    monkeypatch.setenv(VARIABLE, str(file))
    error = str(run_program(root, "prod.acme").error)
    assert re.search(r"outputs\.json.*\bdev\b.*\bprod\b", error), "dev's database would be prod's"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"account": "999999999999"}, "account 999999999999.*Pulumi\\.prod\\.yaml.*123456789012"),
        ({"region": "eu-west-1"}, "region eu-west-1.*Pulumi\\.prod\\.yaml.*eu-central-1"),
    ],
)
def test_an_estate_of_another_account_or_region_is_refused_before_anything_is_planned(
    root: Path, change: dict[str, str], expected: str
) -> None:
    run = run_program(root, "prod.acme", estate={**pretended("prod"), **change})
    assert re.match(f"stack prod: .*{expected}", str(run.error)), (
        f"its bucket would be in the wrong place: {run.error}"
    )
    assert not [r for r in run.resources if not r.type.startswith("pulumi:")], "refused too late"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"search_endpoint": None}, "search_endpoint: .*missing"),
        ({"people_policies": None}, "people_policies: .*missing.*`pulumi up` of the estate exports it"),
        ({"search_endpoint": ""}, "search_endpoint: .*''.*a text"),
        ({"search_endpoint": 7}, "search_endpoint: .*7.*a text"),
        ({"api_cidrs": "10.0.0.0/28"}, r"api_cidrs: .*'10\.0\.0\.0/28'.*a list"),
        ({"api_cidrs": []}, r"api_cidrs: .*\[\].*a list"),
        (
            {"private_subnet_ids": ["a", 1]},
            r"private_subnet_ids: .*\['a', 1\].*a list",
        ),
    ],
)
def test_an_output_that_is_missing_or_wrong_is_named(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        EstateOutputs.parse({**pretended("dev"), **change}, "stack dev")
    assert re.match(f"stack dev: {expected}", str(caught.value)), "where, what, what was expected"


def test_unknown_outputs_are_ignored() -> None:
    assert EstateOutputs.parse({**pretended("dev"), "note": "new"}, "x").region == "eu-central-1", (
        "a newer estate may export more"
    )


@pytest.mark.parametrize("content", ["not json", "[]"])
def test_a_file_that_is_not_a_mapping_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(content)
    monkeypatch.setenv(VARIABLE, str(file))
    error = str(run_program(root, "dev.acme").error)
    assert error.startswith(f"{file} ({VARIABLE}): "), "the message must name the file and the variable"


def test_missing_or_unknown_outputs_are_refused_on_export() -> None:
    values = {name: value for name, value in pretended("dev").items() if name != "argo_domain"}
    with pytest.raises(ValueError, match="argo_domain"):
        export(values)
    with pytest.raises(ValueError, match="more"):
        export({**pretended("dev"), "more": "1"})


def test_a_tenant_without_an_estate_is_refused_with_the_remedy(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pulumi.runtime.invoke

    def answer(token: str, *args: Any, **kwargs: Any) -> Any:
        if token == READ:
            # The engine's own error, as seen with pulumi 3.259 and a file:// backend.
            raise Exception(f'invoke of {READ} failed: unknown stack "organization/lightwork/dev"')
        return real(token, *args, **kwargs)

    monkeypatch.setattr(pulumi.runtime, "invoke", answer)
    run = run_program(root, "dev.acme")
    assert str(run.error).startswith("stack dev: "), "a message instead of a traceback"
    assert VARIABLE in str(run.error), "the message must name the alternative"
    planned = [resource.type for resource in run.resources if not resource.type.startswith("pulumi:")]
    assert not planned, "refused too late"
