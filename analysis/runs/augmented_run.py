"""Folders of `train_encoder.py --recipe c_bert` -> tidy frames: answers of classifiers and of the judge, sentences."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.runs.probing_run import read_table
from analysis.runs.training_run import TrainingRun
from probing.records import InputError

_ARM = ["way", "share", "classifier", "seed"]
_ANSWERS: dict[str, object] = {"split": str, "row": int, "label": int, "predicted": int}
_JUDGED: dict[str, object] = {"way": str, "row": int, "copy": int, "label": int, "predicted": int}
_WRITTEN: dict[str, object] = {"row": int, "copy": int, "text": str, "old": str, "new": str}


@dataclass(frozen=True)
class AugmentedRun:
    """Classifiers that learned from new sentences of several ways of writing, and what a judge says of these."""

    training: TrainingRun
    answers: pd.DataFrame
    """Columns `way share classifier seed split row label predicted`: one row per classifier and sentence."""
    judged: pd.DataFrame
    """Columns `seed way row copy label predicted`: one row per new sentence, `row` being its source; `way` names the
    share too where it is not all. No rows where nobody judged."""


def is_augmented(run: TrainingRun) -> bool:
    """True where classifiers learned from several ways of writing sentences, and their answers were kept."""
    return run.recipe == "c_bert" and any((run.folder / "answers").glob("*-seed-*.parquet"))


def load_augmented(run: TrainingRun) -> AugmentedRun:
    """Read what arms and judge answered.

    Raises:
        InputError: a file is missing, or is not what its name says.
    """
    answers, judged = [], [pd.DataFrame(columns=["seed", *_JUDGED])]
    for model in _list_models(run):
        if model["way"] == "judge":
            path = run.folder / "answers" / f"judge-seed-{model['seed']}.parquet"
            judged.append(read_table(path, _JUDGED).assign(seed=model["seed"]))
        else:
            frame = read_table(_find_answers(run.folder, _name(model)), _ANSWERS)
            answers.append(frame.assign(**{name: model[name] for name in _ARM}))
    kept = [frame for frame in judged if len(frame)] or judged
    return AugmentedRun(run, pd.concat(answers, ignore_index=True), pd.concat(kept, ignore_index=True))


def load_sentences(run: TrainingRun, way: str, share: float, seed: int) -> pd.DataFrame:
    """The new sentences of one arm, with the tokens that stood where they differ; no rows where they are gone.

    Returns:
        Columns `row copy text old new`, `text` being a string, `old` and `new` sequences of tokens.
    """
    first = run.settings["classifiers"][0]  # which the chain that writes ends with
    path = run.folder / "stages" / f"{way}-{share:g}-{first}-seed-{seed}" / "augment" / "sentences.parquet"
    if not path.is_file():
        return pd.DataFrame(columns=list(_WRITTEN))
    frame = read_table(path, _WRITTEN)[list(_WRITTEN)]
    return frame.assign(text=[text[0] for text in frame["text"]])


def _list_models(run: TrainingRun) -> list[dict[str, Any]]:
    """Facts of each model: its way of writing (`judge` for the judge), share, classifier and seed."""
    rows = run.models.drop_duplicates(["variant", "seed"])
    found = []
    for variant, seed in zip(rows["variant"], rows["seed"], strict=True):
        facts = {"way": "judge"} | json.loads(variant)
        found.append(facts | {"seed": int(seed)})
    return found


def _name(model: dict[str, Any]) -> str:
    return f"{model['way']}-{model['share']:g}-{model['classifier']}-seed-{model['seed']}"


def _find_answers(folder: Path, name: str) -> Path:
    """The file of a classifier's answers, which is named after the last stage of its chain where that has several."""
    paths = [folder / "answers" / f"{name}{end}.parquet" for end in ("", ".classify")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise InputError(f"{paths[0]}: is not there; start the run again in a new folder")
    return path
