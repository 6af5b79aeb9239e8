"""Every text that a run is given arrives to the byte, or is refused before anything is made."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.cluster import probes, tenants
from tests.cluster.binaries import program
from tests.cluster.kube import cluster, get, items, kubectl, kubectl_program
from tests.cluster.progress import HarnessError, run, wait_for
from tests.cluster.settings import ROOT
from tests.cluster.tenants import FILE_TEXTS

NAMES = "abcdefghijkm"
PIECES = [
    *("{{", "}}", "{", "}", "{{=1+1}}", "{{workflow.name}}", "{{inputs.parameters.name}}", "{{retries}}"),
    *(
        "$",
        "$$",
        "$(",
        ")",
        "$(LIGHTWORK_RUN)",
        "$(POD_NAME)",
        "${a}",
        '"',
        "'",
        "\\",
        "\\n",
        "\\u007b",
        "\n",
    ),
    *(
        "\r",
        "\t",
        "\x01",
        "\x7f",
        "\x85",
        "\u2028",
        "\ufeff",
        "\ufffd",
        "\U000e0001",
        "é",
        "🌍",
        "<&>",
        "@",
        "=",
    ),
    *(
        "lightwork:json:",
        "lightwork:file:",
        "__argo__internal__placeholder-1",
        " ",
        "null",
        "1e400",
        "---",
        "`x`",
    ),
]
TEXT = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60),
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def item(text: str) -> str:
    """Return a text as it is given on the command line."""
    return f"@{text}" if text.startswith("@") else text


def words(tenant: str, **texts: str) -> dict[str, Any]:
    """Run the pipeline that tells what texts it got; return its record."""
    label = probes.new_label()
    name = tenants.submit(tenant, "words", label=label, **{key: item(text) for key, text in texts.items()})
    ended = tenants.wait_for_end(tenant, name, seconds=240)
    assert ended["phase"] == "Succeeded", tenants.describe(tenant, name)
    log = probes.log_in_bucket(tenant, name)
    assert "runs as" in log
    assert '"level":"error"' not in log, log
    return probes.record(tenant, label)


def differing(record: dict[str, Any], expected: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return the texts that arrived as others, each as it was given and as the record has it."""
    return {
        name: (text, record["parameters"][name])
        for name, text in expected.items()
        if record["result"][name] != digest(text) or record["parameters"][name] != text
    }


@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(texts=st.fixed_dictionaries(dict.fromkeys(NAMES, TEXT)))
def test_every_text_arrives_to_the_byte(acme, texts):
    assert differing(words(acme, **texts), texts) == {}


def test_texts_of_the_tenants_file_arrive_to_the_byte(acme):
    assert differing(words(acme), FILE_TEXTS) == {}


def test_long_texts_arrive_and_are_deleted_with_their_run(acme, tmp_path):
    text = "".join(f"{number} {{{{x}}}} $(POD_NAME) 🌍 \n" for number in range(40_000))
    whole = text.encode()[: 1_000_000 - 100_000].decode(errors="ignore")
    (tmp_path / "whole.txt").write_bytes(whole.encode())
    label, shorter = probes.new_label(), text[:60_000]
    assert 60_000 < len(shorter.encode()) < 100_000
    name = tenants.submit(acme, "words", label=label, a=f"@{tmp_path}/whole.txt", b=shorter)
    held = {p["name"]: p["value"] for p in _workflow(acme, name)["spec"]["arguments"]["parameters"]}
    assert held["a"].startswith(f"lightwork:file:a {len(whole.encode()):,} bytes, which begin: 0 {{ {{x}}}}")
    ended = tenants.wait_for_end(acme, name, seconds=240)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    assert differing(probes.record(acme, label), {"a": whole, "b": shorter}) == {}
    kept = lambda: [i["metadata"]["name"] for i in items("-n", tenants.namespace(acme), "configmaps")]  # noqa: E731
    wait_for("the long texts are deleted", lambda: f"{name}-parameters" not in kept(), seconds=120, every=2)


def test_what_is_too_long_or_no_text_is_refused_and_nothing_is_made(acme, globex, tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 1_000_001)
    (tmp_path / "half").write_bytes(b"x" * 500_001)
    (tmp_path / "latin").write_bytes(b"\xe9")
    long = f"@{tmp_path}/half"
    for entry, given_items, line in (
        ("words", [f"a=@{tmp_path}/large"], "has more than 1,000,000 bytes"),
        (
            "words",
            [f"a={long}", f"b={long}"],
            "have 1,000,002 bytes; long values may have 1,000,000 together",
        ),
        ("words", [f"a=@{tmp_path}/latin"], "is not UTF-8 at byte 1"),
        ("words", ["a=@nowhere"], "cannot be read (No such file or directory)"),
        ("words-steps", [f"text={long}"], "has 500,001 bytes, and a container or another text uses it"),
    ):
        before = made(acme)
        done = submit(acme, entry, *given_items)
        assert done.returncode == 2, done.stderr
        assert line in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert made(acme) == before


