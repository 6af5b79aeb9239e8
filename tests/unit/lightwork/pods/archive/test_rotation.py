"""Rotations of Argo's login, on a real PostgreSQL; the cluster tests do the same with a real API and Argo.

Each step may be the last: a rotation that was killed anywhere has cut off nobody; the next one finishes it.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lightwork.kube.api import KubeApi, RefusedError
from lightwork.pods.archive import cluster as cluster_module
from lightwork.pods.archive import database as database_module
from lightwork.pods.archive import rotation, scram
from lightwork.pods.archive.cluster import Cluster, ClusterError
from lightwork.pods.archive.database import LOGINS, OWNER, Database
from lightwork.pods.archive.postgres import REFUSED, Connection, Credentials, Server, ServerError
from tests import postgresql
from tests.postgresql import MASTER, PostgreSQL

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(postgresql.programs() is None, reason="PostgreSQL is not installed"),
]
WEEK = dt.timedelta(days=7)
NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
SECRETS, PODS = "/api/v1/namespaces/argo/secrets", "/api/v1/namespaces/argo/pods"


class Killed(BaseException):
    """Stands for the end of the process."""


class Api(KubeApi):
    """Secrets and pods in memory. A pod is replaced at once, and takes the login that the Secret has then.

    Attributes:
        writes: what was written, in order.
        dies_at: the number of the write at which the process ends.
        dies_after: whether it ends only after that write.
    """

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, Credentials] = {}
        self.writes: list[str] = []
        self.dies_at, self.dies_after = -1, False
        self.budget_refusals = 0
        self._version = 0

    def start_pod(self) -> None:
        """Start a pod, which reads the Secret once, as Argo does."""
        self._version += 1
        name = f"argo-{self._version}"
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.pods[name] = {"metadata": {"name": name, "uid": f"uid-{self._version}"}, "status": ready}
        self.sessions[name] = self.login()

    def login(self) -> Credentials:
        data = self.secrets["login"]["data"]
        return Credentials(*(base64.b64decode(data[key]).decode() for key in ("username", "password")))

    def annotations(self) -> dict[str, str]:
        notes: dict[str, str] = self.secrets["login"]["metadata"]["annotations"]
        return notes

    def _request(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> str:
        if method == "GET":
            return json.dumps(self._read(path))
        mine = len(self.writes)
        self.writes.append(f"{method} {path.removeprefix('/api/v1/namespaces/argo/')}")
        if mine == self.dies_at and not self.dies_after:
            raise Killed
        answer = self._write(path, body or {})
        if mine == self.dies_at:
            raise Killed
        return json.dumps(answer)

    def _read(self, path: str) -> dict[str, Any]:
        if path == PODS:
            return {"items": list(self.pods.values())}
        name = path.rpartition("/")[2]
        if name not in self.secrets:
            raise RefusedError(404, "Not Found", "")
        return self.secrets[name]

    def _write(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/eviction"):
            if self.budget_refusals:
                self.budget_refusals -= 1
                raise RefusedError(429, "Too Many Requests", "")
            name = path.split("/")[-2]
            assert body["deleteOptions"]["preconditions"]["uid"] == self.pods[name]["metadata"]["uid"]
            del self.pods[name], self.sessions[name]
            self.start_pod()
            return {}
        name = body["metadata"].get("name") or path.rpartition("/")[2]
        secret = self.secrets.setdefault(name, {"metadata": {"annotations": {}}, "data": {}})
        version = secret["metadata"].get("resourceVersion")
        is_new = path == SECRETS
        if version and (is_new or body["metadata"].get("resourceVersion", version) != version):
            raise RefusedError(409, "Conflict", '{"message": "the object has been modified"}')
        self._version += 1
        notes = {**secret["metadata"]["annotations"], **body["metadata"]["annotations"]}
        kept = {key: value for key, value in notes.items() if value is not None}
        secret["metadata"] = {"name": name, "resourceVersion": str(self._version), "annotations": kept}
        secret["data"].update(body.get("data", {}))
        return secret


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgreSQL]:
    with postgresql.running() as server:
        yield server


@pytest.fixture(autouse=True)
def _clean(postgres: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rotation, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr(cluster_module.time, "sleep", lambda seconds: None)
    yield
    for user in LOGINS:
        postgres.sql(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'")
    postgres.sql("drop schema public cascade; create schema public authorization pg_database_owner")
    for user in (*LOGINS, OWNER):
        postgres.sql(f"do $$ begin drop owned by {user}; drop role {user}; exception when others then end $$")


@pytest.fixture
def api() -> Api:
    return Api()


def rotate(postgres: PostgreSQL, api: Api, now: dt.datetime = NOW) -> str:
    database = Database(postgres.server, MASTER)
    cluster = Cluster(api, namespace="argo", secret="login", selector="app=argo")
    return rotation.rotate(database, cluster, lifetime=WEEK, now=now)


def admitted(postgres: PostgreSQL, credentials: Credentials) -> bool:
    try:
        with Connection(postgres.server, credentials) as session:
            return session.query("select current_user") == [(OWNER,)]
    except ServerError as error:
        if error.code in REFUSED:
            return False
        raise


def test_the_first_login_is_made_before_any_pod(postgres: PostgreSQL, api: Api) -> None:
    assert rotate(postgres, api) == "archive_a is in use (there was none); 0 pod(s) replaced"
    assert admitted(postgres, api.login())
    assert len(api.login().password) >= 40
    assert api.annotations() == {cluster_module.ROTATED: "2026-11-28T00:00:00+00:00"}


def test_a_young_login_is_kept_and_an_old_one_replaced_with_its_pods(postgres: PostgreSQL, api: Api) -> None:
    rotate(postgres, api)
    first = api.login()
    api.start_pod()
    api.start_pod()
    assert rotate(postgres, api, NOW + WEEK - dt.timedelta(seconds=1)) == "archive_a is still valid"
    assert (api.login(), set(api.sessions.values())) == (first, {first})
    said = rotate(postgres, api, NOW + WEEK)
    assert said == "archive_b is in use (the one before was old); 2 pod(s) replaced"
    assert api.login().password != first.password
    assert set(api.sessions.values()) == {api.login()}
    assert admitted(postgres, api.login())
    assert not admitted(postgres, first), "the old password must be refused"
    rotate(postgres, api, NOW + 2 * WEEK)
    assert api.login().user == first.user, "the two users take turns"
    assert not admitted(postgres, first), "but its old password is not valid again"


def test_a_login_whose_age_is_unknown_is_replaced(postgres: PostgreSQL, api: Api) -> None:
    rotate(postgres, api)
    del api.annotations()[cluster_module.ROTATED]
    assert "old" in rotate(postgres, api), "by hand, this is how one asks for a rotation"


@pytest.mark.parametrize("broken", ["no user", "another password", "a stranger"])
def test_a_login_that_the_database_does_not_know_is_replaced(
    postgres: PostgreSQL, api: Api, broken: str
) -> None:
    rotate(postgres, api)
    api.start_pod()
    if broken == "no user":
        postgres.sql("alter role archive_a nologin")
    elif broken == "another password":
        postgres.sql("alter role archive_a password 'restored from a backup'")
    else:
        api.secrets["login"]["data"]["username"] = base64.b64encode(b"postgres").decode()
    assert "did not accept the one before" in rotate(postgres, api)
    assert admitted(postgres, api.login())
    assert set(api.sessions.values()) == {api.login()}


def test_a_secret_that_was_deleted_is_made_again(postgres: PostgreSQL, api: Api) -> None:
    rotate(postgres, api)
    with Connection(postgres.server, api.login()):
        del api.secrets["login"]
        with pytest.raises(rotation.LoginError, match=r"archive_a is not closed.*From 127\.0\.0\.1"):
            rotate(postgres, api)
        assert api.login().user == "archive_b", "the user of whom nobody is logged in"
    assert "an earlier rotation had begun" in rotate(postgres, api)


STEPS = 4
"""The writes of a rotation with two pods: the Secret, two evictions, the note that it is finished."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(STEPS))
def test_a_rotation_that_is_killed_cuts_nobody_off_and_is_finished_by_the_next(
    postgres: PostgreSQL, api: Api, step: int, after: bool
) -> None:
    rotate(postgres, api)
    api.start_pod()
    api.start_pod()
    api.writes.clear()
    api.dies_at, api.dies_after = step, after
    with pytest.raises(Killed):
        rotate(postgres, api, NOW + WEEK)
    assert admitted(postgres, api.login()), "a pod that starts now gets a login that works"
    for credentials in api.sessions.values():
        assert admitted(postgres, credentials), "a pod that goes on keeps a login that works"
    api.dies_at = -1
    rotate(postgres, api, NOW + WEEK)
    assert set(api.sessions.values()) == {api.login()}
    logins = postgres.sql(f"select rolname from pg_roles where rolname in {LOGINS} and rolcanlogin")
    assert logins == api.login().user, "exactly one user may log in"
    assert cluster_module.PENDING not in api.annotations()
    assert rotate(postgres, api, NOW + WEEK).endswith("is still valid")


