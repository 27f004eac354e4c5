"""Settings of a queue: what it is told of each job, beside the command."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from probing.records import InputError


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """Wishes of the user on jobs of a queue."""

    OF_QUEUE: ClassVar[tuple[str, ...]] = (
        *("slurm_partition", "slurm_account", "slurm_time", "slurm_constraint", "slurm_setup", "slurm_option"),
        "detach",
    )
    """Their names."""

    slurm_partition: str = ""
    """Partition that jobs go to; empty: the cluster's default."""
    slurm_account: str = ""
    """Account that jobs are charged to."""
    slurm_time: int = 240
    """Minutes that a job may take; one that needs more is queued again, --retries times, and goes on."""
    slurm_constraint: str = ""
    """Feature that nodes must have, such as a kind of processor: numbers depend on it in their last digits."""
    slurm_setup: tuple[str, ...] = ()
    """Shell lines that each job begins with, such as 'module load cuda'."""
    slurm_option: tuple[str, ...] = ()
    """Further options of sbatch, as NAME=VALUE: mem=8G gres=gpu:1 ..."""
    detach: bool = False
    """True where the command ends when jobs are queued; the last of them writes tables and report."""


def read_options(settings: QueueSettings) -> Mapping[str, Any]:
    """The further options of sbatch, by name.

    Raises:
        InputError: one has no name or no value, or is there twice.
    """
    options: dict[str, Any] = {}
    for text in settings.slurm_option:
        name, sign, value = text.partition("=")
        name = name.removeprefix("--").replace("_", "-")
        if not (name and sign and value) or name in options:
            raise InputError(f"--slurm-option {text}: expected NAME=VALUE, each name once, such as mem=8G")
        options[name] = value
    return options
