"""Facts of a probed encoder that its run does not hold: how it was trained and made smaller, and its size on disk.

They stand beside the checkpoint, where that is a folder: in the tables of the training run that left it, in its
config.json and in the headers of its weights. Whatever is not there is empty or NaN.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.runs.probing_run import Run
from analysis.runs.training_run import MODELS, load_training
from probing.records import InputError

_HEADER_BYTES = 8
"""Length of the number that says how long the header of a safetensors file is."""
_MOST_HEADER_BYTES = 100_000_000
_NAMES = {
    "bits": ("bits", "weight_bits", "n_bits"),
    "parameters": ("parameters", "n_parameters"),
    "bytes": ("weight_bytes", "bytes", "n_bytes"),
}
"""Fact -> names that a column, a variant or a configuration may have for it."""


@dataclass(frozen=True)
class Lineage:
    """Facts of one encoder."""

    run: Path | None = None
    """Folder of the training run that left the checkpoint; none: it is not known to have been trained here."""
    recipe: str = ""
    """Way of training, such as `prune`."""
    task: str = ""
    """Key of the task that it was trained on."""
    seed: int = -1
    """Seed of that training."""
    method: str = ""
    """Method by which weights were pruned."""
    sparsity: float = math.nan
    """Share of zeros reached in the encoder's linear layers."""
    bits: str = ""
    """Bits of a weight, as the record has them."""
    parameters: float = math.nan
    """Stored numbers, head included; unknown where weights are packed."""
    bytes: float = math.nan
    """Bytes of the weights' files, head included."""


def trace_encoder(run: Run) -> Lineage:
    """The facts of the encoder of a probing run."""
    checkpoint = Path(str(run.manifest.get("encoder", {}).get("checkpoint") or run.scores["checkpoint"].iloc[0]))
    if not checkpoint.is_dir():
        return Lineage()
    trained, row = _find_training(checkpoint)
    known = [row, _read_object(row.get("variant", "{}")), _read_config(checkpoint)]
    found = {fact: _pick(known, names) for fact, names in _NAMES.items()}
    parameters, size = _measure_weights(checkpoint)
    pruned = bool(row.get("method"))
    return Lineage(
        run=trained, recipe=str(row.get("recipe", "")), task=str(row.get("task", "")), seed=int(row.get("seed", -1)),
        method=str(row.get("method", "")), sparsity=float(row["achieved_sparsity"]) if pruned else math.nan,
        bits=_name_bits(found["bits"]),
        parameters=_to_number(found["parameters"], parameters), bytes=_to_number(found["bytes"], size),
    )  # fmt: skip


def _find_training(checkpoint: Path) -> tuple[Path | None, Mapping[Any, Any]]:
    """The training run that left a checkpoint, and the first row of its table on that model; nothing where none did."""
    place = checkpoint.resolve()
    for folder in place.parents[:3]:
        if not (folder / MODELS).is_file():
            continue
        try:
            models = load_training(folder).models
        except InputError:
            # A training that did not finish leaves nothing to say; the scores of the probes stand by themselves.
            return None, {}
        rows = models[models["folder"].map(lambda name, folder=folder: bool(name) and (folder / name) == place)]
        return (folder, rows.iloc[0].to_dict()) if len(rows) else (None, {})
    return None, {}


def _read_config(checkpoint: Path) -> Mapping[str, Any]:
    path = checkpoint / "config.json"
    return _read_object(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}


def _read_object(text: object) -> Mapping[str, Any]:
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _pick(known: list[Mapping[Any, Any]], names: tuple[str, ...]) -> Any:
    """The first value of one of those names that is neither missing nor empty; 0 is what was not measured."""
    values = (source[name] for source in known for name in names if name in source)
    return next((value for value in values if value and not is_missing(value)), None)


def _name_bits(found: Any) -> str:
    """Bits in a word; of a configuration that has them by matrix, the different ones."""
    if isinstance(found, Mapping):
        return ", ".join(sorted({str(bits) for bits in found.values()}))
    return "" if found is None else str(found)


def is_missing(value: Any) -> bool:
    """True for the NaN that a table has where it has no number."""
    return isinstance(value, float) and math.isnan(value)


def _to_number(found: Any, otherwise: float) -> float:
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else otherwise


def _measure_weights(checkpoint: Path) -> tuple[float, float]:
    """Parameters and bytes of the safetensors files that a checkpoint is read from; NaN where there are none.

    Parts are passed over where the whole stands beside them, as transformers does: they are another copy.

    A file with whole numbers among its tensors may hold several weights in one of them: its parameters are not counted.
    """
    whole = checkpoint / "model.safetensors"
    files = [whole] if whole.is_file() else sorted(checkpoint.glob("model-*.safetensors"))
    if not files:
        return math.nan, math.nan
    tensors = [tensor for file in files for tensor in _read_header(file)]
    floating = all(str(tensor.get("dtype", "")).startswith(("F", "BF")) for tensor in tensors)
    count = sum(math.prod(tensor.get("shape", ())) for tensor in tensors)
    return float(count) if floating and tensors else math.nan, float(sum(file.stat().st_size for file in files))


def _read_header(file: Path) -> Iterator[Mapping[str, Any]]:
    """Type and shape of each tensor of a safetensors file: a JSON object behind its own length."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(_HEADER_BYTES), "little")
        header = _read_object(stream.read(min(length, _MOST_HEADER_BYTES)).decode("utf-8", errors="replace"))
    return (tensor for name, tensor in header.items() if name != "__metadata__" and isinstance(tensor, dict))
