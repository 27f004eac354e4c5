"""A finished cell as a file: safetensors, whose metadata holds the rows as JSON and a checksum of the whole file."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from zlib import crc32

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from probing.atomic_files import write_atomically
from probing.records import Predictions
from probing.sealed_json import DamageError
from probing.tables import (
    AmnesicScore,
    CellResult,
    GradientNorm,
    LayerSimilarity,
    LayerWeight,
    Score,
    column_names,
)

_BEFORE, _EMPTY = b'"crc32":"', b"0" * 8
"""Bytes before the checksum, and in its place while it is computed. Quotes within the rows are escaped."""


def write_cell(path: Path, key: str, result: CellResult) -> None:
    """Write a finished cell, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(path, pack_cell(key, result))


def pack_cell(key: str, result: CellResult) -> bytes:
    """Pack the content of the file of a cell; `key` says what its numbers depend on."""
    arrays = {
        f"{readout}/{field}": np.ascontiguousarray(values)
        for readout, predictions in result.predictions.items()
        for field, values in vars(predictions).items()
    }
    facts = {
        "key": key,
        "scores": json.dumps([asdict(score) for score in result.scores]),
        "weights": json.dumps([asdict(weight) for weight in result.weights]),
        "gradients": json.dumps([asdict(norm) for norm in result.gradients]),
        "machine": json.dumps(dict(result.machine)),
        "amnesia": json.dumps([asdict(score) for score in result.amnesia]),
        "similarities": json.dumps([asdict(one) for one in result.similarities]),
        "crc32": _EMPTY.decode(),
    }
    content = _sort_facts(save(arrays, metadata=facts))
    return _put(content, f"{crc32(content):08x}".encode())


def unpack_cell(content: bytes, key: str) -> CellResult | None:
    """The cell that a file holds; none if its numbers depend on something else than `key` says.

    Raises:
        DamageError: the content is not what was written.
    """
    try:
        begin = content.index(_BEFORE) + len(_BEFORE)
        if content[begin : begin + len(_EMPTY)] != f"{crc32(_put(content, _EMPTY)):08x}".encode():
            raise DamageError
        length = int.from_bytes(content[:8], "little")
        facts = json.loads(content[8 : 8 + length])["__metadata__"]
        if facts["key"] != key:
            return None
        scores = [Score(**row) for row in json.loads(facts["scores"])]
        weights = [LayerWeight(**row) for row in json.loads(facts["weights"])]
        gradients = [GradientNorm(**row) for row in json.loads(facts["gradients"])]
        machine = json.loads(facts.get("machine", "{}"))
        # Cells of before there were tables of those have none.
        erased = [AmnesicScore(**row) for row in json.loads(facts.get("amnesia", "[]"))]
        alike = [LayerSimilarity(**row) for row in json.loads(facts.get("similarities", "[]"))]
        return CellResult(scores, weights, _unpack_predictions(load(content)), gradients, alike, machine, erased)
    # A checksum that fits by chance, or was made for something else.
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamageError from None


def _sort_facts(content: bytes) -> bytes:
    """The same file with its metadata in order: safetensors writes them in a new one each time."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _put(content: bytes, checksum: bytes) -> bytes:
    begin = content.index(_BEFORE) + len(_BEFORE)
    return content[:begin] + checksum + content[begin + len(checksum) :]


def _unpack_predictions(arrays: Mapping[str, np.ndarray]) -> dict[str, Predictions]:
    readouts = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
    fields = column_names(Predictions)
    return {name: Predictions(**{field: arrays[f"{name}/{field}"] for field in fields}) for name in readouts}
