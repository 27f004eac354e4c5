"""Losses of students against their teacher: at equal relative depth, at the best layer, and of the mix.

The relative depth of layer l of an encoder with L layers is l / L: 0 are the embeddings, 1 is the last layer. A layer
of the student is held against the teacher's layer that is nearest in relative depth, the lower one of two equally near.
Predictions of neighbouring layers are not averaged: right or wrong of one probe against right or wrong of another is
what McNemar's test is of.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.frames import ACCURACY, mean_scores
from analysis.runs.probing_run import Run
from analysis.stats.between_runs import check_same_data, group_predictions, list_formats, list_settings
from analysis.stats.paired import paired_differences
from analysis.stats.significance import ALPHA, holm, is_equivalent, mcnemar, smallest_difference
from analysis.stats.summary import readout_of, summarise_tasks
from probing.bootstrap import interval_of_differences
from probing.records import InputError

PLACES = ("depth", "best", "mix")
"""Places of a comparison: a layer at equal relative depth; each one's best layer by dev score; the mixes."""
COLUMNS = ["student", "task", "title", "group", "place", "layer", "layer_name", "depth", "teacher_layer"]
COLUMNS += ["teacher_layer_name", "teacher_depth", "teacher_score", "student_score", "difference", "ci_low", "ci_high"]
COLUMNS += ["p", "p_holm", "n", "smallest", "significant", "equivalent", "verdict", "majority"]

SIGNIFICANT, EQUIVALENT, INCONCLUSIVE = "significant", "equivalent", "inconclusive"

Key = tuple[str, str, int]
"""Task, representation and layer of a readout."""


