"""Set up OpenSearch: send requests to a domain on AWS, signed with the pod's AWS identity.

Run as `python -m lightwork.pods.search --endpoint https://... --requests FILE`. The file is a JSON list of
`{"method", "path", "body", "how"}`, each safe to repeat, and `how` one of these:

    send     as it is; also if there is none
    create   unless a GET of its path finds it
    replace  what a GET of its path finds, by its version, unless it says the same already
    remove   also if it is gone already

A conflict with somebody else's change (409) is tried again.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightwork.errors import InputError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 30
"""Timeout of a request, in seconds."""
ATTEMPTS = 12
"""The times that a request is sent while others change the same."""
PAUSE = 1.0
"""Seconds between two attempts, on average."""
NOT_FOUND, CONFLICT, BAD = 404, 409, 400

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its status and its text."""

    status: int
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """The response as JSON; empty if it is something else."""
        try:
            body = json.loads(self.text)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


class Domain:
    """A domain, and the pod's AWS identity.

    Args:
        endpoint: the domain, `https://host`.
        region: the domain's AWS region, part of the signature.

    Raises:
        InputError: the pod has no AWS credentials.
    """

    def __init__(self, endpoint: str, region: str) -> None:
        from botocore.session import Session

        self._endpoint, self._region = endpoint, region
        credentials = Session().get_credentials()
        if credentials is None:
            raise InputError("no AWS credentials: this pod's service account has no role")
        self._credentials = credentials

    def where(self, method: str, path: str) -> str:
        """Return a request's first line, for messages."""
        return f"{method} {self._endpoint}/{path}"

    def ask(self, method: str, path: str, body: Request | None = None) -> Reply:
        """Send a request and return the response, whatever its status.

        Raises:
            InputError: the domain cannot be reached.
        """
        request = self._signed(method, path, b"" if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - only https
                return Reply(response.status, response.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read().decode(errors="replace"))
        except OSError as error:
            raise InputError(one_line(f"{self.where(method, path)}: {error}")) from None

    def _signed(self, method: str, path: str, data: bytes) -> urllib.request.Request:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        signed = AWSRequest(
            method=method,
            url=f"{self._endpoint}/{path}",
            data=data,
            headers={"Content-Type": "application/json"},
        )
        SigV4Auth(self._credentials.get_frozen_credentials(), "es", self._region).add_auth(signed)
        return urllib.request.Request(  # noqa: S310 - main accepts only https
            signed.url, data=signed.data or None, headers=dict(signed.headers), method=signed.method
        )


def send(endpoint: str, requests: list[Request], region: str) -> None:
    """Send requests, one after the other.

    Args:
        endpoint: the domain, `https://host`.
        requests: the requests, in the form described above.
        region: the domain's AWS region, part of the signature.

    Raises:
        InputError: the domain refused a request or cannot be reached, or the pod has no AWS credentials.
    """
    domain = Domain(endpoint, region)
    for item in requests:
        where = domain.where(item["method"], item["path"])
        print(f"{where}: {_WAYS[item.get('how', 'send')](domain, item)}", flush=True)


def _send(domain: Domain, item: Request) -> str:
    return str(_accepted(domain, item, _settled(lambda: _asked(domain, item))).status)


def _asked(domain: Domain, item: Request) -> Reply:
    return domain.ask(item["method"], item["path"], item["body"])


def _settled(attempt: Callable[[], Reply]) -> Reply:
    """Repeat a request until it meets nobody else's change; return the last response."""
    for _ in range(ATTEMPTS - 1):
        if (reply := attempt()).status != CONFLICT:
            return reply
        time.sleep(random.uniform(0, 2 * PAUSE))  # noqa: S311 - no secret
    return attempt()


def _accepted(domain: Domain, item: Request, reply: Reply) -> Reply:
    if reply.status < BAD:
        return reply
    raise _error(domain, item, f"{reply.status}: {reply.text[:500]}")


def _error(domain: Domain, item: Request, text: str) -> InputError:
    return InputError(one_line(f"{domain.where(item['method'], item['path'])}: {text}"))


def _create(domain: Domain, item: Request) -> str:
    def exists() -> bool:
        return domain.ask("GET", item["path"]).status < BAD

    if exists():
        return "exists already"
    reply = _asked(domain, item)
    # Somebody else may have been quicker.
    if reply.status >= BAD and exists():
        return "exists already"
    return str(_accepted(domain, item, reply).status)


def _replace(domain: Domain, item: Request) -> str:
    """Put a policy in place of the one that is there, whose version must be named."""

    def attempt() -> Reply:
        there = domain.ask("GET", item["path"])
        if there.status == NOT_FOUND:
            return _asked(domain, item)
        _accepted(domain, item, there)
        if _says(there.body, item["body"]):
            return Reply(0, "")
        version = urllib.parse.urlencode(
            {"if_seq_no": there.body["_seq_no"], "if_primary_term": there.body["_primary_term"]}
        )
        return domain.ask(item["method"], f"{item['path']}?{version}", item["body"])

    reply = _settled(attempt)
    return str(_accepted(domain, item, reply).status or "says so already")


def _says(there: Any, wanted: Any) -> bool:
    """Tell whether what is there says all that is wanted. OpenSearch adds fields of its own."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_says(there.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(there, list) and len(there) == len(wanted)
        return same and all(map(_says, there, wanted))
    return bool(there == wanted)


def _remove(domain: Domain, item: Request) -> str:
    reply = _settled(lambda: _asked(domain, item))
    if reply.status == NOT_FOUND:
        return "is gone already"
    return str(_accepted(domain, item, reply).status)


_WAYS = {
    "send": _send,
    "create": _create,
    "replace": _replace,
    "remove": _remove,
}


@click.command()
@click.option("--endpoint", required=True, help="https://host")
@click.option("--requests", type=click.Path(path_type=Path), help="A JSON file.")
@click.option("--text", help="The JSON itself, in place of a file.")
def main(endpoint: str, requests: Path | None, text: str | None) -> None:
    """Send requests to an OpenSearch domain."""
    if not endpoint.startswith("https://"):
        raise click.UsageError(f"--endpoint: expected https://host, got {endpoint}")
    if (requests is None) == (text is None):
        raise click.UsageError("give either --requests or --text")
    listed = json.loads(requests.read_text() if requests else text or "")
    try:
        send(endpoint.rstrip("/"), listed, os.environ["AWS_REGION"])
    except InputError as error:
        sys.exit(f"search: {error}")


if __name__ == "__main__":
    main()
