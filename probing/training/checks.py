"""Settings of a training that cannot be: refused before anything is read."""

from importlib.util import find_spec

from probing.records import InputError
from probing.registry import RECIPES
from probing.settings.checks import check_device
from probing.settings.training import TrainSettings

_FROM_0 = ("max_steps", "limit", "limit_dev", "evaluate_every", "early_stopping", "checkpoint_every", "threads")
_FROM_0 += ("weight_decay", "max_grad_norm")
_ABOVE_0 = ("epochs", "batch_size", "accumulation_steps", "learning_rate", "mix_learning_rate", "log_every")
_SHARES = ("dropout", "warmup_share")


def check_training(settings: TrainSettings) -> None:
    """Refuse early what would fail late.

    Raises:
        InputError: naming the flag, and what it expects.
    """
    RECIPES.check(settings.recipe)
    for name in _FROM_0:
        _refuse(settings, name, getattr(settings, name) < 0, "0 or more")
    for name in _ABOVE_0:
        _refuse(settings, name, getattr(settings, name) <= 0, "more than 0")
    for name in _SHARES:
        _refuse(settings, name, not 0 <= getattr(settings, name) < 1, "0 or more and below 1")
    _refuse(settings, "freeze_up_to", settings.freeze_up_to < -1, "-1 (none), 0 (the embeddings) or a block")
    if not settings.seeds or min(settings.seeds) < 0 or len(set(settings.seeds)) < len(settings.seeds):
        given = "".join(f" {seed}" for seed in settings.seeds)
        raise InputError(f"--seeds{given}: expected one or more different numbers, 0 or more each")
    check_device(settings.device)
    if settings.tensorboard and find_spec("tensorboard") is None:
        raise InputError("--tensorboard: not installed; pip install 'bermo-probing[tensorboard]'")


def _refuse(settings: TrainSettings, name: str, wrong: bool, expected: str) -> None:
    if wrong:
        raise InputError(f"--{name.replace('_', '-')} {getattr(settings, name)}: expected {expected}")
