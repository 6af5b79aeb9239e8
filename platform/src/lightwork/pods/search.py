"""Sets OpenSearch up: sends the requests of a file to a domain on AWS, signed by the pod's own identity.

Run as `python -m lightwork.pods.search --endpoint https://... --requests FILE`. The file is a JSON list of
`{"method", "path", "body"}`, each of which may be sent again; one with `"once": true` may find its thing
there already (409), and leaves it.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click

from lightwork.errors import InputError

TIMEOUT = 30
"""Seconds for one request."""
CONFLICT = 409


def send(endpoint: str, requests: list[dict[str, Any]], region: str) -> None:
    """Send requests, one after the other.

    Args:
        endpoint: the domain, `https://host`.
        requests: as the module says.
        region: the domain's region, which the signature names.

    Raises:
        InputError: the domain refused one, or did not answer.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    credentials = Session().get_credentials()
    if credentials is None:
        raise InputError("no AWS credentials: this pod's account has no role")
    for item in requests:
        where = f"{item['method']} {endpoint}/{item['path']}"
        headers = {"Content-Type": "application/json"}
        signed = AWSRequest(
            method=item["method"],
            url=f"{endpoint}/{item['path']}",
            data=json.dumps(item["body"]).encode(),
            headers=headers,
        )
        SigV4Auth(credentials.get_frozen_credentials(), "es", region).add_auth(signed)
        made = urllib.request.Request(  # noqa: S310  (the endpoint is checked to be https)
            signed.url, data=signed.data, headers=dict(signed.headers), method=signed.method
        )
        try:
            with urllib.request.urlopen(made, timeout=TIMEOUT) as answer:  # noqa: S310  (as above)
                print(f"{where}: {answer.status}")
        except urllib.error.HTTPError as error:
            if error.code == CONFLICT and item.get("once"):
                print(f"{where}: it is there already")
                continue
            said = error.read(500).decode(errors="replace")
            raise InputError(f"{where}: {error.code}: {said}") from None
        except OSError as error:
            raise InputError(f"{where}: {error}") from None


@click.command()
@click.option("--endpoint", required=True, help="https://host")
@click.option("--requests", required=True, type=click.Path(path_type=Path), help="A JSON file.")
def main(endpoint: str, requests: Path) -> None:
    """Send requests to an OpenSearch domain."""
    if not endpoint.startswith("https://"):
        raise click.UsageError(f"--endpoint: found {endpoint}; https:// belongs here")
    try:
        send(endpoint.rstrip("/"), json.loads(requests.read_text()), os.environ["AWS_REGION"])
    except InputError as error:
        sys.exit(f"search: {error}")


if __name__ == "__main__":
    main()
