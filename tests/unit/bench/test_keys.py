"""The bench of keys: the older commit, and the medians of both sides."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench import keys


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, and a change that is not in it."""
    root = tmp_path / "repository"
    module = root / "platform" / "src" / "lightwork.py"
    module.parent.mkdir(parents=True)
    (root / "pipelines").mkdir()
    (root / "pipelines" / "__init__.py").touch()
    module.write_text("AGE = 'old'\n")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    module.write_text("AGE = 'new'\n")
    return root


def test_the_code_of_the_commit_is_written_to_a_folder_and_the_repository_is_as_before(
    repository: Path, tmp_path: Path
) -> None:
    keys.extract("HEAD", tmp_path / "older", repository)
    assert (tmp_path / "older/platform/src/lightwork.py").read_text() == "AGE = 'old'\n"
    assert (repository / "platform/src/lightwork.py").read_text() == "AGE = 'new'\n"
    assert not (repository / ".git" / "worktrees").exists()


def test_a_missing_commit_is_one_clear_line(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(keys.NoCommitError, match=r"^.*no commit 318b1c7; fetch the whole history") as caught:
        keys.extract("318b1c7", tmp_path, repository)
    assert "\n" not in str(caught.value)


def test_both_sides_take_turns_and_the_first_round_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    older = Path("older")
    calls: list[Path] = []

    def probed(what: str, root: Path, probe: Path) -> dict[str, float]:
        calls.append(root)
        return {what: 100.0 if len(calls) <= 2 else len(calls) * (1.0 if root == older else 10.0)}

    monkeypatch.setattr(keys, "probed", probed)
    assert keys.medians("numbers", older) == {"numbers": (100.0, 9.0)}
    assert calls == [older, keys.ROOT] * (keys.ROUNDS + 1)


def test_a_run_without_the_commit_is_not_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS_COMMIT", "0" * 40)
    (row,) = keys.run()
    assert row.ok is False
    assert "no commit 000" in row.detail


def test_the_probe_measures_the_code_it_is_given() -> None:
    seconds = keys.probed("elements", keys.ROOT)
    assert set(seconds) == {"numbers", "texts", "tuples", "dictionaries"}
    with pytest.raises(subprocess.CalledProcessError):
        keys.probed("windy-city", Path("/nowhere"))
