"""What a tenant's file says: the model, whose descriptions are the documentation of the fields."""

# ruff: noqa: TC002  (pydantic evaluates the annotations)
from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, field_validator
from pydantic_core.core_schema import ValidationInfo

from lightwork import documents
from lightwork.tenants import quantities
from lightwork.tenants.fields import (
    Count,
    Cpu,
    Cron,
    Duration,
    EntryName,
    Environment,
    Image,
    OutputName,
    ParameterValue,
    ResourceName,
    SecretName,
    Size,
    StepName,
    TenantName,
    TimeZone,
)

LONGEST_RUN = "7d"
"""A run keeps the certificates of its start, and they are renewed when they have 30 days left."""


class Quota(documents.Document):
    """The most that all of a tenant's pods together may ask for."""

    cpu: Cpu = Field(default="16", description="Processor cores.")
    memory: Size = Field(default="64Gi", description="Memory.")
    pods: Count = Field(default=50, description="How many pods.")
    storage: Size = Field(default="200Gi", description="Room on the nodes' own disks, for what is spilled.")


class Pod(documents.Document):
    """What one pod gets: it is promised all of it, and its memory and storage end there."""

    cpu: Cpu = Field(default="500m", description="Processor cores.")
    memory: Size = Field(default="1Gi", description="Memory; a pod that takes more is ended.")
    storage: Size = Field(default="2Gi", description="Room on the node's own disk.")


class Workers(documents.Document):
    """A run's workers. There are none when it starts: it takes as many as it has work for."""

    count: Count = Field(default=4, description="The most workers that one run may have.")
    cpu: Cpu = Field(default="1", description="Processor cores of each.")
    memory: Size = Field(default="2Gi", description="Memory of each.")
    storage: Size = Field(
        default="10Gi",
        description="Room on the node's own disk for each; data that memory has no room for goes there.",
    )
    threads: Annotated[int, Field(strict=True, ge=1, le=256)] | None = Field(
        default=None,
        description="How many tasks each runs at once; as many as it has whole cores by default.",
    )
    spot: bool = Field(
        default=True,
        strict=True,
        description="Whether they may be on spot nodes: cheap, and taken away at any time.",
    )

    @property
    def slots(self) -> int:
        """The threads of one worker."""
        return self.threads or max(1, quantities.millicores(self.cpu) // 1000)


SCHEDULER = Pod()
DRIVER = Pod(cpu="1", memory="2Gi", storage="4Gi")


class ScaledStep(documents.Document):
    """A step that is a pipeline with workers of its own, which go when the step has ended."""

    pipeline: EntryName = Field(description="The pipeline's name.")
    after: tuple[StepName, ...] = Field(
        default=(),
        description="The steps that it waits for, besides those whose values it uses.",
    )
    image: Image | None = Field(
        default=None, description="The image of all its pods; the platform's by default."
    )
    parameters: dict[str, ParameterValue] = Field(
        default_factory=dict,
        description="The pipeline's parameters. In a text, ${name} is a parameter of the run, and"
        " ${step.output} what another step wrote; ${step.result} is what a pipeline returned, as JSON.",
    )
    workers: Workers = Field(default=Workers(), description="Its workers.")
    scheduler: Pod = Field(default=SCHEDULER, description="The pod that hands the tasks out.")
    driver: Pod = Field(default=DRIVER, description="The pod that the function itself runs in.")


class ContainerStep(documents.Document):
    """A step that is one container."""

    command: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="The program and its first arguments, taken as they are."
    )
    args: tuple[str, ...] = Field(
        default=(),
        description="More arguments. ${name} in them is a parameter of the run, and ${step.output} what"
        " another step wrote; $${ is ${ itself.",
    )
    after: tuple[StepName, ...] = Field(
        default=(),
        description="The steps that it waits for, besides those whose values it uses.",
    )
    image: Image | None = Field(default=None, description="Its image; the platform's by default.")
    size: Pod = Field(default=Pod(), description="What its pod gets.")
    outputs: tuple[OutputName, ...] = Field(
        default=(),
        description="The names of small texts that it writes for other steps, each to a file of that name"
        " in the folder /tmp/outputs. A run fails if one of them is not there.",
    )
    spot: bool = Field(
        default=False,
        strict=True,
        description="Whether it may be on a spot node: cheap, and taken away at any time, to start anew.",
    )


