"""What is kept on disk: files that are whole or absent, and the cache of pooled vectors, addressed by content."""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4
from zlib import crc32

import numpy as np
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from probing.records import Text

_KEY_BYTES = 16


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no killed run, ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def text_key(text: Text) -> bytes:
    """What a text is filed under: a hash of its segments, whose borders count."""
    return sha256(json.dumps(text).encode()).digest()[:_KEY_BYTES]


def digest_json(value: Any) -> str:
    """A short name for a JSON value: equal values have equal names."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class StackCache:
    """Pooled vectors by sentence, in one folder per way of making them.

    Several runs may share a folder: a file appears whole, under a name that its content gives, and is never changed.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def space(self, **description: Any) -> "StackSpace":
        """The vectors that were made in one way: by one encoder, pooling, number format and length limit."""
        folder = self.folder / "stacks" / digest_json(description)
        if not (folder / "space.json").is_file():
            write_atomically(folder / "space.json", json.dumps(description, indent=2).encode())
        return StackSpace(folder)


class StackSpace:
    """The cached vectors of one encoder and pooling, in files ("shards") of some thousand sentences each."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.damaged: list[Path] = []
        """Files that could not be trusted and were removed; their sentences count as missing."""
        self._places: dict[bytes, tuple[Path, int]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            self._index(path)

    def find(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys whose vectors are here."""
        return self._places.keys() & set(keys)

    def add(
        self,
        keys: Sequence[bytes],
        values: Float[np.ndarray, "layers sentences hidden"],
        truncated: Bool[np.ndarray, " sentences"],
    ) -> None:
        """File the vectors of some sentences."""
        tensors = {
            "keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _KEY_BYTES),
            "truncated": truncated.astype(np.uint8),
            "values": np.ascontiguousarray(values),
        }
        content = save(tensors, metadata={"crc32": str(_checksum(tensors))})
        path = self.folder / f"{sha256(tensors['keys'].data).hexdigest()[:16]}.safetensors"
        write_atomically(path, content)
        self._index(path)

    def load(
        self, keys: Sequence[bytes]
    ) -> tuple[Float[np.ndarray, "layers sentences hidden"], Bool[np.ndarray, " sentences"]]:
        """The vectors of some sentences, in their order, and which of the sentences had been cut.

        Raises:
            KeyError: a sentence is not here.
        """
        wanted: dict[Path, list[tuple[int, int]]] = {}
        for row, key in enumerate(keys):
            path, place = self._places[key]
            wanted.setdefault(path, []).append((row, place))
        values, truncated = None, np.zeros(len(keys), dtype=bool)
        for path, pairs in wanted.items():
            rows, places = np.array(pairs).T
            with safe_open(path, framework="numpy") as shard:
                stored = shard.get_tensor("values")
                truncated[rows] = shard.get_tensor("truncated")[places]
            if values is None:
                values = np.empty((len(stored), len(keys), stored.shape[2]), dtype=stored.dtype)
            values[:, rows] = stored[:, places]
        if values is None:
            raise KeyError("no sentences were asked for")
        return values, truncated

    def _index(self, path: Path) -> None:
        keys = _read_keys(path)
        if keys is None:
            self.damaged.append(path)
            with suppress(FileNotFoundError):
                path.unlink()
            return
        for place, key in enumerate(keys):
            self._places[key.tobytes()] = (path, place)


def _read_keys(path: Path) -> np.ndarray | None:
    """The keys of a shard; none where its content is not what was written."""
    try:
        with safe_open(path, framework="numpy") as shard:
            tensors = {name: shard.get_tensor(name) for name in ("keys", "truncated", "values")}
            intact = (shard.metadata() or {}).get("crc32") == str(_checksum(tensors))
    except (SafetensorError, OSError):
        return None
    return tensors["keys"] if intact else None


def _checksum(tensors: dict[str, np.ndarray]) -> int:
    total = 0
    for name in sorted(tensors):
        total = crc32(tensors[name].data, total)
    return total
