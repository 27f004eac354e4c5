"""Cell after cell: found in the run folder or computed, kept when finished, recorded when it fails."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from probing import __version__
from probing.catalogue.readouts import UNCONVERGED, UNCONVERGED_MEANS
from probing.cells.encoding import TaskEncoder, list_texts
from probing.cells.plan import estimate_work
from probing.cells.scoreboard import Scoreboard
from probing.contracts.measure import Cell, Encoded
from probing.digests import digest_json
from probing.progress import Reporter, Stage
from probing.records import Task
from probing.registry import MEASURES
from probing.settings.run import RunSettings, effective_settings
from probing.store.run_folder import RunFolder
from probing.tables import CellResult, Failure
from probing.tasks.subset import limit_task

_COSTS_A_CELL = (RuntimeError, ValueError, ArithmeticError, MemoryError)
"""Errors of torch and numpy, and lack of memory: they cost one cell, and the run goes on."""
_PREVIEW = 400
"""Sentences of each split behind the first scores: 1,200 take 11 s where 106 are encoded in a second."""
_PATIENCE_S = 20.0
"""Time to wait for the first task's scores, where the rest of that task is encoded sooner than that."""


class CellRunner:
    """Computes the cells that are not there yet, and gathers all.

    Args:
        settings: of the run.
        folder: where finished cells are kept.
        reporter: who tells of them.
        board: where their scores are shown.
    """

    def __init__(self, settings: RunSettings, folder: RunFolder, reporter: Reporter, board: Scoreboard):
        self.settings, self.folder, self.reporter, self.board = settings, folder, reporter, board
        self.results: list[CellResult] = []
        self.failures: list[Failure] = []
        self.first_score: dict[str, float | bool] = {}
        """Seconds from the command to the first score of a probe, and whether that was a preliminary one."""

    def run(self, name: str, cells: Sequence[Cell], encoder: TaskEncoder) -> None:
        """Compute cells as a stage of the run, task by task: its new sentences are encoded, then its cells follow."""
        n_known, n_resumed, n_sentences = len(self.results), 0, 0
        work = sum(estimate_work(cell, len(encoder.layers)) for cell in cells)
        stage = self.reporter.plan_stage(name, len(cells), "cells", work)
        for _, group in groupby(cells, key=lambda cell: cell.task.name):
            own = list(group)
            encoded = encoder.encode(own[0].task)
            with self.reporter.visit(stage):
                for cell in own:
                    resumed = self._advance(stage, cell, encoded)
                    n_resumed += resumed
                    n_sentences += 0 if resumed else sum(map(len, cell.task.splits.values()))
            if own[0].measure == "scores" and own[0].control == "none":
                self._announce(own[0].task)
        self.reporter.note(name, cells=len(cells), resumed=n_resumed, **self.reporter.rate(name, n_sentences))
        titles = {cell.task.name: cell.task.spec.title for cell in cells}
        warn_unconverged(self.results[n_known:], titles, self.reporter)

    def preview(self, task: Task, encoder: TaskEncoder) -> None:
        """Show scores from a part of a task, where encoding the whole of it would keep the user waiting.

        The part is encoded first in any case: vectors do not depend on who looks on. Its cell is not kept.
        """
        part = limit_task(task, _PREVIEW)
        if task.folds or encoder.count_new(task) <= 2 * len(list_texts(part)):
            return
        extraction = encoder.extend(part)
        wait_s = encoder.count_new(task) * extraction.seconds / max(1, extraction.n_encoded)
        if self.reporter.quiet or wait_s < _PATIENCE_S:
            return
        try:
            result = MEASURES.load("scores")(Cell(part, "layer"), encoder.take(part), self.settings)
        except _COSTS_A_CELL:
            return  # the whole task will say what is wrong
        self.board.add_preliminary(result, len(part.splits["train"]))
        self._note_first(preliminary=True)
        self._announce(task)

    def _advance(self, stage: Stage, cell: Cell, encoded: Encoded) -> bool:
        """One cell of a stage; whether it was there already."""
        stage.doing = f"{cell.task.spec.title}, {cell.representation.replace('_', ' ')}"
        key = identify_inputs(cell, encoded, self.settings)
        result = self.folder.find_cell(cell.name, key)
        while self.folder.damaged:
            self.reporter.warn(f"{self.folder.damaged.pop()}: damaged; this cell is computed again")
        resumed = result is not None
        if result is None:
            result = self._compute(cell, encoded, key)
        stage.advance(1, estimate_work(cell, len(encoded.layers)), found=resumed)
        if result is not None:
            self.results.append(result)
            if self.board.add(result):
                self._note_first(preliminary=False)
        return resumed

    def _compute(self, cell: Cell, encoded: Encoded, key: str) -> CellResult | None:
        try:
            result = MEASURES.load(cell.measure)(cell, encoded, self.settings)
            self.folder.keep_cell(cell.name, key, result)
        except _COSTS_A_CELL as error:
            self.failures.append(fail(cell, error, self.reporter))
            return None
        return result

    def _note_first(self, *, preliminary: bool) -> None:
        if not self.first_score:
            elapsed_s = self.reporter.elapsed_s
            self.first_score = {"first_score_s": elapsed_s, "first_score_preliminary": preliminary}

    def _announce(self, task: Task) -> None:
        """A line with a task's scores, where no table shows them."""
        if not self.reporter.is_live and (line := self.board.line(task.name)):
            self.reporter.say(line)


def fail(cell: Cell, error: Exception, reporter: Reporter) -> Failure:
    """Record a cell that could not be computed."""
    reporter.warn(f"{cell.name} failed: {type(error).__name__}: {error}")
    return Failure(cell.task.name, cell.representation, cell.control, cell.seed, f"{type(error).__name__}: {error}")


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
    if encoded.others and MEASURES.load(cell.measure).about.reads_others:
        parts.append([task.digest for task in encoded.others.tasks])
    return digest_json(parts)
