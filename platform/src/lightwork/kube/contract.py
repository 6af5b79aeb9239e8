"""Names and numbers that the makers of Kubernetes objects share with the pods in a cluster.

Each is written once, here. `manifests` builds a tenant's objects from them, `infra` the cluster's; `pods`,
`cluster`, `runs` and `cli` rely on them at run time.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from lightwork.logs import ENV_LOG as ENV_LOG
from lightwork.logs import ENV_PIPELINE as ENV_PIPELINE
from lightwork.logs import ENV_ROLE as ENV_ROLE
from lightwork.logs import ENV_STEP as ENV_STEP
from lightwork.settings import ENV_HISTORY_ARTIFACTS as ENV_HISTORY_ARTIFACTS
from lightwork.settings import ENV_HISTORY_DAYS as ENV_HISTORY_DAYS
from lightwork.settings import ENV_HISTORY_RUNS as ENV_HISTORY_RUNS
from lightwork.settings import ENV_LAKE as ENV_LAKE
from lightwork.settings import ENV_LIMITS as ENV_LIMITS
from lightwork.settings import ENV_RUN as ENV_RUN
from lightwork.settings import ENV_TENANT as ENV_TENANT

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON."""

ARGO = "argoproj.io/v1alpha1"
"""The version of Argo's API."""

ARGO_CONTROLLER = "argo-workflow-controller"
"""The Deployment of Argo's controllers in the namespace `argo`, as its chart names it with our values.

A cluster that brought its own Argo may have another name; messages that name a command use this one.
"""
ARGO_CONTROLLERS = "app.kubernetes.io/name=argo-workflows-workflow-controller"
"""The label of its pods. `kubectl logs` of the Deployment shows one of them, maybe not the active one."""

# Ports. `manifests.dask` passes them to Dask's command lines, `manifests.network` opens them to those who may
# connect.
SCHEDULER_PORT = 8786
"""The scheduler's, for the driver and the workers."""
DASHBOARD_PORT = 8787
"""Dashboard, health and Prometheus metrics, of the scheduler and of each worker.

Prometheus scrapes it; `lightwork dashboard` forwards the scheduler's to the user's machine.
"""
WORKER_PORT = 8788
"""A worker's, for the scheduler, the driver and other workers. `pods.retire` gets it in ENV_WORKER_PORT."""
NANNY_PORT = 8789
"""The port of the process that starts a worker and restarts it, for the scheduler."""

USER = 10001
"""The user and group that a tenant's pods run as. `manifests.base` sets it; the image has such a user."""

# Objects. All but the first are in each tenant's namespace.
SCALER = "lightwork-scaler"
"""The ClusterWorkflowTemplate that `manifests.scaler` makes and every tenant's Workflows refer to."""
SETTINGS = "lightwork"
"""The ConfigMap that `manifests.namespace` makes; it becomes environment variables of the tenant's pods."""
SECRETS = "lightwork-secrets"
"""The Secret that the External Secrets Operator makes (`infra.tenant.secrets`); the same, if it exists."""
TLS = "dask-tls"
"""The Secret with the tenant's certificate, written by `pods.certificates`, mounted by every Dask pod."""
TLS_AUTHORITY = "dask-ca"
"""The Secret with the authority that signs it, written and read by `pods.certificates`; no pod mounts it."""
TLS_FOLDER = "/etc/lightwork/tls"
"""Where TLS is mounted; Dask's settings name the files in it."""
SEMAPHORES = "semaphores"
"""The ConfigMap that `manifests.namespace` makes: the parallel runs of each pipeline, read by Argo."""
TENANT_SEMAPHORE = "tenant"
"""Its key for all of a tenant's runs together."""
SCHEDULED = "scheduled"
"""The template that a run of the schedule starts with if it is skipped when it would have to wait.

`manifests.workflows` makes it.
"""
WORK = "work"
"""The template of a run's work; if it has several steps, a DAG of them, whose names `kube.runs` reads."""
SKIPPABLE = "work-or-skip"
"""The task in it that is skipped then; `kube.status` reads that."""
AT_ONCE_SECONDS = 60
"""A scheduled run that gets its place so soon is not skipped: Argo may need a while, as after a restart."""

