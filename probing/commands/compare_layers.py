"""Hold the layers of two encoders against each other, or those that a training left against what it started from.

bermo-probing layers all-MiniLM-L6-v2 data/results/TRAINING/models/seed-0
bermo-probing layers data/results/TRAINING --output data/results/change
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from probing.atomic_files import check_writable
from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.records import InputError
from probing.registry import ENCODERS
from probing.settings.run import RunSettings


@dataclass(frozen=True)
class LayersSettings:
    """The encoders, and the sentences that they are compared on."""

    first: Annotated[str, tyro.conf.Positional]
    """A checkpoint, or the folder of a finished training run that kept its models."""
    second: Annotated[str, tyro.conf.Positional] = ""
    """Another checkpoint; none given: the first is a training run, and its models are held against their start."""
    model: str = "bert"
    """Architecture of the first: bert, bermo, lv_bert, ..."""
    other_model: str = ""
    """Architecture of the second; empty: that of the first. A training run's models have the run's own."""
    data: str = ""
    """Corpus of the sentences, as of --data of a run; empty: controlled, or the training's own."""
    tasks: tuple[str, ...] = ()
    """Tasks whose test sentences are taken, each by itself; none given: all, or the training's own."""
    limit: int = 1000
    """At most this many sentences of each task."""
    pooling: str = "mean"
    """Rule that makes a sentence's token states one vector: mean, cls or max."""
    cache_dir: Path = Path("data/cache")
    """Folder of encoded sentences."""
    output: Path | None = None
    """Folder for tables (CSV and parquet) and figures (PNG and PDF); none given: only the cache is written."""


def main() -> int:
    """Run the command.

    Returns:
        0; 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_compare)


def _compare() -> int:
    settings = read_settings(LayersSettings, description=__doc__, prog="python -m probing.commands.compare_layers")
    from analysis.runs.training_run import load_training  # noqa: PLC0415 - pandas: not for --help
    from analysis.terminal.layers import show_change, show_similarity  # noqa: PLC0415 - likewise
    from probing.commands.encoder_pairs import check_start, compare_checkpoints, trace_change  # noqa: PLC0415 - torch: likewise
    from probing.progress import Reporter  # noqa: PLC0415 - torch: likewise

    if settings.output is not None:
        check_writable(settings.output)
    if settings.second:
        chosen = {"data": settings.data or "controlled", "tasks": settings.tasks or ("all",)}
        one = make_settings(settings, settings.model, settings.first, chosen)
        other = make_settings(settings, settings.other_model or settings.model, settings.second, chosen)
        show_similarity(compare_checkpoints(one, other, Reporter()), settings.output)
        return 0
    training = load_training(settings.first)
    folders = list(dict.fromkeys(name for name in training.models["folder"] if name))
    start, ends = plan_change(settings, training.settings, training.folder, folders)
    check_start(start.checkpoint, str(training.manifest.get("encoder", {}).get("digest", "")))
    show_change(training, *trace_change(start, ends, Reporter()), settings.output)
    return 0


def plan_change(
    settings: LayersSettings, trained: Mapping[str, Any], place: Path, folders: Sequence[str]
) -> tuple[RunSettings, dict[str, RunSettings]]:
    """Settings by which the start of a training and its models are encoded, the latter by their folders.

    Args:
        settings: of the command.
        trained: settings of the training.
        place: folder of the training run.
        folders: those of its models, relative to it.

    Raises:
        InputError: no model was kept, or it is not known whose sentences to take.
    """
    if not folders:
        raise InputError(f"{place}: keeps no models; train again with --keep-models")
    data, task = settings.data or trained.get("data"), trained.get("task")
    if not data:
        raise InputError(
            f"{place}: was trained on no labelled task; say whose sentences to take with --data and --tasks"
        )
    chosen = {"data": str(data), "tasks": settings.tasks or ((str(task),) if task and not settings.data else ("all",))}
    kind = str(trained.get("model"))
    model = kind if kind in ENCODERS.names() else settings.model
    start = make_settings(settings, settings.model, str(trained["checkpoint"]), chosen)
    return start, {name: make_settings(settings, model, str(place / name), chosen) for name in folders}


def make_settings(settings: LayersSettings, model: str, checkpoint: str, chosen: Mapping[str, Any]) -> RunSettings:
    """Settings of a run that would encode the sentences, in float32: rounding is no change."""
    return RunSettings(
        model=model, checkpoint=checkpoint, limit=settings.limit, pooling=settings.pooling, dtype="float32",
        cache_dir=settings.cache_dir, **chosen,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
