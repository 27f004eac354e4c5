"""One of several runs by its model and pooling: what the choices of a notebook stand for."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from analysis.runs.frames import order_tasks, title_of
from analysis.runs.probing_run import Run
from probing.records import GROUPS, InputError

Options = Mapping[str, Sequence[str] | Sequence[tuple[str, str]]]


def list_choices(runs: Sequence[Run], *names: str) -> Options:
    """List what can be chosen of runs: `task` as pairs of title and key, `model` and `pooling`; the first run's first.

    Args:
        runs: the runs.
        names: which of the three; none: all.
    """
    pairs = pd.concat([run.scores[["task", "group"]] for run in runs]).drop_duplicates("task")
    first = set(runs[0].scores["task"])
    tasks = sorted(order_tasks(pairs), key=lambda task: task not in first)
    models = list(dict.fromkeys(name_models(runs)))
    poolings = list(dict.fromkeys(pooling_of(run) for run in runs))
    known = {"task": [(title_of(task), task) for task in tasks], "model": models, "pooling": poolings}
    return {name: known[name] for name in names or known}


def list_groups(runs: Iterable[Run]) -> list[tuple[str, tuple[str, ...]]]:
    """All groups of tasks in some runs, then each one: pairs of what to show and the groups meant."""
    found = {str(group) for run in runs for group in run.scores["group"]}
    groups = sorted(found, key=lambda group: GROUPS.index(group) if group in GROUPS else len(GROUPS))
    return [("all", tuple(groups)), *((group, (group,)) for group in groups)]


def choose_run(runs: Sequence[Run], model: str, pooling: str) -> Run:
    """The run of a model and a pooling.

    Raises:
        InputError: there is none; the message says with which flags one is made.
    """
    names = name_models(runs)
    for name, run in zip(names, runs, strict=True):
        if (name, pooling_of(run)) == (model, pooling):
            return run
    known = [pooling_of(run) for name, run in zip(names, runs, strict=True) if name == model]
    example = next((run for name, run in zip(names, runs, strict=True) if name == model), runs[0])
    raise InputError(
        f"no run of {model} with pooling {pooling} is open here, only with {', '.join(known) or 'no pooling at all'}: "
        f"run_senteval.py --model {_first(example)['model']} --pooling {pooling} makes one"
    )


def name_models(runs: Sequence[Run]) -> list[str]:
    """Each run's model and checkpoint, and its folder where two runs have these and the pooling in common."""
    names = [name_model(run) for run in runs]
    counts = Counter(zip(names, map(pooling_of, runs), strict=True))
    return [
        f"{name}, {run.name}" if counts[name, pooling_of(run)] > 1 else name
        for name, run in zip(names, runs, strict=True)
    ]


def name_model(run: Run) -> str:
    """Model and checkpoint in a few words."""
    first = _first(run)
    return f"{first['model']} on {str(first['checkpoint']).rstrip('/').rsplit('/', 1)[-1]}"


def pooling_of(run: Run) -> str:
    """Name of the pooling of a run."""
    return str(_first(run)["pooling"])


def _first(run: Run) -> pd.Series:
    return run.scores[run.scores["representation"] != "none"].iloc[0]
