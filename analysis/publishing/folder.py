"""A run -> a new folder that stands on its own: tables, settings, manifest, page, cards."""

import shutil
from pathlib import Path

from analysis.publishing.cards import DATA_CARD, MODEL_CARD, describe_data, describe_scores
from analysis.publishing.contents import describe_contents
from analysis.report.build import save_report
from probing.atomic_files import check_writable, name_part, write_atomically
from probing.records import InputError

_FILES = ("*.parquet", "*.csv", "settings.json", "manifest.json", "figures/*.png", "figures/*.pdf")
"""Of a run, beside its page, which is made anew."""


def write_folder(run: Path, target: Path, name: str = "", license_name: str = "") -> Path:
    """Write what is published of a run; whole, or not at all.

    Args:
        run: its folder.
        target: a folder that is not there, or is empty; the one that it is to stand in must be there.
        name: of the data set, as others will ask for it; by default the target's path.
        license_name: of the numbers; empty leaves it out.

    Returns:
        The folder.

    Raises:
        InputError: the run has not ended or is damaged, or the target cannot be written.
    """
    check_target(target)
    part = name_part(target)
    try:
        # The page bears the folder's name.
        whole = part / target.absolute().name
        _fill(run, whole, name or str(target), license_name)
        if target.is_dir():
            target.rmdir()
        whole.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def check_target(target: Path) -> None:
    """Refuse a place that is not free, or whose folder is not there, as of a name on the hub without its prefix.

    Raises:
        InputError: naming it.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: is there and not empty; expected --to to be a new folder")
    if not target.absolute().parent.is_dir():
        raise InputError(f"--to {target}: no folder {target.parent} here; make it, or upload with --to hub:OWNER/NAME")
    check_writable(target, "--to")


def _fill(run: Path, folder: Path, name: str, license_name: str) -> None:
    contents = describe_contents(run)
    for path in sorted(path for pattern in _FILES for path in run.glob(pattern)):
        place = folder / path.relative_to(run)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    # What was copied is read again for it, digests and all.
    save_report(folder)
    write_atomically(folder / DATA_CARD, describe_data(contents, name, license_name).encode())
    write_atomically(folder / MODEL_CARD, describe_scores(contents).encode())
