"""The summary for people and for CI."""

from __future__ import annotations

import json
from pathlib import Path

from infra.driver.outcome import Command, Counts, Outcome, Result
from infra.driver.precious import Step
from infra.driver.run import text
from infra.driver.summary import LONGEST, Summary, changes


def step(op: str, name: str = "lake") -> Step:
    return Step(op=op, urn=f"urn:pulumi:dev::lightwork::t::{name}", type="aws:s3/bucket:Bucket", name=name)


DONE = Outcome(
    stack="dev",
    result=Result.DONE,
    counts=Counts(create=1, same=90),
    seconds=12.34,
    steps=(step("create"),),
    reason="infra/tenant/lake.py",
)
FAILED = Outcome(stack="dev.acme", result=Result.FAILED, error=("a | b <script>", "c"))


def summary(*outcomes: Outcome, warnings: tuple[str, ...] = ()) -> Summary:
    return Summary(
        command=Command.UP, environment="dev", commit="0123456789abcdef", outcomes=outcomes, warnings=warnings
    )


def test_the_json_has_the_outcome_and_changes_of_each_stack(tmp_path: Path) -> None:
    summary(DONE, FAILED, warnings=("w",)).write(tmp_path / "new folder")
    written = json.loads((tmp_path / "new folder" / "summary.json").read_text())
    assert written["good"] is False
    assert written["warnings"] == ["w"]
    assert written["stacks"][0] == {
        "stack": "dev",
        "result": "done",
        "create": 1,
        "update": 0,
        "replace": 0,
        "delete": 0,
        "same": 90,
        "seconds": 12.3,
        "error": None,
        "reason": "infra/tenant/lake.py",
        "changes": [{"op": "create", "type": "aws:s3/bucket:Bucket", "name": "lake"}],
    }
    assert written["stacks"][1]["error"] == "a | b <script>; c"


def test_no_error_message_breaks_the_markdown_table() -> None:
    lines = summary(DONE, FAILED, warnings=("a file\nwent",)).as_markdown().splitlines()
    assert lines[0] == "### up dev of `0123456789ab`: 1 done, 1 failed"
    assert "> a file went" in lines
    rows = [line for line in lines if line.startswith("| `")]
    assert rows[0] == "| `dev` | done | 1 |  |  |  | 90 | 12 |  |"
    assert rows[1].endswith(r"| a \| b &lt;script>; c |"), "neither another cell nor markup"


def test_the_markdown_lists_a_limited_number_of_changes() -> None:
    many = tuple(step("delete", f"n{number}") for number in range(LONGEST + 5))
    page = summary(Outcome(stack="dev", result=Result.DONE, steps=many)).as_markdown()
    assert "-  aws:s3/bucket:Bucket  n0\n" in page, "GitLab must show it in red"
    assert "and 5 more" in page
    assert page.count("<details>") == page.count("</details>") == 1


def test_the_steps_of_a_replacement_are_one_change() -> None:
    steps = [step("create-replacement"), step("replace"), step("delete-replaced")]
    assert changes(steps) == ["+- aws:s3/bucket:Bucket  lake"]


def test_a_run_without_stacks_is_a_success() -> None:
    assert summary().as_markdown() == "### up dev of `0123456789ab`: no stack is touched\n"
    assert summary().good


def test_a_skipped_stack_is_not_a_failure_and_all_others_are() -> None:
    assert summary(DONE, Outcome(stack="dev.b", result=Result.SKIPPED)).good
    for result in (Result.REFUSED, Result.LOCKED, Result.FAILED, Result.STOPPED, Result.LEFT):
        assert not summary(DONE, Outcome(stack="dev.b", result=result)).good, result


def test_the_text_lists_changes_then_stacks_then_the_total() -> None:
    lines = text(summary(DONE, FAILED)).splitlines()
    assert lines[:2] == ["dev", "  +  aws:s3/bucket:Bucket  lake"]
    assert "dev       done       12 s  1 to create" in lines
    assert lines[-1] == "up dev: 1 done, 1 failed"