FIGURES = "run-figures"
"""The ConfigMap with figures of the tenant's pipelines, which the platform's metrics are made of.

`manifests.figures` makes it without content. `pods.controller` and `pods.certificates` fill it, `pods.watch`
reads it.
"""
WATCH = "watch"
"""The service account of the platform's metrics, in Prometheus' namespace; see `infra.services.watch`."""
ANNOTATION_PIPELINES = "lightwork/pipelines"
"""On it: the names of the tenant's pipelines, joined by commas."""
ANNOTATION_BUDGET = "lightwork/budget"
"""On it: the tenant's monthly budget in US dollars."""
FIGURES_UPDATED, FIGURES_CERTIFICATE = "updated", "certificate"
"""Its keys for when it was last written, and for when the tenant's certificate ends (Unix seconds)."""
FIGURES_OF = "pipeline."
"""The start of its keys for pipelines; the values are JSON."""

# Service accounts. `manifests.identity` makes them, with the permissions each needs.
ACCOUNT_SCALER = "scaler"
"""Of Argo's steps that create and delete a run's Dask objects."""
ACCOUNT_DRIVER = "driver"
"""Of the pipeline's own container; scales the workers' Deployment."""
ACCOUNT_WORKER = "worker"
"""Of workers, and of the pods that run `pods.history`; it has no token for the Kubernetes API."""
ACCOUNT_SCHEDULER = "scheduler"
ACCOUNT_STEP = "step"
"""Of steps that run a container of the tenant's choice."""
ACCOUNT_CERTIFICATES = "certificates"
"""Of the job that runs `pods.certificates`."""
ACCOUNT_CONTROLLER = "controller"
"""Of the Deployment that runs `pods.controller`; `infra.tenant.identity` gives it an AWS role of its own."""
PEOPLE = "people"
"""The Role and RoleBinding of the tenant's people, and the account that Argo's page acts with for them."""
GATE_RUNS = "lightwork-people-runs"
"""The ValidatingAdmissionPolicy about the runs that people start and stop; `manifests.gate` makes it.

Each tenant's namespace has a binding of it. Its name ends in the tenant's.
"""
GATE_VALUES = "lightwork-people-values"
"""The same about the ConfigMaps that people create for long parameters."""
GATE_SCHEDULES = "lightwork-people-schedules"
"""The same about the schedules that people suspend and resume; `manifests.gate_schedules` has its rules."""
LAKE_ACCOUNTS = (ACCOUNT_DRIVER, ACCOUNT_WORKER)
"""The accounts with all of the tenant's lake; `infra.tenant.identity` gives them the tenant's AWS role.

`ACCOUNT_STEP` has a role of its own, which keeps it out of what follows.
"""
LAKE_CLOSED = ("results", "runs", "history")
"""Folders that a step neither reads nor writes.

Drivers and workers unpickle files in the first two; the third tells what runs did and cost.
"""
LAKE_READ_ONLY = ("artifacts/*", "lightwork-*")
"""Files that a step does not write: artifacts with their commit files, and what is kept at the top."""

# The logs in OpenSearch, whose domain is private. `infra.services.log_relay` makes the relay, with a Role of
# its name; `infra.tenant.people_logs` binds that to a tenant's people and makes LOG_SEARCH; `kube.log_store`
# uses both.
LOGS_NAMESPACE = "logging"
RELAY = "log-relay"
"""The StatefulSet that passes connections on to the domain."""
RELAY_POD = f"{RELAY}-0"
"""Its only pod."""
RELAY_PORT = 9443
LOG_SEARCH = "log-search"
"""The ConfigMap in a tenant's namespace that says where its logs and its page are; the Role that reads it."""

# Labels. `manifests` sets them on the objects and pods of a tenant. `kube.runs` selects a run's pods by run
# and role, `manifests.network` by role; metrics and alerts (`infra.services`) group by them.
LABEL_TENANT = "lightwork/tenant"
LABEL_PIPELINE = "lightwork/pipeline"
LABEL_RUN = "lightwork/run"
"""The name of the run's Workflow. The exit handler deletes what carries it."""
LABEL_ROLE = "lightwork/role"
"""scheduler, worker, driver, step, scaler, certificates, controller or history."""
LABEL_STEP = "lightwork/step"
"""The step of a run with several; empty if the run is a single pipeline. A step's end deletes by it."""
ANNOTATION_REASON = "lightwork/reason"
"""On a Workflow: why `pods.controller` has ended it; `kube.status` reads it."""
ANNOTATION_RETRY_OF = "lightwork/retry-of"
"""On a Workflow: the run that it tries again. Set by `kube.runs`, recorded by `pods.controller`."""
LABEL_SPOT = "lightwork/spot"
"""`true` or `false`: a label of nodes, and a taint of spot nodes, set by `infra.config.nodes`.

`manifests` selects and tolerates it.
"""

