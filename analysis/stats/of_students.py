"""Students held against their teacher, each frame worked out once: terminal, page and notebook draw from here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.runs.choosing import name_model
from analysis.runs.lineage import Lineage, trace_encoder
from analysis.runs.probing_run import Run, name_runs
from analysis.stats.forgetting import count_layers, measure_losses
from analysis.stats.forgetting_order import order_groups
from analysis.stats.moved_mixes import measure_moves, stack_mixes
from probing.records import InputError

ENCODER_COLUMNS = ["encoder", "model", "n_layers", "recipe", "task", "seed", "method", "sparsity", "bits"]
ENCODER_COLUMNS += ["parameters", "bytes"]


@dataclass(frozen=True)
class Forgetting:
    """A teacher, its students by name, and what came out of holding them against it."""

    teacher: Run
    students: Mapping[str, Run]
    losses: pd.DataFrame
    """The result of `measure_losses`."""
    seed: int = 0
    """Seed of the bootstrap."""

    @property
    def tasks(self) -> list[str]:
        """Keys of the tasks that were compared."""
        return list(dict.fromkeys(self.losses["task"]))

    @cached_property
    def lineages(self) -> Mapping[str, Lineage]:
        """Facts of each encoder by name, the teacher's first."""
        return {name: trace_encoder(run) for name, run in ({"teacher": self.teacher} | dict(self.students)).items()}

    @cached_property
    def encoders(self) -> pd.DataFrame:
        """Columns `ENCODER_COLUMNS`, the teacher first; empty or NaN where nothing is known."""
        runs = {"teacher": self.teacher} | dict(self.students)
        rows = [
            vars(self.lineages[name]) | {"encoder": name, "model": name_model(run), "n_layers": count_layers(run)}
            for name, run in runs.items()
        ]
        return pd.DataFrame(rows)[ENCODER_COLUMNS]

    @cached_property
    def order(self) -> pd.DataFrame:
        """The result of `order_groups`, without the task that a student or its teacher was trained on."""
        own = self.lineages["teacher"].task
        taught = {name: {own, found.task} for name, found in self.lineages.items()}
        return order_groups(self.teacher, self.students, self.losses, taught, self.seed)

    @cached_property
    def moves(self) -> pd.DataFrame:
        """The result of `measure_moves`."""
        return measure_moves(self.teacher, self.students, self.tasks)

    @cached_property
    def mixes(self) -> pd.DataFrame:
        """The result of `stack_mixes`."""
        return stack_mixes(self.teacher, self.students, self.tasks)


def hold_against(teacher: Run, students: Sequence[Run], tasks: Sequence[str] = (), seed: int = 0) -> Forgetting:
    """Hold students against their teacher.

    Args:
        teacher: the run of the encoder that they are held against.
        students: runs of other encoders on the same sentences, probed alike.
        tasks: keys or titles of the tasks; none: all, which all runs must have then.
        seed: of the bootstrap.

    Raises:
        InputError: no student, one twice, or as `measure_losses`.
    """
    folders = [run.folder.resolve() for run in students]
    if not students or len(set(folders)) < len(folders):
        raise InputError(f"expected one or more different students, got {len(folders)} of {len(set(folders))} folders")
    named = dict(zip(name_runs([run.folder for run in students]), students, strict=True))
    if "teacher" in named:
        named = {str(run.folder): run for run in students}
    return Forgetting(teacher, named, measure_losses(teacher, named, tasks), seed)
