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
    return f"{repository}@{checked(digest)}"


def is_digest(text: str) -> bool:
    """Whether a text is an image's digest."""
    return re.fullmatch(r"sha256:[0-9a-f]{64}", text) is not None


def checked(digest: str, *, source: str = DIGEST) -> str:
    """A digest, once it is seen to be one.

    Args:
        digest: what was given.
        source: where it was given, for the message.

    Raises:
        InputError: it is not a digest.
    """
    if not is_digest(digest):
        raise InputError(f"{source}: found {digest!r}; sha256: and 64 hexadecimal digits belong there")
    return digest
