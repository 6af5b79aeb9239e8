"""Another user of the machine, who asks each of the ports that are given as arguments to run a function.

Run as root, it becomes the user `nobody` first. It prints a JSON list of what came back.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import distributed
from distributed.protocol import pickle
from distributed.security import Security

NOBODY = 65534
SECONDS = 3


async def ask(address: str, arguments: dict[str, object]) -> str:
    try:
        comm = await distributed.comm.connect(address, timeout=SECONDS, **arguments)
        await comm.write({"op": "run", "function": pickle.dumps(os.getuid), "reply": True})
        answer = str(await asyncio.wait_for(comm.read(), SECONDS))
        comm.abort()
    except (OSError, TimeoutError, RuntimeError, ValueError, distributed.comm.CommClosedError):
        return ""
    return f"{address}: {answer}"


async def main(certificate: str, *ports: str) -> None:
    pairs = [(role, part) for role in ("client", "worker", "scheduler") for part in ("cert", "key")]
    paths = {f"tls_{role}_{part}": certificate for role, part in pairs}
    own = Security(require_encryption=True, tls_ca_file=certificate, **paths)
    ways = {"tcp": Security().get_connection_args("client"), "tls": own.get_connection_args("client")}
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    asked = [ask(f"{scheme}://127.0.0.1:{port}", ways[scheme]) for port in ports for scheme in ways]
    print(json.dumps([answer for answer in await asyncio.gather(*asked) if answer]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
