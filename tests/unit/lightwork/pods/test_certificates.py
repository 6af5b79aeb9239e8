"""A tenant's certificates: who is let in, when they are renewed, and what is asked of the API."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import pytest

from lightwork.kube.api import InCluster
from lightwork.pods import certificates

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def acme() -> dict[str, bytes]:
    return certificates.authority("tenant-acme", NOW)


@pytest.fixture(scope="module")
def globex() -> dict[str, bytes]:
    return certificates.authority("tenant-globex", NOW)


def context(folder: Path, purpose: ssl.Purpose, data: dict[str, bytes]) -> ssl.SSLContext:
    """As Dask makes it: the authority is the boundary, and host names are not looked at."""
    for name, value in data.items():
        (folder / name).write_bytes(value)
    made = ssl.create_default_context(purpose, cafile=str(folder / "ca.crt"))
    made.check_hostname, made.verify_mode = False, ssl.CERT_REQUIRED
    made.load_cert_chain(str(folder / "tls.crt"), str(folder / "tls.key"))
    return made


def shake_hands(folder: Path, server: dict[str, bytes], client: dict[str, bytes]) -> None:
    """A whole handshake in memory, both ends checking each other.

    Raises:
        ssl.SSLError: one of them refused.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context(folder, ssl.Purpose.CLIENT_AUTH, server).wrap_bio(to_server, to_client, server_side=True),
        context(folder, ssl.Purpose.SERVER_AUTH, client).wrap_bio(to_client, to_server),
    ]
    done: set[int] = set()
    for _ in range(20):
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                pass
    assert done == {0, 1}
    ends[1].write(b"hello")
    assert ends[0].read() == b"hello", "with TLS 1.3 a refusal of the client shows only now"


def test_pods_of_one_tenant_take_each_others_certificate(tmp_path: Path, acme: dict[str, bytes]) -> None:
    first, second = (certificates.certificate("tenant-acme", acme, NOW) for _ in range(2))
    shake_hands(tmp_path, first, first)
    shake_hands(tmp_path, first, second)  # one from before a renewal, one from after it


def test_another_tenants_certificate_is_refused_on_both_ends(
    tmp_path: Path, acme: dict[str, bytes], globex: dict[str, bytes]
) -> None:
    ours = certificates.certificate("tenant-acme", acme, NOW)
    theirs = certificates.certificate("tenant-globex", globex, NOW)
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, ours, theirs)
    with pytest.raises(ssl.SSLError):  # it knows whom to trust, and has no certificate that is trusted
        shake_hands(tmp_path, ours, {**theirs, "ca.crt": ours["ca.crt"]})
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, {**theirs, "ca.crt": ours["ca.crt"]}, ours)


def test_a_certificate_that_has_run_out_is_refused(tmp_path: Path, acme: dict[str, bytes]) -> None:
    old = certificates.certificate("tenant-acme", acme, NOW - 61 * DAY)
    with pytest.raises(ssl.SSLError, match="expired"):
        shake_hands(tmp_path, old, certificates.certificate("tenant-acme", acme, NOW))


def test_a_certificate_cannot_sign_another(tmp_path: Path, acme: dict[str, bytes]) -> None:
    pod = certificates.certificate("tenant-acme", acme, NOW)
    signed = certificates.certificate("tenant-acme", pod, NOW)
    chain = {**signed, "tls.crt": signed["tls.crt"] + pod["tls.crt"], "ca.crt": pod["ca.crt"]}
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, pod, chain)


def test_the_authority_outlives_its_certificates_by_years(acme: dict[str, bytes]) -> None:
    from cryptography import x509

    authority = x509.load_pem_x509_certificate(acme["tls.crt"])
    assert authority.not_valid_after_utc > NOW + 3600 * DAY


@pytest.mark.parametrize(("days", "due"), [(0, False), (29, False), (31, True), (61, True)])
def test_a_certificate_is_renewed_when_half_of_its_time_is_over(
    acme: dict[str, bytes], days: int, due: bool
) -> None:
    made = certificates.certificate("tenant-acme", acme, NOW)
    assert certificates.due(made, acme, NOW + days * DAY) is due


