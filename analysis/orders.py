"""Orders of LV-BERT's sub-layers beside one another: how far each was trained, and what its sub-layers know.

python -m analysis.orders TRAINING_RUN PROBING_RUN [PROBING_RUN ...]
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from analysis.terminal.orders import show_orders
from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line


@dataclass(frozen=True)
class OrdersSettings:
    """Runs to be shown."""

    training: Annotated[Path, tyro.conf.Positional]
    """Folder of `train_encoder.py --recipe pretrain --layer-pattern ...`."""
    probed: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of `run_senteval.py --model lv_bert --checkpoint ...`, one for each of its models; the first one trained
    is what others are held against."""
    output: Path | None = None
    """Folder for the figure (PNG and PDF) and the tables (CSV); none given: `figures` of the training run."""


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_show)


def _show() -> int:
    settings = read_settings(OrdersSettings, description=__doc__, prog="python -m analysis.orders")
    show_orders(settings.training, settings.probed, settings.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
