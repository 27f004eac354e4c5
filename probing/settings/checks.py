"""Settings that cannot be: refused before anything is read. Training has its own, made of the same checks."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from probing.atomic_files import check_writable
from probing.catalogue.controls import check_controls
from probing.contracts.measure import find_measure, list_on_request
from probing.records import InputError
from probing.registry import ENCODERS, ENGINES, METRICS, POOLINGS, PROBES, QUEUES
from probing.settings.parts import parse_part
from probing.settings.queue import read_options
from probing.settings.run import RunSettings
from probing.suggestions import suggest
from probing.trackers import check_trackers

_OF_SENTEVAL = ("linear", "mlp")
"""The probes that SentEval has: without and with a hidden layer."""


@dataclass(frozen=True)
class Range:
    """Numbers that a setting may have."""

    words: str
    """Words of the message for what is expected."""
    low: float
    below: float = math.inf
    """Bound that it stays under."""
    above_low: bool = False
    """True where `low` itself is too low."""

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.above_low else self.low <= value) and value < self.below


FROM_0 = Range("0 or more", 0)
ABOVE_0 = Range("more than 0", 0, above_low=True)
SHARE = Range("0 or more and below 1", 0, 1)

THREADS = Range("0 or more, and at most 4096", 0, 4097)
_SEED = Range("one or more different numbers, 0 or more and below 2^63 each", 0, 2**63)
_COUNT = Range("0 or more, and below 2^31", 0, 2**31)
_RANGES: dict[str, Range] = dict.fromkeys(
    ("limit", "max_length", "gradients", "gradient_steps", "amnesia_limit"), _COUNT
)
_RANGES |= {"threads": THREADS, "cache_limit": Range("0 or more, and below a million (GB)", 0, 1e6)}
ENGINE_RANGES = {"worker_threads": THREADS, "workers": Range("0 or more, and at most 10000", 0, 10_001)}
ENGINE_RANGES |= {"retries": Range("0 or more, and at most 100", 0, 101)}
ENGINE_RANGES |= {"unit_timeout": Range("0 or more (seconds)", 0, 1e9)}
_RANGES |= ENGINE_RANGES
_RANGES |= {"worker_gpus": Range("more than 0, and at most 64", 0, 64.001, above_low=True)}
_RANGES |= {"slurm_time": Range("minutes, 1 or more and below 2^20", 1, 2**20)}
_RANGES |= {"mix_dropout": Range("a probability, 0 or more and below 1", 0, 1)}


def check_settings(settings: RunSettings) -> None:
    """Refuse early what would fail late.

    Raises:
        InputError: an unknown name, or a number out of range.
    """
    ENCODERS.check(settings.model)
    if settings.part:
        parse_part(settings.part)
    check_engine(settings)
    POOLINGS.check(settings.pooling)
    check_probe(settings)
    check_ranges(settings, _RANGES)
    check_controls(settings.controls)
    check_measures(settings)
    check_seeds(settings.seeds)
    check_device(settings.device)
    if not settings.tasks:
        raise InputError("--tasks: expected one or more names or groups, or all")
    check_repeats(settings, ("controls", "measures", "metrics"))
    for name in settings.metrics:
        METRICS.check(name)
    check_trackers(settings.trackers)
    check_writable(settings.cache_dir / "stacks", "--cache-dir")
    if settings.scratch is not None and not (settings.scratch.is_dir() and os.access(settings.scratch, os.W_OK)):
        raise InputError(f"--scratch {settings.scratch}: expected a folder that is there and can be written")


def check_ranges(settings: Any, ranges: Mapping[str, Range]) -> None:
    """Refuse a number that is out of its range, or no number at all.

    Args:
        settings: with a field for each range, which holds a number or several.
        ranges: by the name of the field.

    Raises:
        InputError: naming the flag, what it was given and what it expects.
    """
    for name, allowed in ranges.items():
        found = getattr(settings, name)
        for value in found if isinstance(found, tuple) else (found,):
            if value not in allowed:
                raise InputError(f"{flag_of(name)} {value}: expected {allowed.words}")


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse seeds that are none, negative, or not all different.

    Raises:
        InputError: naming them.
    """
    if not seeds or not all(seed in _SEED for seed in seeds) or len(set(seeds)) < len(seeds):
        typed = "".join(f" {seed}" for seed in seeds)
        raise InputError(f"--seeds{typed}: expected {_SEED.words}")


