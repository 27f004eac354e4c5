"""Folders of `train_encoder.py --recipe lv_bert` -> tidy frames: orders, their answers, the search's candidates."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.runs.probing_run import read_json
from analysis.runs.training_run import TrainingRun, load_training
from probing.records import InputError

ANSWERS = ["order", "seed", "split", "block", "n", "right", "nats"]
"""Columns of answers: hidden tokens of a block, how many were right, their loss in nats."""
_CANDIDATES = ["arm", "generation", "candidate", "score"]


@dataclass(frozen=True)
class SearchRun:
    """A search of orders, and the models that were trained by themselves beside it."""

    training: TrainingRun
    answers: pd.DataFrame
    """Columns `ANSWERS`: one row per model and block of held-out text."""
    orders: pd.DataFrame
    """Columns `order pattern supernet`: codes of the sub-layers, and the masked accuracy of that path in the supernet,
    NaN where it was not among the paths."""
    candidates: pd.DataFrame
    """Columns `arm generation candidate score`, as the search came upon them."""


def has_search(folder: Path) -> bool:
    """True for the folder of a run that has searched."""
    return any(folder.glob("stages/*/search/architecture.json"))


def load_search(folder: Path | str) -> SearchRun:
    """Read the folder of a search.

    Raises:
        InputError: it is of another recipe, not finished, or damaged.
    """
    folder = Path(folder)
    training = load_training(folder)
    found = sorted(folder.glob("stages/*/search"))
    if not found:
        raise InputError(f"{folder}: no search in it; expected a folder of train_encoder.py --recipe lv_bert")
    architecture = read_json(found[0] / "architecture.json")
    try:
        candidates = pd.read_csv(found[0] / "candidates.csv", dtype={"candidate": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{found[0] / 'candidates.csv'}: cannot be read ({error}); run the search again") from None
    _check_columns(candidates, _CANDIDATES, found[0] / "candidates.csv")
    return SearchRun(training, _read_answers(training), _list_orders(training, architecture), candidates)


def _read_answers(training: TrainingRun) -> pd.DataFrame:
    """The answers of every model, named by its row in the table of trained models."""
    frames = []
    models = training.scores.drop_duplicates(["variant", "seed"])
    for variant, seed in zip(models["variant"], models["seed"], strict=True):
        name = f"{json.loads(variant)['order']}-seed-{seed}"
        paths = [training.folder / "answers" / f"{name}{end}.parquet" for end in ("", ".pretrain")]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise InputError(f"{paths[0]}: is not there; start the run again in a new folder")
        frame = pd.read_parquet(path)
        _check_columns(frame, ANSWERS[2:], path)
        frames.append(frame.assign(order=json.loads(variant)["order"], seed=int(seed)))
    return pd.concat(frames, ignore_index=True)[ANSWERS]


def _list_orders(training: TrainingRun, architecture: Mapping[str, dict]) -> pd.DataFrame:
    rows = {}
    for variant in training.scores["variant"].unique():
        facts = json.loads(variant)
        scored = architecture.get(facts["order"], {})
        codes = "".join(map(str, scored["pattern"])) if scored else facts.get("pattern", "")
        rows[facts["order"]] = {"pattern": codes, "supernet": scored.get("score", float("nan"))}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("order").reset_index()


def _check_columns(frame: pd.DataFrame, names: list[str], path: Path) -> None:
    missing = [name for name in names if name not in frame]
    if missing:
        raise InputError(f"{path}: expected a column {missing[0]}, got {', '.join(map(str, frame))}")
