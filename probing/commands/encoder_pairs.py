"""Encoders in pairs for `compare_layers`: each sentence through both, the layers of one held against the other's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from probing.cells.chains import open_cache
from probing.cells.encoding import TaskEncoder
from probing.cells.two_encoders import compare_encoders, measure_changes
from probing.contracts.encoder import Encoder
from probing.encoders.blocks import find_backbone
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.encoders.model_facts import compute_digest
from probing.encoders.opening import build_checked
from probing.progress import Reporter
from probing.records import InputError, Task
from probing.representations.extraction import Extractor
from probing.representations.pooling import Pooling
from probing.settings.checks import check_settings
from probing.settings.run import RunSettings
from probing.tables import LayerChange, LayerSimilarity
from probing.tasks.sources import check_tasks, load_tasks


def compare_checkpoints(first: RunSettings, second: RunSettings, reporter: Reporter) -> list[LayerSimilarity]:
    """Similarity of all layers of two encoders on the sentences of the first one's tasks.

    Raises:
        InputError: an encoder, a corpus or a task that cannot be used.
    """
    tasks = load(first, reporter)
    encoders = [build(made, reporter) for made in (first, second)]
    makers = [plan(tasks, encoder, made, reporter) for encoder, made in zip(encoders, (first, second), strict=True)]
    return _compare(tasks, makers[0], makers[1], first.model)


def trace_change(
    start: RunSettings, ends: Mapping[str, RunSettings], reporter: Reporter
) -> tuple[dict[str, list[LayerSimilarity]], dict[str, list[LayerChange]]]:
    """Similarity of layers before and after a training, and change of weights, by the name of the model.

    Raises:
        InputError: as `compare_checkpoints`, or the trained models have other layers than what they started from.
    """
    tasks, before = load(start, reporter), build(start, reporter)
    maker = plan(tasks, before, start, reporter)
    similarities, changes = {}, {}
    for name, made in ends.items():
        after = build(made, reporter)
        changes[name] = measure_changes(before, after, before.layer_names)
        similarities[name] = _compare(tasks, maker, plan(tasks, after, made, reporter, name), start.model)
    return similarities, changes


def check_start(name: str, digest: str) -> None:
    """Refuse a checkpoint that is not what a training began with: its change would be that of two trainings.

    Args:
        name: of the checkpoint.
        digest: that the training noted; an older one has none.

    Raises:
        InputError: the checkpoint holds other weights, or another tokenizer.
    """
    checkpoint = find_checkpoint(name)
    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint)
    found = [compute_digest(one, tokenizer) for one in (model, find_backbone(model))]
    if digest and digest not in found:
        raise InputError(
            f"checkpoint {checkpoint.name}: not what the training began with: its weights, or its tokenizer, have "
            "changed since; name the two encoders themselves, or train again"
        )


def load(settings: RunSettings, reporter: Reporter) -> list[Task]:
    """The tasks whose test sentences are taken; no others are encoded."""
    check_settings(settings)
    check_tasks(settings.data, settings.tasks)
    tasks = load_tasks(settings.data, settings.tasks, settings.limit, reporter)[0]
    return [replace(task, splits=dict.fromkeys(task.splits, task.splits["test"])) for task in tasks]


def build(settings: RunSettings, reporter: Reporter) -> Encoder:
    """The encoder of some settings, which has been checked."""
    check_settings(settings)
    return build_checked(settings.model, settings, reporter)[0]


def plan(
    tasks: Sequence[Task], encoder: Encoder, settings: RunSettings, reporter: Reporter, name: str = ""
) -> TaskEncoder:
    """The maker of vectors of the tasks' test sentences; all layers are taken."""
    extractor = Extractor(encoder, Pooling(settings.pooling, settings.special_tokens), open_cache(settings))
    layers = range(len(encoder.layer_names))
    return TaskEncoder(tasks, extractor, layers, reporter, f"encoding {name or encoder.checkpoint}", lambda: encoder)


def _compare(tasks: Sequence[Task], first: TaskEncoder, second: TaskEncoder, model: str) -> list[LayerSimilarity]:
    found = []
    for task in tasks:
        found += compare_encoders(task, first.encode(task), second.encode(task), model)
    return found
