"""The cells of a run: found in its folder or computed by an engine, gathered in plan order, recorded when they fail."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from threading import RLock
from typing import Any

from probing import __version__
from probing.catalogue.readouts import UNCONVERGED, UNCONVERGED_MEANS
from probing.cells.encoding import TaskEncoder
from probing.cells.plan import estimate_work
from probing.cells.scoreboard import Scoreboard
from probing.cells.work import COSTS_A_CELL, CellError, Subject, compute_cell, order_cell
from probing.contracts.measure import Cell, Encoded
from probing.digests import digest_json
from probing.engines.feed import interleave
from probing.progress import Reporter, Stage
from probing.records import Task
from probing.registry import MEASURES
from probing.settings.run import RunSettings, effective_settings
from probing.store.run_folder import RunFolder
from probing.store.shared_folders import SharedFolders
from probing.tables import CellResult, Failure
from probing.work import Done, Engine, Lost, Unit

_GPUS = 0.25
"""Part of a GPU that a cell takes on it: probes and mixes hold little there."""
_PATIENCE_S = 20.0
"""Time to wait for the first task's scores, where the rest of that task is encoded sooner than that."""


@dataclass(frozen=True)
class PlannedStage:
    """Cells of one kind, task by task, and the sentences that they read."""

    name: str
    cells: Sequence[Cell]
    sentences: TaskEncoder


@dataclass
class _OpenStage:
    """State of a stage whose cells are being computed."""

    plan: PlannedStage
    stage: Stage
    left: Counter[str]
    """Number of its cells that are not there yet, by task."""
    cells: dict[str, CellResult | Failure | None]
    """Cells of its chain, by name."""
    n_resumed: int = 0
    n_sentences: int = 0
    """Sentences of the cells that were computed."""


