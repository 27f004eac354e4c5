"""Number formats in which a checkpoint stores its tensors, read without the tensors."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open

from probing.encoders.checkpoint_files import explain_failures, list_weight_files
from probing.records import InputError

_WHOLE = ("I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL")
"""Names that safetensors has for formats of whole numbers."""
_FACTORS = ("weight", "bias")
"""Last parts of the names of tensors that states are computed with; places and counters are whole numbers by right."""


def refuse_whole_numbers(folder: Path, name: str) -> None:
    """Refuse weights of whole numbers: the scale that would make numbers of them is not in config.json.

    Raises:
        InputError: naming the first, and what to take.
    """
    for file in list_weight_files(folder, name):
        with explain_failures(name, "its weights", "fetch them anew, or save them again with save_pretrained"):
            found = sorted(key for key in _list_whole(file) if key.rpartition(".")[2] in _FACTORS)
        if found:
            raise InputError(
                f"checkpoint {name}: {len(found)} tensor(s) of {file.name}, such as {found[0]}, are stored as whole "
                "numbers, and config.json has no quantization_config that says of what scale; take the one that is not "
                "quantised"
            )


def _list_whole(file: Path) -> Iterator[str]:
    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as stored:
            yield from (key for key in stored.keys() if stored.get_slice(key).get_dtype() in _WHOLE)  # noqa: SIM118
        return
    tensors = torch.load(file, map_location="meta", weights_only=True)
    for key, tensor in tensors.items():
        if isinstance(tensor, torch.Tensor) and not tensor.is_floating_point() and not tensor.is_complex():
            yield key
