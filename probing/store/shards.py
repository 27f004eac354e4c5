"""Files of the cache: the pooled vectors of some thousand sentences each, and layer stacks that are read from them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from probing.atomic_files import write_atomically
from probing.digests import KEY_BYTES
from probing.records import InputError, LayerStack
from probing.store.mapped_arrays import HELD_BYTES, allocate, find_scratch, release

_READ_BYTES = 2**23
_FORMS = {"F32": "float32", "F16": "float16"}
"""Number formats of stored vectors, by safetensors' names."""


@dataclass(frozen=True)
class VectorsOnDisk:
    """Place of a file's vectors: all that is needed to read them, and small enough to be sent about."""

    path: Path
    shape: tuple[int, int, int]
    """Layers, sentences, hidden."""
    offset: int
    """Place in the file where the vectors begin, in bytes."""
    form: str = "float32"
    """Number format that they are stored in."""

    @property
    def n_bytes(self) -> int:
        """Bytes that they take in the file."""
        return np.dtype(self.form).itemsize * int(np.prod(self.shape))

    def map(self) -> Float[np.ndarray, "layers sentences hidden"]:
        """The vectors, read from disk where they are looked at.

        Raises:
            OSError: the file cannot be opened.
        """
        return np.memmap(self.path, self.form, "r", self.offset, self.shape)


@dataclass(frozen=True, eq=False)
class Shard:
    """One file of the cache; its vectors stay on disk."""

    vectors: VectorsOnDisk
    keys: UInt8[np.ndarray, "sentences 16"]
    truncated: UInt8[np.ndarray, " sentences"]
    checksum: str
    """CRC-32 of space, keys, truncated and values, in a row."""
    space: str = ""
    """Name of the space that the vectors were made for; empty in files of before 2026-11-27."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.vectors.path

    def is_whole(self) -> bool:
        """True where the file's content is what was written; reads all of it.

        Raises:
            OSError: it is there and cannot be read, which does not say that it is damaged.
        """
        total = crc32(self.truncated.data, crc32(self.keys.data, crc32(self.space.encode())))
        left, buffer = self.vectors.n_bytes, memoryview(bytearray(_READ_BYTES))
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.vectors.offset)
                while left and (count := file.readinto(buffer[:left])):
                    total, left = crc32(buffer[:count], total), left - count
        except FileNotFoundError:
            return False
        return not left and str(total) == self.checksum


def pack_shard(
    keys: UInt8[np.ndarray, "sentences 16"],
    truncated: Bool[np.ndarray, " sentences"],
    values: Float[np.ndarray, "layers sentences hidden"],
    form: str = "float32",
    space: str = "",
) -> bytes:
    """Pack the content of such a file, its vectors in a number format; `space` says what made them.

    Raises:
        InputError: they do not fit into it.
    """
    with np.errstate(over="ignore", under="ignore"):
        stored = np.ascontiguousarray(values, dtype=form)
    if form != "float32":
        _check_range(values, stored)
    tensors = {"keys": keys, "truncated": truncated.astype(np.uint8), "values": stored}
    checksum = crc32(space.encode())
    for name in sorted(tensors):
        checksum = crc32(tensors[name].data, checksum)
    # As one fact: safetensors writes several in a new order each time, and files of equal vectors are to be equal.
    return save(tensors, metadata={"crc32": f"{checksum} {space}".rstrip()})


def _check_range(values: Float[np.ndarray, "layers rows hidden"], stored: np.ndarray) -> None:
    """Refuse a number format that some layer's vectors are too large or too small for."""
    info = np.finfo(stored.dtype)
    for number, (layer, kept) in enumerate(zip(values, stored, strict=True)):
        with np.errstate(invalid="ignore", over="ignore"):
            lost = np.linalg.norm(kept.astype(np.float32) - layer)
        # Numbers within the range are rounded by half a last digit at most; NaN, of an infinite one, is refused too.
        if not lost <= info.eps * np.linalg.norm(layer):
            raise InputError(
                f"--store {info.dtype}: vectors of layer {number} of those stored reach {np.abs(layer).max():.3g}; its "
                f"range is {info.tiny:.2g} to {info.max:.0f}; take --store float32"
            )


def write_shard(
    folder: Path,
    keys: Sequence[bytes],
    values: Float[np.ndarray, "layers sentences hidden"],
    truncated: Bool[np.ndarray, " sentences"],
    form: str = "float32",
) -> Path:
    """Write such a file, under a name that its sentences give; the file.

    Raises:
        InputError: vectors do not fit into the number format.
        OSError: it cannot be written.
    """
    listed = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
    path = folder / f"{sha256(listed.data).hexdigest()[:16]}.safetensors"
    write_atomically(path, pack_shard(listed, truncated, values, form, folder.name))
    return path


