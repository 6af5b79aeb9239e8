"""Another user of the machine, who tries every way into the ports that are given as arguments.

Run as root, it becomes the user `nobody` first. It prints a JSON object: what it heard, by attempt.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - it is loaded late otherwise, when its file cannot be read any more
import json
import os
import socket
import ssl
import sys

NOBODY = 65534
SECONDS = 5.0
ALERT = b"\x15\x03"
"""The start of what TLS answers to those it refuses."""
WORDS = {
    "speaks Dask": b"\x01" + bytes(63),
    "asks for /status": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "asks for /metrics": b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
}


def main(certificate: str, *ports: str) -> None:
    ways = {"plainly": None, "by TLS": _context(), "by TLS with another certificate": _context(certificate)}
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    heard = {}
    for port in map(int, ports):
        for way, context in ways.items():
            for deed, words in WORDS.items():
                answer = _hear(port, context, words)
                if answer and not answer.startswith(ALERT):
                    heard[f"{port}: {deed} {way}"] = answer.decode("latin-1")
    print(json.dumps(heard))


def _context(certificate: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate)
    return context


def _hear(port: int, context: ssl.SSLContext | None, words: bytes) -> bytes:
    """Return the first bytes that the other side sends; none if it says nothing or ends the connection."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), SECONDS) as plain:
        connection = plain if context is None else context.wrap_socket(plain)

        connection.sendall(words)
        return connection.recv(4096)
    return b""


if __name__ == "__main__":
    main(*sys.argv[1:])