SUBMITTED_LABELS = (LABEL_PIPELINE,)
"""The labels that a tenant's people may give a run; LABEL_PIPELINE only with the run's own pipeline.

Whatever else `kube.runs` sets when a run is submitted must be here or in SUBMITTED_ANNOTATIONS, or
`manifests.gate` refuses the run. Nothing may be here that pods, Argo or other people rely on.
"""
SUBMITTED_ANNOTATIONS = (ANNOTATION_RETRY_OF,)
"""The annotations that a tenant's people may give a run, each with the name of a run."""

WORK_SECONDS = 2.0
"""Seconds of work that justify one more worker; its pod takes longer than that to start.

Dask's scheduler is told so in its environment; `engine.scatter` and `cluster.keeper` compute with it.
"""

ANNOTATION_PARAMETERS = "lightwork/parameters"
"""On a WorkflowTemplate: the parameters of a pipeline that only an image has; see `kube.described`."""

ANNOTATION_INTERVAL = "lightwork/interval"
"""On a WorkflowTemplate: the parameters that take a run's interval, `start,end`.

From `manifests.workflows`; read by `kube.schedules`.
"""
ANNOTATION_NOTE = "lightwork/note"
"""On a CronWorkflow: why, by whom and when it was suspended or resumed last; from `kube.schedules`."""
LABEL_SUSPENDED, SUSPENDED = "workflows.argoproj.io/controller-instanceid", "suspended"
"""The label, and its value, of a CronWorkflow that a person has suspended; from `kube.schedules`.

It is Argo's own, for objects that are another controller's: ours leaves those alone.
"""
FIELD_MANAGER = "lightwork"
"""Under which `kube.schedules` changes a CronWorkflow; nobody applies objects under this name."""
ANNOTATION_BY_FILE = "lightwork/suspended-by-file"
"""On a CronWorkflow that the tenant's file suspends: the line that does, such as `state: leaving`.

From `manifests.workflows`; read by `kube.schedules`, and by the policy GATE_SCHEDULES.
"""
ANNOTATION_SCHEDULED = "workflows.argoproj.io/scheduled-time"
"""Argo's own, on a Workflow of a schedule: its firing."""
LABEL_CRON = "workflows.argoproj.io/cron-workflow"
"""Argo's own, on a Workflow of a schedule: the CronWorkflow's name."""

# Parameters of a run that are too long for Argo. `kube.values` keeps them in a ConfigMap, which
# `manifests.scaler` mounts in the driver; `pods.driver` reads them.
PARAMETERS_FOLDER = "/etc/lightwork/parameters"
"""Where the driver has them, a file each."""
ANNOTATION_LONG = "lightwork/long-parameters"
"""The parameters of a WorkflowTemplate that may be so long, joined by commas; from `manifests.workflows`."""


def token_secret(account: str) -> str:
    """Return the name of the Secret in which Argo's server looks for the token of a service account."""
    return f"{account}.service-account-token"


def people_group(tenant: str) -> str:
    """Return the Kubernetes group of a tenant's people, which their access entry on EKS puts them into."""
    return f"lightwork:{tenant}:people"


def gate_binding(policy: str, tenant: str) -> str:
    """Return the name of a policy's binding for one tenant."""
    return f"{policy}-{tenant}"


def parameters_name(run: str) -> str:
    """Return the name of the ConfigMap with a run's long parameters."""
    return f"{run}-parameters"


