"""The image that an environment runs: CI passes its digest in an environment variable."""

from __future__ import annotations

import os
import re

from lightwork.errors import InputError

DIGEST = "LIGHTWORK_IMAGE_DIGEST"
"""The environment variable that holds the digest of the image that CI built and pushed."""


def image(repository: str) -> str:
    """Return the platform's image by digest, since a tag may move.

    Args:
        repository: the repository that it is pulled from.

    Raises:
        InputError: the variable is not set, or does not hold a digest.
    """
    digest = os.environ.get(DIGEST)
    if not digest:
        raise InputError(
            f"{DIGEST}: is not set; set it to the digest of the image to run, such as sha256:0123...: CI sets"
            f" it, and `aws ecr describe-images` lists the digests in {repository}"
        )
    return f"{repository}@{checked(digest)}"


def is_digest(text: str) -> bool:
    """Tell whether a text is an image's digest."""
    return re.fullmatch(r"sha256:[0-9a-f]{64}", text) is not None


def checked(digest: str, *, source: str = DIGEST) -> str:
    """Return a digest unchanged, or refuse it.

    Args:
        digest: the text to check.
        source: where it was read from, for the message.

    Raises:
        InputError: it is not a digest.
    """
    if not is_digest(digest):
        raise InputError(f"{source}: found {digest!r}; expected sha256: and 64 hexadecimal digits")
    return digest
