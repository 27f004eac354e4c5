"""BERMo's claims about training, tried: BERT against BERMo, fine-tuned and pruned, over several seeds.

python probing/replicate_bermo.py --data data/corpora/classification

About two hours on two cores with the embedded encoder. A killed run goes on where it stopped.
"""

import os
import sys

if __name__ == "__main__":
    # Run as a file, Python puts probing/ first on the path, where its modules would hide others of the same name.
    _here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    _named = [p for p in sys.path if not (os.path.isdir(p or ".") and os.path.samefile(p or ".", _here))]  # noqa: PTH112, PTH121
    sys.path[:] = [os.path.dirname(_here), *_named]  # noqa: PTH120
    from probing.command_line.starting import start
    from probing.memory import HEAVY

    start(HEAVY)

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.progress import Reporter
from probing.records import InputError
from probing.registry import RECIPES
from probing.settings.run import EMBEDDED
from probing.settings.training import TrainSettings

MODELS = ("bert", "bermo")
SMALL, LARGE = tuple(range(5)), tuple(range(3))
"""Seeds on the small task and on the large ones."""
_ALL: dict[str, Any] = {"learning_rate": 1e-4, "dropout": 0.0, "limit_dev": 400, "evaluate_every": 20}
_ALL |= {"log_every": 20, "keep_models": False}
"""Ours, since the paper's settings are not known; the same for both models. No dropout: no sentence is seen twice."""
_PRUNED: dict[str, Any] = _ALL | {"score_learning_rate": 8e-2, "penalty": (50.0,)}
"""Ours: a penalty that leaves most. Scores move 8 times as fast as in 2005.07683, whose trainings are some 100 times as
long."""
_SPARSITY = (0.5, 0.9)
"""Ours: half of the weights and nine in ten."""


@dataclass(frozen=True)
class ReplicationSettings:
    """Try BERMo's claims about training."""

    data: str = "data/corpora/classification"
    """A folder with SST-2-sent/train.tsv, MNLI/train_sub.tsv, QQP/train_sub.tsv, ..."""
    checkpoint: str = EMBEDDED
    """The encoder that both models start from."""
    output: Path = Path("data/results/bermo")
    """Folder of the run folders: one per task, recipe and model."""
    max_steps: int = 200
    """Optimiser steps of fine-tuning."""
    prune_steps: int = 120
    """Optimiser steps of pruning."""
    threads: int = 0
    """CPU threads of each run; 0 leaves the choice to torch."""
    workers: int = 1
    """Runs that are trained at a time, each by a process of its own."""
    quiet: bool = False
    """No progress on the screen."""


def list_runs(settings: ReplicationSettings) -> dict[str, TrainSettings]:
    """Every training run of the replication, by the name of its folder; both models of a pair side by side."""
    fine: dict[str, Any] = _ALL | {"max_steps": settings.max_steps}
    prune: dict[str, Any] = _PRUNED | {"max_steps": settings.prune_steps}
    tasks = {"SST-2-sent": SMALL, "MNLI": LARGE, "QQP": LARGE}
    pairs: dict[str, TrainSettings] = {
        f"finetune-{task}": TrainSettings(task=task, seeds=seeds, **fine) for task, seeds in tasks.items()
    }
    pruned, both = RECIPES.load("prune").settings, ("magnitude", "soft_movement")
    pairs["prune-SST-2-sent"] = pruned(task="SST-2-sent", seeds=SMALL, method=both, sparsity=_SPARSITY, **prune)
    pairs["prune-QQP"] = pruned(task="QQP", seeds=LARGE, method=("soft_movement",), **prune)
    common: dict[str, Any] = {"data": settings.data, "checkpoint": settings.checkpoint, "quiet": settings.quiet}
    common |= {"threads": settings.threads}
    return {
        f"{name}-{model}": replace(pair, model=model, output=settings.output / f"{name}-{model}", **common)
        for name, pair in pairs.items()
        for model in MODELS
    }


def main() -> int:
    """Run the script.

    Returns:
        0; 2 after a mistake that the user can mend.
    """
    settings = read_settings(ReplicationSettings, config=True, description=__doc__)
    from analysis.replication import show_replication  # noqa: PLC0415 - pandas: not for --help

    if settings.workers < 1:
        raise InputError(f"--workers {settings.workers}: expected 1 or more")
    train_all(list_runs(settings), settings.workers, Reporter(quiet=settings.quiet))
    show_replication(settings.output)
    return 0


def train_all(runs: Mapping[str, TrainSettings], workers: int, reporter: Reporter) -> None:
    """Train the models of all runs, some runs at a time; those that are finished are found again.

    Raises:
        InputError: settings or data that cannot be used, or a process of its own was killed.
    """
    if workers == 1:
        for run in runs.values():
            train_one(run)
        return
    # A forked process would share torch's threads.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        begun = {pool.submit(train_one, replace(run, quiet=True)): name for name, run in runs.items()}
        try:
            for done in as_completed(begun):
                done.result()
                reporter.say(f"{begun[done]}: trained")
        except BrokenProcessPool:
            raise InputError(
                "a process that trains was killed, perhaps for want of memory; the same command goes on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def train_one(run: TrainSettings) -> None:
    """Train the models of one run.

    Raises:
        InputError: settings or data that cannot be used.
    """
    from probing.training.run import train  # noqa: PLC0415 - torch: not for --help

    train(run, Reporter(quiet=run.quiet))


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
