"""A Helm chart of a few files, packed as `helm package` does, and a repository that serves it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from infra.config.versions import Chart


def packed(name: str, version: str, templates: Mapping[str, str], values: str = "{}\n") -> bytes:
    """Return the archive of a chart with these templates."""
    meta = yaml.safe_dump({"apiVersion": "v2", "name": name, "version": version})
    files = {"Chart.yaml": meta, "values.yaml": values}
    files |= {f"templates/{file}": text for file, text in templates.items()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file, text in files.items():
            entry = tarfile.TarInfo(f"{name}/{file}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def write_index(folder: Path, chart: Chart, archive: bytes, *, digest: str | None = None) -> None:
    """Write a chart's archive to a folder, and a repository's index of it."""
    (folder / chart.file).write_bytes(archive)
    digest = digest or hashlib.sha256(archive).hexdigest()
    entry = {"version": chart.version, "digest": digest, "urls": [f"archives/../{chart.file}"]}
    others = [{"version": "0.0.1", "urls": ["other.tgz"]}]
    (folder / "index.yaml").write_text(yaml.safe_dump({"entries": {chart.name: [*others, entry]}}))


class _Handler(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, *_: object) -> None:
        self.asked.append(self.path)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on loopback; yields its URL, and the paths that were asked for."""
    asked: list[str] = []
    handler = type("Handler", (_Handler,), {"asked": asked})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
