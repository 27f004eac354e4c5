"""Files of a checkpoint's folder, looked at before libraries read them, and one line for whatever those throw."""

import json
import pickle
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from probing.memory import find_room, lacks_memory
from probing.records import InputError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Files that weights are read from, in the order in which transformers looks for them."""
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.codes")
"""Configurations and vocabularies."""
_OF_OTHERS = (
    "tf_model.h5",
    "flax_model.msgpack",
    "*.gguf",
    "*.onnx",
    "*.ckpt*",
    "model.*.safetensors",
    "*.pt",
    "*.pth",
)
_POINTER = b"version https://git-lfs"
_LONGEST_LINE = 300
_NO_MEMORY = "not enough memory"
MODEL_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError),
    *(LookupError, RuntimeError, TypeError, ValueError),
)
"""Errors that the code of an architecture throws at inputs or tensors that it does not take. Too little memory and what
the system refuses are no fault of it, and rise."""


@contextmanager
def explain_failures(name: str, part: str, advice: str) -> Iterator[None]:
    """Turn what libraries throw while they read a part of a checkpoint into one line.

    They throw bare `Exception`, errors of pickle, of imports, of attributes and more, so that all is caught. Nothing
    but their calls belongs inside: a fault of our own shall show its traceback.

    Raises:
        InputError: naming the checkpoint, the part, what is wrong and what to do.
    """
    try:
        with warnings.catch_warnings():
            # Of what cannot be read we speak ourselves, and in one line.
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:  # tokenizers and config's checks throw it bare; see above
        advice = "install what it asks for" if isinstance(error, ImportError) else advice
        reason = explain(error)
        advice = "free some" if reason == _NO_MEMORY else advice
        raise InputError(f"checkpoint {name}: {part} cannot be read ({reason}); {advice}") from error


def explain(error: Exception) -> str:
    """The message of a library's error, in one line."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds more than tensors, a pickle whose code is never run, or is damaged"
    if lacks_memory(error):
        return _NO_MEMORY
    if "ignore_mismatched_sizes" in str(error):
        return "its tensors have other shapes than config.json gives"
    line = " ".join(str(error).split()) or "no reason given"
    line = line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + " ..."
    return line if isinstance(error, (OSError, ValueError, ImportError)) else f"{type(error).__name__}: {line}"


def read_json(path: Path, name: str) -> dict[str, Any]:
    """A JSON object of a checkpoint.

    Raises:
        InputError: it is none.
    """
    refuse_pointers([path])
    with explain_failures(name, path.name, "fetch it anew"):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"checkpoint {name}: {path.name} holds no JSON object; fetch it anew")
    return content


def check_weights(folder: Path, name: str) -> None:
    """See that the files are there from which weights will be read.

    Raises:
        InputError: there is none, one is missing, or one is only a pointer of Git LFS; or memory cannot hold them.
    """
    files = list_weight_files(folder, name)
    refuse_pointers(files)
    size, room = sum(path.stat().st_size for path in files), find_room()
    if size > room:
        raise InputError(
            f"checkpoint {name}: its weights take {size / 2**30:.1f} GiB, {room / 2**30:.1f} GiB of memory are free; "
            "free some, raise the limit (ulimit), or take a smaller one"
        )


def list_weight_files(folder: Path, name: str) -> list[Path]:
    """The files from which weights will be read.

    Raises:
        InputError: there is none, or one is missing.
    """
    first = next((folder / file for file in WEIGHTS if (folder / file).is_file()), None)
    if first is None:
        others = sorted({path.name for pattern in _OF_OTHERS for path in folder.glob(pattern)})
        found = f", found {', '.join(others[:3])}" if others else ""
        raise InputError(f"checkpoint {name}: no weights; expected {WEIGHTS[0]} or {WEIGHTS[2]} in {folder}{found}")
    return [first] if first.suffix != ".json" else list_shards(first, name)


def list_shards(index: Path, name: str) -> list[Path]:
    """The files that an index of weights names.

    Raises:
        InputError: the index names none, or one that is not beside it.
    """
    listed = read_json(index, name).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise InputError(f"checkpoint {name}: {index.name} has no weight_map; fetch it anew")
    files = sorted({str(file) for file in listed.values()})
    for file in files:
        if Path(file).name != file or not (index.parent / file).is_file():
            raise InputError(f"checkpoint {name}: {index.name} names {file}, which is not in {index.parent}; fetch it")
    return [index.parent / file for file in files]


def check_text_files(folder: Path) -> None:
    """See that no configuration or vocabulary is only a pointer: some would be read as a vocabulary of three words.

    Raises:
        InputError: naming it.
    """
    refuse_pointers(path for pattern in _TEXT_FILES for path in sorted(folder.glob(pattern)) if path.is_file())


def refuse_pointers(paths: Iterable[Path]) -> None:
    """Refuse what stands in for a file of Git LFS.

    Raises:
        InputError: naming the file, and how to get it.
    """
    for path in paths:
        try:
            with path.open("rb") as file:
                start = file.read(len(_POINTER))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        if start == _POINTER:
            raise InputError(f"{path}: a pointer of Git LFS and not the file itself; fetch it with git lfs pull")


def check_reader(folder: Path, name: str) -> None:
    """See that a bare SentencePiece model, as DeBERTa-v3 has it, can be read: transformers asks for another package.

    Raises:
        InputError: it cannot, saying what to install.
    """
    models = sorted(path.name for path in folder.glob("*.model"))
    installed = all(_is_installed(package) for package in ("sentencepiece", "google.protobuf"))
    if models and not installed and not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"checkpoint {name}: its tokenizer {models[0]} is read by SentencePiece, which is not installed: "
            "pip install 'bermo-probing[sentencepiece]'"
        )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the parent of a name with a dot
        return False
