"""Publish a run: tables, settings, manifest, page and cards, in a folder or as a data set on the Hugging Face hub.

python -m analysis.publishing data/results/RUN --to published
python -m analysis.publishing data/results/RUN --to hub:me/bert-base-probed
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.records import InputError


@dataclass(frozen=True)
class PublishSettings:
    """The run, and where it goes."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, of probing or of training; it must have ended."""
    to: str = ""
    """A new folder, or hub:OWNER/NAME for a data set on the Hugging Face hub: made if it is not there, its files
    replaced if it is. Settings and manifest name the paths that the run was given, and go along."""
    license: str = ""
    """License of the numbers, by the hub's name for it, such as cc-by-4.0; it stands in the card."""
    private: bool = False
    """True where a data set that is made on the hub shall be seen by you alone."""


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_publish)


def _publish() -> int:
    settings = read_settings(PublishSettings, description=__doc__, prog="python -m analysis.publishing")
    if not settings.to:
        raise InputError("--to: expected a new folder, or hub:OWNER/NAME")
    from analysis.publishing import hub  # noqa: PLC0415 - pandas and altair: not for --help
    from analysis.publishing.folder import write_folder  # noqa: PLC0415 - likewise

    if settings.to.startswith(hub.PREFIX):
        print(hub.upload_run(settings.run, settings.to, settings.license, private=settings.private))
    else:
        print(write_folder(settings.run, Path(settings.to).expanduser(), license_name=settings.license))
    return 0


if __name__ == "__main__":
    sys.exit(main())
