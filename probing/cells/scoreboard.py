"""The table that fills while a run works: a row for each task, with its best layer, its last layer and its mix."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

from probing.records import Task
from probing.tables import CellResult, Score

_EMPTY = "·"


@dataclass
class Row:
    """State of a task so far."""

    title: str
    scores: list[Score] = field(default_factory=list)
    """Of the task's first metric, on dev and test."""
    n_preliminary: int = 0
    """Training sentences behind the scores, where they are not all of them; 0: they are."""

    def texts(self) -> tuple[str, str, str]:
        """Best layer, last layer and mix, times 100; seeds averaged; `~` in front of what is preliminary."""
        layers = self._mean("layer", "test")
        if not layers:
            return _EMPTY, _EMPTY, _EMPTY
        dev, mix = self._mean("layer", "dev"), self._mean("scalar_mix", "test")
        best, last = max(dev, key=lambda layer: (dev[layer], -layer)), max(layers)
        mark = "~" if self.n_preliminary else ""
        mixed = f"{mark}{100 * mix[-1]:.1f}" if mix else _EMPTY
        return f"{mark}{100 * layers[best]:.1f} ({best})", f"{mark}{100 * layers[last]:.1f} ({last})", mixed

    def _mean(self, representation: str, split: str) -> dict[int, float]:
        values: dict[int, list[float]] = {}
        for score in self.scores:
            if (score.representation, score.split) == (representation, split):
                values.setdefault(score.layer, []).append(score.value)
        return {layer: sum(numbers) / len(numbers) for layer, numbers in values.items()}


class Scoreboard:
    """The scores of the run's own cells as they come; controls and further measures are left to the final tables."""

    def __init__(self, tasks: Sequence[Task]):
        self._metrics = {task.name: task.spec.metric for task in tasks}
        self._rows = {task.name: Row(task.spec.title) for task in tasks}

    def add(self, result: CellResult) -> bool:
        """Take in a finished cell, in place of what was preliminary; whether it had scores to show."""
        return self._put(result.scores, 0)

    def add_preliminary(self, result: CellResult, n_train: int) -> None:
        """Take in scores of a probe that was trained on a part of its task."""
        self._put(result.scores, n_train)

    def line(self, task: str) -> str:
        """A task's row, in words."""
        row = self._rows[task]
        best, last, mix = row.texts()
        part = f", preliminary (from {row.n_preliminary:,} training sentences)" if row.n_preliminary else ""
        return f"{row.title}{part}: best layer {best}, last layer {last}" + ("" if mix == _EMPTY else f", mix {mix}")

    def __rich__(self) -> Table:
        """The table as it stands."""
        table = Table("task", title="scores on test, times 100; best by dev; layer in brackets", title_style="dim")
        for head in ("best layer", "last layer", "mix"):
            table.add_column(head, justify="right")
        preliminary = False
        for row in list(self._rows.values()):
            preliminary |= row.n_preliminary > 0
            table.add_row(*map(Text, (row.title, *row.texts())), style="dim" if row.n_preliminary else "")
        if preliminary:
            table.caption = "~ preliminary, from a part of the task's training sentences"
        return table

    def _put(self, scores: Iterable[Score], n_preliminary: int) -> bool:
        mine = [
            score
            for score in scores
            if score.control == "none"
            and score.representation in ("layer", "scalar_mix")
            and score.metric == self._metrics.get(score.task)
        ]
        for score in mine:
            row = self._rows[score.task]
            if row.n_preliminary != n_preliminary:
                row.scores, row.n_preliminary = [], n_preliminary
            row.scores.append(score)
        return bool(mine)
