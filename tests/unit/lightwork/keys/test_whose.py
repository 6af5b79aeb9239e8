"""Whose code it is: one's own distributions are followed, all others count by name and version."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lightwork.errors import InputError
from lightwork.functions.origins import origin
from tests.unit.lightwork.keys.installed import FOLDER, SOURCES, components, digest, install, write

JOB = "from pkg.inner.helper import scaled\n\ndef f(x):\n    return scaled(x)\n"
UNUSED = "\ndef unused(x):\n    return x\n"


def package(factor: int = 2, *, job: str = JOB, extra: str = "") -> dict[str, str]:
    helper = f"FACTOR = {factor}\n\ndef scaled(x):\n    return FACTOR * x\n{extra}"
    return {
        "pkg/__init__.py": "",
        "pkg/job.py": job,
        "pkg/inner/__init__.py": "",
        "pkg/inner/helper.py": helper,
    }


def places(tmp_path):
    return {"site": tmp_path / "venv/lib/python3/site-packages", "target": tmp_path / "vendored"}


@pytest.mark.parametrize("where", ["site", "target"])
@pytest.mark.parametrize("source", SOURCES)
def test_an_own_package_is_followed_wherever_it_lies(tmp_path, source, where):
    folder, metadata = places(tmp_path)[where], {"direct_url.json": SOURCES[source]}
    before = digest(install(folder, package(), metadata=metadata))
    assert digest(install(folder, package(extra=UNUSED), metadata=metadata)) == before
    assert digest(install(tmp_path / "elsewhere", package(), metadata=metadata)) == before
    assert digest(install(folder, package(3), metadata=metadata)) != before


@pytest.mark.parametrize("where", ["site", "target"])
def test_a_package_from_an_index_counts_by_its_name_and_version(tmp_path, where):
    folder, script = places(tmp_path)[where], tmp_path / "script"
    write(script, {"job.py": "from pkg.job import f as g\n\ndef f(x):\n    return g(x)\n"})
    before = components(script, install(folder, package()), name="job.f")
    assert {name for name in before if name.startswith("distribution")} == {"distribution own-pkg 1.0"}
    assert components(script, install(folder, package(3)), name="job.f") == before
    (folder / "own_pkg-1.0.dist-info").rename(tmp_path / "gone")
    assert components(script, install(folder, package(3), version="1.1"), name="job.f") != before


def test_a_package_that_was_copied_among_the_installed_ones_is_followed(tmp_path):
    site = install(tmp_path / "site-packages", {"other.py": ""}, name="other")
    keys = [components(write(site, package(factor))) for factor in (2, 2, 3)]
    assert keys[0] == keys[1] != keys[2]
    assert "distribution" not in str(keys)


@pytest.mark.parametrize("installer", ["conda", "debian", "rpm"])
def test_what_a_system_installs_comes_from_a_repository_of_packages(tmp_path, installer):
    metadata = {"direct_url.json": FOLDER, "INSTALLER": installer}
    script = write(tmp_path / "script", {"job.py": "from pkg.job import f\n"})
    folder = install(tmp_path / "site-packages", package(), metadata=metadata)
    assert set(components(script, folder, name="job.f")) == {"digest", "distribution own-pkg 1.0"}


def entry_points(value: str) -> dict[str, str]:
    text = f"[console_scripts]\nx = y:z\n\n[lightwork.pipelines]\nours = {value}\n\n[other]\na = b\n"
    return {"entry_points.txt": text}


@pytest.mark.parametrize("value", ["pkg", "pkg.inner", "pkg.job:f", "pkg [extra]"])
def test_a_package_with_pipelines_is_followed_however_it_was_installed(tmp_path, value):
    folder = tmp_path / "site-packages"
    before = digest(install(folder, package(), metadata=entry_points(value)))
    assert digest(install(folder, package(extra=UNUSED), metadata=entry_points(value))) == before
    assert digest(install(folder, package(3), metadata=entry_points(value))) != before


def test_a_package_that_the_entry_points_of_another_distribution_name_is_followed(tmp_path):
    folder = install(tmp_path / "site-packages", {"x.py": ""}, name="names-it", metadata=entry_points("pkg"))
    before = digest(install(folder, package()))
    assert digest(install(folder, package(3))) != before


@pytest.mark.parametrize("setting", ["pkg", " other , pkg,", "pkg.job,pkg.inner"])
def test_the_setting_names_packages_to_follow(tmp_path, setting):
    folder, env = tmp_path / "site-packages", {"LIGHTWORK_FIRST_PARTY": setting}
    before = digest(install(folder, package()), env=env)
    assert digest(install(folder, package(extra=UNUSED)), env=env) == before
    assert digest(install(folder, package(3)), env=env) != before


def test_a_setting_that_names_no_module_is_refused(monkeypatch):
    monkeypatch.setenv("LIGHTWORK_FIRST_PARTY", "pkg, our-lib")
    with pytest.raises(InputError, match=r"^LIGHTWORK_FIRST_PARTY: 'our-lib' is not .* mean 'our_lib'\?$"):
        origin.first_party()


NAMESPACED = {
    "acme/core.py": "def scaled(x):\n    return 2 * x\n",
    "acme/own/__init__.py": "",
    "acme/own/job.py": "import acme.core\nimport acme.lib.tool\n\n"
    "def f(x):\n    return acme.core.scaled(x), acme.lib.tool.g(x)\n\n"
    "def late(x):\n    from acme.lib import tool\n    from acme import core\n"
    "    return core.scaled(x), tool.g(x)\n",
}


@pytest.mark.parametrize("function", ["f", "late"])
def test_distributions_that_share_a_namespace_are_told_apart(tmp_path, function):
    folder, name = tmp_path / "site-packages", f"acme.own.job.{function}"
    tool = {"acme/lib/__init__.py": "", "acme/lib/tool.py": "def g(x):\n    return x\n"}
    install(folder, NAMESPACED, metadata={"direct_url.json": FOLDER})
    before = components(install(folder, tool, name="acme-lib"), name=name)
    assert {part for part in before if part.startswith("distribution")} == {"distribution acme-lib 1.0"}
    install(folder, tool | {"acme/lib/tool.py": "def g(x):\n    return -x\n"}, name="acme-lib")
    assert components(folder, name=name) == before
    changed = NAMESPACED | {"acme/core.py": "def scaled(x):\n    return 3 * x\n"}
    install(folder, changed, metadata={"direct_url.json": FOLDER})
    assert components(folder, name=name) != before


def test_a_module_is_known_by_the_record_not_by_the_distributions_name(tmp_path):
    files = {
        "scaling/__init__.py": "def g(x):\n    return 2 * x\n",
        "_scaling.py": "def h(x):\n    return x\n",
    }
    job = {"job.py": "import scaling, _scaling\n\ndef f(x):\n    return scaling.g(x), _scaling.h(x)\n"}
    script = write(tmp_path / "script", job)
    folder = install(tmp_path / "site-packages", files, name="A.Scaler", version="2.1")
    install(folder, {"unrelated.py": ""}, name="scaling-extras")
    parts = components(script, folder, name="job.f")
    assert {name for name in parts if name.startswith("distribution")} == {"distribution A.Scaler 2.1"}


def test_lightwork_counts_by_its_version_alone(tmp_path):
    job = "from lightwork.keys import encode\n\ndef f(x):\n    return encode(x)\n"
    folder = install(tmp_path, package(job=job), metadata={"direct_url.json": FOLDER})
    for setting in ("", "lightwork"):
        parts = components(folder, env={"LIGHTWORK_FIRST_PARTY": setting})
        assert [name.rpartition(" ")[0] for name in parts if "distribution" in name] == [
            "distribution lightwork"
        ]


@pytest.mark.slow
def test_pip_leaves_what_this_relies_on(tmp_path):
    project, target = tmp_path / "project", tmp_path / "target"
    write(project, package())
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
        '[project]\nname = "own-pkg"\nversion = "1.0"\n\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["pkg"]\n'
    )

    def installed() -> str:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        command += ["--no-index", "--disable-pip-version-check", "--upgrade", "--target", target, project]
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
        if completed.returncode:
            pytest.skip(f"pip cannot build here: {completed.stderr[-200:]}")
        return digest(target)

    before = installed()
    assert installed() == before
    (project / "pkg/inner/helper.py").write_text(package(3)["pkg/inner/helper.py"])
    assert installed() != before
