"""A tenant's namespace in a cluster, by a context of the kubeconfig.

The context is the given one, else `lightwork-<env>-<tenant>`, which `lightwork login` makes, else
`lightwork-<env>`. The current context is never used by default, so that a run meant for dev does not start in
prod.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, LightworkError, near, one_line
from lightwork.kube import refusals
from lightwork.kube.api import RefusedError, of_context
from lightwork.kube.contract import ARGO, LABEL_TENANT
from lightwork.kube.logins import context_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.kube.api import ByClient


class AwayError(LightworkError):
    """The API does not answer, or answers that it cannot at the moment."""


class Access:
    """Requests about a tenant's namespace, each of which fails with one line.

    Args:
        environment: such as `dev`; selects the context `lightwork-dev-acme`, or else `lightwork-dev`, unless
            one is given.
        tenant: the tenant's name.
        context: a context of the kubeconfig.

    Raises:
        InputError: the kubeconfig is missing, unusable, or without that context.
    """

    def __init__(self, environment: str, tenant: str, context: str | None = None) -> None:
        self._api = _connection(environment, tenant, context)
        self.environment = environment
        self.namespace = f"tenant-{tenant}"
        self.tenant = tenant
        self._argo = f"/apis/{ARGO}/namespaces/{self.namespace}"
        self._core = f"/api/v1/namespaces/{self.namespace}"

    def reach(self, seconds: float) -> None:
        """Check that the API answers at all.

        Raises:
            OSError: it does not within the time.
        """
        self._api.reach(seconds)

    def _find_tenant(self) -> None:
        """Check that the tenant is in the cluster, if the user may know that.

        Raises:
            InputError: it is not.
        """
        try:
            self._api.get(self._core)
        except RefusedError as error:
            if error.status == 404:
                raise InputError(
                    f"{self.environment} has no tenant {self.tenant!r}{near(self.tenant, self._tenants())}"
                ) from None
        except OSError:
            pass  # the request that follows says so

    def _tenants(self) -> list[str]:
        """Return the names of the tenants; none if the user may not list them."""
        try:
            items = self._api.get("/api/v1/namespaces", labelSelector=LABEL_TENANT)["items"]
        except (RefusedError, OSError):
            return []
        return [item["metadata"]["labels"][LABEL_TENANT] for item in items]

    def _request(self, action: str, send: Callable[[], Any], *, missing: str = "") -> Any:
        """Send a request to the API; turn its refusal into one line.

        Args:
            action: the action that the message names, such as `submit windy-city`.
            send: sends the request.
            missing: the message if the object does not exist.
        """
        try:
            return send()
        except RefusedError as error:
            if error.status == 404 and missing:
                raise InputError(missing) from error
            kind = AwayError if error.status == 429 or error.status >= 500 else LightworkError
            raise kind(refusals.in_words(error, action, self.namespace)) from error
        except OSError as error:
            raise AwayError(f"cannot {action}: the cluster cannot be reached: {one_line(error)}") from error
        except json.JSONDecodeError as error:  # a proxy on the way, such as a hotel's
            raise AwayError(f"cannot {action}: what answers is not Kubernetes: {one_line(error)}") from error


def _connection(environment: str, tenant: str, context: str | None) -> ByClient:
    """Return the Kubernetes API that a context of the kubeconfig leads to."""
    if not os.environ.get("KUBECONFIG", "").strip(os.pathsep):
        os.environ.pop("KUBECONFIG", None)  # the official client would take it for a file without a name
    from kubernetes import config

    general, of_tenant = f"lightwork-{environment}", context_name(environment, tenant)
    login = f"lightwork login --env {environment} --tenant {tenant}"
    try:
        contexts = [item["name"] for item in config.list_kube_config_contexts()[0]]  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        if "current-context" not in str(error):
            raise InputError(f"{_unusable(error)}{'' if context else f', or log in: {login}'}") from error
        contexts = _names_of_contexts()
    wanted = context or (of_tenant if of_tenant in contexts else general)
    if wanted not in contexts:
        option = "--context" if context else f"--env {environment}"
        hint = "" if context else f" (`{login}` makes one)"
        raise InputError(f"{option}: the kubeconfig has no context {wanted!r}{near(wanted, contexts)}{hint}")
    try:
        return of_context(wanted)
    except (config.ConfigException, OSError) as error:
        raise _unusable(error) from error


def _names_of_contexts() -> list[str]:
    """Return the contexts of a kubeconfig without a current one, of which the client lists none."""
    from kubernetes.config import kube_config

    merged = kube_config.KubeConfigMerger(kube_config.KUBE_CONFIG_DEFAULT_LOCATION).config  # type: ignore[no-untyped-call]
    return [str(item["name"]) for item in merged["contexts"]]


def _unusable(error: Exception) -> InputError:
    return InputError(f"cannot use the kubeconfig ({one_line(error)}); set KUBECONFIG to the right file")
