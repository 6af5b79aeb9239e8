"""Argo's login to the archive: rotated in a run, killed in the middle, twice at once; strangers refused."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.services import archive_login
from lightwork.kube.api import InCluster, RefusedError
from lightwork.manifests import argo_config
from lightwork.pods.archive import rotation
from lightwork.pods.archive.cluster import PENDING, ROTATED, Cluster
from lightwork.pods.archive.database import LOGINS, OWNER, Database
from lightwork.pods.archive.postgres import REFUSED, Connection, Credentials, Server, ServerError
from tests.cluster import argo, probes, stores, tenants
from tests.cluster.kube import authority, cluster, get, items, kubectl, stranger
from tests.cluster.progress import HarnessError, wait_for
from tests.cluster.settings import POSTGRES_PORT, host

IN_ARGO = ("-n", argo.NAMESPACE)
ACCOUNT = f"system:serviceaccount:{argo.NAMESPACE}:{archive_login.NAME}"


def login() -> Credentials:
    """Return the login in the Secret."""
    data = get(*IN_ARGO, "secret", archive_login.SECRET)["data"]
    return Credentials(*(base64.b64decode(data[key]).decode() for key in ("username", "password")))


def admitted(credentials: Credentials) -> bool:
    """Return whether PostgreSQL accepts a login."""
    try:
        with Connection(server(), credentials) as session:
            return session.query("select current_user") == [(OWNER,)]
    except ServerError as error:
        if error.code in REFUSED:
            return False
        raise


def server() -> Server:
    return Server(host(), POSTGRES_PORT, argo_config.DATABASE)


def master() -> Credentials:
    return Credentials(stores.ARCHIVE_MASTER, stores.password("archive"))


def ask_for_rotation() -> None:
    """Let the next look at the login replace it, as a person does."""
    kubectl(*IN_ARGO, "annotate", "secret", archive_login.SECRET, f"{ROTATED}-")


def start() -> str:
    """Start the CronJob's Job now; return its name."""
    name = f"{archive_login.NAME}-{uuid.uuid4().hex[:6]}"
    kubectl(*IN_ARGO, "create", "job", name, f"--from=cronjob/{archive_login.NAME}")
    return name


def ended(job: str, seconds: float = 240) -> str:
    """Wait until a Job has succeeded; return its log."""

    def succeeded() -> bool:
        status = get(*IN_ARGO, "job", job)["status"]
        failed = [item for item in status.get("conditions", []) if item["type"] == "Failed"]
        assert not failed, f"{failed}\n{log(job)}"
        return bool(status.get("succeeded"))

    wait_for(f"the Job {job}", succeeded, seconds=seconds, every=1)
    wait_for(f"the log of {job}", lambda: "archive: " in log(job), seconds=30, every=1)
    return log(job)


def log(job: str) -> str:
    return kubectl(*IN_ARGO, "logs", "-l", f"job-name={job}", "--tail=-1", check=False)


def argos_pods() -> set[str]:
    """Return the ids of Argo's pods."""
    return {pod["metadata"]["uid"] for pod in items(*IN_ARGO, "pods", "-l", argo.login().pods)}


def users() -> set[str]:
    """Return the users of the archive who are logged in."""
    return set(stores.sql(f"select usename from pg_stat_activity where usename in {LOGINS}").split())


@pytest.fixture(autouse=True)
def _jobs_are_removed() -> Iterator[None]:
    yield
    jobs = [job["metadata"]["name"] for job in items(*IN_ARGO, "jobs")]
    made = [name for name in jobs if name.startswith(f"{archive_login.NAME}-")]
    if made:
        kubectl(*IN_ARGO, "delete", "job", *made)
    argo.wait_until_ready()


@pytest.mark.core
def test_a_rotation_during_a_run_disturbs_neither_the_run_nor_its_archive(acme):
    before, pods = login(), argos_pods()
    label = probes.new_label()
    name = probes.submit(acme, label, elements=6000)
    probes.wait_until_at_work(acme, name, label)
    ask_for_rotation()
    said = ended(start())
    after = login()
    assert f"{after.user} is in use (the one before was old); 2 pod(s) replaced" in said
    assert {before.user, after.user} == set(LOGINS), "two users take turns"
    assert after.password != before.password
    assert not argos_pods() & pods, "Argo reads the Secret only when it starts"
    assert not admitted(before), "the old password must be refused"
    assert admitted(after)
    assert tenants.status(acme, name).get("phase") == "Running", "the rotation was to be during the run"
    ended_run = tenants.wait_for_end(acme, name, seconds=300)
    assert ended_run["phase"] == "Succeeded", tenants.describe(acme, name)
    wait_for("the archive", lambda: probes.archived(name)[0] == "Succeeded", seconds=60)
    wait_for("Argo's sessions", lambda: users() == {after.user}, seconds=30)
    shown = said + kubectl(*IN_ARGO, "get", "jobs,cronjobs,pods,configmaps", "-o", "yaml")
    for secret in (before, after, master()):
        assert secret.password not in shown
        assert base64.b64encode(secret.password.encode()).decode() not in shown
    tenants.wait_until_clear(acme, name, seconds=120)


