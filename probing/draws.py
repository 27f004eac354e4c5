"""Several encoders that are draws of one procedure, each probed in a folder of its own within one run folder."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from probing.command_line.arguments import expand_paths
from probing.digests import digest_json
from probing.encoders.opening import build_encoder
from probing.pipeline import Outcome, run
from probing.preparing import RESULTS
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.checks import check_settings
from probing.settings.run import RunSettings, effective_settings
from probing.store.folder_lock import check_free, hold_folder
from probing.store.run_folder import RunFolder, check_folder

ENCODERS = "encoders"
"""Folder of the encoders' runs, in the folder of all."""


def run_draws(settings: RunSettings, make_reporter: Callable[[], Reporter]) -> Outcome:
    """Probe the encoders `checkpoint` and `draws`, one after the other, by the same settings.

    Each run is what it would be alone, and is resumed as it would be alone.

    Args:
        settings: of all runs; `output` is the folder of all.
        make_reporter: gives each run a reporter of its own, whose warnings and costs are then in its manifest.

    Raises:
        InputError: as `probing.pipeline.run`; encoders of other layers than the first, or the same one twice.
    """
    settings = expand_paths(settings)
    check_settings(settings)
    named = name_encoders((settings.checkpoint, *settings.draws))
    effective = effective_settings(settings) | {"draws": list(settings.draws)}
    path = settings.output or _name_folder(settings, effective)
    check_free(path)
    check_folder(path, effective, asdict(RunSettings()), overwrite=settings.overwrite)
    digests = check_draws(settings, list(named.values()))
    outcomes = []
    with hold_folder(path):
        folder = RunFolder(path, effective, defaults=asdict(RunSettings()), overwrite=settings.overwrite)
        for number, (name, checkpoint) in enumerate(named.items(), 1):
            reporter = make_reporter()
            reporter.say(f"encoder {number} of {len(named)}: {checkpoint}")
            one = replace(settings, checkpoint=checkpoint, draws=(), output=path / ENCODERS / name)
            outcomes.append(run(one, reporter))
        encoders = [{"name": name, "checkpoint": named[name], "digest": digests[named[name]]} for name in named]
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        folder.write_manifest({"encoders": encoders, "finished": finished})
    failures = tuple(failure for outcome in outcomes for failure in outcome.failures)
    return Outcome(path, failures, min(outcome.n_scores for outcome in outcomes))


def name_encoders(checkpoints: Sequence[str]) -> Mapping[str, str]:
    """Short names -> checkpoints: the last parts of their names, or the whole ones where two would be the same.

    Raises:
        InputError: one is there twice.
    """
    twice = next((one for one in checkpoints if checkpoints.count(one) > 1), None)
    if twice is not None:
        raise InputError(f"--checkpoint: {twice} is there twice; expected different encoders")
    for shorten in (lambda one: Path(one).name, lambda one: one):
        names = [re.sub(r"[^\w.@-]+", "_", shorten(one)).strip("._") for one in checkpoints]
        if all(names) and len(set(names)) == len(names):
            return dict(zip(names, checkpoints, strict=True))
    return {f"encoder-{number}": one for number, one in enumerate(checkpoints, 1)}


def check_draws(settings: RunSettings, checkpoints: Sequence[str]) -> Mapping[str, str]:
    """Refuse encoders that cannot be draws of one procedure; the digests of those that can.

    Raises:
        InputError: one cannot be built, has other layers or widths than the first, or is the first one again.
    """
    digests: dict[str, str] = {}
    shape: tuple[Any, ...] = ()
    for checkpoint in checkpoints:
        encoder = build_encoder(settings.model, replace(settings, checkpoint=checkpoint))
        own = (tuple(encoder.layer_names), tuple(encoder.hidden_sizes))
        shape = shape or own
        if own != shape:
            raise InputError(
                f"--checkpoint {checkpoint}: has {_describe(*own)}, but {checkpoints[0]} {_describe(*shape)}; expected "
                "draws of one procedure, whose layers are the same"
            )
        same = next((other for other, digest in digests.items() if digest == encoder.digest), None)
        if same is not None:
            raise InputError(f"--checkpoint {checkpoint}: has the weights of {same}; expected different encoders")
        digests[checkpoint] = encoder.digest
    return digests


def _describe(layer_names: Sequence[str], hidden_sizes: Sequence[int]) -> str:
    widths = sorted(set(hidden_sizes))
    shown = ", ".join(layer_names if len(layer_names) < 8 else (*layer_names[:3], "...", layer_names[-1]))
    return f"{len(layer_names)} layers ({shown}) of width {', '.join(map(str, widths))}"


def _name_folder(settings: RunSettings, effective: Mapping[str, Any]) -> Path:
    parts = (settings.model, f"{1 + len(settings.draws)}-encoders", Path(settings.data).name)
    slug = "-".join(re.sub(r"[^\w.@-]+", "_", part) for part in parts)
    return RESULTS / f"{slug}-{digest_json(effective)[:8]}"
