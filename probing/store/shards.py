"""Files of the cache: the pooled vectors of some thousand sentences each, and layer stacks that are read from them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from probing.digests import KEY_BYTES
from probing.records import LayerStack
from probing.store.mapped_arrays import HELD_BYTES, allocate, release

_READ_BYTES = 2**23


@dataclass(frozen=True, eq=False)
class Shard:
    """One file of the cache; its vectors stay on disk."""

    path: Path
    keys: UInt8[np.ndarray, "sentences 16"]
    truncated: UInt8[np.ndarray, " sentences"]
    shape: tuple[int, int, int]
    """Layers, sentences, hidden."""
    offset: int
    """Place in the file where the vectors begin, in bytes."""
    checksum: str
    """CRC-32 of keys, truncated and values, in a row."""

    def map(self) -> Float[np.ndarray, "layers sentences hidden"]:
        """The vectors, read from disk where they are looked at."""
        return np.memmap(self.path, np.float32, "r", self.offset, self.shape)

    def is_whole(self) -> bool:
        """True where the file's content is what was written; reads all of it."""
        total = crc32(self.truncated.data, crc32(self.keys.data))
        left, buffer = 4 * int(np.prod(self.shape)), memoryview(bytearray(_READ_BYTES))
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.offset)
                while left and (count := file.readinto(buffer[:left])):
                    total, left = crc32(buffer[:count], total), left - count
        except OSError:
            return False
        return not left and str(total) == self.checksum


def pack_shard(
    keys: UInt8[np.ndarray, "sentences 16"],
    truncated: Bool[np.ndarray, " sentences"],
    values: Float[np.ndarray, "layers sentences hidden"],
) -> bytes:
    """Pack the content of such a file."""
    tensors = {"keys": keys, "truncated": truncated.astype(np.uint8), "values": np.ascontiguousarray(values)}
    checksum = 0
    for name in sorted(tensors):
        checksum = crc32(tensors[name].data, checksum)
    return save(tensors, metadata={"crc32": str(checksum)})


def open_shard(path: Path) -> Shard | None:
    """A file of the cache, without its vectors; none where it is none of ours, or is not whole."""
    try:
        with safe_open(path, framework="numpy") as file:
            keys, truncated, values = file.get_tensor("keys"), file.get_tensor("truncated"), file.get_slice("values")
            shape, checksum = tuple(values.get_shape()), (file.metadata() or {}).get("crc32", "")
            fits = keys.shape == (len(truncated), KEY_BYTES) and len(shape) == 3 and shape[1] == len(keys)
            if not fits or (values.get_dtype(), keys.dtype, truncated.dtype) != ("F32", np.uint8, np.uint8):
                return None
        # What safetensors has read is sound: 8 bytes for the header's length, the header, the tensors.
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            begin = json.loads(file.read(length))["values"]["data_offsets"][0]
    except (SafetensorError, OSError):
        return None
    return Shard(path, keys, truncated, shape, 8 + length + begin, checksum)


class StoredStack(LayerStack):
    """The layer stack of some sentences in the cache, of which a probe's part is read when it is wanted.

    Args:
        folder: where large selections have room.
        holder: kept for as long as the stack is: it keeps the files from being deleted.
        places: the file of each sentence, and its number there.
        layer_names: of the layers.
        pooling: how the vectors were made.
    """

    def __init__(
        self,
        folder: Path,
        holder: Any,
        places: Sequence[tuple[Shard, int]],
        layer_names: tuple[str, ...],
        pooling: str,
    ):
        self._folder, self._holder, self.layer_names, self.pooling = folder, holder, layer_names, pooling
        self._shards = list(dict.fromkeys(shard for shard, _ in places))
        numbers = {shard: number for number, shard in enumerate(self._shards)}
        self._numbers = np.array([numbers[shard] for shard, _ in places], dtype=np.int64)
        self._places = np.array([place for _, place in places], dtype=np.int64)

    @cached_property
    def truncated(self) -> Bool[np.ndarray, " sentences"]:
        """True where a sentence had been cut."""
        cut = [self._shards[number].truncated[place] for number, place in zip(self._numbers, self._places, strict=True)]
        return np.array(cut, dtype=bool)

    @property
    def values(self) -> Float[np.ndarray, "layers sentences hidden"]:
        """The vectors of all layers and sentences, read anew each time."""
        return self.select(range(len(self.layer_names)), np.arange(len(self._places)))

    @property
    def hidden_size(self) -> int:
        """Width of a vector."""
        return self._shards[0].shape[2]

    def select(self, layers: Sequence[int], rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "chosen rows hidden"]:
        """The vectors of some sentences in some layers: a copy, in memory or, if it is large, in a mapped file.

        Raises:
            MemoryError: it is large, and the disk has no room for it.
        """
        chosen = allocate((len(layers), len(rows), self.hidden_size), self._folder)
        numbers, places = self._numbers[rows], self._places[rows]
        order = np.lexsort((places, numbers))
        borders = np.flatnonzero(np.diff(numbers[order])) + 1
        held = 0
        for part in np.split(order, borders) if len(order) else ():
            # Mapped for as long as it takes: no pages, and no open files, add up.
            stored = self._shards[numbers[part[0]]].map()
            for row, layer in zip(chosen, layers, strict=True):
                row[part] = stored[layer, places[part]]
            held += len(part) * chosen[:, 0].nbytes
            if held > HELD_BYTES:
                release(chosen)
                held = 0
        release(chosen)
        return chosen
