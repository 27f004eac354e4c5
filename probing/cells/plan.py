"""Plan of a run's cells: the readouts of each, and its probe."""

from collections.abc import Sequence
from typing import Any

from probing.catalogue.controls import CONTROLS
from probing.catalogue.readouts import OF_TEXT, REPRESENTATIONS
from probing.contracts.encoder import EncoderFacts
from probing.contracts.measure import Cell, Encoded, find_measure
from probing.probes.senteval import LINEAR_ONLY
from probing.probes.text import name_text_probe
from probing.records import Task
from probing.registry import PROBES
from probing.settings.run import RunSettings
from probing.tasks.relabelling import RELABELLINGS

PROTOCOLS = {"modern": None, "senteval": {"faults": False}, "senteval_original": {"faults": True}}
"""Options of the SentEval probe, where the protocol has the layers and the mix probed by it."""

_BY_MINIBATCH = "senteval"
"""Key of that probe, which also trains a mix with dropout."""
_GRADIENTS_S = 2.0
_TIMES_AS_LONG = {"code_length": 1.5, "conditional_information": 2.0, "weight_intervals": 3.0, "erasure": 1.5}
_TIMES_AS_LONG |= {"amnesia": 60.0}
_TIMES_AS_LONG |= {"similarity": 0.2, "geometry": 0.2, "intrinsic_dimension": 0.2}
"""Measures against the scores of what they read, as `estimate_work` takes it."""
_TEXT_AS_LONG = {"word_count": 0.2, "bag_of_words": 2.0, "characters": 20.0}
"""Readouts of the text against a layer: 0.1, 1 and 10 s of 10,000 training sentences and two classes."""


def plan_cells(settings: RunSettings, tasks: Sequence[Task], encoder: EncoderFacts) -> list[Cell]:
    """The cells of the run itself, task by task."""
    cells = []
    for task in tasks:
        seeds = settings.seeds if needs_seeds(Cell(task, "layer"), settings) else (0,)
        cells += [Cell(task, "none"), *(Cell(task, "layer", seed=seed) for seed in seeds)]
        if mixes_layers(settings, encoder):
            cells += [Cell(task, "scalar_mix", seed=seed) for seed in settings.seeds]
    return cells


def plan_control(name: str, settings: RunSettings, tasks: Sequence[Task], encoder: EncoderFacts) -> list[Cell]:
    """The cells of one control, task by task, for the first seed of the run."""
    control, seed = CONTROLS[name], settings.seeds[0]
    if control.embeddings_only and not find_embeddings(encoder.layer_names):
        return []
    relabel = RELABELLINGS[control.relabelling] if control.relabelling else None
    mixes = mixes_layers(settings, encoder) and control.mixes and settings.control_mix
    taken = [task for task in tasks if control.takes_graded or not task.graded]
    readouts = (control.of_text or "layer", *(["scalar_mix"] if mixes else []))
    return [
        Cell(task, representation, name, seed)
        for task in ([relabel(task, seed) for task in taken] if relabel else taken)
        for representation in readouts
    ]


def plan_measure(name: str, settings: RunSettings, tasks: Sequence[Task], encoder: EncoderFacts) -> list[Cell]:
    """The cells of one further measure, task by task, for the first seed of the run."""
    measure = find_measure(name)
    seed = settings.seeds[0] if measure.takes_seed else 0
    return [
        Cell(task, representation, seed=seed, measure="scores" if measure.scores else name)
        for task in tasks
        if measure.takes_graded or not task.graded
        for representation in measure.representations
        if mixes_layers(settings, encoder) or representation != "scalar_mix"
    ]


def estimate_work(cell: Cell, n_layers: int) -> float:
    """Roughly what a cell costs, for the time that is left; only ratios count.

    In seconds on two old cores for a width of 384: all seven layers of a task of 10,000 training sentences take 1.4
    with two classes, 12 with six and 18 with twenty.
    """
    n_classes = len(cell.task.classes)
    one = len(cell.task.splits["train"]) / 10_000 * (0.2 if n_classes <= 2 else 1.5 + n_classes / 20)
    if cell.measure == "gradients":
        return _GRADIENTS_S
    if cell.representation == "none":
        return 0.05
    if cell.representation in OF_TEXT:
        return 0.1 + one * _TEXT_AS_LONG[cell.representation]
    alone = cell.control != "none" and CONTROLS[cell.control].embeddings_only
    readouts = {"scalar_mix": 3.0, "concat": 3.0, "cumulative_mix": 1.5 * n_layers}.get(cell.representation, 1.0)
    return 0.2 + one * (1 if alone else n_layers) * readouts * _TIMES_AS_LONG.get(cell.measure, 1.0)


