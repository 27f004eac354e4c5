"""Names of the parts that plug in, and where each one lives.

A table maps a name to `"module:attribute"`, imported when it is asked for. Installed packages add rows
through entry points in the group `probing.<table>`, such as `probing.encoders`.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from probing.records import InputError

TABLES: dict[str, dict[str, str]] = {
    "encoders": {
        "bert": "probing.encoders.bert:build",
        "bermo": "probing.encoders.bermo:build",
        "untrained": "probing.encoders.untrained:build",
    },
    # Encoders with a head, to be trained.
    "classifiers": {
        "bert": "probing.encoders.classifiers:build_bert",
        "bermo": "probing.encoders.classifiers:build_bermo",
    },
    # Ways of training: what is done, and its settings.
    "recipes": {
        "finetune": "probing.training.recipes.finetune:plan_models",
        "prune": "probing.training.recipes.prune:plan_models",
    },
    "recipe_settings": {
        "finetune": "probing.settings.training:TrainSettings",
        "prune": "probing.settings.training:PruneSettings",
    },
    "tasks": {
        "controlled": "probing.tasks.controlled.corpus:load",
        "senteval": "probing.tasks.files.download:load",
    },
    # What needs a package of its own to be read.
    "readers": {
        "hub": "probing.tasks.files.hub:read_hub",
    },
    "builders": {
        "controlled": "probing.tasks.controlled.corpus:build_corpus",
        "treebank": "probing.tasks.treebank.corpus:build_corpus",
    },
    # Tasks whose sentences bear other labels, for controls.
    "relabellings": {
        "control_task": "probing.tasks.relabelling:label_by_word",
        "shuffled_labels": "probing.tasks.relabelling:shuffle_labels",
    },
    # What a cell can be asked for.
    "measures": {
        "scores": "probing.cells.scoring:compute_cell",
        "code_length": "probing.cells.code_length:measure_code_length",
        "conditional_information": "probing.cells.conditional_information:measure_conditional_information",
        "weight_intervals": "probing.cells.weight_intervals:measure_weight_intervals",
        "gradients": "probing.cells.gradients:measure_gradients",
    },
    # What an encoder must allow for a measure. Here too, so that the first tasks are read before transformers is.
    "conditions": {
        "gradients": "probing.cells.gradients:can_measure",
    },
    "protocols": {
        "linear_only": "probing.probes.senteval:LINEAR_ONLY",
    },
    "probes": {
        "concat": "probing.probes.several_layers:ConcatProbe",
        "cumulative_mix": "probing.probes.several_layers:CumulativeMixProbe",
        "knn": "probing.probes.knn:KNNProbe",
        "linear": "probing.probes.linear:LinearProbe",
        "majority": "probing.probes.majority:MajorityProbe",
        "mlp": "probing.probes.mlp:MLPProbe",
        "scalar_mix": "probing.probes.scalar_mix:ScalarMixProbe",
        "senteval": "probing.probes.senteval:SentEvalProbe",
    },
    "poolings": {
        "mean": "probing.representations.pooling:pool_mean",
        "cls": "probing.representations.pooling:pool_cls",
        "max": "probing.representations.pooling:pool_max",
    },
    "metrics": {
        "accuracy": "probing.scores.metrics:accuracy",
        "f1": "probing.scores.metrics:f1",
        "matthews": "probing.scores.metrics:matthews",
        "pearson": "probing.scores.metrics:pearson",
        "spearman": "probing.scores.metrics:spearman",
    },
    # What scripts call once their settings are known, so that --help loads neither torch nor pandas.
    "stories": {
        "check": "probing.tasks.checks.checkup:check_source",
        "run": "probing.pipeline:run",
        "train": "probing.training.run:train",
    },
    "views": {
        "run": "analysis.terminal.run:show_run",
        "report": "analysis.report.build:save_report",
        "replication": "analysis.replication:show_replication",
        "training": "analysis.terminal.training:show_training",
    },
}


def names(table: str) -> list[str]:
    """Every known name of a table, those of installed packages included."""
    return sorted({*TABLES[table], *(point.name for point in entry_points(group=f"probing.{table}"))})


def resolve(table: str, name: str) -> Any:
    """The object that a name stands for.

    Raises:
        InputError: the name is not in the table; the message offers the nearest ones.
    """
    if name in TABLES[table]:
        module, _, attribute = TABLES[table][name].partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=f"probing.{table}", name=name):
        return point.load()
    raise InputError(f"unknown {table[:-1]} {name!r}: {suggest(name, names(table))}")


def suggest(name: str, known: Iterable[str]) -> str:
    """What to offer to someone who typed an unknown name."""
    known = list(known)
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