def open_shard(path: Path) -> Shard | None:
    """A file of the cache, without its vectors; none where it is gone, none of ours, of another space, or not whole.

    Raises:
        OSError: it is there and cannot be read, which does not say that it is damaged.
    """
    try:
        # safetensors has one error for a file that cannot be read and one that is damaged.
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        with safe_open(path, framework="numpy") as file:
            keys, truncated, values = file.get_tensor("keys"), file.get_tensor("truncated"), file.get_slice("values")
            shape = tuple(values.get_shape())
            checksum, _, space = (file.metadata() or {}).get("crc32", "").partition(" ")
            fits = keys.shape == (len(truncated), KEY_BYTES) and len(shape) == 3 and shape[1] == len(keys)
            form = _FORMS.get(values.get_dtype())
            # By another encoder, the same sentences have other vectors.
            fits = fits and space in ("", path.parent.name)
            if not fits or form is None or (keys.dtype, truncated.dtype) != (np.uint8, np.uint8):
                return None
        # What safetensors has read is sound: 8 bytes for the header's length, the header, the tensors.
        with path.open("rb") as file:
            file.seek(8)
            begin = json.loads(file.read(length))["values"]["data_offsets"][0]
    except (SafetensorError, FileNotFoundError):
        return None
    return Shard(
        VectorsOnDisk(path, shape, 8 + length + begin, form),
        keys,
        truncated,
        checksum,
        space,
    )


class StoredStack(LayerStack):
    """The layer stack of some sentences in the cache, of which a probe's part is read when it is wanted.

    It can be pickled: what arrives elsewhere opens the files by their paths, lists no folder and checks nothing again,
    for whoever made it has done so. The files are kept from being deleted where it was made, and there alone.

    Args:
        folder: where large selections have room if there is no better place, see `find_scratch`.
        holder: kept for as long as the stack is: it keeps the files from being deleted.
        places: the file of each sentence, and its number there.
        layer_names: of the layers.
        pooling: how the vectors were made.
        scratch: the place that the user names for large selections, if one is named.
    """

    def __init__(
        self,
        folder: Path,
        holder: Any,
        places: Sequence[tuple[Shard, int]],
        layer_names: tuple[str, ...],
        pooling: str,
        scratch: Path | None = None,
    ):
        self._folder, self._scratch, self._holder = folder, scratch, holder
        self.layer_names, self.pooling = layer_names, pooling
        shards = list(dict.fromkeys(shard for shard, _ in places))
        numbers = {shard: number for number, shard in enumerate(shards)}
        self._files = [shard.vectors for shard in shards]
        self._numbers = np.array([numbers[shard] for shard, _ in places], dtype=np.int32)
        self._places = np.array([place for _, place in places], dtype=np.int32)
        self.truncated: Bool[np.ndarray, " sentences"] = np.array(
            [shard.truncated[place] for shard, place in places], dtype=bool
        )
        """True where a sentence had been cut."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_holder": None}

    @property
    def values(self) -> Float[np.ndarray, "layers sentences hidden"]:
        """The vectors of all layers and sentences, read anew each time."""
        return self.select(range(len(self.layer_names)), np.arange(len(self._places)))

    @property
    def hidden_size(self) -> int:
        """Width of a vector."""
        return self._files[0].shape[2]

    def select(self, layers: Sequence[int], rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "chosen rows hidden"]:
        """The vectors of some sentences in some layers: a copy, in memory or, if it is large, in a mapped file.

        Raises:
            MemoryError: it is large, and the disk has no room for it.
            OSError: a file cannot be read.
        """
        chosen = allocate((len(layers), len(rows), self.hidden_size), find_scratch(self._scratch, self._folder))
        numbers, places = self._numbers[rows], self._places[rows]
        order = np.lexsort((places, numbers))
        borders = np.flatnonzero(np.diff(numbers[order])) + 1
        held = 0
        for part in np.split(order, borders) if len(order) else ():
            # Mapped for as long as it takes: no pages, and no open files, add up.
            stored = self._files[numbers[part[0]]].map()
            for row, layer in zip(chosen, layers, strict=True):
                row[part] = stored[layer, places[part]]
            held += len(part) * chosen[:, 0].nbytes
            if held > HELD_BYTES:
                release(chosen)
                held = 0
        release(chosen)
        return chosen
