"""The tools that are compared, each used as its own pages recommend for results that outlive a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.staleness import environments
from bench.staleness.programs import ARGUMENTS, FILES, GROUPS, HARMLESS, ITSELF, RUNNING

CLOSED = "http://127.0.0.1:9"
"""A port of this machine where nothing listens."""
QUIET = {
    # No analytics, of any tool that heeds one of these.
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "HAMILTON_TELEMETRY_ENABLED": "false",
    # What a tool sends elsewhere all the same arrives nowhere.
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), CLOSED),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), CLOSED),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost"),
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
}
"""The environment of the processes that run programs, and of a peer's server."""

CALLED_TEXT = frozenset({ITSELF, ARGUMENTS})
"""What a tool claims to notice that compares the text of the function, and its arguments."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool in one way of use.

    Attributes:
        name: its name in the tables.
        runner: its name in `runner.py`.
        header: the lines that import it in a program.
        decorator: the line above a cached function.
        peer: its `requirements/peers/NAME.txt`; empty for lightwork, which this environment holds.
        claims: the groups of edits that it says it notices.
        variables: environment variables of its processes.
        groups: the groups of edits that it runs.
    """

    name: str
    runner: str
    header: str = ""
    decorator: str = ""
    peer: str = ""
    claims: frozenset[str] = frozenset(GROUPS)
    variables: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset(GROUPS)

    def python(self) -> Path:
        """Return the Python that has the tool; a peer is installed the first time."""
        return environments.python_of(self.peer) if self.peer else Path(sys.executable)


PLAIN = Tool("plain Python", "plain")
"""Runs the programs without a cache: the right results."""
LIGHTWORK = "lightwork"

_LIGHTWORK_HEADER = "from lightwork import task\n\n"
_PREFECT_HEADER = "from prefect import task\nfrom prefect.cache_policies import INPUTS, TASK_SOURCE\n\n"

TOOLS = (
    Tool("lightwork", LIGHTWORK, _LIGHTWORK_HEADER, "@task\n", variables={"STALENESS_ON": "serial"}),
    # The key is computed in one place, wherever the tasks run. Workers differ in what they import.
    Tool(
        "lightwork, two workers",
        LIGHTWORK,
        _LIGHTWORK_HEADER,
        "@task\n",
        variables={"STALENESS_ON": "local"},
        groups=frozenset({RUNNING, FILES, HARMLESS}),
    ),
    # Across runs, joblib finds a function's results by its name, and drops them if its source differs. Its
    # page says nothing of other code: https://joblib.readthedocs.io/en/stable/memory.html#gotchas
    Tool(
        "joblib.Memory",
        "joblib",
        "import os\n\nfrom joblib import Memory\n\n"
        "memory = Memory(os.environ['STALENESS_CACHE'], verbose=0)\n",
        "@memory.cache\n",
        "joblib",
        CALLED_TEXT,
    ),
    # The page recommends this sum of policies to follow new inputs and changed code. It says that TASK_SOURCE
    # goes by the raw lines of the task alone: comments count, and nothing that the task calls or reads does.
    # https://docs.prefect.io/v3/concepts/caching#cache-policies
    Tool(
        "Prefect, TASK_SOURCE + INPUTS",
        "prefect",
        _PREFECT_HEADER,
        "@task(cache_policy=TASK_SOURCE + INPUTS)\n",
        "prefect",
        CALLED_TEXT,
    ),
    # The same page: the default policy adds the id of the run to the two, so it finds nothing of an earlier
    # run. Edits with an effect need no measurement then.
    Tool(
        "Prefect, DEFAULT",
        "prefect",
        "from prefect import task\n\n",
        "@task(persist_result=True)\n",
        "prefect",
        CALLED_TEXT,
        groups=frozenset({HARMLESS}),
    ),
    # The page says that neither functions which a node calls nor versions of libraries count:
    # https://hamilton.apache.org/concepts/caching/#code-version
    Tool("Hamilton", "hamilton", peer="hamilton", claims=CALLED_TEXT),
)


def chosen(names: str, tools: tuple[Tool, ...] = TOOLS) -> tuple[Tool, ...]:
    """Return the tools of some names or parts of names, separated by semicolons; all, if there are none.

    Raises:
        ValueError: a part is in no name.
    """
    parts = [part.strip().lower() for part in names.split(";") if part.strip()]
    wanted: set[str] = set()
    for part in parts:
        exact = {tool.name for tool in tools if tool.name.lower() == part}
        found = exact or {tool.name for tool in tools if part in tool.name.lower()}
        if not found:
            known = "; ".join(tool.name for tool in tools)
            raise ValueError(f"STALENESS_TOOLS: no tool is named {part!r}; known are {known}")
        wanted |= found
    return tuple(tool for tool in tools if not parts or tool.name in wanted)


def variables(tool: Tool, home: Path, api: str) -> dict[str, str]:
    """Return the whole environment of the process that runs programs.

    Args:
        tool: the tool.
        home: a folder for its own settings.
        api: the address of the tool's server on this machine; empty if it has none.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "HAMILTON_", "LIGHTWORK_", "JOBLIB_", "PYTHON"))
    }
    ours = {
        # An edit within a second that keeps the size of a file would find the bytecode from before.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "1",
        "PREFECT_HOME": str(home),
    }
    return {**inherited, **QUIET, **ours, **({"PREFECT_API_URL": api} if api else {}), **tool.variables}
