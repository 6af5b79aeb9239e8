"""Set up OpenSearch: send requests to a domain on AWS, signed with the pod's AWS identity.

Run as `python -m lightwork.pods.search --endpoint https://... --requests FILE`. The file is a JSON list of
`{"method", "path", "body", "how"}`, each safe to repeat, and `how` one of these:

    send     as it is; also if there is none
    create   unless a GET of its path finds it
    replace  what a GET of its path finds, by its version, unless it says the same already
    remove   also if it is gone already
    renew    unless the newest index of the stream in its path has the fields of its body already

A conflict with somebody else's change (409) is tried again.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightwork.errors import InputError, LightworkError, one_line
from lightwork.search.domain import Domain, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS = 12
"""The times that a request is sent while others change the same."""
PAUSE = 1.0
"""Seconds between two attempts, on average."""
NOT_FOUND, CONFLICT, BAD = 404, 409, 400

Request = dict[str, Any]


def send(endpoint: str, requests: list[Request], region: str) -> None:
    """Send requests, one after the other.

    Args:
        endpoint: the domain, `https://host`.
        requests: the requests, in the form described above.
        region: the domain's AWS region, part of the signature.

    Raises:
        InputError: the domain refused a request, or the pod has no AWS credentials.
        UnreachableError: the domain cannot be reached.
    """
    from botocore.session import Session

    credentials = Session().get_credentials()
    if credentials is None:
        raise InputError("no AWS credentials: this pod's service account has no role")
    domain = Domain(endpoint, region, credentials)
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


def _renew(domain: Domain, item: Request) -> str:
    """Start a new index of a stream, as an index keeps the fields that it began with."""
    stream = item["path"].partition("/")[0]
    mappings = _accepted(domain, item, domain.ask("GET", f"{stream}/_mapping")).body
    newest = mappings[max(mappings)]["mappings"] if mappings else {}
    if _says(newest.get("properties"), item["body"]["properties"]):
        return "has these fields already"
    return str(_accepted(domain, item, _settled(lambda: domain.ask(item["method"], item["path"]))).status)


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
    "renew": _renew,
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
    except LightworkError as error:
        sys.exit(f"search: {error}")


if __name__ == "__main__":
    main()
