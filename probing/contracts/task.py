"""Contract of a source of tasks that has a name of its own; task files need none."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from probing.records import Task


class LoadTasks(Protocol):
    """A function that makes, fetches or reads tasks."""

    def __call__(self, names: Sequence[str], /) -> Mapping[str, Task]:
        """The tasks asked for, by name.

        Args:
            names: names, titles, aliases or groups of tasks, or `all`.
        """
        ...