def test_what_is_missing_broken_or_of_another_authority_is_made_anew(
    acme: dict[str, bytes], globex: dict[str, bytes]
) -> None:
    made = certificates.certificate("tenant-acme", acme, NOW)
    assert certificates.due({}, acme, NOW)
    assert certificates.due({**made, "tls.crt": b"no certificate"}, acme, NOW)
    assert certificates.due({**made, "tls.key": b""}, acme, NOW)
    assert certificates.due(made, globex, NOW), "its authority was made anew"


class Secrets:
    """The API's Secrets of one namespace, in memory."""

    namespace = "tenant-acme"

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.written: list[tuple[str, str | None]] = []

    def get(self, name: str) -> dict[str, Any] | None:
        return self.held.get(name)

    def put(self, name: str, data: dict[str, bytes], version: str | None) -> None:
        import base64

        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self.written.append((name, version))
        self.held[name] = {"metadata": {"resourceVersion": str(len(self.written))}, "data": encoded}


def test_what_is_missing_is_made_and_what_is_good_is_left() -> None:
    api: Any = Secrets()
    assert certificates.renew(api, "dask-ca", "dask-tls", NOW) == "made"
    assert certificates.renew(api, "dask-ca", "dask-tls", NOW + DAY) == "still good"
    assert api.written == [("dask-ca", None), ("dask-tls", None)]
    assert "ca.crt" not in api.held["dask-ca"]["data"], "the authority's Secret is mounted nowhere"
    assert set(api.held["dask-tls"]["data"]) == {"ca.crt", "tls.crt", "tls.key"}


def test_a_renewal_changes_the_certificate_and_keeps_the_authority() -> None:
    api: Any = Secrets()
    certificates.renew(api, "dask-ca", "dask-tls", NOW)
    before = {name: dict(secret["data"]) for name, secret in api.held.items()}
    assert certificates.renew(api, "dask-ca", "dask-tls", NOW + 31 * DAY) == "renewed"
    assert api.written[-1] == ("dask-tls", "2"), "only if nobody changed it meanwhile"
    after = {name: secret["data"] for name, secret in api.held.items()}
    assert after["dask-ca"] == before["dask-ca"]
    assert after["dask-tls"]["ca.crt"] == before["dask-tls"]["ca.crt"]
    assert after["dask-tls"]["tls.crt"] != before["dask-tls"]["tls.crt"]


def test_the_secrets_are_asked_for_as_the_api_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json
    import urllib.request
    from io import BytesIO

    for name, text in (("namespace", "tenant-acme\n"), ("token", "t0ken\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "ca.crt").write_bytes(certificates.authority("cluster", NOW)["tls.crt"])
    seen: list[urllib.request.Request] = []

    def answer(request: urllib.request.Request, **_: Any) -> BytesIO:
        seen.append(request)
        return BytesIO(b"{}")

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    secrets = certificates.Secrets(InCluster(tmp_path))
    secrets.get("dask-tls")
    secrets.put("dask-tls", {"tls.crt": b"x"}, None)
    secrets.put("dask-tls", {"tls.crt": b"x"}, "7")
    base = "https://kubernetes.default.svc/api/v1/namespaces/tenant-acme/secrets"
    assert [(r.get_method(), r.full_url) for r in seen] == [
        ("GET", f"{base}/dask-tls"),
        ("POST", base),
        ("PATCH", f"{base}/dask-tls"),
    ]
    assert {r.get_header("Authorization") for r in seen} == {"Bearer t0ken"}
    created, changed = (json.loads(r.data or b"") for r in seen[1:])  # type: ignore[arg-type]
    assert (created["kind"], created["type"], created["data"]) == (
        "Secret",
        "kubernetes.io/tls",
        {"tls.crt": "eA=="},
    )
    assert changed["metadata"]["resourceVersion"] == "7"
    assert seen[2].get_header("Content-type") == "application/merge-patch+json"
