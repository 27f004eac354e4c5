"""Two runs over the same data, compared sentence by sentence."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.runs.frames import ACCURACY, title_of
from analysis.runs.probing_run import Run
from analysis.stats.paired import pair
from analysis.stats.significance import ALPHA, MARGIN, holm
from analysis.stats.summary import CONTENDERS, readout_of, summarise_tasks
from probing.records import InputError

COLUMNS = ["task", "title", "group", "contender", "first_name", "second_name", "first", "second"]
COLUMNS += ["difference", "ci_low", "ci_high", "p", "p_holm", "n", "smallest", "significant", "equivalent"]

_IN_SCORES = ("pooling", "probe", "protocol")
_IN_SETTINGS = ("special_tokens", "mix_embeddings", "mix_norm", "mix_dropout")
"""Columns and settings of how an encoder is probed."""


def compare_runs(first: Run, second: Run, tasks: Sequence[str] = (), margin: float = MARGIN) -> pd.DataFrame:
    """Accuracy of the second run minus that of the first: per task, for the last layer, the best one and the mix.

    A contender that one of the runs lacks on a task has no row, nor has a task that another metric heads: what that
    makes of a sentence is not right or wrong.

    Args:
        first: the run to compare with.
        second: the run in question.
        tasks: keys or titles of the tasks to compare; none: all, which both runs must have then.
        margin: difference below which two accuracies are as good as equal, in [0, 1].

    Returns:
        `COLUMNS`. The interval is the 95 % interval of paired differences over test sentences and, where several were
        fitted, seeds; `p` is McNemar's (with several seeds, that of the interval), `p_holm` corrected over
        all rows; `smallest` is the difference that the test set can resolve; `equivalent` is true where the difference
        is shown to be below the margin.

    Raises:
        InputError: the runs are over different data, or have nothing in common.
    """
    chosen = check_same_data(first, second, tasks)
    rows = list(_compare(first, second, chosen, margin))
    if not rows:
        raise InputError(f"{first.folder}, {second.folder}: no contender that both runs have predictions of")
    corrected = holm([row["p"] for row in rows])
    rows = [row | {"p_holm": p, "significant": bool(p < ALPHA)} for row, p in zip(rows, corrected, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def check_same_data(first: Run, second: Run, tasks: Sequence[str] = ()) -> list[str]:
    """The tasks to compare, in the order of the first run.

    Raises:
        InputError: a task is in one run alone, or its sentences or labels differ; the message says which, and how.
    """
    names = f"{first.folder} and {second.folder}"
    ours, theirs = (list(dict.fromkeys(run.scores["task"])) for run in (first, second))
    either = [*ours, *(task for task in theirs if task not in ours)]
    wanted = [_find_key(name, either, names) for name in tasks] or either
    for task in wanted:
        lacking = [str(run.folder) for run, known in ((first, ours), (second, theirs)) if task not in known]
        if lacking:
            shared = [name for name in ours if name in theirs]
            hint = f"; compare those with --tasks {' '.join(shared)}" if shared else ""
            raise InputError(f"{names} are over different tasks: {' and '.join(lacking)} lacks {task}{hint}")
        different = _find_difference(first, second, task)
        if different:
            raise InputError(f"{names} are over different data: {task} has {different}")
    return wanted


def list_settings(first: Run, second: Run) -> Iterator[tuple[str, Any, Any]]:
    """Settings of probes and mixes, as a name and the two values; what an older run lacks is not compared."""
    for name in _IN_SCORES:
        one, other = (_list_values(run, name) for run in (first, second))
        yield name, one, other
    for name in _IN_SETTINGS:
        if name in first.settings and name in second.settings:
            yield name, first.settings[name], second.settings[name]


def list_formats(first: Run, second: Run) -> Iterator[tuple[str, Any, Any]]:
    """Number formats of encoder and stored vectors, as a name and the two values, and lengths where any was cut."""
    if any(run.manifest.get("stages", {}).get("encoding", {}).get("truncated") for run in (first, second)):
        yield "max_length", *(run.manifest.get("encoder", {}).get("max_length") for run in (first, second))
    if "dtype" in first.manifest and "dtype" in second.manifest:
        yield "dtype", first.manifest["dtype"], second.manifest["dtype"]
    yield "store", *(run.settings.get("store", "float32") for run in (first, second))


def _list_values(run: Run, name: str) -> str:
    layers = run.scores[(run.scores["representation"] == "layer") & (run.scores["control"] == "none")]
    return ", ".join(sorted(map(str, layers[name].unique())))


def describe_limits(first: Run, second: Run, pairs: pd.DataFrame, tasks: Sequence[str] = ()) -> list[str]:
    """Describe what a comparison does not show: contenders that it has no row for, and other ways of probing.

    Args:
        first: the run that was compared with.
        second: the run in question.
        pairs: the result of `compare_runs`.
        tasks: as it got them.
    """
    summaries = [summarise_tasks(run).set_index("task")[list(CONTENDERS)].notna() for run in (first, second)]
    done = set(zip(pairs["task"], pairs["contender"], strict=True))
    left = [
        f"{contender} of {title_of(task)}"
        for task in check_same_data(first, second, tasks)
        for contender in CONTENDERS
        if any(found.at[task, contender] for found in summaries) and (task, contender) not in done
    ]
    lines = [f"not compared, since a run lacks it or it is no accuracy: {', '.join(left)}"] if left else []
    layers = tuple(" ".join(map(str, run.settings.get("layers", ()))) or "all" for run in (first, second))
    return lines + [
        f"probed differently: {name} {one} and {other}"
        for name, one, other in [*list_settings(first, second), ("layers", *layers), *list_formats(first, second)]
        if one != other
    ]


def _find_key(name: str, known: Sequence[str], runs: str) -> str:
    """The key of a task that is named as in tables or on the command line, in letters of any case."""
    # The last one counts, so that a key is rather itself than the title of another.
    keys = {title_of(task).casefold(): task for task in known} | {task.casefold(): task for task in known}
    if name not in known and name.casefold() not in keys:
        raise InputError(f"--tasks {name}: neither of {runs} has such a task; known are {', '.join(known)}")
    return name if name in known else keys[name.casefold()]


def _find_difference(first: Run, second: Run, task: str) -> str:
    one, other = (run.manifest.get("tasks", {}).get(task, {}) for run in (first, second))
    for split in ("train", "dev", "test"):
        if one.get(split) != other.get(split):
            return f"{one.get(split, 'no')} and {other.get(split, 'no')} {split} sentences"
    metrics = [", ".join(run.settings.get("metrics", ())) or "the task's own" for run in (first, second)]
    if one.get("digest") != other.get("digest") and metrics[0] != metrics[1]:
        return f"other metrics ({metrics[0]}; {metrics[1]}), or other sentences or labels"
    if one.get("digest") != other.get("digest"):
        return f"other sentences or labels (from {one.get('origin', '?')} and {other.get('origin', '?')})"
    return ""


def _compare(first: Run, second: Run, chosen: Sequence[str], margin: float) -> Iterator[dict[str, Any]]:
    one, other = (summarise_tasks(run).set_index("task") for run in (first, second))
    ours, theirs = (group_predictions(run) for run in (first, second))
    for task in one.index[one["metric"] == ACCURACY].intersection(other.index).intersection(list(chosen), sort=False):
        for contender in CONTENDERS:
            readouts = [(task, *readout_of(frame.loc[task], contender)) for frame in (one, other)]
            if readouts[0] not in ours or readouts[1] not in theirs:
                continue
            try:
                found = pair(theirs[readouts[1]], ours[readouts[0]])
            except InputError as error:
                raise InputError(f"{first.folder} and {second.folder}: task {task}: {error}") from None
            row: dict[str, Any] = {"task": task, "title": one.loc[task, "title"], "group": one.loc[task, "group"]}
            row |= _name(one.loc[task], other.loc[task], contender)
            yield row | found.describe(margin)


def group_predictions(run: Run) -> Mapping[tuple, pd.DataFrame]:
    """Predictions of a run without its controls, by task, representation and layer."""
    plain = run.predictions[run.predictions["control"] == "none"]
    return dict(list(plain.groupby(["task", "representation", "layer"], sort=False)))


def _name(one: pd.Series, other: pd.Series, contender: str) -> dict[str, Any]:
    names = {"first_name": one[f"{contender}_name"], "second_name": other[f"{contender}_name"]}
    return names | {"contender": contender, "first": one[contender], "second": other[contender]}
