"""What makers of Kubernetes objects and the pods they make agree on: names, labels, ports, variables."""

from __future__ import annotations

from typing import Any, TypeAlias

from lightwork.logs import ENV_LOG as ENV_LOG
from lightwork.settings import ENV_LAKE as ENV_LAKE
from lightwork.settings import ENV_TENANT as ENV_TENANT

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object, as it is written in YAML."""

SCHEDULER_PORT = 8786
DASHBOARD_PORT = 8787
"""Dask's dashboard, health and Prometheus metrics, of the scheduler and of each worker."""
WORKER_PORT = 8788
NANNY_PORT = 8789

USER = 10001
"""The user and group of the platform's image."""

SCALER = "lightwork-scaler"
"""The name of the one ClusterWorkflowTemplate."""
SETTINGS = "lightwork"
"""The ConfigMap in each tenant's namespace that becomes the environment of its pods."""
SECRETS = "lightwork-secrets"
"""The Secret that does too, where something has made it."""
TLS = "dask-tls"
"""The Secret with the tenant's certificates."""
TLS_AUTHORITY = "dask-ca"
"""The Secret with the authority that signs them; no pod mounts it."""
TLS_FOLDER = "/etc/lightwork/tls"
SEMAPHORES = "semaphores"
TENANT_SEMAPHORE = "tenant"

ACCOUNT_SCALER = "scaler"
ACCOUNT_DRIVER = "driver"
ACCOUNT_WORKER = "worker"
ACCOUNT_SCHEDULER = "scheduler"
ACCOUNT_STEP = "step"
ACCOUNT_CERTIFICATES = "certificates"
LAKE_ACCOUNTS = (ACCOUNT_DRIVER, ACCOUNT_WORKER, ACCOUNT_STEP)
"""The accounts whose pods run the tenant's code, and have the tenant's role in the cloud."""

LABEL_TENANT = "lightwork/tenant"
LABEL_PIPELINE = "lightwork/pipeline"
LABEL_RUN = "lightwork/run"
LABEL_ROLE = "lightwork/role"
LABEL_STEP = "lightwork/step"
"""Of a run's several steps, which; empty where there is one pipeline alone."""
LABEL_SPOT = "lightwork/spot"
"""A label of nodes, and a taint of those that are on spot: `true` or `false`."""

WORK_SECONDS = 2.0
"""As much work as is worth one more worker, whose pod takes longer than that to start."""

# The environment of pods. `logs` and `settings` read the first ones outside of clusters too.
ENV_ENVIRONMENT = "LIGHTWORK_ENVIRONMENT"
ENV_SECRETS_PREFIX = "LIGHTWORK_SECRETS_PREFIX"
ENV_SECRETS = "LIGHTWORK_SECRETS"
ENV_PIPELINE = "LIGHTWORK_PIPELINE"
ENV_RUN = "LIGHTWORK_RUN"
ENV_STEP = "LIGHTWORK_STEP"
ENV_FUNCTION = "LIGHTWORK_FUNCTION"
ENV_ARGUMENTS = "LIGHTWORK_ARGUMENTS"
ENV_RESULT_FILE = "LIGHTWORK_RESULT_FILE"
ENV_NAMESPACE = "LIGHTWORK_NAMESPACE"
ENV_WORKERS = "LIGHTWORK_WORKERS"
ENV_WORKER_THREADS = "LIGHTWORK_WORKER_THREADS"
ENV_WORKERS_DEPLOYMENT = "LIGHTWORK_WORKERS_DEPLOYMENT"
ENV_WORKER_PORT = "LIGHTWORK_WORKER_PORT"
ENV_MEMORY = "LIGHTWORK_MEMORY"
ENV_CONNECT_SECONDS = "LIGHTWORK_CONNECT_SECONDS"
ENV_LAST_WORD = "LIGHTWORK_LAST_WORD_FILE"
"""Names a file that gets the line of an error too, as Kubernetes reads one when a pod ends."""
