"""PostgreSQL for Argo's archive, and an S3 server with an account and a bucket per tenant."""

from __future__ import annotations

import json
import pwd
import secrets
import shutil
from pathlib import Path
from typing import Any

import trustme

from infra.policies import tenant as tenant_policies
from tests.cluster import processes
from tests.cluster.binaries import program
from tests.cluster.progress import HarnessError, run, wait_for
from tests.cluster.settings import POSTGRES_PORT, S3_PORT, host, run_folder

REGION = "us-east-1"
ARCHIVE_MASTER = "argo"
"""The owner of the archive's database: like RDS's master, not a superuser, but it may make users."""
_USER = "postgres"


def s3_url() -> str:
    """Return the S3 server's URL, for pods and tests."""
    return f"http://{host()}:{S3_PORT}"


def start_all() -> None:
    """Start both servers with new passwords."""
    note = run_folder() / "passwords.json"
    note.touch(mode=0o600)
    note.write_text(json.dumps({name: secrets.token_hex(16) for name in ("archive", "s3")}))
    start_postgres()
    start_s3()


def password(name: str) -> str:
    """Return the password of the archive's master (`archive`) or of the S3 server's root account (`s3`)."""
    text: str = json.loads((run_folder() / "passwords.json").read_text())[name]
    return text


def start_postgres() -> None:
    """Start PostgreSQL as its own user, and create the archive's database."""
    user = pwd.getpwnam(_USER)
    data = run_folder() / "postgres"
    fresh = not data.exists()
    if fresh:
        data.mkdir()
        data.chmod(0o700)
        run(["chown", f"{user.pw_uid}:{user.pw_gid}", data])
        _as_postgres("initdb", "--pgdata", str(data), "--auth", "peer", "--no-sync", "--encoding", "UTF8")
    processes.start(
        "postgres",
        [
            _postgres("postgres"),
            *("-D", data, "-h", host(), "-p", str(POSTGRES_PORT), "-k", data, "-c", "fsync=off"),
        ],
        user=user.pw_uid,
        cwd=data,
    )

    def ready() -> bool:
        processes.check("postgres")
        return bool(run([_postgres("pg_isready"), "-h", str(data), "-p", str(POSTGRES_PORT)]))

    wait_for("PostgreSQL", ready, seconds=60)
    if fresh:
        sql(f"create role {ARCHIVE_MASTER} login password '{password('archive')}'", database="postgres")
        sql(f"create database argo owner {ARCHIVE_MASTER}", database="postgres")
    prepare_archive()


def prepare_archive() -> None:
    """Let the archive's users log in, by TLS only and with their passwords, and let its master make them."""
    data = run_folder() / "postgres"
    certificate = trustme.CA().issue_cert(host())
    for name, text in (
        ("server.crt", certificate.cert_chain_pems[0].bytes()),
        ("server.key", certificate.private_key_pem.bytes()),
        ("pg_hba.conf", f"local all {_USER} peer\nhostssl all all all scram-sha-256\n".encode()),
    ):
        (data / name).write_bytes(text)
        (data / name).chmod(0o600)
        shutil.chown(data / name, _USER, _USER)
    sql(f"alter role {ARCHIVE_MASTER} createrole", database="postgres")
    sql("alter system set ssl to on", database="postgres")
    sql("select pg_reload_conf()", database="postgres")


def sql(statement: str, *, database: str = "argo") -> str:
    """Run a statement and return its result, one line per row."""
    data = str(run_folder() / "postgres")
    return _as_postgres(
        *("psql", "-h", data, "-p", str(POSTGRES_PORT), "-d", database, "-qAtX"),
        *("-v", "ON_ERROR_STOP=1", "-c", statement),
    ).strip()


def _postgres(name: str) -> str:
    programs = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not programs:
        raise HarnessError(f"PostgreSQL's {name} is not in /usr/lib/postgresql")
    return str(programs[-1])


def _as_postgres(name: str, *arguments: str) -> str:
    return run(
        ["setpriv", "--reuid", _USER, "--regid", _USER, "--clear-groups", _postgres(name), *arguments],
        cwd=Path("/"),
    )


