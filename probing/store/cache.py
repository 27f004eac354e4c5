"""The cache of pooled vectors, addressed by content."""

import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
from jaxtyping import Bool, Float

from probing.atomic_files import remove_leftovers, write_atomically
from probing.digests import digest_json
from probing.store.shards import Shard, StoredStack, open_shard, write_shard


class StackCache:
    """Pooled vectors by sentence, in one folder per way of making them.

    Several runs may share a folder: a file appears whole, under a name that its content gives, and is never changed.

    Args:
        folder: where the vectors are kept.
        limit_bytes: how much they may take on disk after `trim`; 0 for no limit.
        scratch: where large selections have room while they are used; none given: see `find_scratch`.
        alone: whether what is half written may be taken for left over unless it is locked. On other machines locks may
            not be seen.
        form: number format that new vectors are stored in: float32, or float16, half as large.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int = 0,
        scratch: Path | None = None,
        *,
        alone: bool = True,
        form: str = "float32",
    ):
        self.folder, self._form = folder / "stacks", form
        self.limit_bytes, self._scratch, self._alone = limit_bytes, scratch, alone

    def space(self, **description: Any) -> "StackSpace":
        """The vectors that were made in one way: by one encoder, pooling, number format and length limit."""
        if self._form != "float32":
            description |= {"store": self._form}
        folder = self.folder / digest_json(description)
        if self._alone:
            remove_leftovers(self.folder.glob("*/.*"))
        facts, content = folder / "space.json", json.dumps(description, indent=2).encode()
        if not facts.is_file() or facts.read_bytes() != content:
            write_atomically(facts, content)
        return StackSpace(folder, self._scratch, self._form)

    def trim(self, own: "StackSpace | None" = None) -> int:
        """Delete the files that were used longest ago until the rest keeps to the limit.

        Spared are the spaces that are open elsewhere, in this program or in another, and what was used of `own`.

        Returns:
            Bytes by which the rest is above the limit all the same.
        """
        files = sorted((stat.st_mtime_ns, stat.st_size, path) for path, stat in self._list_files())
        excess = sum(size for _, size, _ in files) - self.limit_bytes
        with ExitStack() as locks:
            # One trims at a time, so that no other takes a folder while this one goes from sharing it to having it.
            if not self.limit_bytes or excess <= 0 or not locks.enter_context(_hold(_Lock(self.folder))):
                return 0
            free = {
                folder: locks.enter_context(_hold(own.lock if own and own.folder == folder else _Lock(folder)))
                for folder in {path.parent for _, _, path in files}
            }
            for _, size, path in files:
                if excess > 0 and free[path.parent] and path not in (own.used if own else ()):
                    path.unlink(missing_ok=True)
                    excess -= size
        return max(0, excess)

    def _list_files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob("*/*.safetensors"):
            # Another run may have removed it.
            with suppress(FileNotFoundError):
                yield path, path.stat()


class _Lock:
    """An open folder; a shared lock on it says that its files are in use, and ends with the object or its program."""

    def __init__(self, folder: Path):
        self.file = os.open(folder, os.O_RDONLY)
        finalize(self, os.close, self.file)

    def share(self) -> None:
        # A file system without locks has no file deleted either: see _hold.
        with suppress(OSError):
            flock(self.file, LOCK_SH)


@contextmanager
def _hold(lock: _Lock) -> Iterator[bool]:
    """Hold the folder alone: true where nobody else shares it, which then stays so; afterwards it is shared again."""
    try:
        flock(lock.file, LOCK_EX | LOCK_NB)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        lock.share()


class StackSpace:
    """The cached vectors of one encoder and pooling, in files ("shards") of some thousand sentences each.

    While it is open, no run deletes its files for want of room.
    """

    def __init__(self, folder: Path, scratch: Path | None = None, form: str = "float32"):
        self.folder, self._scratch = folder, scratch
        self.form = form
        """Number format of the files that are written."""
        self.lock = _Lock(folder)
        self.lock.share()
        self.damaged: list[Path] = []
        """Files that could not be trusted and were removed; their sentences count as missing."""
        self.unread: list[Path] = []
        """Files that could not be read and were left, for the file system may be at fault; likewise missing."""
        self.used: set[Path] = set()
        """Files that hold sentences which were asked for or filed here."""
        self._places: dict[bytes, tuple[Shard, int]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            self._index(path)

    def find(self, keys: Collection[bytes]) -> set[bytes]:
        """The keys whose vectors are here and whole: the files that hold them are read through once."""
        shards = {shard.path: shard for key in keys if (shard := self._shard(key)) and shard.path not in self.used}
        for path, shard in shards.items():
            if not self._trust(shard):
                self._places = {key: place for key, place in self._places.items() if place[0] is not shard}
                continue
            self.used.add(path)
            with suppress(OSError):
                os.utime(path)
        return self._places.keys() & set(keys)

    def add(
        self,
        keys: Sequence[bytes],
        values: Float[np.ndarray, "layers sentences hidden"],
        truncated: Bool[np.ndarray, " sentences"],
    ) -> None:
        """File the vectors of some sentences.

        Raises:
            InputError: they do not fit into the number format.
        """
        path = write_shard(self.folder, keys, values, truncated, self.form)
        self._index(path)
        self.used.add(path)

    def adopt(self, shard: Shard) -> None:
        """Take in a file that another process has just written to this space, on its word: it is not read."""
        self._note(shard)
        self.used.add(shard.path)

    def stack(self, keys: Sequence[bytes], layer_names: tuple[str, ...], pooling: str) -> StoredStack:
        """The vectors of some sentences, in their order, left where they are.

        Raises:
            KeyError: a sentence is not here.
        """
        places = [self._places[key] for key in keys]
        return StoredStack(self.folder, self, places, layer_names, pooling, self._scratch)

    def take_faults(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """The files that were damaged, and those that could not be read, since this was last asked."""
        taken = tuple(self.damaged), tuple(self.unread)
        self.damaged, self.unread = [], []
        return taken

    def _shard(self, key: bytes) -> Shard | None:
        return self._places[key][0] if key in self._places else None

    def _trust(self, shard: Shard) -> bool:
        try:
            whole = shard.is_whole()
        except OSError:
            self.unread.append(shard.path)
            return False
        if not whole:
            self._drop(shard.path)
        return whole

    def _index(self, path: Path) -> None:
        try:
            shard = open_shard(path)
        except OSError:
            self.unread.append(path)
            return
        if shard is None:
            self._drop(path)
            return
        self._note(shard)

    def _note(self, shard: Shard) -> None:
        for place, key in enumerate(shard.keys):
            self._places[key.tobytes()] = (shard, place)

    def _drop(self, path: Path) -> None:
        self.damaged.append(path)
        path.unlink(missing_ok=True)
