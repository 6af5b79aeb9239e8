"""Make or rotate Argo's login to the archive: `python -m lightwork.pods.archive --help`."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path

from lightwork.errors import one_line
from lightwork.kube.api import InCluster, RefusedError
from lightwork.pods.archive import master, rotation
from lightwork.pods.archive.cluster import Cluster, ClusterError
from lightwork.pods.archive.database import Database
from lightwork.pods.archive.postgres import Credentials, Server, ServerError
from lightwork.pods.archive.scram import ScramError

ERRORS = (
    RefusedError,
    ClusterError,
    ServerError,
    ScramError,
    rotation.LoginError,
    OSError,
    ValueError,
)


def main(words: list[str] | None = None) -> None:
    """Rotate the login if it is due; exit with 1 on failure, so that the Job retries."""
    parser = _options()
    options = parser.parse_args(words)
    if options.master_arn and not options.region:
        parser.error("--region is missing: --master-arn needs it")
    try:
        print(f"archive: {options.secret}: {_rotated(options)}", file=sys.stderr)
    except ERRORS as error:
        sys.exit(f"archive: {options.secret}: {one_line(error)}")


def _rotated(options: argparse.Namespace) -> str:
    api = InCluster()
    cluster = Cluster(api, namespace=api.namespace, secret=options.secret, selector=options.pods)
    database = Database(Server(options.host, options.port, options.database), _master(options))
    lifetime = dt.timedelta(days=options.days)
    return rotation.rotate(database, cluster, lifetime=lifetime, now=dt.datetime.now(dt.UTC))


def _master(options: argparse.Namespace) -> Credentials:
    if options.master_folder:
        return master.of_files(options.master_folder)
    return master.of_secrets_manager(options.master_arn, options.region)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lightwork.pods.archive", description=__doc__)
    parser.add_argument("--host", required=True, help="the host of PostgreSQL")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--database", required=True, help="the database of the archive")
    parser.add_argument("--secret", required=True, help="the Secret that gets the login")
    parser.add_argument("--pods", required=True, help="the label selector of the pods that read it")
    parser.add_argument("--days", type=float, default=7, help="the age at which it is replaced")
    parser.add_argument("--region", help="the region of --master-arn")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--master-arn", help="the secret of AWS with the master's login")
    source.add_argument("--master-folder", type=Path, help="a folder with its username and password")
    return parser


if __name__ == "__main__":
    main()