def measure_losses(teacher: Run, students: Mapping[str, Run], tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Accuracy of each student minus that of the teacher, paired by test sentence.

    Args:
        teacher: the run that students are held against.
        students: runs by name.
        tasks: keys or titles of tasks; none: all, which all runs must have then.

    Returns:
        `COLUMNS`: one row per student and task for each layer of the student (place `depth`), one for each one's best
        layer and one for the mixes where both have one. The interval is Bonett and Price's, `p` McNemar's. `p_holm` is
        corrected over all rows of best layers and mixes, which are the main table, and over all rows by depth, which
        are another one.
        `verdict` is `equivalent` where a difference is shown to be below a point. A task that another metric than
        accuracy heads has no row.

    Raises:
        InputError: a run is no other encoder's, or of other sentences, pooling or probes, or has no predictions.
    """
    for student in students.values():
        check_comparable(teacher, student)
    rows = [row for name, student in students.items() for row in _compare(teacher, student, name, tasks)]
    if not rows:
        raise InputError(f"{teacher.folder}: no task that both are scored on by accuracy; nothing to compare")
    frame = pd.DataFrame(rows)
    for family in (frame["place"] == "depth", frame["place"] != "depth"):
        if family.any():
            frame.loc[family, "p_holm"] = holm(frame.loc[family, "p"].tolist())
    significant = frame["p_holm"] < ALPHA
    verdicts = np.select([significant, frame["equivalent"]], [SIGNIFICANT, EQUIVALENT], INCONCLUSIVE)
    return frame.assign(significant=significant, verdict=verdicts)[COLUMNS]


def check_comparable(teacher: Run, student: Run) -> None:
    """Refuse a student that cannot be held against this teacher.

    Raises:
        InputError: it is the teacher itself, lacks predictions, or was pooled or probed otherwise.
    """
    names = f"{teacher.folder} and {student.folder}"
    digests = [run.manifest.get("encoder", {}).get("digest") for run in (teacher, student)]
    if teacher.folder.resolve() == student.folder.resolve() or (digests[0] and digests[0] == digests[1]):
        raise InputError(f"{student.folder}: probes the teacher's own encoder; expected another one's run")
    for run in (teacher, student):
        if not len(run.predictions) or not (run.predictions["control"] == "none").any():
            raise InputError(f"{run.folder}: holds no predictions, which losses are paired by; run it again")
    shared = set(teacher.scores["task"]) & set(student.scores["task"])
    if not shared:
        raise InputError(f"{names} have no task in common: probe both on the same --tasks")
    formats = [found for found in list_formats(teacher, student) if found[0] == "max_length"]
    for name, one, other in [*list_settings(teacher, student), *formats]:
        if one != other:
            raise InputError(f"{names} were probed differently: {name} {one} and {other}; probe both alike")


def match_layers(student: Sequence[int], n_student: int, teacher: Sequence[int], n_teacher: int) -> Mapping[int, int]:
    """The teacher's layer nearest in relative depth to each of the student's; of two equally near, the lower one.

    Args:
        student: layers of the student that were probed.
        n_student: its last layer, L in l / L.
        teacher: layers of the teacher that were probed.
        n_teacher: its last layer.
    """
    # |l / L - k / K| in whole numbers, |l K - k L|: a tie is one, whatever floating point makes of thirds.
    return {
        layer: min(teacher, key=lambda k, layer=layer: (abs(layer * n_teacher - k * n_student), k)) for layer in student
    }


def count_layers(run: Run) -> int:
    """The last layer of an encoder, which need not have been probed."""
    named = run.manifest.get("encoder", {}).get("layers") or ()
    return max(len(named) - 1, int(run.scores["layer"].max()), 1)


def _compare(teacher: Run, student: Run, name: str, tasks: Sequence[str]) -> Iterator[dict[str, Any]]:
    chosen = check_same_data(teacher, student, tasks)
    one, other = (summarise_tasks(run).set_index("task") for run in (teacher, student))
    readouts = [_list_readouts(run) for run in (teacher, student)]
    predictions = [group_predictions(run) for run in (teacher, student)]
    depths = [count_layers(run) for run in (teacher, student)]
    for task in one.index[one["metric"] == ACCURACY].intersection(other.index).intersection(list(chosen), sort=False):
        first = {"student": name, "task": task} | {key: one.loc[task, key] for key in ("title", "group", "majority")}
        best = [_list_contenders(frame.loc[task], task) for frame in (one, other)]
        for place, *keys in (*_pair_layers(task, readouts, depths), *_pair_contenders(best)):
            frames = [_find(*both) for both in zip((teacher, student), predictions, keys, strict=True)]
            try:
                differences = paired_differences(frames[1], frames[0])
            except InputError as error:
                raise InputError(f"{teacher.folder} and {student.folder}: task {task}: {error}") from None
            row = first | {"place": place} | _describe_pair(keys, readouts, depths)
            yield row | _measure(differences)


def _pair_layers(
    task: str, readouts: Sequence[Mapping[Key, Any]], depths: Sequence[int]
) -> Iterator[tuple[str, Key, Key]]:
    """Place, and the readouts of teacher and student, for each layer of the student."""
    ours, theirs = (sorted(key[2] for key in known if key[:2] == (task, "layer")) for known in readouts)
    for layer, partner in match_layers(theirs, depths[1], ours, depths[0]).items():
        yield "depth", (task, "layer", partner), (task, "layer", layer)


def _pair_contenders(best: Sequence[Mapping[str, Key]]) -> Iterator[tuple[str, Key, Key]]:
    """Likewise, for best layers and mixes that both have."""
    for place in best[0]:
        if place in best[1]:
            yield place, best[0][place], best[1][place]


def _list_contenders(summary: pd.Series, task: str) -> Mapping[str, Key]:
    return {place: (task, *readout_of(summary, place)) for place in ("best", "mix") if pd.notna(summary[place])}


def _list_readouts(run: Run) -> Mapping[Key, Mapping[Any, Any]]:
    """The test scores of layers and mixes, seeds averaged."""
    means = mean_scores(run.scores).to_dict("records")
    return {(row["task"], row["representation"], row["layer"]): row for row in means}


def _find(run: Run, predictions: Mapping[Key, pd.DataFrame], key: Key) -> pd.DataFrame:
    if key not in predictions:
        raise InputError(f"{run.folder}: task {key[0]} has scores, but no predictions to pair; run it again")
    return predictions[key]


def _describe_pair(keys: Sequence[Key], readouts: Sequence[Mapping], depths: Sequence[int]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for side, prefix, key, known, depth in zip(
        ("teacher", "student"), ("teacher_", ""), keys, readouts, depths, strict=True
    ):
        found, layer = known[key], key[2]
        row |= {f"{prefix}layer": layer, f"{prefix}layer_name": found["layer_name"], f"{side}_score": found["value"]}
        row |= {f"{prefix}depth": layer / depth if layer >= 0 else np.nan}
    return row


def _measure(differences: np.ndarray) -> dict[str, Any]:
    low, high = map(float, interval_of_differences(differences, 1 - ALPHA))
    row = {"difference": float(differences.mean()), "ci_low": low, "ci_high": high, "p": mcnemar(differences)}
    row |= {"equivalent": is_equivalent(*interval_of_differences(differences, 1 - 2 * ALPHA))}
    return row | {"n": len(differences), "smallest": smallest_difference(differences)}
