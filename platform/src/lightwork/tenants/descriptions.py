"""Descriptions of images: their pipelines and parameters, as `lightwork describe` prints them.

A tenant's file names one beside the image that it describes. The description holds the image's digest, which
has to be the image's, so it cannot be out of date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from lightwork import documents
from lightwork.errors import InputError, one_line
from lightwork.functions import parameters
from lightwork.tenants.fields import Image
from lightwork.version import __version__

if TYPE_CHECKING:
    from lightwork.functions.decorated import Pipeline

FORMAT = 1
"""The format of descriptions. Another one is refused."""


def _identifier(value: str) -> str:
    if not value.isidentifier():
        raise ValueError("should be the name of a parameter")
    return value


def digest(image: str) -> str:
    """Return the digest in an image's name; empty if it is named by a tag.

    >>> digest("registry.example/daylight:1.4.0")
    ''
    """
    return image.partition("@")[2]


def _by_digest(value: str) -> str:
    if not digest(value):
        raise ValueError("should name the image by its digest: NAME@sha256:...")
    return value


_Image = Annotated[Image, AfterValidator(_by_digest)]
_Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Parameter(documents.Document):
    name: Annotated[str, AfterValidator(_identifier)]
    type: str
    required: bool
    default: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")

    @model_validator(mode="after")
    def _has_a_default(self) -> _Parameter:
        if self.required == (self.default is not None):
            raise ValueError("should have a default, or `required: true`")
        return self


class _Pipeline(documents.Document):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=60)]
    module: str
    doc: str
    parameters: tuple[_Parameter, ...]
    interval: tuple[str, str] | None = None
    resources: dict[str, dict[str, _Amount]] = Field(default_factory=dict)
    limits: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_its_parameters(self) -> _Pipeline:
        if unknown := set(self.interval or ()) - {item.name for item in self.parameters}:
            raise ValueError(f"interval should name two of its parameters; found {min(unknown)!r}")
        return self


class _File(documents.Document):
    format: Literal[1]
    lightwork: str
    python: str
    image: _Image
    pipelines: tuple[_Pipeline, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """The pipelines of an image.

    Attributes:
        image: the image's name, with its digest.
        pipelines: the pipelines by name.
    """

    image: str
    pipelines: Mapping[str, parameters.Described]


def document(image: str | None, pipelines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a description, for JSON.

    Args:
        image: the image's name with its digest; None to leave it out.
        pipelines: each pipeline with its parameters.

    Raises:
        InputError: the image is not named by its digest.
    """
    if image is not None:
        try:
            TypeAdapter(_Image).validate_python(image)
        except ValidationError as error:
            reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            raise InputError(f"describe: --image {image!r}: {one_line(reason)}") from None
    python = ".".join(map(str, sys.version_info[:2]))
    versions = {"format": FORMAT, "lightwork": __version__, "python": python}
    return {**versions, "image": image, "pipelines": list(pipelines)}


def read(path: Path) -> Description:
    """Read the description of an image.

    Raises:
        InputError: the file is missing, or is not a description; in one line.
    """
    file = _parsed(path)
    pipelines = {}
    for item in file.pipelines:
        if item.name in pipelines:
            raise InputError(f"{path}: describes {item.name} twice; {_AGAIN}")
        described = {}
        for parameter in item.parameters:
            try:
                described[parameter.name] = parameters.from_json(
                    parameter.model_dump(by_alias=True, exclude_none=True)
                )
            except ValueError as error:
                raise InputError(
                    f"{path}: {item.name}: parameter {parameter.name}: {one_line(error)}; {_AGAIN}"
                ) from None
        doc = one_line(item.doc.partition("\n")[0])
        pipelines[item.name] = parameters.Described(
            item.name, doc, described, item.interval, item.resources, item.limits
        )
    return Description(file.image, pipelines)


_AGAIN = "make it anew: `lightwork describe --json --image NAME@sha256:...` in the image"


def _parsed(path: Path) -> _File:
    text = documents.read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({one_line(error)}); {_AGAIN}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not the description of an image; {_AGAIN}")
    if content.get("format") != FORMAT:
        other = one_line(str(content.get("format"))[:20])
        raise InputError(f"{path}: has the format {other} instead of {FORMAT}; {_AGAIN}")
    try:
        return documents.parse(_File, content, path=path, node=None)
    except InputError as error:
        first = str(error).splitlines()[0].replace(f"{path}:1: ", f"{path}: ", 1)
        raise InputError(f"{first}; {_AGAIN}") from None


def _field(value: object, info: ValidationInfo) -> object:
    """Read the description that a tenant's file names, for the model.

    Raises:
        ValueError: there is no such file, it is wrong, or it describes another image.
    """
    if not isinstance(value, str):
        return value
    folder = (info.context or {}).get("folder")
    if Path(value).is_absolute() or ".." in Path(value).parts or folder is None:
        raise ValueError("should be a file in the tenant's folder or below it, without `..`")
    try:
        description = read(folder / value)
    except InputError as error:
        raise ValueError(str(error)) from None
    image = info.data.get("image")
    if image is None:
        raise ValueError(f"needs `image`, which it describes: {description.image}")
    if not digest(image):
        raise ValueError(f"needs `image` by its digest, not by a tag, which may move: {description.image}")
    if digest(image) != digest(description.image):
        raise ValueError(f"describes {description.image}, and `image` is {image}; {_AGAIN}")
    return description


ImageDescription = Annotated[
    InstanceOf[Description],
    BeforeValidator(_field),
    WithJsonSchema(
        {"type": "string", "title": "Description of the image", "examples": ["descriptions/daylight.json"]}
    ),
]
"""The description of an image, read from the file that a tenant's file names."""


def pipeline_of(
    description: Description | None, name: str, installed: Mapping[str, Pipeline[..., Any]]
) -> Pipeline[..., Any] | parameters.Described | None:
    """Return the pipeline of an entry or a step; None if only its image has it, and has no description.

    Args:
        description: the description of the image of an entry or a step; None if it has none.
        name: the pipeline's name.
        installed: the pipelines that are installed here, by name.
    """
    return description.pipelines.get(name) if description else installed.get(name)