@pytest.mark.parametrize("method", ["prepare", "open", "close"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_so_is_one_that_is_killed_between_its_statements(
    postgres: PostgreSQL, api: Api, method: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate(postgres, api)
    api.start_pod()
    original = getattr(Database, method)

    def dying(self: Database, *arguments: Any) -> None:
        if after:
            original(self, *arguments)
        raise Killed

    monkeypatch.setattr(Database, method, dying)
    with pytest.raises(Killed):
        rotate(postgres, api, NOW + WEEK)
    monkeypatch.undo()
    assert all(admitted(postgres, credentials) for credentials in (api.login(), *api.sessions.values()))
    rotate(postgres, api, NOW + WEEK)
    assert set(api.sessions.values()) == {api.login()}
    assert admitted(postgres, api.login())


def test_two_at_once_make_one_new_login(postgres: PostgreSQL, api: Api) -> None:
    rotate(postgres, api)
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda: said.append(rotate(postgres, api, NOW + WEEK))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(said) == [
        "archive_b is in use (the one before was old); 0 pod(s) replaced",
        *["archive_b is still valid"] * 2,
    ]


def test_who_waits_too_long_for_another_rotation_says_so(
    postgres: PostgreSQL, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LOCK_SECONDS", 1)
    with Database(postgres.server, MASTER).alone(), pytest.raises(ServerError, match="lock timeout"):
        rotate(postgres, api)


def test_a_secret_that_somebody_else_changes_meanwhile_is_left_alone(postgres: PostgreSQL, api: Api) -> None:
    rotate(postgres, api)
    cluster = Cluster(api, namespace="argo", secret="login", selector="app=argo")
    stored = cluster.read()
    api.secrets["login"]["metadata"]["resourceVersion"] = "another"
    with pytest.raises(RefusedError, match="has been modified"):
        cluster.write(Credentials("archive_b", "x"), NOW, stored)


def test_a_login_that_pods_still_use_is_not_closed(postgres: PostgreSQL, api: Api) -> None:
    """As after an upgrade of Argo's chart that gives its pods other labels: none is replaced."""
    rotate(postgres, api)
    first = api.login()
    with Connection(postgres.server, first):
        with pytest.raises(rotation.LoginError, match=r"archive_a is not closed, as it is still in use"):
            rotate(postgres, api, NOW + WEEK)
        assert admitted(postgres, first), "Argo goes on"
    rotate(postgres, api, NOW + WEEK)
    assert not admitted(postgres, first)


def test_a_disruption_budget_is_waited_for(postgres: PostgreSQL, api: Api) -> None:
    rotate(postgres, api)
    api.start_pod()
    api.budget_refusals = 3
    assert rotate(postgres, api, NOW + WEEK).endswith("1 pod(s) replaced")


def test_a_pod_that_does_not_come_back_keeps_the_others(
    postgres: PostgreSQL, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate(postgres, api)
    api.start_pod()
    api.start_pod()
    first = api.login()
    monkeypatch.setattr(Cluster.replace_pods, "__kwdefaults__", {"seconds": 0.2})
    monkeypatch.setattr(Api, "start_pod", lambda self: None)
    with pytest.raises(ClusterError, match="was evicted, and no pod is ready in its place"):
        rotate(postgres, api, NOW + WEEK)
    assert len(api.pods) == 1, "only the first was evicted"
    assert admitted(postgres, first), "the other one goes on"


def test_the_login_may_do_what_argo_needs_and_no_more(postgres: PostgreSQL, api: Api) -> None:
    with Connection(postgres.server, MASTER) as session:
        session.query(
            "create table argo_archived_workflows (name text); create index on argo_archived_workflows (name)"
        )
    postgres.sql("create database customers", "postgres")
    postgres.sql("revoke connect on database customers from public", "postgres")
    rotate(postgres, api)
    with Connection(postgres.server, api.login()) as session:
        session.query("insert into argo_archived_workflows values ('kept from before')")
        session.query("alter table argo_archived_workflows add column more int")  # Argo migrates its tables
        session.query("create table schema_history (version int); drop table schema_history")
        for statement in (
            "create role stranger",
            "create database mine",
            "create schema other",
            "alter role argo password 'x'",
            "alter role archive_b login password 'x'",
            "set role argo",
            "select * from pg_authid",
            "copy (select 1) to program 'id'",
        ):
            with pytest.raises(ServerError, match=r"permission denied|must be"):
                session.query(statement)
    with pytest.raises(ServerError, match="permission denied for database"):
        Connection(Server(postgresql.HOST, postgres.port, "customers"), api.login())
    powers = "bool_or(rolsuper or rolcreaterole or rolcreatedb or rolbypassrls)"
    assert postgres.sql(f"select {powers} from pg_roles where rolname in {(OWNER, *LOGINS)}") == "f"


def test_both_users_own_the_tables_together(postgres: PostgreSQL, api: Api) -> None:
    rotate(postgres, api)
    with Connection(postgres.server, api.login()) as session:
        session.query("create table made_by_a (x int)")
    rotate(postgres, api, NOW + WEEK)
    with Connection(postgres.server, api.login()) as session:
        session.query("alter table made_by_a add column y int")


def test_a_stranger_is_refused(postgres: PostgreSQL, api: Api) -> None:
    rotate(postgres, api)
    user = api.login().user
    for credentials in (Credentials(user, "guessed"), Credentials("nobody", "x"), Credentials(OWNER, "x")):
        with pytest.raises(ServerError, match="authentication failed"):
            Connection(postgres.server, credentials)
    postgres.sql("create role reader login password 'known'", "postgres")
    try:
        with pytest.raises(ServerError, match="permission denied for database"):
            Connection(postgres.server, Credentials("reader", "known"))
    finally:
        postgres.sql("drop role reader", "postgres")


def test_no_password_is_in_a_log_or_in_a_statement(postgres: PostgreSQL, api: Api) -> None:
    passwords = {MASTER.password}
    said = []
    for week in range(3):
        said.append(rotate(postgres, api, NOW + week * WEEK))
        passwords.add(api.login().password)
    log = postgres.log()
    assert "alter role archive_b login password" in log, "this server logs every statement"
    rotations = log.partition("create database argo")[2]
    for password in passwords:
        assert password not in rotations
        assert password not in " ".join(said)


def test_the_login_is_bound_to_the_servers_certificate(
    postgres: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    mechanisms = []
    original = scram.Login.first

    def first(self: scram.Login) -> bytes:
        mechanisms.append(self.mechanism)
        return original(self)

    monkeypatch.setattr(scram.Login, "first", first)
    Connection(postgres.server, MASTER).close()
    assert mechanisms == [scram.PLUS]
    monkeypatch.setattr(scram, "channel_binding", lambda certificate: b"x" * 32)
    with pytest.raises(ServerError, match="channel binding"):  # as if somebody in between had relayed it
        Connection(postgres.server, MASTER)
    monkeypatch.setattr(scram, "PLUS", "stripped")
    with pytest.raises(ServerError, match="channel binding"):  # or had hidden that the server can do it
        Connection(postgres.server, MASTER)


def test_values_of_every_kind_arrive(postgres: PostgreSQL) -> None:
    with Connection(postgres.server, MASTER) as session:
        assert session.query("select 1, null, '', 'ä''', repeat('x', 100000)") == [
            ("1", None, "", "ä'", "x" * 100_000)
        ]
        with pytest.raises(ServerError, match=r"division by zero \(22012\)"):
            session.query("select 1/0")
        assert session.query("select 2; select 3") == [("2",), ("3",)], "the session goes on after an error"


def test_a_server_that_is_away_or_not_postgresql_is_told(postgres: PostgreSQL) -> None:
    with pytest.raises(OSError, match="refused"):
        Connection(Server(postgresql.HOST, 1, "argo"), MASTER)
