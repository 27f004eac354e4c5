"""Runs made from numbers: a planted depth per task, one difficulty per sentence, scores counted from predictions."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.load import PREDICTION_TYPES, Run
from probing.records import LayerWeight, Score

GROUPS = {
    "sentence_length": ("surface", 6),
    "word_content": ("surface", 30),
    "tree_depth": ("syntactic", 8),
    "top_constituents": ("syntactic", 20),
    "bigram_shift": ("syntactic", 2),
    "past_present": ("semantic", 2),
    "subj_number": ("semantic", 2),
    "obj_number": ("semantic", 2),
    "odd_man_out": ("semantic", 2),
    "coordination_inversion": ("semantic", 2),
}


def columns(record):
    return [column.name for column in dataclasses.fields(record)]


def predict(rng, n, n_classes, accuracy, labels, difficulty):
    """Right on the sentences that are easy enough: paired, as real predictions of neighbouring layers are."""
    noisy = difficulty + rng.normal(0, 0.15, n)
    right = noisy <= np.quantile(noisy, accuracy)
    return np.where(right, labels, (labels + 1) % n_classes)


def build(n_layers=7, tasks=None, mix=True, seeds=(0,), n=300, extra_tasks=0, splits=("dev", "test")):
    chosen = {name: GROUPS[name] for name in (tasks or GROUPS)}
    chosen |= {f"transfer_{i}": ("transfer", 2) for i in range(extra_tasks)}
    scores, weights, predictions = [], [], []
    names = ["embeddings", *(f"layer {layer}" for layer in range(1, n_layers))]
    for number, (task, (group, n_classes)) in enumerate(chosen.items()):
        rng = np.random.default_rng(number)
        peak = (n_layers - 1) * (0.15 + 0.7 * number / max(1, len(chosen) - 1))
        top = 0.92 - 0.04 * (number % 5)
        chance = 1 / n_classes
        curve = chance + (top - chance) * (
            0.45 + 0.55 * np.exp(-(((np.arange(n_layers) - peak) / (0.45 * n_layers)) ** 2))
        )
        cells = [("layer", layer, names[layer], curve[layer]) for layer in range(n_layers)]
        if mix:
            cells.append(("scalar_mix", -1, "scalar mix", min(0.99, curve.max() + 0.015)))
        base = {"model": "bermo", "checkpoint": "made-up", "revision": "", "task": task, "group": group}
        base |= {"pooling": "mean", "protocol": "modern", "control": "none", "metric": "accuracy", "n": n}
        base |= {"n_classes": n_classes, "majority": chance, "hyperparameters": "{}", "converged": True, "seconds": 1.0}
        for split in splits:
            labels, difficulty = rng.integers(0, n_classes, n), rng.uniform(size=n)
            nothing = {"representation": "none", "layer": -1, "layer_name": "", "probe": "majority", "seed": 0}
            scores.append(base | nothing | {"split": split, "value": chance, "ci_low": chance, "ci_high": chance})
            for seed in seeds:
                for representation, layer, name, accuracy in cells:
                    predicted = predict(rng, n, n_classes, accuracy, labels, difficulty)
                    value = float((predicted == labels).mean())
                    half = 1.96 * np.sqrt(value * (1 - value) / n)
                    row = {"representation": representation, "layer": layer, "layer_name": name, "probe": "linear"}
                    row |= {
                        "seed": seed,
                        "split": split,
                        "value": value,
                        "ci_low": value - half,
                        "ci_high": value + half,
                    }
                    scores.append(base | row)
                    if split == "test":
                        rows = {"row": np.arange(n), "label": labels, "predicted": predicted}
                        rows |= {"log_probability": np.full(n, -0.3), "task": task, "representation": representation}
                        rows |= {"layer": layer, "layer_name": name, "control": "none", "seed": seed}
                        predictions.append(pd.DataFrame(rows)[list(PREDICTION_TYPES)])
        if mix:
            raw = -(((np.arange(n_layers) - peak) / (0.3 * n_layers)) ** 2)
            weight = np.exp(raw) / np.exp(raw).sum()
            norms = weight * np.linspace(0.6, 1.6, n_layers)
            for seed in seeds:
                for layer in range(n_layers):
                    row = {"model": "bermo", "checkpoint": "made-up", "task": task, "group": group, "control": "none"}
                    row |= {"seed": seed, "layer": layer, "layer_name": names[layer], "weight_raw": raw[layer]}
                    row |= {"weight": weight[layer], "gamma": 1.1, "contribution": norms[layer] / norms.sum()}
                    weights.append(row)
    return Run(
        Path("made-up"),
        pd.DataFrame(scores, columns=columns(Score)),
        pd.DataFrame(weights, columns=columns(LayerWeight)),
        pd.concat(predictions, ignore_index=True),
        {"model": "bermo"},
        {"versions": {}},
    )


def write(run, folder):
    folder.mkdir(parents=True, exist_ok=True)
    run.scores.to_parquet(folder / "scores.parquet")
    run.scores.to_csv(folder / "scores.csv", index=False)
    run.weights.to_parquet(folder / "layer_weights.parquet")
    run.predictions.to_parquet(folder / "predictions.parquet")
    (folder / "settings.json").write_text(json.dumps(run.settings))
    (folder / "manifest.json").write_text(json.dumps(run.manifest))
    return folder


@pytest.fixture(scope="session")
def build_run():
    return build


@pytest.fixture(scope="session")
def write_run():
    return write


@pytest.fixture(scope="session")
def run():
    """Ten tasks, seven layers, a mix."""
    return build()


@pytest.fixture(scope="session")
def plain_run():
    """Four tasks, seven layers, no mix."""
    return build(mix=False, tasks=["sentence_length", "tree_depth", "past_present", "obj_number"])
