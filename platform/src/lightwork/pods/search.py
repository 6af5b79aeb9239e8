"""Set up OpenSearch: send the requests of a file to a domain on AWS, signed with the pod's AWS identity.

Run as `python -m lightwork.pods.search --endpoint https://... --requests FILE`. The file is a JSON list of
`{"method", "path", "body"}`, each safe to repeat. A request with `"once": true` creates something; if that
exists already (409), it is left unchanged.
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

from lightwork.errors import InputError, one_line

TIMEOUT = 30
"""Timeout of a request, in seconds."""
CONFLICT = 409


def send(endpoint: str, requests: list[dict[str, Any]], region: str) -> None:
    """Send requests, one after the other.

    Args:
        endpoint: the domain, `https://host`.
        requests: the requests, in the form described above.
        region: the domain's AWS region, part of the signature.

    Raises:
        InputError: the domain refused a request or cannot be reached, or the pod has no AWS credentials.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    credentials = Session().get_credentials()
    if credentials is None:
        raise InputError("no AWS credentials: this pod's service account has no role")
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
        request = urllib.request.Request(  # noqa: S310 - main accepts only https
            signed.url, data=signed.data, headers=dict(signed.headers), method=signed.method
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - as above
                print(f"{where}: {response.status}")
        except urllib.error.HTTPError as error:
            if error.code == CONFLICT and item.get("once"):
                print(f"{where}: exists already")
                continue
            text = error.read(500).decode(errors="replace")
            raise InputError(one_line(f"{where}: {error.code}: {text}")) from None
        except OSError as error:
            raise InputError(one_line(f"{where}: {error}")) from None


@click.command()
@click.option("--endpoint", required=True, help="https://host")
@click.option("--requests", required=True, type=click.Path(path_type=Path), help="A JSON file.")
def main(endpoint: str, requests: Path) -> None:
    """Send requests to an OpenSearch domain."""
    if not endpoint.startswith("https://"):
        raise click.UsageError(f"--endpoint: expected https://host, got {endpoint}")
    try:
        send(endpoint.rstrip("/"), json.loads(requests.read_text()), os.environ["AWS_REGION"])
    except InputError as error:
        sys.exit(f"search: {error}")


if __name__ == "__main__":
    main()
