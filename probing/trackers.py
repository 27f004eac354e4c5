"""Trackers of experiments (TensorBoard, Weights & Biases, MLflow, ...), by the names that accelerate has for them.

They hear of numbers and change none: a run without them leaves the same tables.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers

from probing.records import InputError
from probing.suggestions import suggest
from probing.tables import Score

EVENTS = "events"
"""Folder in a run's for trackers that keep files; the others keep what they know where their own settings say."""
_PROJECT = "bermo-probing"
_NAMED_BY = {"wandb": "name", "trackio": "name", "mlflow": "run_name", "clearml": "task_name",
             "swanlab": "experiment_name"}  # fmt: skip
"""Keyword by which a tracker takes the name of a run within its project."""


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker that accelerate does not know, one whose package is missing, and one that is named twice.

    Raises:
        InputError: naming it, and what to install.
    """
    known, installed = sorted(LOGGER_TYPE_TO_CLASS), set(map(str, get_available_trackers()))
    for name in names:
        if name not in known:
            raise InputError(f"--trackers {name}: no such tracker; {suggest(name, known)}")
        if name not in installed:
            raise InputError(f"--trackers {name}: its package is not installed; pip install {name}")
    if len(set(names)) < len(names):
        raise InputError(f"--trackers {' '.join(names)}: expected different names")


@contextmanager
def track(names: Sequence[str], place: Path, settings: Mapping[str, Any]) -> Iterator[list[GeneralTracker]]:
    """Open trackers for as long as something runs.

    Args:
        names: of trackers that `check_trackers` lets pass.
        place: folder for those that keep files; its name is that of the run in the others.
        settings: of the run, which they show beside its numbers.

    Raises:
        InputError: one cannot be opened: it knows no account, its server does not answer, ...
    """
    opened: list[GeneralTracker] = []
    if names:
        PartialState(cpu=True)  # accelerate's own log asks which process it is in; a training has said so before
    try:
        for name in names:
            opened.append(_open(name, place, settings))
        yield opened
    finally:
        for tracker in opened:
            tracker.finish()


def send_scores(trackers: Sequence[GeneralTracker], scores: Iterable[Score], warn: Callable[[str], None]) -> None:
    """Send a run's test scores: curves by layer, layers being the steps; what is of no single layer at the last one.

    Args:
        trackers: that are open.
        scores: of the run.
        warn: called where one of them fails: the run itself is whole.
    """
    series = sorted(list_series(scores).items()) if trackers else ()
    for tracker in trackers:
        try:
            for layer, numbers in series:
                tracker.log(numbers, step=layer)
        except Exception as error:  # noqa: BLE001 - of its own kind; the run is worth more
            name = getattr(tracker, "name", type(tracker).__name__)
            warn(f"--trackers {name}: did not take the scores ({_explain(error)}); they are in the run folder")


def list_series(scores: Iterable[Score]) -> Mapping[int, dict[str, float]]:
    """Layer -> name of a curve -> test score, in the metric's own range; what is no number is left out.

    A name has the task, the readout unless it is a layer (of a baseline that reads no vectors, its own name), the
    control if there is one, the metric, and the seed where there are several.
    """
    tests = [score for score in scores if score.split == "test" and isfinite(score.value)]
    several = len({score.seed for score in tests}) > 1
    last = max((score.layer for score in tests), default=0)
    series: dict[int, dict[str, float]] = defaultdict(dict)
    for score in tests:
        kind = score.probe if score.representation == "none" else score.representation
        readout = () if kind == "layer" else (kind,)
        control = () if score.control == "none" else (score.control,)
        name = "/".join((score.task, *readout, *control, score.metric, *([f"seed-{score.seed}"] if several else [])))
        series[score.layer if score.layer >= 0 else max(last, 0)][name] = score.value
    return series


def _open(name: str, place: Path, settings: Mapping[str, Any]) -> GeneralTracker:
    kind: Any = LOGGER_TYPE_TO_CLASS[name]
    try:
        if kind.requires_logging_directory:
            tracker = kind(place.name, str(place.parent))
        elif name == "dvclive":
            tracker = kind(dir=str(place))
        else:
            tracker = kind(_PROJECT, **({_NAMED_BY[name]: place.name} if name in _NAMED_BY else {}))
        tracker.start()
        tracker.store_init_configuration({key: _make_plain(value) for key, value in settings.items()})
    # Each throws errors of its own kind: of accounts, of networks, of files.
    except Exception as error:
        raise InputError(f"--trackers {name}: cannot be opened ({_explain(error)}); mend it or leave it out") from error
    return tracker


def _make_plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _explain(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
