"""The dev score of a training run over its steps: a curve per seed, and where curves reach a score."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.runs.training_run import AIM, TrainingRun
from probing.records import InputError


@dataclass(frozen=True)
class DevCurves:
    """The dev score of each seed over the steps of training, on the steps that any seed was evaluated at."""

    steps: Float[np.ndarray, " steps"]
    scores: Float[np.ndarray, "seeds steps"]

    @property
    def mean(self) -> Float[np.ndarray, "1 steps"]:
        """The mean over seeds."""
        return self.scores.mean(axis=0, keepdims=True)

    def leave_one_out(self) -> Float[np.ndarray, "seeds steps"]:
        """The mean over all seeds but one, for each of them."""
        return (self.scores.sum(axis=0) - self.scores) / (len(self.scores) - 1)


def read_curves(run: TrainingRun) -> DevCurves:
    """The dev scores of a run that fine-tunes.

    Raises:
        InputError: there are none, or of several ways of pruning.
    """
    rows = run.log[run.log["quantity"] == "dev_score"]
    if rows.empty:
        raise InputError(f"{run.folder}: expected rows of quantity dev_score in the training log, got none")
    if len(rows[list(AIM)].drop_duplicates()) > 1:
        raise InputError(f"{run.folder}: expected one model per seed, got several ways of pruning")
    table = by_step(rows)
    return DevCurves(table.index.to_numpy(float), table.to_numpy().T)


def by_step(rows: pd.DataFrame) -> pd.DataFrame:
    """One number of a log as a table: a row per step, a column per seed; a seed that stopped early keeps its last."""
    table = rows.pivot_table(index="step", columns="seed", values="value").sort_index()
    return table.interpolate(method="index", limit_direction="both")


def find_steps(
    steps: Float[np.ndarray, " steps"], curves: Float[np.ndarray, "curves steps"], targets: Float[np.ndarray, " curves"]
) -> Float[np.ndarray, " curves"]:
    """The first step at which each curve, linear between its points, is at its target; infinite where it never is."""
    above = curves >= targets[:, None]
    right = above.argmax(axis=1)
    left = np.maximum(right - 1, 0)
    low, high = (np.take_along_axis(curves, index[:, None], axis=1)[:, 0] for index in (left, right))
    rise = np.where(high > low, high - low, 1.0)
    part = np.where(right > left, (targets - low) / rise, 0.0)
    return np.where(above.any(axis=1), steps[left] + part * (steps[right] - steps[left]), np.inf)