# Environment variables of pods. ENV_RUN, the name of the run and of its Workflow, is set on every pod of it;
# `runs.run` takes it over. ENV_LOG, ENV_LAKE, ENV_TENANT, ENV_HISTORY_DAYS, ENV_HISTORY_RUNS and
# ENV_HISTORY_ARTIFACTS (above) also work outside a cluster; in one, SETTINGS sets them.
ENV_ENVIRONMENT = "LIGHTWORK_ENVIRONMENT"
"""dev, staging or prod. Set by SETTINGS for the tenant's code."""
ENV_PRICES = "LIGHTWORK_PRICES"
"""The prices of workers, as JSON. Set by `manifests.history`, read by `pods.history`."""
ENV_SECRETS_PREFIX = "LIGHTWORK_SECRETS_PREFIX"
"""The prefix of the tenant's secrets in Secrets Manager. Set by SETTINGS for the tenant's code."""
ENV_SECRETS = "LIGHTWORK_SECRETS"
"""The names of the tenant's secrets, joined by commas. Set by SETTINGS for the tenant's code."""
ENV_RUN_UID = "LIGHTWORK_RUN_UID"
"""The Workflow's unique id. Set by `manifests.scaler` on the driver, recorded by `runs.record`."""
ENV_RUN_CREATED = "LIGHTWORK_RUN_CREATED"
"""When the Workflow was created, in seconds since 1970. Set as ENV_ATTEMPT, read by `runs.earlier`."""
ENV_ATTEMPT = "LIGHTWORK_ATTEMPT"
"""How often the driver was started before. Set by `manifests.scaler`, read by `pods.driver`."""
ENV_FUNCTION = "LIGHTWORK_FUNCTION"
"""The pipeline to run. Set by `manifests.scaler` on the driver, read by `pods.driver`."""
ENV_ARGUMENTS = "LIGHTWORK_ARGUMENTS"
"""Its parameters: a JSON object of strings. Set and read as ENV_FUNCTION.

`@name` in place of a name says that the string names one of the run's long parameters.
"""
ENV_BRACE = "LIGHTWORK_BRACE"
"""One opening brace, for `kube.texts`. Set by `manifests.steps` on plain containers."""
ENV_WORKER_SIZE = "LIGHTWORK_WORKER_SIZE"
"""The size of the run's workers, for its record. Set by `manifests.scaler`, read by `runs.phases`."""
ENV_WORKERS_NEVER_ON = "LIGHTWORK_WORKERS_NEVER_ON"
"""Where workers never are: on spot nodes (true), on others (false), or none. As ENV_WORKER_SIZE."""
ENV_COMMIT = "LIGHTWORK_COMMIT"
"""The Git commit that the image was built from. Set by the build argument GIT_COMMIT of the image."""
ENV_RESULT_FILE = "LIGHTWORK_RESULT_FILE"
"""The file for the pipeline's result, or empty. Set and read as ENV_FUNCTION."""
ENV_NAMESPACE = "LIGHTWORK_NAMESPACE"
"""The run's namespace. Set by `manifests.scaler` on the driver, read by `cluster.fleet`."""
ENV_WORKERS = "LIGHTWORK_WORKERS"
"""The most workers that the run may have. Set and read as ENV_NAMESPACE."""
ENV_WORKER_THREADS = "LIGHTWORK_WORKER_THREADS"
"""The threads of each worker. Set and read as ENV_NAMESPACE."""
ENV_WORKER_RESOURCES = "LIGHTWORK_WORKER_RESOURCES"
"""What each worker offers to tasks, as in `GPU=1 LICENSE=2`.

Set by `manifests.scaler`, read by `cluster.offers`.
"""
ENV_WORKERS_DEPLOYMENT = "LIGHTWORK_WORKERS_DEPLOYMENT"
"""The Deployment to scale; without it, the driver leaves the workers alone. Set and read as ENV_NAMESPACE."""
ENV_WORKER_PORT = "LIGHTWORK_WORKER_PORT"
"""WORKER_PORT. Set by `manifests.dask` on workers, read by `pods.retire`."""
ENV_MEMORY = "LIGHTWORK_MEMORY"
"""A worker's memory limit in bytes. Set by `manifests.dask`, read by the worker's own command line."""
ENV_CONNECT_SECONDS = "LIGHTWORK_CONNECT_SECONDS"
"""How long the driver waits for the scheduler. Set by `manifests.scaler`, read by `cluster.cluster`."""
ENV_ARGO_PROGRESS = "ARGO_PROGRESS_FILE"
"""Argo's own: the file whose last line, `done/total`, Argo shows as the progress of the step.

Set by Argo on the containers of a step, written by `runs.telling`.
"""
ENV_LAST_WORD = "LIGHTWORK_LAST_WORD_FILE"
"""A file that gets the text of an error as well: Kubernetes shows it as the pod's termination message.

Set by `pods.driver` for its own process unless it is set already, read there and by `cli.main`.
"""

PROGRESS = "run progress"
"""The event of the log lines by which a driver tells how far its run is.

Written by `runs.telling`, read by `kube.telling`.
"""
