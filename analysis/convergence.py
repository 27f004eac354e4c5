"""Number of steps two models take to reach the same dev score, and their ratio with an interval over seeds.

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

The interval is Student's, 95 %, of the ratio's logarithm, whose variance is the jackknife's (Efron and Tibshirani 1993,
chapter 11): each seed of either model is left out in turn and everything computed anew, the target too. Its degrees of
freedom are the smaller number of seeds less one. In simulations of two equal models it covers 1 in 95 to 99 % of cases
with 2 to 10 seeds (`tests/analysis/stats/test_coverage.py`). There is none with a single seed, none where a mean curve,
or one without some seed, never reaches the target, and none above 98 % of the baseline's final score: the baseline
reaches its own last score by definition, which no interval makes up for.
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line


@dataclass(frozen=True)
class ConvergenceSettings:
    """The training runs, and what to do with the comparison."""

    baseline: Annotated[Path, tyro.conf.Positional]
    """Folder of the run whose final dev score is to be reached."""
    other: Annotated[Path, tyro.conf.Positional]
    """Folder of the run in question."""
    output: Path | None = None
    """Folder for the curves (PNG and PDF) and the table (CSV); none given: nothing is written."""


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_show)


def _show() -> int:
    settings = read_settings(ConvergenceSettings, description=__doc__, prog="python -m analysis.convergence")
    from analysis.terminal.convergence import show_convergence  # noqa: PLC0415 - pandas: not for --help

    show_convergence(settings.baseline, settings.other, settings.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
