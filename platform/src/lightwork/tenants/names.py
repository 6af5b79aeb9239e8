"""Names that a tenant cannot have, and the environment variables that its secrets become."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMESPACES = """
argo argo-events argocd calico-system cert-manager default external-secrets gatekeeper-system ingress-nginx
istio-system karpenter kyverno lightwork logging monitoring tenant tigera-operator
"""
RESERVED = frozenset(_NAMESPACES.split())
"""The namespaces of a cluster and of its services, and the platform's own names."""
_RESERVED_STARTS = ("kube-", "eks-", "amazon-", "aws-", "lightwork-")

_VARIABLES = """
PATH HOME USER LOGNAME SHELL PWD OLDPWD HOSTNAME TERM IFS ENV CDPATH PS1 PS2 PS4 SHELLOPTS BASHOPTS EDITOR
PROMPT_COMMAND LANG LANGUAGE TZ TZDIR TMPDIR TEMP TMP GCONV_PATH LOCPATH NLSPATH HOSTALIASES LOCALDOMAIN
RES_OPTIONS RESOLV_HOST_CONF HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY FTP_PROXY REQUESTS_CA_BUNDLE PAGER
CURL_CA_BUNDLE CURL_HOME JDK_JAVA_OPTIONS RUBYOPT RUBYLIB CLASSPATH VIRTUAL_ENV KUBECONFIG
"""
_OBEYED = frozenset(_VARIABLES.split())
"""Variables that the loader of programs, the shell, Python or its libraries obey."""
_STARTS = """
LIGHTWORK_ DASK_ DISTRIBUTED_ KUBERNETES_ ARGO_ AWS_ LD_ GLIBC_ MALLOC_ PYTHON BASH_ LC_ SSL_ OPENSSL_ GIT_
PIP_ NODE_ PERL5 JAVA_ DYLD_
"""
_OBEYED_STARTS = tuple(_STARTS.split())


def reserved(name: str) -> bool:
    """Return whether a name belongs to the cluster or the platform, so that no tenant can have it."""
    return name in RESERVED or name.startswith(_RESERVED_STARTS)


def variable(secret: str) -> str:
    """Return the environment variable of a secret: `weather-api` becomes `WEATHER_API`."""
    return secret.replace("-", "_").upper()


def problems(secrets: Iterable[str]) -> list[tuple[int, str]]:
    """Return the position and the reason of each secret that cannot become an environment variable."""
    mistakes = []
    variables: dict[str, str] = {}
    for index, secret in enumerate(secrets):
        key = variable(secret)
        if key in variables:
            other = variables[key]
            twice = "appears twice; keep one" if other == secret else f"{other} becomes {key} too; rename one"
            mistakes.append((index, f"found {secret!r}; {twice}"))
        elif reason := _refused(key):
            text = f"found {secret!r}; becomes the environment variable {key}, {reason}; choose another name"
            mistakes.append((index, text))
        variables.setdefault(key, secret)
    return mistakes


def _refused(key: str) -> str:
    """Return why a variable cannot be a secret's; empty if it can."""
    if key[0].isdigit():
        return "which cannot start with a digit"
    if key in _OBEYED or key.startswith(_OBEYED_STARTS):
        return "which programs obey"
    if re.search(r"_SERVICE_(HOST|PORT)$", key):
        return "as Kubernetes sets for a Service"
    return ""
