"""Artifacts that a stage leaves on disk: a model's folder, which says how to load it, and rows of the run's tables."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from transformers import MODEL_MAPPING, PreTrainedModel, PreTrainedTokenizerBase

from probing.atomic_files import find_refusal, write_atomically
from probing.digests import digest_json
from probing.registry import ENCODERS
from probing.store.own_files import keep_others
from probing.tables import TrainedModel, TrainingRow

_README = """# {name}

{origin}

In Python, from this folder's parent:

```python
{imports}

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = {auto}.from_pretrained("{name}")
```
{note}{use}"""
_NOTE = """
The architecture `{kind}` is not part of transformers: importing `probing.encoders.architectures` (package
`bermo-probing`) makes it known.
"""
_USE = """
`AutoModel` in place of `{auto}` gives the encoder without its head.
`python probing/run_senteval.py --model {model} --checkpoint FOLDER` probes its layers.
"""
_HEADS = ("ForSequenceClassification", "ForMaskedLM", "ForPreTraining", "ForTokenClassification")
"""Ends of the names of models, which their automatic classes share."""


@dataclass(frozen=True)
class Finished:
    """The rows of a finished stage in the tables of its run."""

    models: Sequence[TrainedModel]
    """One per split and metric."""
    log: Sequence[TrainingRow]
    artifact: str
    """Digest of the folder that the stage left; empty where it left none."""
    warnings: Sequence[str] = ()
    """Warnings that were told while it was made: they hold for whoever goes on from it too."""


def find_finished(path: Path, key: str) -> Finished | None:
    """A finished stage, if its rows are whole and were made from the same data, encoder and settings (`key`)."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key or content["digest"] != digest_json(content["rows"]):
            return None
        rows = content["rows"]
        models = [TrainedModel(**row) for row in rows["models"]]
        log = [TrainingRow(**row) for row in rows["log"]]
        # Older files have no warnings.
        return Finished(models, log, rows["artifact"], rows.get("warnings", ()))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def keep_finished(path: Path, key: str, finished: Finished) -> None:
    """Write the rows of a finished stage, whole or not at all."""
    rows = {"models": [asdict(row) for row in finished.models], "log": [asdict(row) for row in finished.log]}
    rows |= {"artifact": finished.artifact, "warnings": list(finished.warnings)}  # pyright: ignore
    content = {"key": key, "digest": digest_json(rows), "rows": rows}
    write_atomically(path, json.dumps(content).encode())


def save_model(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, origin: Mapping[str, Any]
) -> str:
    """Write a model that any program of transformers' manner can load, whole or not at all.

    Args:
        folder: which it replaces.
        model: what is written.
        tokenizer: beside it.
        origin: how it was made, for the README beside it; `model` is the registry's name of what was trained.

    Returns:
        The digest of the folder.

    Raises:
        OSError: with the folder as its `filename`.
    """
    part = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        (part / "README.md").write_text(_describe(folder.name, model, origin), encoding="utf-8")
        for file in part.iterdir():
            # safetensors makes files that their owner alone can read; others of a server shall read what is shared.
            shutil.copymode(part / "README.md", file)
        keep_others(folder, part)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if refusal := find_refusal(error, folder):
            raise refusal from error
        raise
    return digest_folder(folder)


def digest_folder(folder: Path) -> str:
    """The identity of all files of a folder; empty where it holds none."""
    digest = sha256()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder)} {file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest() if paths else ""


def _describe(name: str, model: PreTrainedModel, origin: Mapping[str, Any]) -> str:
    """The README of a model's folder."""
    head = next((head for head in _HEADS if type(model).__name__.endswith(head)), "")
    auto = f"AutoModel{head}"
    ours = type(model).__module__.startswith("probing.")
    imports = f"from transformers import {auto}, AutoTokenizer"
    if ours:
        imports = f"import probing.encoders.architectures\n{imports}"
    kind, named = model.config.model_type, ENCODERS.names()
    found = next((name for name in (kind, origin["model"]) if name in named), "bert")
    # A network on word vectors is no encoder, and has no layers to probe.
    use = _USE.format(auto=auto, model=found) if type(model.config) in MODEL_MAPPING else ""
    made = ", ".join(f"{key} {value}" for key, value in origin.items())
    return _README.format(
        name=name,
        origin=f"Made by `probing/train_encoder.py`: {made}.",
        imports=imports,
        auto=auto,
        note=_NOTE.format(kind=kind) if ours else "",
        use=use,
    )
