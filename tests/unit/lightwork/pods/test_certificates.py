"""A tenant's certificates: who is trusted, when they are renewed, and the requests to the API."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from lightwork.kube.api import InCluster, RefusedError
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
    """A context as Dask creates it: it checks the authority and not the host name."""
    for name, value in data.items():
        (folder / name).write_bytes(value)
    result = ssl.create_default_context(purpose, cafile=str(folder / "ca.crt"))
    result.check_hostname, result.verify_mode = False, ssl.CERT_REQUIRED
    result.load_cert_chain(str(folder / "tls.crt"), str(folder / "tls.key"))
    return result


def shake_hands(folder: Path, server: dict[str, bytes], client: dict[str, bytes]) -> None:
    """Complete a handshake in memory, in which both ends check each other.

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
    assert ends[0].read() == b"hello", "with TLS 1.3, a refusal of the client shows only here"


def test_pods_of_one_tenant_trust_each_other(tmp_path: Path, acme: dict[str, bytes]) -> None:
    first, second = (certificates.certificate("tenant-acme", acme, NOW) for _ in range(2))
    shake_hands(tmp_path, first, first)
    shake_hands(tmp_path, first, second)  # from before and after a renewal


def test_another_tenants_certificate_is_refused_on_both_ends(
    tmp_path: Path, acme: dict[str, bytes], globex: dict[str, bytes]
) -> None:
    ours = certificates.certificate("tenant-acme", acme, NOW)
    theirs = certificates.certificate("tenant-globex", globex, NOW)
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, ours, theirs)
    with pytest.raises(ssl.SSLError):  # it trusts our authority, but its own certificate is not signed by it
        shake_hands(tmp_path, ours, {**theirs, "ca.crt": ours["ca.crt"]})
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, {**theirs, "ca.crt": ours["ca.crt"]}, ours)


def test_an_expired_certificate_is_refused(tmp_path: Path, acme: dict[str, bytes]) -> None:
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
def test_a_certificate_is_due_after_half_of_its_lifetime(
    acme: dict[str, bytes], days: int, due: bool
) -> None:
    current = certificates.certificate("tenant-acme", acme, NOW)
    assert certificates.due(current, acme, NOW + days * DAY) is due


def test_a_missing_or_broken_certificate_or_one_of_another_authority_is_due(
    acme: dict[str, bytes], globex: dict[str, bytes]
) -> None:
    current = certificates.certificate("tenant-acme", acme, NOW)
    assert certificates.due({}, acme, NOW)
    assert certificates.due({**current, "tls.crt": b"not a certificate"}, acme, NOW)
    assert certificates.due({**current, "tls.key": b""}, acme, NOW)
    assert certificates.due(current, globex, NOW), "the authority was replaced"


class Secrets:
    """The Secrets of one namespace, in memory."""

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


def test_missing_secrets_are_created_and_valid_ones_left_unchanged() -> None:
    api: Any = Secrets()
    assert certificates.renew(api, "dask-ca", "dask-tls", NOW) == "created"
    assert certificates.renew(api, "dask-ca", "dask-tls", NOW + DAY) == "still valid"
    assert api.written == [("dask-ca", None), ("dask-tls", None)]
    assert "ca.crt" not in api.held["dask-ca"]["data"], "no pod mounts the authority's Secret"
    assert set(api.held["dask-tls"]["data"]) == {"ca.crt", "tls.crt", "tls.key"}


def test_a_renewal_changes_the_certificate_and_keeps_the_authority() -> None:
    api: Any = Secrets()
    certificates.renew(api, "dask-ca", "dask-tls", NOW)
    before = {name: dict(secret["data"]) for name, secret in api.held.items()}
    assert certificates.renew(api, "dask-ca", "dask-tls", NOW + 31 * DAY) == "renewed"
    assert api.written[-1] == ("dask-tls", "2"), "only if it has not changed since it was read"
    after = {name: secret["data"] for name, secret in api.held.items()}
    assert after["dask-ca"] == before["dask-ca"]
    assert after["dask-tls"]["ca.crt"] == before["dask-tls"]["ca.crt"]
    assert after["dask-tls"]["tls.crt"] != before["dask-tls"]["tls.crt"]


def test_requests_for_secrets_have_the_form_that_the_api_expects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json
    import urllib.request
    from io import BytesIO

    for name, text in (("namespace", "tenant-acme\n"), ("token", "t0ken\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "ca.crt").write_bytes(certificates.authority("cluster", NOW)["tls.crt"])
    seen: list[urllib.request.Request] = []

    def respond(request: urllib.request.Request, **_: Any) -> BytesIO:
        seen.append(request)
        return BytesIO(b"{}")

    monkeypatch.setattr(urllib.request, "urlopen", respond)
    secrets = certificates.Secrets(InCluster(tmp_path))
    secrets.get("dask-tls")
    secrets.put("dask-tls", {"tls.crt": b"x"}, None)
    secrets.put("dask-tls", {"tls.crt": b"x"}, "7")
    assert secrets.add_token("people")
    base = "https://kubernetes.default.svc/api/v1/namespaces/tenant-acme/secrets"
    assert [(r.get_method(), r.full_url) for r in seen] == [
        ("GET", f"{base}/dask-tls"),
        ("POST", base),
        ("PATCH", f"{base}/dask-tls"),
        ("POST", base),
    ]
    assert {r.get_header("Authorization") for r in seen} == {"Bearer t0ken"}
    created, changed, token = (json.loads(r.data or b"") for r in seen[1:])  # type: ignore[arg-type]
    assert (created["kind"], created["type"], created["data"]) == (
        "Secret",
        "kubernetes.io/tls",
        {"tls.crt": "eA=="},
    )
    assert changed["metadata"]["resourceVersion"] == "7"
    assert seen[2].get_header("Content-type") == "application/merge-patch+json"
    assert token == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "people.service-account-token",
            "labels": {"app.kubernetes.io/part-of": "lightwork"},
            "annotations": {"kubernetes.io/service-account.name": "people"},
        },
    }, "Kubernetes writes the token into it"


@pytest.mark.parametrize(("status", "outcome"), [(409, False), (403, None)])
def test_a_token_that_exists_is_kept_and_a_refusal_is_a_failure(status: int, outcome: bool | None) -> None:
    class Api:
        namespace = "tenant-acme"

        def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            raise RefusedError(status, "refused", f"{path}: {body}")

    api: Any = Api()
    secrets = certificates.Secrets(api)
    if outcome is None:
        with pytest.raises(RefusedError):
            secrets.add_token("people")
    else:
        assert secrets.add_token("people") is outcome


def test_the_end_of_the_certificate_is_told_beside_the_figures() -> None:
    class Api:
        namespace = "tenant-acme"
        patches: ClassVar[list[tuple[str, dict[str, Any]]]] = []

        def get(self, path: str) -> dict[str, Any]:
            assert path.endswith("/secrets/dask-tls")
            return dict(held.held["dask-tls"])

        def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            self.patches.append((path, body))
            return {}

    held = Secrets()
    certificates.renew(cast("certificates.Secrets", held), "dask-ca", "dask-tls", NOW)
    api = Api()
    certificates.Secrets(cast("InCluster", api)).tell_end("dask-tls")
    ((path, body),) = api.patches
    assert path == "/api/v1/namespaces/tenant-acme/configmaps/run-figures"
    end = NOW + certificates.LIFETIME
    assert float(body["data"]["certificate"]) == pytest.approx(end.timestamp(), abs=1)