def _kind(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Say what is wrong with a step as the one kind that it is, not as each that it could be."""
    if not isinstance(value, dict):
        return handler(value)
    if ("pipeline" in value) == ("command" in value):
        found = "both" if "pipeline" in value else "neither"
        raise ValueError(
            f"has {found} of `pipeline` and `command`; should have one: the pipeline it is, or the program"
        )
    return (ScaledStep if "pipeline" in value else ContainerStep).model_validate(value)


Step: TypeAlias = Annotated[ScaledStep | ContainerStep, WrapValidator(_kind)]


class Entry(documents.Document):
    """One pipeline of a tenant, or several steps: when it runs, with what, and how large."""

    pipeline: EntryName | None = Field(
        default=None, description="The pipeline's name, where the entry has another one."
    )
    steps: Annotated[dict[StepName, Step], Field(min_length=1, max_length=50)] | None = Field(
        default=None,
        description="In place of one pipeline, several steps: pipelines and plain containers, which start as"
        " soon as what they wait for has succeeded. Image and sizes are those of each step then.",
    )
    image: Image | None = Field(
        default=None, description="The image of all pods of its runs; the platform's by default."
    )
    schedule: Cron | None = Field(
        default=None, description="When it runs, as cron writes it; without it, when someone submits it."
    )
    timezone: TimeZone | None = Field(
        default=None,
        validate_default=True,
        description="Whose clock the schedule means. Needed with a schedule.",
    )
    parameters: dict[str, ParameterValue] = Field(
        default_factory=dict,
        description="Its parameters, by the names in the function's signature. With steps, the run's own,"
        " each with its default; steps use them as ${name}.",
    )
    workers: Workers = Field(default=Workers(), description="The workers of a run.")
    scheduler: Pod = Field(default=SCHEDULER, description="The pod that hands the tasks out.")
    driver: Pod = Field(default=DRIVER, description="The pod that the function itself runs in.")
    max_parallel_runs: Count = Field(
        default=1, description="How many of its runs may be going on; more wait."
    )
    deadline: Duration = Field(default="6h", description="A run that takes longer is ended.")
    starting_deadline: Duration = Field(
        default="10m", description="How late a missed run may still start, after an outage."
    )
    suspended: bool = Field(default=False, strict=True, description="Whether the schedule is switched off.")

    @field_validator("timezone")
    @classmethod
    def _needed_with_a_schedule(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("schedule"):
            raise ValueError("a schedule needs one, for example Europe/Berlin or UTC")
        return value

    @field_validator("deadline")
    @classmethod
    def _shorter_than_its_certificates(cls, value: str) -> str:
        if quantities.seconds(value) > quantities.seconds(LONGEST_RUN):
            raise ValueError(f"should be {LONGEST_RUN} or less")
        return value


class Tenant(documents.Document):
    """What `tenants/<name>.yaml` says."""

    name: TenantName = Field(description="The tenant's name, which is also the file's.")
    environments: Annotated[tuple[Environment, ...], Field(min_length=1)] = Field(
        description="Where the tenant exists."
    )
    state: Literal["active", "leaving"] = Field(
        default="active",
        description="A tenant that is leaving keeps all its data, and none of its schedules starts a run.",
    )
    destroy: dict[Environment, Annotated[tuple[ResourceName, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="By environment, what of a tenant that is leaving may be deleted although it is precious:"
        " the logical names of single resources, as previews show them, such as lake-bucket.",
    )
    data_retention_days: Annotated[int, Field(strict=True, ge=1, le=3650)] = Field(
        default=90,
        description="Days for which data deleted or overwritten in the tenant's lake can be brought back.",
    )
    budget: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=500,
        description="US dollars a month in each environment; who operates it is told when they are spent.",
    )
    quota: Quota = Field(default=Quota(), description="The most that all of its pods together may ask for.")
    secrets: tuple[SecretName, ...] = Field(
        default=(), description="The secrets its pipelines read, by their names under the tenant's prefix."
    )
    pipelines: dict[EntryName, Entry] = Field(
        default_factory=dict, description="Its pipelines, each under the name that its runs carry."
    )

    @field_validator("destroy")
    @classmethod
    def _only_of_who_leaves(
        cls, value: dict[Environment, tuple[str, ...]], info: ValidationInfo
    ) -> dict[Environment, tuple[str, ...]]:
        if value and info.data.get("state") == "active":
            raise ValueError("nothing of an active tenant is deleted; it says `state: leaving` first")
        known = info.data.get("environments", get_args(Environment))
        if strangers := [environment for environment in value if environment not in known]:
            raise ValueError(f"the tenant is not in {strangers[0]}; its environments are {', '.join(known)}")
        return value

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out."""
        return self.state == "leaving"

    @property
    def namespace(self) -> str:
        """The tenant's Kubernetes namespace; the prefix keeps it apart from the cluster's own."""
        return f"tenant-{self.name}"

    def pipeline_of(self, entry: str) -> str:
        """The name of the pipeline that an entry runs."""
        return self.pipelines[entry].pipeline or entry
