"""Runs made from numbers: a planted depth per task, one difficulty per sentence, scores counted from predictions."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.runs.probing_run import Run
from analysis.runs.training_run import TrainingRun
from probing.tables import LayerWeight, PredictionRow, Score, TrainedModel, TrainingRow, column_names

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
                        predictions.append(pd.DataFrame(rows)[column_names(PredictionRow)])
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


def write_folder(run, folder, **tables):
    """A run folder, with a file for each table beside settings and manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet")
    (folder / "settings.json").write_text(json.dumps(run.settings))
    (folder / "manifest.json").write_text(json.dumps(run.manifest))
    return folder


def write(run, folder):
    folder = write_folder(run, folder, scores=run.scores, layer_weights=run.weights, predictions=run.predictions)
    run.scores.to_csv(folder / "scores.csv", index=False)
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


def train(model="bert", rate=0.05, seeds=(0, 1, 2), methods=("",), sparsities=(0.0,), steps=100, n_layers=3, top=0.9):
    """A training run made from numbers: the dev score of seed s after t steps is 0.5 + (top - 0.5)(1 - exp(-rate t)),
    and s thousandths; pruned models lose a fifth of their zeros, the last seed of the sparsest has diverged."""
    log, models = [], []
    names = ["embeddings", *(str(layer) for layer in range(1, n_layers))]
    ways = [(method, sparsity, seed) for method in methods for sparsity in sparsities for seed in seeds]
    for method, sparsity, seed in ways:
        key = {"recipe": "prune" if method else "finetune", "model": model, "checkpoint": "made-up", "task": "sst_2"}
        soft = method == "soft_movement"
        key |= {"method": method, "sparsity": 0.0 if soft else sparsity, "seed": seed}
        key |= {"penalty": 1000 * sparsity if soft else 0.0, "stage": "only", "variant": "{}"}
        lost = sparsity / 5
        diverged = bool(method) and sparsity == max(sparsities) and seed == seeds[-1]

        def score(step, seed=seed, lost=lost, diverged=diverged):
            return 0.5 if diverged else 0.5 + (top - lost - 0.5) * (1 - np.exp(-rate * step)) + 0.001 * seed

        def log_row(step, quantity, value, layer=-1, key=key):
            name = names[layer] if layer >= 0 else ""
            return key | {"step": step, "quantity": quantity, "layer": layer, "layer_name": name, "value": value}

        for step in range(0, steps + 1, 10):
            log.append(log_row(step, "dev_score", score(step)))
            log.append(log_row(step, "loss", 0.7 * np.exp(-rate * step) + 0.05))
            for layer in range(n_layers):
                log.append(log_row(step, "gradient_norm", (1 + layer) * np.exp(-rate * step / 5), layer))
                if model == "bermo":
                    log.append(log_row(step, "weight", (1 + layer) / (n_layers * (n_layers + 1) / 2), layer))
        for split, offset in (("dev", 0.0), ("test", -0.01)):
            value = score(steps) + offset
            row = key | {"revision": "", "split": split, "metric": "accuracy", "value": value, "ci_low": value - 0.03}
            row |= {"ci_high": value + 0.03, "n": 500, "majority": 0.51, "diverged": diverged, "steps": steps}
            row |= {"best_step": steps, "achieved_sparsity": 0.99 * sparsity, "n_train": 3200, "seconds": 12.0}
            row |= {"tokens_per_s": 4321.0, "peak_rss_bytes": 2**30, "folder": ""}
            models.append(row)
    return TrainingRun(
        Path(f"made-up-{model}"),
        pd.DataFrame(log, columns=columns(TrainingRow)),
        pd.DataFrame(models, columns=columns(TrainedModel)),
        {"recipe": "prune" if methods[0] else "finetune", "model": model, "task": "SST-2", "seeds": list(seeds)},
        {"tasks": {"sst_2": {"train": 3200, "dev": 500, "test": 500, "digest": "made up"}}},
    )


def write_trained(run, folder):
    return write_folder(run, folder, training_log=run.log, trained_models=run.models)


@pytest.fixture(scope="session")
def build_training():
    return train


@pytest.fixture(scope="session")
def write_training():
    return write_trained