def choose_layers(cell: Cell, encoded: Encoded, settings: RunSettings) -> Sequence[int]:
    """List those of the probed layers that a cell reads."""
    layers, embeddings = encoded.layers, find_embeddings(encoded.encoder.layer_names)
    if cell.control != "none" and CONTROLS[cell.control].embeddings_only:
        return embeddings
    if REPRESENTATIONS[cell.representation].mixes and not settings.mix_embeddings:
        return [layer for layer in layers if layer not in embeddings] or layers
    return layers


def find_embeddings(layer_names: Sequence[str]) -> list[int]:
    """The layer that reads no context; none where the encoder names no such layer."""
    return [layer for layer, name in enumerate(layer_names) if name == "embeddings"]


def mixes_layers(settings: RunSettings, encoder: EncoderFacts) -> bool:
    """True where the run probes the learned mix of the encoder's layers."""
    return encoder.mixes_layers if settings.mix == "auto" else settings.mix == "on"


def find_classes_only(settings: RunSettings) -> str:
    """The flag that brings a probe which knows classes alone, so that no task may be graded; empty if none does."""
    trained = not PROBES.load(_BY_MINIBATCH).takes_scores
    if trained and PROTOCOLS[settings.protocol]:
        return f"--protocol {settings.protocol}"
    if trained and settings.mix_dropout > 0:
        return f"--mix-dropout {settings.mix_dropout:g}"
    return "" if PROBES.load(settings.probe).takes_scores else f"--probe {settings.probe}"


def describe_probe(cell: Cell, settings: RunSettings) -> dict[str, str]:
    """The columns that say what a cell is probed by: the probe, and how it was trained."""
    if cell.representation in OF_TEXT:
        return {"probe": name_text_probe(len(cell.task.classes)), "protocol": "modern"}
    name, protocol = name_probe(cell, settings), settings.protocol
    if name != _BY_MINIBATCH:
        return {"probe": name, "protocol": protocol}
    hidden = make_probe(cell, settings).n_hidden
    # A mix with dropout is trained by minibatches whatever the protocol of the run is.
    return {"probe": f"{name}_mlp" if hidden else name, "protocol": "senteval" if protocol == "modern" else protocol}


def name_probe(cell: Cell, settings: RunSettings) -> str:
    """Key of the probe of a cell."""
    representation = REPRESENTATIONS[cell.representation]
    by_minibatch = representation.mixes and settings.mix_dropout > 0
    if by_minibatch or (PROTOCOLS[settings.protocol] and cell.representation in ("layer", "scalar_mix")):
        return _BY_MINIBATCH
    return representation.probe or settings.probe


def make_probe(cell: Cell, settings: RunSettings, device: str = "cpu") -> Any:
    """The unfitted probe of a cell, with those of the run's options that it knows.

    Raises:
        ValueError: the task is graded, and the probe knows classes only.
    """
    name = name_probe(cell, settings)
    kind = PROBES.load(name)
    if cell.task.graded and not kind.takes_scores:
        raise ValueError(f"the {name} probe knows classes only, and {cell.task.name} is graded: take --probe linear")
    probe = kind()
    options: dict[str, Any] = {"device": device, "seed": cell.seed}
    if REPRESENTATIONS[cell.representation].mixes or name == "cumulative_mix":
        options |= {"mixes": True, "norm": settings.mix_norm, "dropout": settings.mix_dropout}
    if name == _BY_MINIBATCH:
        linear = settings.probe != "mlp" or cell.task.name in LINEAR_ONLY
        options |= {"n_hidden": 0 if linear else 50} | (PROTOCOLS[settings.protocol] or {})
    return probe.set_params(**{option: value for option, value in options.items() if option in probe.get_params()})


def needs_seeds(cell: Cell, settings: RunSettings) -> bool:
    """True where the probe of a cell depends on where it starts."""
    return "seed" in make_probe(cell, settings).get_params()
