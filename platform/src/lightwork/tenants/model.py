"""The model of a tenant's file; the descriptions document its fields in editors."""

# ruff: noqa: TC002  (pydantic evaluates the annotations)
from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator, Field, ValidatorFunctionWrapHandler, WrapValidator, field_validator
from pydantic_core.core_schema import ValidationInfo

from lightwork import documents
from lightwork.tenants import quantities
from lightwork.tenants.descriptions import ImageDescription
from lightwork.tenants.fields import (
    Count,
    Cpu,
    Cron,
    Duration,
    EntryName,
    Environment,
    Image,
    Limits,
    OutputName,
    ParameterName,
    ParameterValue,
    ResourceName,
    SecretName,
    Size,
    StepName,
    TenantName,
    TimeZone,
)
from lightwork.tenants.offers import Devices, Offers
from lightwork.tenants.people import People

LONGEST_RUN = "7d"
"""The longest deadline: a run keeps the certificates that it starts with, valid for about 30 days or more."""
LONGEST_WAIT = "1d"
"""How long a run may wait for its turn beyond its deadline, unless the file says otherwise."""


class Quota(documents.Document):
    """The most that all of a tenant's pods may request together."""

    cpu: Cpu = Field(default="16", description="Processor cores.")
    memory: Size = Field(default="64Gi", description="Memory.")
    pods: Count = Field(default=50, description="Number of pods.")
    storage: Size = Field(
        default="200Gi", description="Ephemeral storage on the nodes' disks, for example for spilled data."
    )
    resources: Devices = Field(
        default_factory=dict,
        description="Further resources of nodes by the names that Kubernetes has for them, for example"
        " nvidia.com/gpu: 4. Workers may request no others.",
    )


class Pod(documents.Document):
    """The size of one pod: all of it is reserved, and memory and storage are limited to it."""

    cpu: Cpu = Field(default="500m", description="Processor cores.")
    memory: Size = Field(default="1Gi", description="Memory; a pod that uses more is killed.")
    storage: Size = Field(default="2Gi", description="Ephemeral storage on the node's disk.")


def _only_with_spot(fallback: bool, info: ValidationInfo) -> bool:
    if fallback and info.data.get("spot") is False:
        raise ValueError("should be false with `spot: false`, which never waits for a spot node")
    return fallback


OnDemandFallback = Annotated[
    bool,
    Field(
        strict=True,
        description="Whether on-demand nodes, which cost two to three times as much, are used as well when no"
        " spot node is available. Otherwise pods wait for one.",
    ),
    AfterValidator(_only_with_spot),
]


class Workers(documents.Document):
    """A run's workers. A run starts with none and adds as many as it has work for."""

    count: Count = Field(default=4, description="Maximum number of workers of one run.")
    cpu: Cpu = Field(default="1", description="Processor cores of each worker.")
    memory: Size = Field(default="2Gi", description="Memory of each worker.")
    storage: Size = Field(
        default="10Gi",
        description="Ephemeral storage of each worker, which also takes data spilled from memory.",
    )
    threads: Annotated[int, Field(strict=True, ge=1, le=256)] | None = Field(
        default=None,
        description="Number of tasks that each worker runs at once. Default: its whole cores, at least 1.",
    )
    resources: Offers = Field(
        default_factory=dict,
        description="What each worker offers to tasks with the option `resources`. nvidia.com/gpu: 1 is"
        ' requested from its node, and is {"GPU": 1} to tasks. A name in capitals, such as LICENSE: 2, is'
        " known to tasks only.",
    )
    spot: bool = Field(
        default=True,
        strict=True,
        description="Whether workers run on spot nodes: cheap, but reclaimed at any time.",
    )
    on_demand_fallback: OnDemandFallback = False

    @property
    def slots(self) -> int:
        """The number of threads of one worker."""
        return self.threads or max(1, quantities.millicores(self.cpu) // 1000)


_LIMITS = (
    "Limits for tasks with the option `limit`, by name: how many calls run at once, such as 4, or start"
    " within a time, such as 10/s, 100/min or 1000/h. Each run has its own."
)
_DESCRIPTION = (
    "File beside this one, or in a folder there, with the pipelines of the image and their parameters, as"
    " `lightwork describe --json` prints them. The image is then named by its digest, which the file holds."
)
SCHEDULER = Pod()
DRIVER = Pod(cpu="1", memory="2Gi", storage="4Gi")


class ScaledStep(documents.Document):
    """A step that runs a pipeline on workers of its own, which are deleted when the step ends."""

    pipeline: EntryName = Field(description="Name of the pipeline.")
    after: tuple[StepName, ...] = Field(
        default=(),
        description="Steps that it waits for, besides those whose outputs it uses.",
    )
    image: Image | None = Field(
        default=None, description="Image of all its pods. Default: the platform's image."
    )
    description: ImageDescription | None = Field(default=None, description=_DESCRIPTION)
    parameters: dict[str, ParameterValue] = Field(
        default_factory=dict,
        description="Parameters of the pipeline. In a string, ${name} is a parameter of the run,"
        " ${step.output} an output of another step, and ${step.result} a pipeline's return value as JSON.",
    )
    workers: Workers = Field(default=Workers(), description="Workers of the step.")
    limits: Limits = Field(default_factory=dict, description=_LIMITS)
    scheduler: Pod = Field(default=SCHEDULER, description="Pod of the scheduler, which hands out the tasks.")
    driver: Pod = Field(default=DRIVER, description="Pod of the driver, which runs the pipeline's function.")


class ContainerStep(documents.Document):
    """A step that runs one container."""

    command: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Program and its first arguments, passed unchanged."
    )
    args: tuple[str, ...] = Field(
        default=(),
        description="Further arguments. ${name} is a parameter of the run, ${step.output} an output of"
        " another step; write $${ for a literal ${.",
    )
    after: tuple[StepName, ...] = Field(
        default=(),
        description="Steps that it waits for, besides those whose outputs it uses.",
    )
    image: Image | None = Field(
        default=None, description="Image of the container. Default: the platform's image."
    )
    size: Pod = Field(default=Pod(), description="Size of its pod.")
    outputs: tuple[OutputName, ...] = Field(
        default=(),
        description="Names of its outputs: small texts for other steps, each written to a file of that"
        " name in /tmp/outputs. The run fails if one is missing.",
    )
    spot: bool = Field(
        default=False,
        strict=True,
        description="Whether it runs on a spot node, which is cheap; it restarts if that is reclaimed.",
    )
    on_demand_fallback: OnDemandFallback = False


