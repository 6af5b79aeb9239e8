"""A lake in S3, or in a server that speaks its protocol."""

from __future__ import annotations