class CellRunner:
    """Has the cells computed that are not there yet, and gathers all.

    Args:
        settings: of the run.
        folder: where finished cells are kept.
        reporter: who tells of them.
        board: where their scores are shown.
        engine: that computes them.
        seen: what all who compute them must see.
    """

    def __init__(
        self,
        settings: RunSettings,
        folder: RunFolder,
        reporter: Reporter,
        board: Scoreboard,
        engine: Engine,
        seen: SharedFolders,
    ):
        self.settings, self.folder, self.reporter, self.board = settings, folder, reporter, board
        self.engine, self.seen = engine, seen
        self.first_score: dict[str, float | bool] = {}
        """Seconds from the command to the first score of a probe, and whether that was a preliminary one."""
        self._chains: list[dict[str, CellResult | Failure | None]] = []
        """Cells by name, in the order of the plan, whatever order they come in; none where one is not there yet."""
        self._awaited: dict[str, tuple[Cell, _OpenStage]] = {}
        # An engine may ask for units in a thread of its own.
        self._lock = RLock()

    @property
    def results(self) -> list[CellResult]:
        """The finished cells, in the order of the plan."""
        return [cell for chain in self._chains for cell in chain.values() if isinstance(cell, CellResult)]

    @property
    def failures(self) -> list[Failure]:
        """The cells that could not be computed, likewise."""
        return [cell for chain in self._chains for cell in chain.values() if isinstance(cell, Failure)]

    def run(self, *chains: Iterable[PlannedStage]) -> None:
        """Have the cells of all stages computed, task by task: its new sentences are encoded, then its cells follow.

        Args:
            chains: stages, one after the other; where several workers compute, chains go on side by side.
        """
        units: list[Iterator[Unit]] = []
        for stages in chains:
            self._chains.append({})
            units.append(self._list_units(stages, self._chains[-1]))
        together = interleave(units) if self.engine.workers > 1 else chain.from_iterable(units)
        for outcome in self.engine.run(compute_cell, together):
            if outcome.unit.name not in self._awaited:
                continue  # computed twice: the first one counts
            cell, opened = self._awaited[outcome.unit.name]
            if isinstance(outcome, Done):
                opened.stage.spent_s += outcome.elsewhere_s
            self._settle(cell, opened, judge(cell, outcome))
        for cell, opened in list(self._awaited.values()):
            self._settle(cell, opened, fail(cell, "the engine gave no answer"))

    def preview(self, task: Task, encoder: TaskEncoder) -> None:
        """Show scores from a part of a task, where encoding the whole of it would keep the user waiting.

        The part is encoded first in any case: vectors do not depend on who looks on. Its cell is not kept.
        """
        ahead = encoder.extend_ahead(task)
        if ahead is None:
            return
        part, extraction = ahead
        wait_s = encoder.count_new(task) * extraction.seconds / max(1, extraction.n_encoded)
        if self.reporter.quiet or wait_s < _PATIENCE_S:
            return
        try:
            result = MEASURES.load("scores")(Cell(part, "layer"), encoder.take(part), self.settings)
        except (*COSTS_A_CELL, OSError):
            return  # the whole task will say what is wrong
        self.board.add_preliminary(result, len(part.splits["train"]))
        self._note_first(preliminary=True)
        self._announce(task)

    def _list_units(
        self, stages: Iterable[PlannedStage], cells_of_chain: dict[str, CellResult | Failure | None]
    ) -> Iterator[Unit]:
        """The cells that are not there yet, as units."""
        for plan in stages:
            opened = self._open(plan, cells_of_chain)
            plan.sentences.foresee(cell.task for cell in plan.cells)
            for _, group in groupby(plan.cells, key=lambda cell: cell.task.name):
                own = list(group)
                encoded = plan.sentences.encode(own[0].task)
                for _, cells in groupby(own, key=lambda cell: id(cell.task)):
                    yield from self._list_of_task(opened, list(cells), encoded)

    def _open(self, plan: PlannedStage, cells: dict[str, CellResult | Failure | None]) -> _OpenStage:
        work = sum(estimate_work(cell, len(plan.sentences.layers)) for cell in plan.cells)
        stage = self.reporter.plan_stage(plan.name, len(plan.cells), "cells", work, self.engine.workers)
        opened = _OpenStage(plan, stage, Counter(cell.task.name for cell in plan.cells), cells)
        with self._lock:
            cells |= {cell.name: None for cell in plan.cells}
            if not plan.cells:
                self._end(opened)
        return opened

    def _list_of_task(self, opened: _OpenStage, cells: Sequence[Cell], encoded: Encoded) -> Iterator[Unit]:
        handles: dict[bool, Any] = {}
        for cell in cells:
            opened.stage.doing = f"{cell.task.spec.title}, {cell.representation.replace('_', ' ')}"
            # Left when the next unit is asked for: the time between is the cell's, if it is computed in this process.
            with self.reporter.visit(opened.stage):
                key = identify_inputs(cell, encoded, self.settings)
                result = self._find(cell, key)
                if result is not None:
                    self._settle(cell, opened, result, resumed=True)
                    continue
                reads = reads_others(cell)
                if reads not in handles:
                    others = encoded.others and replace(encoded.others, travels=reads)
                    handles[reads] = self.engine.share(Subject(cell.task, replace(encoded, others=others)))
                order = order_cell(cell, key, self.folder.cell_file(cell.name), self.settings, self.seen)
                with self._lock:
                    self._awaited[cell.name] = cell, opened
                gpus = _GPUS if encoded.encoder.device.startswith("cuda") else 0.0
                yield Unit(cell.name, estimate_work(cell, len(encoded.layers)), order, handles[reads], gpus)

    def _find(self, cell: Cell, key: str) -> CellResult | None:
        """A cell that is there already."""
        result = self.folder.find_cell(cell.name, key)
        while self.folder.damaged:
            self.reporter.warn(f"{self.folder.damaged.pop()}: damaged; this cell is computed again")
        return result

    def _settle(self, cell: Cell, opened: _OpenStage, found: CellResult | Failure, *, resumed: bool = False) -> None:
        """Take in a cell: its stage moves on, and ends with its last one."""
        with self._lock:
            opened.cells[cell.name] = found
            self._awaited.pop(cell.name, None)
            opened.stage.advance(1, estimate_work(cell, len(opened.plan.sentences.layers)), found=resumed)
            opened.n_resumed += resumed
            opened.n_sentences += 0 if resumed else sum(map(len, cell.task.splits.values()))
            if isinstance(found, Failure):
                self.reporter.warn(f"{cell.name} failed: {found.error}")
            elif self.board.add(found):
                self._note_first(preliminary=False)
            opened.left[cell.task.name] -= 1
            if not opened.left[cell.task.name] and cell.measure == "scores" and cell.control == "none":
                self._announce(cell.task)
            if not opened.left.total():
                self._end(opened)

    def _end(self, opened: _OpenStage) -> None:
        """Say what a stage was."""
        plan, name = opened.plan, opened.plan.name
        self.reporter.take_stock(opened.stage)
        rate = self.reporter.rate(name, opened.n_sentences)
        self.reporter.note(name, cells=len(plan.cells), resumed=opened.n_resumed, **rate)
        results = [opened.cells[cell.name] for cell in plan.cells]
        titles = {cell.task.name: cell.task.spec.title for cell in plan.cells}
        warn_unconverged([one for one in results if isinstance(one, CellResult)], titles, self.reporter)

    def _note_first(self, *, preliminary: bool) -> None:
        if not self.first_score:
            elapsed_s = self.reporter.elapsed_s
            self.first_score = {"first_score_s": elapsed_s, "first_score_preliminary": preliminary}

    def _announce(self, task: Task) -> None:
        """A line with a task's scores, where no table shows them."""
        if not self.reporter.is_live and (line := self.board.line(task.name)):
            self.reporter.say(line)


