"""A group of people that several tenants' files name: its members see the runs of all these tenants."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lightwork import documents
from lightwork.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from lightwork.tenants.reading import Loaded


class Groups:
    """The groups in the tenants' files of folders, each of which is read once."""

    def __init__(self) -> None:
        self._texts: dict[Path, dict[Path, str]] = {}

    def warnings(self, loaded: Loaded) -> list[str]:
        """Return a line if other files beside a tenant's name the same group of people.

        It may be meant, for two tenants of one customer. So it is no mistake.
        """
        group = loaded.tenant.people.group if loaded.tenant.people else None
        if group is None:
            return []
        others = [
            path.stem
            for path, text in self._beside(loaded.path).items()
            if path.name != loaded.path.name and group in text and _group(path) == group
        ]
        if not others:
            return []
        all_ = ", ".join([loaded.tenant.name, *others])
        where = loaded.place("people", "group")
        return [f"{where}: found {group!r}; its members see and stop the runs of several tenants: {all_}"]

    def _beside(self, path: Path) -> dict[Path, str]:
        folder = path.parent
        if folder not in self._texts:
            texts = self._texts[folder] = {}
            for other in sorted(folder.glob("*.yaml")):
                with suppress(InputError):
                    texts[other] = documents.read_text(other)
        return self._texts[folder]


def _group(path: Path) -> object:
    """Return the group that a tenant's file names; None for a file that cannot be read."""
    try:
        people = documents.read(path)[0].get("people")
    except InputError:
        return None
    return people.get("group") if isinstance(people, dict) else None
