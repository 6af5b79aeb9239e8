"""Which image an environment runs: the digest that CI hands over in an environment variable."""

from __future__ import annotations

import os
import re

from lightwork.errors import InputError

DIGEST = "LIGHTWORK_IMAGE_DIGEST"
"""The environment variable that says which image the environment runs: CI built it and pushed it."""


def image(repository: str) -> str:
    """The platform's image, by digest: what a tag means may change.

    Args:
        repository: where it is pulled from.

    Raises:
        InputError: the variable is not there, or is no digest.
    """
    digest = os.environ.get(DIGEST)
    if not digest:
        raise InputError(
            f"{DIGEST}: is not set; it says which image to run, such as sha256:0123...: CI sets it, and"
            f" `aws ecr describe-images` shows those in {repository}"
        )
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise InputError(f"{DIGEST}: found {digest!r}; sha256: and 64 hexadecimal digits belong here")
    return f"{repository}@{digest}"