@pytest.mark.core
def test_the_jobs_account_may_touch_one_secret_and_change_nothing_else():
    evict = ("create", "pods", "--subresource=eviction")
    may = (("get", f"secret/{archive_login.SECRET}"), ("list", "pods"), evict)
    may_not = (
        *(("get", f"secret/{name}") for name in (argo.MASTER_SECRET, "argo-server-sso")),
        *((verb, "secrets") for verb in ("list", "watch", "delete", "update")),
        *((verb, "pods") for verb in ("create", "delete", "patch")),
        *((verb, "deployments.apps") for verb in ("patch", "update", "delete")),
        *((verb, "configmaps") for verb in ("get", "patch", "create")),
        ("create", "pods", "--subresource=exec"),
        ("create", "serviceaccounts", "--subresource=token"),
        ("create", "jobs.batch"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
    )
    for words in may:
        assert can(argo.NAMESPACE, *words), words
    for words in may_not:
        assert not can(argo.NAMESPACE, *words), words
    for words in may:
        assert not can("kube-system", *words), words


@pytest.mark.core
def test_a_stranger_reaches_neither_the_secret_nor_the_database(acme):
    token = kubectl("-n", tenants.namespace(acme), "create", "token", "driver").strip()
    with pytest.raises(HarnessError, match=r"secrets .* is forbidden"):
        kubectl_as(token, "get", "secret", archive_login.SECRET)
    with pytest.raises(HarnessError, match=r"jobs.* is forbidden"):
        kubectl_as(token, "create", "job", "x", f"--from=cronjob/{archive_login.NAME}")
    for credentials in (
        Credentials(login().user, "guessed"),
        Credentials(OWNER, login().password),
        Credentials(stores.ARCHIVE_MASTER, login().password),
    ):
        with pytest.raises(ServerError, match="authentication failed"):
            Connection(server(), credentials)
    with Connection(server(), login()) as session, pytest.raises(ServerError, match="permission denied"):
        session.query("create role stranger")


def test_two_rotations_at_once_make_one_login():
    before = login()
    ask_for_rotation()
    said = [ended(job) for job in [start(), start()]]
    assert login().user != before.user
    assert sorted("is in use" in text for text in said) == [False, True], said
    assert sorted("is still valid" in text for text in said) == [False, True], said
    assert not admitted(before)
    assert admitted(login())


def test_a_job_whose_pod_is_killed_goes_on_in_another():
    before, pods = login(), argos_pods()
    ask_for_rotation()
    job = start()

    def swapped() -> bool:
        return login() != before

    wait_for("the new login", swapped, seconds=60, every=0.2)
    kubectl(*IN_ARGO, "delete", "pod", "-l", f"job-name={job}", "--grace-period=0", "--force")
    said = ended(job)
    assert "an earlier rotation had begun" in said
    assert not argos_pods() & pods
    assert (admitted(before), admitted(login())) == (False, True)


class Killed(BaseException):
    """Stands for the end of the process."""


class Dying(InCluster):
    """The API with the rights of the Job's account, whose process ends before or after a given write."""

    dies_at, dies_after, writes = -1, False, 0

    def _request(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> str:
        if method == "GET":
            return super()._request(method, path, query, body)
        mine, self.writes = self.writes, self.writes + 1
        if mine == self.dies_at and not self.dies_after:
            raise Killed
        answer = super()._request(method, path, query, body)
        if mine == self.dies_at:
            raise Killed
        return answer


@pytest.fixture
def api(tmp_path: Path) -> Dying:
    """The API as the Job's pod reaches it: its token, and its rights."""
    files = {
        "namespace": argo.NAMESPACE,
        "token": kubectl(*IN_ARGO, "create", "token", archive_login.NAME),
        "ca.crt": authority().read_text(),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return Dying(tmp_path, cluster()["server"])


def rotate(api: Dying) -> str:
    things = Cluster(api, namespace=argo.NAMESPACE, secret=archive_login.SECRET, selector=argo.login().pods)
    now = dt.datetime.now(dt.UTC)
    return rotation.rotate(Database(server(), master()), things, lifetime=dt.timedelta(days=7), now=now)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(4), ids=["secret", "first pod", "second pod", "note"])
def test_a_rotation_that_is_killed_leaves_argo_its_archive(api, step, after):
    before = login()
    ask_for_rotation()
    api.dies_at, api.dies_after = step, after
    with pytest.raises(Killed):
        rotate(api)
    assert admitted(login()), "a pod that starts now gets a login that works"
    argo.wait_until_ready()
    for user in users():
        assert stores.sql(f"select rolcanlogin from pg_roles where rolname = '{user}'") == "t"
    api.dies_at = -1
    rotate(api)
    assert login() != before
    assert (admitted(before), admitted(login())) == (False, True)
    annotations = get(*IN_ARGO, "secret", archive_login.SECRET)["metadata"]["annotations"]
    assert PENDING not in annotations


def test_the_account_is_refused_what_is_not_its_own(api):
    with pytest.raises(RefusedError, match="forbidden"):
        Cluster(api, namespace=argo.NAMESPACE, secret=argo.MASTER_SECRET, selector="").read()


def can(namespace: str, *words: str) -> bool:
    """Return whether the Job's account may do something in a namespace."""
    answer = kubectl("auth", "can-i", *words, "--as", ACCOUNT, "-n", namespace, check=False)
    return answer.splitlines()[-1].strip() == "yes"


def kubectl_as(token: str, *words: str) -> str:
    return kubectl(*stranger(token), *IN_ARGO, *words)
