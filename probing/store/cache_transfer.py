"""The cache of encoded sentences: what it holds, and taking parts of it to another machine."""

import json
import re
import shutil
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing.atomic_files import check_writable, name_part, write_atomically
from probing.digests import digest_file, digest_json
from probing.records import InputError
from probing.store.shards import open_shard

HASHES = "hashes.json"
"""In an exported folder: SHA-256 of each file, by its path there."""
_SPACE = "space.json"
_NAME = re.compile(r"stacks/([0-9a-f]{16})/(space\.json|[0-9a-f]{16}\.safetensors)")
"""Names that files of a cache have; none leads out of it."""


@dataclass(frozen=True)
class CachedSpace:
    """Vectors that were made in one way."""

    folder: Path
    facts: dict[str, Any]
    """Encoder's digest, pooling, number format, ..."""
    n_sentences: int
    n_bytes: int


def list_spaces(cache: Path) -> Iterator[CachedSpace]:
    """The spaces of a cache that can be read, in the order of their names."""
    for path in sorted((cache / "stacks").glob(f"*/{_SPACE}")):
        with suppress(OSError, ValueError):
            files = sorted(path.parent.glob("*.safetensors"))
            shards = [shard for file in files if (shard := open_shard(file))]
            size = sum(shard.path.stat().st_size for shard in shards)
            yield CachedSpace(path.parent, json.loads(path.read_text()), sum(len(s.keys) for s in shards), size)


def export_cache(cache: Path, target: Path) -> int:
    """Copy the cache's whole files into a new folder, with their hashes.

    Returns:
        Files copied.

    Raises:
        InputError: there is nothing to copy, or the folder is not empty or cannot be written.
    """
    spaces = [space for space in list_spaces(cache) if space.n_sentences]
    if not spaces:
        raise InputError(f"{cache}: holds no encoded sentences; run the encoder first")
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target}: is not empty; expected a new folder")
    check_writable(target)
    hashes = {}
    for space in spaces:
        for path in [space.folder / _SPACE, *sorted(space.folder.glob("*.safetensors"))]:
            if path.name != _SPACE and not _is_whole(path):
                continue
            place = target / "stacks" / space.folder.name / path.name
            _copy(path, place)
            hashes[str(place.relative_to(target))] = digest_file(place)
    # Last: a folder without it is not whole.
    write_atomically(target / HASHES, (json.dumps(hashes, indent=1) + "\n").encode())
    return len(hashes)


def import_cache(source: Path, cache: Path) -> int:
    """Copy the files of an exported folder into a cache, all of them checked before the first is copied.

    Returns:
        Files that were not there yet.

    Raises:
        InputError: the folder is none that was exported, or a file is not as it was written.
    """
    try:
        hashes: dict[str, str] = dict(json.loads((source / HASHES).read_text()))
    except (OSError, ValueError, TypeError):
        raise InputError(f"{source}: no readable {HASHES}; expected a folder that `cache --export-to` wrote") from None
    for name, expected in hashes.items():
        _check(source, name, expected, hashes)
    new = {name: cache / name for name in hashes if not (cache / name).is_file()}
    # A space's description stands before its vectors, as when they are made.
    for name in sorted(new, key=lambda name: not name.endswith(_SPACE)):
        _copy(source / name, new[name])
    return len(new)


def empty_cache(cache: Path) -> int:
    """Remove every file of the cache.

    Returns:
        Bytes removed.
    """
    removed = 0
    for space in list(list_spaces(cache)):
        removed += space.n_bytes
        shutil.rmtree(space.folder)
    return removed


def _check(source: Path, name: str, expected: str, listed: Container[str]) -> None:
    """Refuse a file that was changed, one that nothing describes, or a name that leads out of the cache."""
    path, named = source / name, _NAME.fullmatch(name)
    if named is None or f"stacks/{named[1]}/{_SPACE}" not in listed:
        raise InputError(f"{source / HASHES}: {name!r} is no file of a cache")
    if not path.is_file() or digest_file(path) != expected:
        raise InputError(f"{path}: is missing or not as it was written; copy the folder again")
    if not (_describes(path, named[1]) if named[2] == _SPACE else _is_whole(path)):
        raise InputError(f"{path}: is no file of a cache; expected a folder that `cache --export-to` wrote")


def _describes(path: Path, folder: str) -> bool:
    """True where a description is that of the folder, which is named after it."""
    try:
        return digest_json(json.loads(path.read_text())) == folder
    except ValueError:
        return False


def _is_whole(path: Path) -> bool:
    shard = open_shard(path)
    return shard is not None and shard.is_whole()


def _copy(source: Path, target: Path) -> None:
    """Copy a file: whole, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = name_part(target)
    shutil.copyfile(source, part)
    part.replace(target)