def judge(cell: Cell, outcome: Done | Lost) -> CellResult | Failure:
    """The cell that an engine gives back, or why there is none."""
    if isinstance(outcome, Lost):
        times = f" ({outcome.attempts} attempts)" if outcome.attempts > 1 else ""
        return fail(cell, f"{outcome.reason}{times}")
    return fail(cell, outcome.result.text) if isinstance(outcome.result, CellError) else outcome.result


def fail(cell: Cell, error: str) -> Failure:
    """Record of a cell that could not be computed."""
    return Failure(cell.task.name, cell.representation, cell.control, cell.seed, error)


def warn_unconverged(results: Sequence[CellResult], titles: Mapping[str, str], reporter: Reporter) -> None:
    """Say which probes stopped before their minimum, by the titles of their tasks, and what that means."""
    scores = [score for result in results for score in result.scores if score.split == "test" and not score.converged]
    if scores:
        controls = ["" if score.control == "none" else f", {score.control}" for score in scores]
        named = [
            f"{titles.get(score.task, score.task)} ({score.layer_name}{name})"
            for score, name in zip(scores, controls, strict=True)
        ]
        reporter.warn(f"{UNCONVERGED}{', '.join(dict.fromkeys(named))}: {UNCONVERGED_MEANS}")


def identify_inputs(cell: Cell, encoded: Encoded, settings: RunSettings) -> str:
    """Digest of all that the numbers of a cell depend on: encoder, sentences, labels, layers and the settings.

    Settings at their defaults are left out, so that one which is new to the program loses no cell.
    """
    encoder = encoded.encoder
    identity = [encoder.digest, encoder.dtype, encoder.backend, encoder.max_length, __version__]
    defaults = effective_settings(RunSettings())
    changed = {name: value for name, value in effective_settings(settings).items() if value != defaults[name]}
    parts = [identity, cell.task.digest, encoded.layers, changed]
    if encoded.others and reads_others(cell):
        parts.append([task.digest for task in encoded.others.tasks])
    if further := list(MEASURES.load(cell.measure).identify(settings)):
        parts.append(further)
    return digest_json(parts)


def reads_others(cell: Cell) -> bool:
    """True where a cell's numbers depend on the other tasks of the run."""
    return MEASURES.load(cell.measure).about.reads_others
