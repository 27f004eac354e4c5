"""Files of a run folder that are a run's own, and their removal: whole, and nothing beside them."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from probing.atomic_files import name_part, remove_leftovers, write_atomically
from probing.catalogue.measures import KINDS, name_quantities
from probing.records import InputError
from probing.tables import RECORDS

FOLDERS = ("cells", "figures", "tables", "models", "stages", "answers", "events", "parts", "queue")
"""Folders that runs write, and the figures and tables that are made of them, which must not stay beside a later run."""
_SINGLE = ("manifest.json", "report.html", "scores.csv", "trained_models.csv", "baselines.csv")
_SINGLE += ("encoders.csv", "encoders.parquet")
_SINGLE += tuple(f"{name}.parquet" for name in RECORDS)
_FIGURES = ("scores_by_layer", "curves_by_layer", "last_best_mix", "mix_weights", "depth", "above_controls")
_FIGURES += ("code_length", "gradients_*", "training", "training_*", "*_by_step", "*_by_step_*", "pruning")
_FIGURES += ("layers_alike", "knockouts", "geometry", "orders_by_layer")
_FIGURES += ("erasure", "erasure_by_layer", "amnesia", "amnesia_curves")
_TABLES = ("main", "claims", "scores", "weights", "gradients_*", "controls", "above_*", "under_*", "cost", "depth")
_TABLES += ("agreement",)
_TABLES += ("several_layers", "seeds", "published", "models", "baselines", "pruning")
_TABLES += ("augmentation", "new_sentences", "examples")
_TABLES += ("layer_similarity", "layers_alike")
_TABLES += ("erasure", "erasure_pairs", "erasure_mix", "erasure_mix_pairs", "erasure_layers")
_TABLES += ("amnesia", "amnesia_recovery", "amnesia_losses", "amnesia_others")
_TABLES += tuple(name for kind in KINDS if kind != "depth" for name in name_quantities(kind))
_MODEL = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json", "README.md")
_MODEL += ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.*")
_MODEL += ("merges.txt", "*.model", "chat_template.jinja")
_FOUND = ("sentences.parquet", "task/*_augmented.txt", "architecture.json", "candidates.csv")
"""Files that stages leave which write or search."""
_PATTERNS = (
    *_SINGLE,
    "cells/*.*.*.[0-9]*.safetensors",
    *("parts/*-of-*.json", "parts/kind.json"),
    *(f"queue/{name}" for name in ("jobs.json", "run.yaml", "*_submission.sh", "*_submitted.pkl", "*_log.out")),
    *("queue/*_result.pkl", "queue/.submission_file_*.sh"),
    *(f"cells/*seed-*.{form}" for form in ("json", "pt")),
    *(f"figures/{stem}.{form}" for stem in _FIGURES for form in ("png", "pdf")),
    *(f"tables/{stem}.{form}" for stem in _TABLES for form in ("tex", "md", "csv")),
    *(f"models/*seed-*/{name}" for name in _MODEL),
    *(f"stages/*seed-*/*/{name}" for name in (*_MODEL, *_FOUND)),
    "answers/*seed-*.parquet",
    *(f"events/**/{name}" for name in ("events.out.tfevents.*", "hparams.yml")),
)
"""All but settings.json, which the next run replaces."""


def list_own(folder: Path) -> list[Path]:
    """The files of a run folder that a run has written, settings.json left out."""
    found = {path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file() or path.is_symlink()}
    return sorted(found)


def check_places(folder: Path) -> None:
    """Refuse a folder in which something stands where a run will write.

    Raises:
        InputError: naming it.
    """
    for path in (folder / name for name in FOLDERS):
        if (path.exists() or path.is_symlink()) and not path.is_dir():
            raise InputError(f"{path}: a file stands where a folder of the run should be; move it away")
    for path in (folder / name for name in ("settings.json", *_SINGLE)):
        if path.is_dir():
            raise InputError(f"{path}: a folder stands where a file of the run should be; move it away")


def replace_run(folder: Path, settings: bytes) -> None:
    """Throw a run's files away and write the settings of the next one: both, or nothing of it.

    Raises:
        InputError: a file cannot be removed or written; all are where they were.
    """
    away = name_part(folder / "overwritten")
    moved: list[tuple[Path, Path]] = []
    own = list_own(folder)
    try:
        away.mkdir()
        for number, path in enumerate(own):
            path.rename(away / str(number))
            moved.append((path, away / str(number)))
        write_atomically(folder / "settings.json", settings)
    except BaseException as error:
        for path, there in moved:
            there.rename(path)
        with suppress(OSError):
            away.rmdir()
        if isinstance(error, OSError):
            raise InputError(
                f"{error.filename}: cannot be removed or replaced ({error.strerror}), so nothing was; free it, or "
                "choose another --output"
            ) from None
        raise
    shutil.rmtree(away, ignore_errors=True)
    for parent in sorted({parent for path in own for parent in _between(path, folder)}, reverse=True):
        with suppress(OSError):
            parent.rmdir()


def keep_others(before: Path, after: Path) -> None:
    """Move the files that nobody but the user can have put into a model's folder to the folder that replaces it."""
    others = [path for path in before.rglob("*") if path.is_file() and not any(map(path.match, _MODEL))]
    for path in others:
        place = after / path.relative_to(before)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)


def clear_leftovers(folder: Path) -> None:
    """Remove what killed runs have left half written; the folder must be held."""
    within = [path for name in FOLDERS for path in (folder / name).rglob(".*")]
    remove_leftovers([*folder.glob(".*"), *within])


def _between(path: Path, folder: Path) -> Iterator[Path]:
    """The folders above a file, up to the run's and without it."""
    for parent in path.parents:
        if parent == folder:
            return
        yield parent