def _kind(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Validate a step as the one kind that its fields select, so that errors are not reported for both."""
    if not isinstance(value, dict):
        return handler(value)
    if ("pipeline" in value) == ("command" in value):
        fields = "both `pipeline` and" if "pipeline" in value else "neither `pipeline` nor"
        raise ValueError(f"has {fields} `command`; should have exactly one of them")
    kind = ScaledStep if "pipeline" in value else ContainerStep
    return kind.model_validate(value, context=info.context)


Step: TypeAlias = Annotated[ScaledStep | ContainerStep, WrapValidator(_kind)]


class Entry(documents.Document):
    """One pipeline of a tenant, or several steps: their schedule, parameters and sizes."""

    pipeline: EntryName | None = Field(
        default=None, description="Name of the pipeline. Default: the entry's own name."
    )
    steps: Annotated[dict[StepName, Step], Field(min_length=1, max_length=50)] | None = Field(
        default=None,
        description="Several steps in place of one pipeline: pipelines and plain containers, each of which"
        " starts as soon as all steps that it waits for have succeeded. Each step sets its image and sizes.",
    )
    image: Image | None = Field(
        default=None, description="Image of all pods of its runs. Default: the platform's image."
    )
    description: ImageDescription | None = Field(default=None, description=_DESCRIPTION)
    schedule: Cron | None = Field(
        default=None, description="Cron schedule of its runs. Without one it runs only when submitted."
    )
    timezone: TimeZone | None = Field(
        default=None,
        validate_default=True,
        description="Time zone of the schedule; required with a schedule.",
    )
    parameters: dict[str, ParameterValue] = Field(
        default_factory=dict,
        description="Parameters, by the names in the function's signature. With steps: the parameters of"
        " the run with their defaults, which steps use as ${name}.",
    )
    interval: tuple[ParameterName, ParameterName] | None = Field(
        default=None,
        description="With steps: the two parameters of the run that take the start and the end of the"
        " interval of time that it works on. A run of the schedule gets them from its firing; pipelines among"
        " the steps use them as ${name}. A single pipeline says it itself: @pipeline(interval=...).",
    )
    workers: Workers = Field(default=Workers(), description="Workers of a run.")
    limits: Limits = Field(default_factory=dict, description=_LIMITS)
    scheduler: Pod = Field(default=SCHEDULER, description="Pod of the scheduler, which hands out the tasks.")
    driver: Pod = Field(default=DRIVER, description="Pod of the driver, which runs the pipeline's function.")
    max_parallel_runs: Count = Field(
        default=1, description="Maximum number of its runs at the same time; further runs wait."
    )
    deadline: Duration = Field(
        default="6h",
        description="A run that takes longer is stopped; with steps, one whose step takes longer. The time"
        " for which it waits for its turn does not count.",
    )
    ends_within: Duration | None = Field(
        default=None,
        validate_default=True,
        description="A run that has not ended so long after it was submitted is stopped, also if it still"
        " waits for its turn. Default: one day more than the deadline.",
    )
    when_busy: Literal["skip", "wait"] = Field(
        default="skip",
        description="What becomes of a run of the schedule if as many runs as may are active: it is recorded"
        " as skipped, or it waits. Submitted runs always wait.",
    )
    starting_deadline: Duration = Field(
        default="10m", description="How late a scheduled run may still start after an outage."
    )
    suspended: bool = Field(default=False, strict=True, description="Whether the schedule is paused.")

    @field_validator("timezone")
    @classmethod
    def _required_with_a_schedule(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("schedule"):
            raise ValueError("a schedule needs a time zone, for example Europe/Berlin or UTC")
        return value

    @field_validator("deadline")
    @classmethod
    def _shorter_than_certificates(cls, value: str) -> str:
        if quantities.seconds(value) > quantities.seconds(LONGEST_RUN):
            raise ValueError(f"should be {LONGEST_RUN} or less")
        return value

    @field_validator("ends_within")
    @classmethod
    def _not_before_the_deadline(cls, value: str | None, info: ValidationInfo) -> str | None:
        deadline = info.data.get("deadline")
        if value and deadline and quantities.seconds(value) < quantities.seconds(deadline):
            raise ValueError(f"should be the deadline ({deadline}) or more: it includes the run itself")
        return value

    @property
    def seconds_to_end(self) -> int:
        """The seconds after its submission within which a run ends."""
        if self.ends_within is None:
            return quantities.seconds(self.deadline) + quantities.seconds(LONGEST_WAIT)
        return quantities.seconds(self.ends_within)


_Most = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class History(documents.Document):
    """How much of the history of a lake is kept."""

    runs_days: Annotated[int, Field(strict=True, ge=1, le=3650)] = Field(
        default=365,
        description="Days for which runs, their reports and logs, and versions of artifacts that newer ones"
        " have replaced are kept.",
    )
    runs_kept: _Most | None = Field(
        default=None, description="Maximum number of runs of each pipeline. Default: any number."
    )
    artifacts_kept: _Most | None = Field(
        default=None, description="Maximum number of versions of each artifact. Default: any number."
    )


class Tenant(documents.Document):
    """The content of `tenants/<name>.yaml`."""

    name: TenantName = Field(description="Name of the tenant, the same as the file's.")
    environments: Annotated[tuple[Environment, ...], Field(min_length=1)] = Field(
        description="Environments in which the tenant exists."
    )
    state: Literal["active", "leaving"] = Field(
        default="active",
        description="A leaving tenant keeps all its data, and its schedules start no more runs.",
    )
    destroy: dict[Environment, Annotated[tuple[ResourceName, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Protected resources of a leaving tenant that may be deleted, by environment: their"
        " logical names as a preview shows them, for example lake-bucket.",
    )
    data_retention_days: Annotated[int, Field(strict=True, ge=1, le=3650)] = Field(
        default=90,
        description="Days during which deleted or overwritten data in the tenant's lake can be restored.",
    )
    history: History = Field(
        default=History(),
        description="How much of the history of its lake is kept. What is deleted can be restored for"
        " data_retention_days. The newest version of an artifact and all results stay in any case.",
    )
    budget: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=500,
        description="Budget in US dollars per month and environment; operators are alerted as it runs out.",
    )
    quota: Quota = Field(
        default=Quota(), description="The most that all of the tenant's pods may request together."
    )
    secrets: tuple[SecretName, ...] = Field(
        default=(), description="Secrets that its pipelines read, by their names under the tenant's prefix."
    )
    people: People | None = Field(
        default=None,
        description="People who use the tenant's pipelines, its lake and its logs. Default: nobody but the"
        " platform's operators.",
    )
    pipelines: dict[EntryName, Entry] = Field(
        default_factory=dict, description="Pipelines of the tenant, each under the name of its runs."
    )

    @field_validator("destroy")
    @classmethod
    def _only_when_leaving(
        cls, value: dict[Environment, tuple[str, ...]], info: ValidationInfo
    ) -> dict[Environment, tuple[str, ...]]:
        if value and info.data.get("state") == "active":
            raise ValueError("an active tenant's resources are protected; set `state: leaving` first")
        environments = info.data.get("environments", get_args(Environment))
        if unknown := [environment for environment in value if environment not in environments]:
            raise ValueError(
                f"the tenant is not in {unknown[0]}; its environments are {', '.join(environments)}"
            )
        return value

    @property
    def leaving(self) -> bool:
        """Whether the tenant is leaving: its schedules stop, its data stays."""
        return self.state == "leaving"

    @property
    def namespace(self) -> str:
        """The tenant's Kubernetes namespace; its prefix avoids clashes with the cluster's own namespaces."""
        return f"tenant-{self.name}"

    def fires(self, entry: str) -> bool:
        """Return whether an entry's schedule starts runs: it has one, and nothing suspends it."""
        item = self.pipelines[entry]
        return item.schedule is not None and not item.suspended and not self.leaving

    def pipeline_of(self, entry: str) -> str:
        """Return the name of the pipeline that an entry runs."""
        return self.pipelines[entry].pipeline or entry
