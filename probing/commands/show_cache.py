"""Say what the cache of encoded sentences holds; take it to another machine, or empty it.

bermo-probing cache
bermo-probing cache --export-to layer_stacks
bermo-probing cache --import-from layer_stacks
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from dataclasses import dataclass
from pathlib import Path

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.records import InputError
from probing.settings.run import RunSettings


@dataclass(frozen=True)
class CacheSettings:
    """The cache, and what to do with it; without a flag, it is listed."""

    cache_dir: Path = RunSettings.cache_dir
    """The cache."""
    export_to: Path | None = None
    """Copy all of it into this new folder: layer stacks as safetensors, with the SHA-256 of each file. A run that is
    asked for the same encoder, --pooling, --dtype, --backend and --max-length then needs no encoding."""
    import_from: Path | None = None
    """Take in such a folder; every file is checked first."""
    empty: bool = False
    """Remove all of it."""


def main() -> int:
    """Run the command.

    Returns:
        0; 2 after a mistake that the user can mend.
    """
    settings = read_settings(CacheSettings, description=__doc__, prog="python -m probing.commands.show_cache")
    from probing.store import cache_transfer as transfer  # noqa: PLC0415 - safetensors: not for --help

    if sum(map(bool, (settings.export_to, settings.import_from, settings.empty))) > 1:
        raise InputError("--export-to, --import-from and --empty: expected one of them")
    if settings.export_to:
        print(f"{transfer.export_cache(settings.cache_dir, settings.export_to)} files in {settings.export_to}")
    elif settings.import_from:
        print(f"{transfer.import_cache(settings.import_from, settings.cache_dir)} new files in {settings.cache_dir}")
    elif settings.empty:
        print(f"{transfer.empty_cache(settings.cache_dir) / 1e9:.2f} GB removed from {settings.cache_dir}")
    else:
        spaces = list(transfer.list_spaces(settings.cache_dir))
        for space in spaces:
            facts = " ".join(f"{name}={str(value)[:12]}" for name, value in space.facts.items())
            print(f"{space.n_sentences:9,} sentences {space.n_bytes / 1e9:7.2f} GB  {facts}")
        total = sum(space.n_bytes for space in spaces)
        print(f"{settings.cache_dir}: {len(spaces)} encoders or poolings, {total / 1e9:.2f} GB in all")
    return 0


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
