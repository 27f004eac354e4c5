"""Settings that cannot be: refused before anything is read."""

import torch

from probing.catalogue.controls import check_controls
from probing.records import InputError
from probing.registry import ENCODERS, POOLINGS, PROBES, suggest
from probing.settings.run import RunSettings

MEASURES = ("code_length", "conditional_information", "cumulative_mix", "concat", "weight_intervals")
"""What `--measures` knows."""
_NOT_ON_A_LAYER = ("majority", "scalar_mix", "concat", "cumulative_mix", "senteval")
"""Probes that a representation or a protocol brings with it."""


def check_settings(settings: RunSettings) -> None:
    """Refuse early what would fail late.

    Raises:
        InputError: an unknown name, or a number out of range.
    """
    ENCODERS.check(settings.model)
    POOLINGS.check(settings.pooling)
    PROBES.check(settings.probe)
    if settings.probe in _NOT_ON_A_LAYER:
        raise InputError(f"--probe {settings.probe}: reads no single layer; expected linear, mlp or knn")
    for name in ("limit", "max_length", "threads", "cache_limit", "gradients", "gradient_steps"):
        if getattr(settings, name) < 0:
            raise InputError(f"--{name.replace('_', '-')} {getattr(settings, name)}: expected 0 or more")
    check_controls(settings.controls)
    check_measures(settings)
    if not settings.seeds or min(settings.seeds) < 0 or len(set(settings.seeds)) < len(settings.seeds):
        given = "".join(f" {seed}" for seed in settings.seeds)
        raise InputError(f"--seeds{given}: expected one or more different numbers, 0 or more each")
    check_device(settings.device)
    for path in (settings.cache_dir, *settings.cache_dir.parents):
        if path.is_file():
            raise InputError(f"--cache-dir {settings.cache_dir}: {path} is a file; expected a folder")


def check_device(device: str) -> None:
    """Refuse a device that torch does not know or does not find.

    Raises:
        InputError: naming it.
    """
    try:
        kind = "cpu" if device == "auto" else torch.device(device).type
    except RuntimeError:
        raise InputError(f"--device {device}: expected auto, cpu, cuda, or cuda:NUMBER") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {device}: torch finds no GPU here; use --device cpu")


def check_measures(settings: RunSettings) -> None:
    """Refuse a measure that does not exist, or that the probe does not allow.

    Raises:
        InputError: naming it.
    """
    for name in settings.measures:
        if name not in MEASURES:
            raise InputError(f"unknown measure {name!r}: {suggest(name, MEASURES)}")
        if name == "code_length" and (settings.probe, settings.protocol) != ("linear", "modern"):
            raise InputError("--measures code_length: only with --probe linear and --protocol modern")
    if "weight_intervals" in settings.measures and (settings.protocol != "modern" or settings.mix_dropout > 0):
        raise InputError("--measures weight_intervals: only with --protocol modern and without --mix-dropout")
    if settings.protocol != "modern" and settings.probe == "knn":
        raise InputError("--probe knn: SentEval has none; use --protocol modern")
    if not 0 <= settings.mix_dropout < 1:
        raise InputError(f"--mix-dropout {settings.mix_dropout}: expected a probability, 0 or more and below 1")