def test_texts_pass_through_steps_to_the_byte(acme, tmp_path):
    text = "".join(PIECES)
    long = text * 300
    (tmp_path / "long.txt").write_bytes(long.encode())
    label = probes.new_label()
    name = tenants.submit(acme, "words-steps", text=text, long=f"@{tmp_path}/long.txt", label=label)
    ended = tenants.wait_for_end(acme, name, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    fixed = FILE_TEXTS["a"] + FILE_TEXTS["c"]
    assert printed(acme, name, "echo") == [text, f"a {text}{text}", fixed]
    record = probes.record(acme, label)
    (digests,) = record["result"].values()  # of the step that is a pipeline
    expected = {"a": text, "b": text, "c": f"{{{text}{text}", "d": fixed, "e": long}
    assert {key: digests[key] for key in expected} == {key: digest(given) for key, given in expected.items()}
    assert record["parameters"]["text"] == text
    result, passed = printed(acme, name, "last")
    assert (json.loads(result), passed) == (digests, text)
    tenants.wait_until_clear(acme, name, seconds=120)


def test_a_failed_container_is_told_with_its_last_line_of_stderr(acme):
    done = submit(acme, "words-fail", "text=no {{day}}", "--wait")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("Failed: fail: last: \\x1b[2J no {{day}}"), done.stderr


def test_a_resubmitted_run_gets_the_same_texts_and_says_which_are_gone(acme, tmp_path):
    (tmp_path / "long").write_bytes(b"x" * 50_000)
    label, text = probes.new_label(), "{{workflow.name}} $$ \n"
    first = tenants.submit(acme, "words", label=label, a=text)
    second = tenants.submit(acme, "words", label=f"{label}-long", a=f"@{tmp_path}/long")
    for name in (first, second):
        assert tenants.wait_for_end(acme, name, seconds=240)["phase"] == "Succeeded"
    again, lost = (resubmit(acme, name) for name in (first, second))
    ended = tenants.wait_for_end(acme, again, seconds=240)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, again)
    record = probes.record(acme, label)
    assert record["workflow"] == again
    assert differing(record, {"a": text}) == {}
    ended = tenants.wait_for_end(acme, lost, seconds=240)
    assert ended["phase"] == "Failed"
    assert "parameter a: its value, too long for the Workflow, has not come, or was deleted" in (
        tenants.messages(ended)
    )


def resubmit(tenant: str, name: str) -> str:
    """Submit a run again by Argo's command line; return the new run's name."""
    words = [program("argo"), "resubmit", name, "-n", tenants.namespace(tenant), "-o", "name"]
    return run(words, env=tenants.environment()).strip().rpartition("/")[2]


def test_without_the_right_to_create_configmaps_long_texts_are_refused_and_nothing_is_made(acme, tmp_path):
    """Short texts need only the right to submit, long ones one more."""
    (tmp_path / "long").write_bytes(b"x" * 50_000)
    space = tenants.namespace(acme)
    rules = {"workflows.argoproj.io": "create,get,list", "workflowtemplates.argoproj.io": "get,list"}
    kubectl("-n", space, "create", "serviceaccount", "submitter")
    try:
        for number, (resource, verbs) in enumerate(rules.items()):
            grant(space, f"submitter-{number}", verbs, resource)
        config = tmp_path / "kubeconfig"
        config.write_text(as_person(kubectl("-n", space, "create", "token", "submitter").strip()))
        before = made(acme)
        done = submit(acme, "words", f"a=@{tmp_path}/long", kubeconfig=config)
        assert done.returncode == 1
        assert "with long values, which are kept in a ConfigMap" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert made(acme) == before
        grant(space, "submitter-2", "create", "configmaps")
        stranger_words = ["--kubeconfig", str(config), "-n", space, "auth", "can-i"]
        for verb in ("get", "list", "patch", "delete"):
            assert "no" in run([kubectl_program(), *stranger_words, verb, "configmaps"], check=False)
        done = submit(acme, "words", f"a=@{tmp_path}/long", "--json", kubeconfig=config)
        assert done.returncode == 0, done.stderr
        name = json.loads(done.stdout)["run"]
        assert f"{name}-parameters" in str(made(acme))
        run([*tenants.LIGHTWORK, "stop", name, *tenants.WHERE, acme], env=tenants.environment())
        tenants.wait_until_clear(acme, name, seconds=120)
    finally:
        kubectl("-n", space, "delete", "serviceaccount", "submitter")
        mine = [f"submitter-{number}" for number in range(3)]
        kubectl("-n", space, "delete", "role,rolebinding", *mine, "--ignore-not-found")


def grant(namespace: str, name: str, verbs: str, resource: str) -> None:
    kubectl("-n", namespace, "create", "role", name, f"--verb={verbs}", f"--resource={resource}")
    account = f"--serviceaccount={namespace}:submitter"
    kubectl("-n", namespace, "create", "rolebinding", name, f"--role={name}", account)


def as_person(token: str) -> str:
    """Return a kubeconfig for a caller with only this token."""
    context = {"cluster": "c", "user": "u"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster()}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "lightwork-dev", "context": context}],
        "current-context": "lightwork-dev",
    }
    return yaml.safe_dump(document)


def submit(tenant: str, entry: str, *words: str, kubeconfig: Path | None = None) -> Any:
    """Run `lightwork submit`; return how it ended."""
    environment = tenants.environment()
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    command = [*tenants.LIGHTWORK, "submit", entry, *words, *tenants.WHERE, tenant]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def made(tenant: str) -> set[str]:
    """Return the tenant's Workflows and ConfigMaps."""
    listed = items("-n", tenants.namespace(tenant), "workflows,configmaps")
    return {f"{i['kind']}/{i['metadata']['name']}" for i in listed}


def _workflow(tenant: str, name: str) -> dict[str, Any]:
    return get("-n", tenants.namespace(tenant), "workflow", name)


def printed(tenant: str, name: str, step: str) -> list[str]:
    """Return the arguments that a step's container printed, from its kept log: its pod may be gone."""
    text = probes.log_in_bucket(tenant, name, f"-step-{step}-")
    lines = [line for line in text.splitlines() if line.startswith('{"event": "echo"')]
    if len(lines) != 1:
        raise HarnessError(f"{step} printed {text!r}")
    argv: list[str] = json.loads(lines[0])["argv"]
    return argv