def start_s3() -> None:
    """Start the S3 server."""
    top = run_folder() / "s3"
    for name in ("data", "accounts"):
        (top / name).mkdir(parents=True, exist_ok=True)
    processes.start(
        "versitygw",
        [
            program("versitygw"),
            *("--port", f"{host()}:{S3_PORT}", "--region", REGION, "--iam-dir", top / "accounts", "--quiet"),
            *("posix", top / "data"),
        ],
        env={"ROOT_ACCESS_KEY": "root", "ROOT_SECRET_KEY": password("s3")},
    )

    from botocore.exceptions import BotoCoreError

    def ready() -> bool:
        processes.check("versitygw")
        try:
            client("root").list_buckets()
        except BotoCoreError as error:  # not listening yet
            raise HarnessError(str(error)) from error
        return True

    wait_for("the S3 server", ready, seconds=60)


def client(account: str) -> Any:
    """Return a boto3 client with the credentials of an account: `root`, a tenant's name, `steps_of` one."""
    import boto3
    from botocore.config import Config

    key = credentials(account)
    return boto3.client(
        "s3",
        endpoint_url=s3_url(),
        region_name=REGION,
        aws_access_key_id=key["access"],
        aws_secret_access_key=key["secret"],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
    )


def credentials(account: str) -> dict[str, str]:
    """Return the access key and the secret key of an account."""
    if account == "root":
        return {"access": "root", "secret": password("s3")}
    key: dict[str, str] = json.loads((run_folder() / "s3" / f"{account}.json").read_text())
    return key


def add_tenant(name: str, bucket: str) -> None:
    """Create a tenant's accounts and bucket, unless they are there, and set who may use it for what."""
    accounts = (name, steps_of(name), controller_of(name), people_of(name))
    is_new = not _account_file(name).exists()
    owner, steps, controller, people = (
        credentials(account)["access"] if _account_file(account).exists() else _add_account(account)
        for account in accounts
    )
    if is_new:
        client("root").create_bucket(Bucket=bucket)
        _admin("change-bucket-owner", "--bucket", bucket, "--owner", owner)
    policy = bucket_policy(name, bucket, owner=owner, steps=steps, controller=controller, people=people)
    client("root").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def steps_of(tenant: str) -> str:
    """Return the name of the account of a tenant's steps."""
    return f"{tenant}-steps"


def controller_of(tenant: str) -> str:
    """Return the name of the account of a tenant's controller."""
    return f"{tenant}-controller"


def people_of(tenant: str) -> str:
    """Return the name of the account of a tenant's people."""
    return f"{tenant}-people"


def bucket_policy(
    tenant: str, bucket: str, *, owner: str, steps: str, controller: str, people: str
) -> dict[str, Any]:
    """Return what AWS has as the policies of four roles, as the policy of a bucket.

    Args:
        tenant: the tenant.
        bucket: its lake's bucket.
        owner: the access key of the account of its drivers and workers.
        steps: the access key of the account of its steps.
        controller: the access key of the account of its controller.
        people: the access key of the account of its people.
    """
    arn = f"arn:aws:s3:::{bucket}"
    granted = {
        owner: tenant_policies.lake_read_write(bucket_arn=arn, key_arn=""),
        steps: tenant_policies.lake_of_steps(bucket_arn=arn, key_arn="", tenant=tenant),
        controller: tenant_policies.lake_of_controller(bucket_arn=arn, key_arn="", tenant=tenant),
        people: tenant_policies.lake_of_people(bucket_arn=arn, key_arn="", tenant=tenant, region=REGION),
    }
    statements = [
        {**statement, "Sid": f"{statement['Sid']}{number}", "Principal": {"AWS": [account]}}
        for number, (account, document) in enumerate(granted.items())
        for statement in document["Statement"]
        if statement["Action"][0].startswith("s3:")
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _add_account(name: str) -> str:
    """Create an account of the S3 server, unless it is there; return its access key."""
    file = _account_file(name)
    if file.exists():
        return credentials(name)["access"]
    key = {"access": f"AKIA{secrets.token_hex(8).upper()}", "secret": secrets.token_hex(20)}
    _admin("create-user", "--access", key["access"], "--secret", key["secret"], "--role", "user")
    file.touch(mode=0o600)
    file.write_text(json.dumps(key))
    return key["access"]


def _account_file(name: str) -> Path:
    return run_folder() / "s3" / f"{name}.json"


def _admin(*arguments: str) -> str:
    return run(
        [program("versitygw"), "admin", "--endpoint-url", s3_url(), *arguments],
        env={"ADMIN_ACCESS_KEY": "root", "ADMIN_SECRET_KEY": password("s3"), "ADMIN_REGION": REGION},
    )
