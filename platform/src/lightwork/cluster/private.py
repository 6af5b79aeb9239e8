"""What keeps other users of this machine out of a cluster that runs on it: credentials, and a folder.

Each user of a machine can connect to a port on 127.0.0.1, and can create folders below `/tmp`.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_EARLIER = dt.timedelta(days=1)
"""How long before now a certificate is valid, as clocks are set back."""
_LIFETIME = dt.timedelta(days=3650)
"""How long a certificate is valid: it ends with the process that keeps it in memory."""
_MODE = 0o700


def credentials() -> Any:
    """Create the credentials of one cluster: a `distributed.Security` that requires mutual TLS.

    Its certificate is its own authority. Certificate and key are in memory only, in the process that starts
    the cluster and in the workers, which get them through a pipe.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    from distributed.security import Security, ssl

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lightwork local")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LIFETIME)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    public = certificate.public_bytes(pem).decode()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    pairs = {
        f"tls_{role}_{part}": text
        for role in ("client", "scheduler", "worker")
        for part, text in (("cert", public), ("key", secret))
    }
    # All fields are given: the others would come from the user's settings of Dask, for other clusters.
    return Security(
        require_encryption=True,
        tls_ca_file=public,
        tls_ciphers=None,
        tls_min_version=ssl.TLSVersion.TLSv1_3,
        tls_max_version=None,
        **pairs,
    )


def folder(parent: str | os.PathLike[str] | None = None) -> tuple[Path, Callable[[], object]]:
    """Return a folder for temporary files that only this user can enter, and a function that gives it up.

    It is the same one for all processes of a user, so that each can clear up after one that was killed. If
    somebody else has made a folder of that name, it is a new one, which is deleted when it is given up.

    Args:
        parent: the folder that it is in; by default that of temporary files.

    Raises:
        OSError: it cannot be created.
    """
    parent = os.fspath(parent or tempfile.gettempdir())
    if not hasattr(os, "getuid"):
        return Path(parent), lambda: None  # Windows keeps temporary files in a folder of the user
    common = Path(parent) / f"lightwork-{os.getuid()}"
    common.parent.mkdir(parents=True, exist_ok=True)
    try:
        common.mkdir(_MODE)
    except FileExistsError:
        if not _is_own(common):
            new = Path(tempfile.mkdtemp(prefix=f"{common.name}-", dir=parent))
            return new, lambda: shutil.rmtree(new, ignore_errors=True)
    return common, lambda: None


def _is_own(path: Path) -> bool:
    """Return whether this is a folder, and not a link to one, that belongs to this user alone."""
    status = path.lstat()
    owned = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return owned and not stat.S_IMODE(status.st_mode) & ~_MODE