def check_repeats(settings: Any, names: Sequence[str]) -> None:
    """Refuse settings that give a name twice: its numbers would stand twice in the tables.

    Raises:
        InputError: naming the flag and the name.
    """
    for name in names:
        values = getattr(settings, name)
        for value in values:
            if values.count(value) > 1:
                raise InputError(f"{flag_of(name)} {' '.join(values)}: {value} is there twice; name it once")


def check_probe(settings: RunSettings) -> None:
    """Refuse a probe that reads no single layer, or that the protocol does not have.

    Raises:
        InputError: naming it, and what is expected.
    """
    if not PROBES.load(settings.probe).by_request:
        expected = ", ".join(name for name in PROBES.names() if PROBES.load(name).by_request)
        raise InputError(f"--probe {settings.probe}: comes with a representation or a protocol; expected {expected}")
    if settings.protocol != "modern" and settings.probe not in _OF_SENTEVAL:
        raise InputError(f"--probe {settings.probe}: SentEval has none; use --protocol modern")


def check_device(device: str) -> None:
    """Refuse a device that torch does not know or does not find.

    Raises:
        InputError: naming it.
    """
    try:
        kind = "cpu" if device == "auto" else torch.device(device).type
    except RuntimeError:
        raise InputError(f"--device {device}: expected auto, cpu, cuda, cuda:NUMBER, xpu, or mps") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there["xpu"] = torch.xpu.is_available()
    if not there.get(kind, False):
        missing = "torch finds no such device here" if kind in there else "not a device that is computed on"
        raise InputError(f"--device {device}: {missing}; use --device cpu, or auto")
    if kind == "cuda" and (torch.device(device).index or 0) >= torch.cuda.device_count():
        raise InputError(f"--device {device}: torch finds {torch.cuda.device_count()} such devices, from 0 on")


def check_engine(settings: Any) -> None:
    """Refuse an engine that does not exist or is not installed, or a device that its workers would not find.

    Raises:
        InputError: naming it, and what to install.
    """
    name = settings.engine
    if name not in [*ENGINES.names(), *QUEUES.names()]:
        raise InputError(f"unknown engine {name!r}: {suggest(name, [*ENGINES.names(), *QUEUES.names()])}")
    try:
        (QUEUES if name in QUEUES.rows else ENGINES).load(name)
    except ModuleNotFoundError as error:
        raise InputError(f"--engine {name}: needs {error.name}; pip install 'bermo-probing[cluster]'") from None
    if name in QUEUES.rows:
        check_queue(settings)
    if settings.engine != "local" and settings.device.startswith("cuda:"):
        raise InputError(
            f"--device {settings.device}: workers of --engine {settings.engine} see their own GPU alone; use cuda"
        )


def check_queue(settings: RunSettings) -> None:
    """Refuse settings that jobs of a queue cannot be made of.

    Raises:
        InputError: naming what is missing.
    """
    read_options(settings)
    if settings.draws:
        raise InputError(f"--draws: not with --engine {settings.engine}; a sweep takes several checkpoints")
    if not settings.workers:
        raise InputError(f"--engine {settings.engine}: name by --workers how many jobs may work at a time")
    if settings.mixed_hardware and "auto" in (settings.dtype, settings.backend):
        raise InputError(
            f"--engine {settings.engine} --mixed-hardware: name --dtype and --backend too, for machines of several "
            "kinds would choose differently"
        )


def check_measures(settings: RunSettings) -> None:
    """Refuse a measure that does not exist, or that the other settings do not allow.

    Raises:
        InputError: naming it, and what it needs.
    """
    for name in settings.measures:
        if name not in list_on_request():
            raise InputError(f"unknown measure {name!r}: {suggest(name, list_on_request())}")
        check_module(name)
        needs = find_measure(name).needs
        if any(getattr(settings, field) != value for field, value in needs.items()):
            wanted = " and ".join(f"{flag_of(field)} {value}" for field, value in needs.items())
            raise InputError(f"--measures {name}: only with {wanted}")


def check_module(measure: str) -> None:
    """Refuse a measure whose module this installation lacks.

    Raises:
        InputError: naming the module, and the extra that brings it.
    """
    about = find_measure(measure)
    if about.module and find_spec(about.module) is None:
        raise InputError(
            f"--measures {measure}: needs the module {about.module}, which is not installed; "
            f"pip install 'bermo-probing[{about.extra}]' brings it"
        )


def flag_of(name: str) -> str:
    """The flag of a field of settings."""
    return f"--{name.replace('_', '-')}"
