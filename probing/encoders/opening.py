"""An encoder by its name in the registry, here and again in another process."""

from dataclasses import replace
from functools import lru_cache
from threading import RLock
from typing import Any

from probing.contracts.checking import find_breach
from probing.contracts.encoder import Encoder
from probing.encoders.checkpoint_check import check_encoder
from probing.progress import Reporter
from probing.records import InputError
from probing.registry import ENCODERS
from probing.settings.run import RunSettings

_BUILDING = RLock()
"""Runs of a sweep are threads, and random weights are drawn from the one generator that torch has."""


def build_encoder(name: str, settings: RunSettings) -> Encoder:
    """The frozen encoder of that name, with the run's checkpoint and options.

    Raises:
        InputError: it cannot be built, or is no encoder.
    """
    options = {"dtype": settings.dtype, "device": settings.device, "backend": settings.backend}
    with _BUILDING:
        encoder = ENCODERS.load(name).build(settings.checkpoint, max_length=settings.max_length, **options)
    breach = find_breach(encoder, Encoder)
    if breach:
        raise InputError(f"--model {name}: {type(encoder).__name__} has {breach}; expected a contracts.encoder.Encoder")
    return encoder


def build_checked(name: str, settings: RunSettings, reporter: Reporter) -> tuple[Encoder, dict[str, Any]]:
    """The frozen encoder of that name, and what the check of it found, whose warnings have been told.

    Raises:
        InputError: it cannot be built, or not be believed.
    """
    encoder = build_encoder(name, settings)
    findings = check_encoder(encoder, settings.pooling)
    for line in findings.warnings:
        reporter.warn(line)
    return encoder, findings.facts


class EncoderOpener:
    """The way to have an encoder that is here: another process that gets this builds it when it is first asked for.

    What a run leaves to the machine (`auto`) is sent as it was decided here.

    Args:
        name: of the encoder in the registry.
        settings: of the run.
        encoder: that was built by them.
    """

    def __init__(self, name: str, settings: RunSettings, encoder: Encoder):
        decided = {"dtype": encoder.dtype, "device": encoder.device, "backend": encoder.backend}
        self._order = (name, replace(settings, **decided), encoder.digest)
        self._encoder: Encoder | None = encoder

    def __getstate__(self) -> dict[str, Any]:
        return {"_order": self._order, "_encoder": None}

    def __call__(self) -> Encoder:
        """The encoder.

        Raises:
            InputError: what is built here is another one.
        """
        return self._encoder or _build_again(*self._order)


@lru_cache(maxsize=2)
def _build_again(name: str, settings: RunSettings, digest: str) -> Encoder:
    """An encoder that was built elsewhere; the last ones are kept, the run's and a control's, for what follows."""
    encoder = build_encoder(name, settings)
    if encoder.digest != digest:
        raise InputError(f"checkpoint {settings.checkpoint}: holds other weights here than where the run was begun")
    # The check also tells an encoder which texts its model may compute together.
    check_encoder(encoder, settings.pooling)
    return encoder
