"""How many steps two models take to reach the same dev score, and their ratio with an interval over seeds.

python -m analysis.convergence BERT_RUN BERMO_RUN

The definition is ours, since the one behind the published ratios (arXiv 2110.15802) is not known. With D(t) the dev
score after t optimiser steps, as mean over a model's seeds:

    target(f) = f D_baseline(T),   f in {0.95, 0.98, 0.99, 1},   T the last evaluation
    steps(f)  = the first t with D(t) >= target(f),              D linear between two evaluations
    ratio(f)  = steps_baseline(f) / steps_other(f),              above 1: the other model is the faster one

The mean curve is read, not each seed's: about half of the baseline's own seeds end below their mean and would never
reach it. A seed that stopped early keeps its last score to the end. Where the other model's mean curve never reaches
the target, its steps are infinite and the ratio is given as a bound, steps_baseline(f) / T_other; beside it stands the
share of seeds that reached the target on their own. Where the target is reached before training there is no ratio.

The interval is a 95 % percentile bootstrap: the seeds of either model are drawn with replacement, independently, and
everything is computed anew, the target too; a draw that never reaches it counts as ratio 0. With three to five seeds
such an interval is too narrow, with one there is none.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro

from analysis.dev_curves import DevCurves, find_steps, read_curves
from analysis.figures import replace_file, write_figures
from analysis.training_curves import plot_training
from analysis.training_runs import TrainingRun, check_same_data, label_runs, load_trainings, stack_logs
from analysis.training_screen import print_convergence
from probing.records import InputError

SHARES = (0.95, 0.98, 0.99, 1.0)
"""Of the baseline's final dev score."""

_TAILS = (0.025, 0.975)


def compare_convergence(
    baseline: TrainingRun, other: TrainingRun, shares: Sequence[float] = SHARES, seed: int = 0
) -> pd.DataFrame:
    """Steps of two models to shares of the baseline's final dev score, and their ratio, as defined above.

    Args:
        baseline: the run whose final score is the target.
        other: the run in question.
        shares: of the final score.
        seed: of the bootstrap.

    Returns:
        One row per share: `share target baseline_steps other_steps ratio ci_low ci_high bound baseline_reached
        other_reached baseline_seeds other_seeds`. Where `bound`, the other model never reached the target, its steps
        are infinite and `ratio` is the most that it can be. `*_reached`: share of seeds that reached it on their own.

    Raises:
        InputError: the runs are over different data, lack dev scores or prune, or the final score is not above 0.
    """
    check_same_data([baseline, other])
    one, two = read_curves(baseline), read_curves(other)
    if one.mean[0, -1] <= 0:
        raise InputError(f"{baseline.folder}: expected a final dev score above 0, got {one.mean[0, -1]:.3f}")
    rows = [_compare_at(share, one, two, np.random.default_rng(seed)) for share in shares]
    return pd.DataFrame(rows)


def _compare_at(share: float, one: DevCurves, two: DevCurves, generator: np.random.Generator) -> dict[str, float | int]:
    target = share * one.mean[:, -1]
    first, second = (float(find_steps(curves.steps, curves.mean, target)[0]) for curves in (one, two))
    bound = bool(np.isinf(second))
    ratio = first / (two.steps[-1] if bound else second) if min(first, second) > 0 else np.nan
    low, high = _bound_ratio(share, one, two, generator) if np.isfinite(ratio) else (np.nan, np.nan)
    return {
        "share": share, "target": float(target[0]), "baseline_steps": first, "other_steps": second,
        "ratio": ratio, "ci_low": low, "ci_high": high, "bound": bound,
        "baseline_reached": float((one.scores.max(axis=1) >= target[0]).mean()),
        "other_reached": float((two.scores.max(axis=1) >= target[0]).mean()),
        "baseline_seeds": len(one.scores), "other_seeds": len(two.scores),
    }  # fmt: skip


def _bound_ratio(share: float, one: DevCurves, two: DevCurves, generator: np.random.Generator) -> tuple[float, float]:
    """The interval of the ratio over seeds; none where a model has but one."""
    if min(len(one.scores), len(two.scores)) < 2:
        return np.nan, np.nan
    curves, others = one.resample(generator), two.resample(generator)
    targets = share * curves[:, -1]
    first, second = find_steps(one.steps, curves, targets), find_steps(two.steps, others, targets)
    # A step stands in for none, so that draws that start at the target have a ratio too.
    ratios = np.maximum(first, 1) / np.maximum(second, 1)
    low, high = np.quantile(ratios, _TAILS)
    return float(low), float(high)


@dataclass(frozen=True)
class ConvergenceSettings:
    """Which training runs, and what to do with the comparison."""

    baseline: Annotated[Path, tyro.conf.Positional]
    """Folder of the run whose final dev score is to be reached."""
    other: Annotated[Path, tyro.conf.Positional]
    """Folder of the run in question."""
    output: Path | None = None
    """Folder for the curves (PNG and PDF) and the table (CSV); none given: nothing is written."""
    seed: int = 0
    """Of the bootstrap."""


def show_convergence(settings: ConvergenceSettings) -> None:
    """Print the comparison, and save it where it is asked for.

    Raises:
        InputError: as `compare_convergence` and `analysis.training_runs.load_training`.
    """
    runs = load_trainings([settings.baseline, settings.other])
    table = compare_convergence(runs[0], runs[1], seed=settings.seed)
    labels = label_runs(runs)
    print_convergence(table, labels[0], labels[1], runs[0])
    if settings.output is not None:
        figures = {"convergence": plot_training(stack_logs(runs), metric=runs[0].metric)}
        write_figures(figures, settings.output)
        replace_file(settings.output / "convergence.csv", table.to_csv(index=False, lineterminator="\n").encode())


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    settings = tyro.cli(ConvergenceSettings, description=__doc__, prog="python -m analysis.convergence")
    try:
        show_convergence(settings)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
