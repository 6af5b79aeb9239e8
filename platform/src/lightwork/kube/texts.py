"""Texts of users on their way through Argo and kubelet, both of which fill in parts of texts.

Argo fills in what it finds in double braces, anew in each template that a text passes through. Kubelet fills
in `$(NAME)` in a container's command, arguments and variables, and makes `$` of `$$`. So a text has neither
on its way:

- As a Workflow's parameter, a text with double braces, or with a character that YAML does not allow, is JSON
  after the mark AS_JSON. Others are as they are given, so that Argo's pages and commands show and take them.
- The driver gets its parameters as JSON, in which both can be escaped.
- What a run of a schedule gets from its firing follows the mark OF_FIRING; see `kube.firing`.
- An argument of a plain container is escaped so that kubelet makes the original of it.

`manifests.steps` does the same by Argo's expressions, for values that are known only during a run.
"""

from __future__ import annotations

import json

from lightwork.functions import given
from lightwork.kube import contract

MARK = "lightwork:"
"""What no plain text in a Workflow's parameters begins with."""
AS_JSON = f"{MARK}json:"
"""The mark of a text that follows as a JSON string."""
IN_FILE = f"{MARK}file:"
"""The mark of a text that is too long for Argo: its name follows, and a note for people (`kube.values`)."""
OF_FIRING = f"{MARK}firing:"
"""The mark of the start or the end of a scheduled run's interval (`kube.firing`)."""

BRACES = "{{"
JSON_BRACES = "{\\u007b"
"""The same inside a JSON string."""
ARGUMENT_BRACES = f"{{$({contract.ENV_BRACE})"
"""The same in a container's argument, for kubelet to join."""


def as_parameter(text: str) -> str:
    r"""Return a text as the value of a Workflow's parameter.

    >>> print(as_parameter("mph"), as_parameter("{{workflow.name}}"))
    mph lightwork:json:"{\u007bworkflow.name}}"
    """
    if BRACES not in text and not text.startswith(MARK) and not given.CONTROL.search(text):
        return text
    return AS_JSON + as_json(text).replace(BRACES, JSON_BRACES)


def of_parameter(value: str) -> str:
    r"""Return the text that `as_parameter` made a value of; of a text in a file, the note that stands for it.

    >>> print(of_parameter(as_parameter("{{workflow.name}}")), of_parameter("lightwork:file:a 9 bytes"))
    {{workflow.name}} a 9 bytes
    """
    if value.startswith(AS_JSON):
        try:
            return str(json.loads(value.removeprefix(AS_JSON)))
        except ValueError:
            return value  # nobody made it here
    return value.removeprefix(IN_FILE)


def as_json(text: str) -> str:
    """Return a text as JSON that is YAML too, as which the API server reads objects that are applied."""
    return given.CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def as_argument(text: str) -> str:
    """Return a text as an argument, or the command, of a container that has the variable ENV_BRACE."""
    return text.replace("$", "$$").replace(BRACES, ARGUMENT_BRACES)
