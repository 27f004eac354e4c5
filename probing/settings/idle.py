"""Settings that move nothing beside others: whoever asked for them is told, for the numbers are not what was asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from probing.catalogue.controls import CONTROLS
from probing.settings.checks import flag_of
from probing.settings.queue import QueueSettings


@dataclass(frozen=True)
class Need:
    """Condition under which some settings have an effect."""

    names: Sequence[str]
    """Of the settings; those that a class lacks are passed over."""
    lack: str
    """Words for what they have no effect with, or without."""
    is_met: Callable[[Any], bool]
    """Settings -> whether they have an effect."""


def _works_elsewhere(settings: Any) -> bool:
    return settings.engine != "local"


OF_ENGINE = (
    Need(
        ("engine_address", "workers", "worker_threads", "worker_gpus", "retries", "unit_timeout", "mixed_hardware"),
        "with --engine local",
        _works_elsewhere,
    ),
    Need(QueueSettings.OF_QUEUE, "without --engine slurm", lambda settings: settings.engine == "slurm"),
)
"""Needs of the flags of an engine, in a probing run and in training."""
OF_TRAINING = (
    *OF_ENGINE,
    Need(("epochs", "tokens"), "with --max-steps", lambda settings: not settings.max_steps),
    Need(("epochs",), "with --tokens", lambda settings: not getattr(settings, "tokens", 0)),
)
"""Needs of what recipes share. A recipe has its own beside its settings."""
OF_RUN = (
    *OF_ENGINE,
    Need(
        ("baseline_layer",),
        "without --measures conditional_information",
        lambda settings: "conditional_information" in settings.measures,
    ),
    Need(
        ("amnesia_limit", "amnesia_others"),
        "without --measures amnesia",
        lambda settings: "amnesia" in settings.measures,
    ),
    Need(("gradient_steps",), "with --gradients 0", lambda settings: settings.gradients > 0),
    Need(("senteval_url",), "without --data senteval", lambda settings: settings.data == "senteval"),
    Need(
        ("special_tokens",),
        "with --pooling cls, which reads the first token",
        lambda settings: settings.pooling != "cls",
    ),
)
"""Needs in a probing run, whatever the encoder."""
_NO_MIX = "where no mix is probed (--mix on, or --model bermo)"
OF_MIX = (
    Need(
        ("mix_embeddings", "mix_norm"),
        _NO_MIX,
        lambda settings: settings.gradients > 0 or "cumulative_mix" in settings.measures,
    ),
    Need(("mix_dropout",), _NO_MIX, lambda settings: "cumulative_mix" in settings.measures),
    Need(("control_mix",), _NO_MIX, lambda settings: False),
)
"""Needs in a run that probes no mix."""
OF_CONTROLS = (
    Need(
        ("control_mix",),
        "without a control that is held against the mix",
        lambda settings: any(CONTROLS[name].mixes for name in settings.controls),
    ),
)
"""Needs in one that does."""


def list_idle(settings: Any, needs: Sequence[Need], asked: Any = None) -> list[str]:
    """A line for each setting that was changed and has no effect.

    Args:
        settings: of a run or of a training.
        needs: of its settings.
        asked: the same as the user gave them, where `settings` has some of them written out.
    """
    usual = {column.name: column.default for column in fields(settings)}
    lines = dict[str, str]()
    for need in needs:
        for name in need.names:
            value = getattr(asked or settings, name, None)
            if name in usual and value != usual[name] and not need.is_met(settings):
                lines.setdefault(name, f"{_spell(name, value)}: has no effect {need.lack}")
    return list(lines.values())


def _spell(name: str, value: Any) -> str:
    """A setting as one types it."""
    if isinstance(value, bool):
        return flag_of(name) if value else flag_of(f"no_{name}")
    values = value if isinstance(value, tuple) else (value,)
    return " ".join([flag_of(name), *map(str, values)])
