"""What the API refuses, in one line: which right is missing, to whom, and who grants it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightwork.kube.api import RefusedError

__all__ = ["in_words"]

_FORBIDDEN = re.compile(
    r'[Uu]ser "(?P<user>[^"]*)" cannot (?P<verb>\S+) (?:resource|path) "(?P<resource>[^"]*)"'
    r'(?: in API group "(?P<group>[^"]*)")?(?: in the namespace "(?P<namespace>[^"]*)")?'
)


def in_words(error: RefusedError, action: str, namespace: str) -> str:
    """Return why a request was refused, with the right that is missing if it is one.

    Args:
        error: the API's refusal.
        action: what was tried, such as `submit windy-city`.
        namespace: the namespace in which it was tried.
    """
    if error.status == 401:
        return (
            f"cannot {action}: the cluster does not accept the credentials of this context ({error});"
            " log in again"
        )
    match = _FORBIDDEN.search(str(error))
    if match is None:
        failed = "not allowed to" if error.status == 403 else "cannot"
        return f"{failed} {action} in {namespace}: {error}"
    kind = f"{match['resource']}.{match['group']}" if match["group"] else match["resource"]
    where = f"in namespace {match['namespace']}" if match["namespace"] else "in the whole cluster"
    return (
        f"not allowed to {action}: {match['user']} lacks the right to {match['verb']} {kind} {where};"
        " an administrator of the cluster grants it"
    )
