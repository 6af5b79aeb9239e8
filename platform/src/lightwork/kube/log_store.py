"""Where a tenant's logs and its page are, and the way to the logs.

That is a port of the relay, which the Kubernetes API forwards.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, LightworkError, one_line
from lightwork.kube.contract import LOG_SEARCH, LOGS_NAMESPACE, RELAY_POD, RELAY_PORT
from lightwork.kube.forwarding import forwarded
from lightwork.kube.runs import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a tenant's logs are, and where its people see its runs in a browser.

    Attributes:
        endpoint: the host name of the OpenSearch domain.
        region: its AWS region.
        stream: the tenant's stream.
        page: the address of the tenant's runs on Argo's page; empty if the tenant has none there.
    """

    endpoint: str
    region: str
    stream: str
    page: str = ""

    def data(self) -> dict[str, str]:
        """Return it as the data of a ConfigMap."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: text for name, text in fields.items() if text}


class LogStore(Remote):
    """The logs of a tenant in OpenSearch."""

    def place(self) -> Place:
        """Return where the logs are.

        Raises:
            InputError: nobody searches this tenant's logs.
        """
        found = self._request(
            f"search the logs of {self.tenant}",
            lambda: self._api.get(f"{self._core}/configmaps/{LOG_SEARCH}"),
            missing=f"{self.environment} has no logs of {self.tenant!r} to search; the tenant's file must"
            " name its people (`people`, with `principals`), and its stack be deployed since",
        )
        try:
            return Place(**found["data"])
        except (KeyError, TypeError) as error:
            raise InputError(
                f"the ConfigMap {LOG_SEARCH} of {self.namespace} has not the expected fields"
                f" ({one_line(error)}); use the version of lightwork that the tenant was deployed with"
            ) from None

    def page(self) -> str:
        """Return the address of the tenant's runs on Argo's page; empty if none is known."""
        try:
            return self.place().page
        except LightworkError:
            return ""

    @contextlib.contextmanager
    def relayed(self) -> Iterator[Relayed]:
        """Forward a port of this machine to the relay while the `with` block runs."""
        way = Relayed(self)
        with forwarded(way.connect) as port:
            way.port = port
            yield way


class Relayed:
    """A port of this machine that leads to the domain.

    Attributes:
        port: the port.
    """

    port = 0

    def __init__(self, remote: Remote) -> None:
        self._remote, self._why = remote, ""

    def connect(self) -> Any:
        """Open a connection to the relay, and remember why if it fails."""
        try:
            return self._remote.open_port(RELAY_POD, RELAY_PORT, LOGS_NAMESPACE)
        except Exception as error:
            self._why = getattr(error, "reason", None) or str(error) or "it does not answer in time"
            raise

    def explained(self, error: LightworkError) -> LightworkError:
        """Return the error of a request, with the API's own reason if the relay could not be reached."""
        if not self._why:
            return error
        return LightworkError(
            f"cannot reach {RELAY_POD} in {LOGS_NAMESPACE} through the cluster's API: {one_line(self._why)}"
        )
