"""Encoders with a classification head, to be trained: BERT's, which reads the last layer, and BERMo's.

Both get the same head, drawn from the same generator, so that what differs is what the head reads.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import MODEL_MAPPING, PretrainedConfig, PreTrainedModel

from probing.encoders.bermo_model import BermoConfig, BermoForSequenceClassification, BermoModel
from probing.encoders.checkpoints import Checkpoint, load_classifier, load_config, load_model
from probing.records import InputError

_INITIAL_STD = 0.02


def build_bert(checkpoint: Checkpoint, n_labels: int, dropout: float, generator: torch.Generator) -> PreTrainedModel:
    """The encoder with the head of its own architecture, on the last layer.

    Args:
        checkpoint: of a bare encoder, or of one with a head, which is kept where it has as many labels; `fit_head` says
            whether for the same ones.
        n_labels: number of classes; 1 for a regression.
        dropout: inside the encoder and before the classifier.
        generator: draws the weights of a new classifier.

    Raises:
        InputError: the checkpoint is a BERMo, or of an architecture without such a head.
    """
    config = load_config(checkpoint)
    if config.model_type == "bermo":
        raise InputError(f"checkpoint {checkpoint.name}: a BERMo, but --model bert; use --model bermo")
    set_dropout(config, dropout)
    config.num_labels = n_labels
    model, report = load_classifier(checkpoint, config)
    if not isinstance(getattr(model, "classifier", None), nn.Module):
        raise InputError(
            f"checkpoint {checkpoint.name}: {config.model_type} has no head on its first token; use an encoder"
        )
    return _with_head(model, report, generator)


def build_bermo(
    checkpoint: Checkpoint, n_labels: int, dropout: float, generator: torch.Generator
) -> BermoForSequenceClassification:
    """The encoder with BERMo's head, on the scalar mix of its layers, which starts as their average.

    Args:
        checkpoint: of a bare encoder, or of a BERMo, whose mix is kept, and its head where it has as many labels.
        n_labels: number of classes; 1 for a regression.
        dropout: inside the encoder and before the classifier.
        generator: draws the weights of a new classifier.

    Raises:
        InputError: the checkpoint's weights do not fit.
    """
    source = load_model(checkpoint)
    body = source if isinstance(source, BermoModel) else BermoModel.from_backbone(source)
    config: BermoConfig = body.config  # pyright: ignore
    set_dropout(config.backbone_config, dropout)
    config.classifier_dropout, config.num_labels = dropout, n_labels
    if body is source:
        return _load_bermo(checkpoint, config, generator)
    model = BermoForSequenceClassification(config)
    model.bermo.load_state_dict(body.state_dict())
    draw_classifier(model, generator)
    return model


def _load_bermo(
    checkpoint: Checkpoint, config: BermoConfig, generator: torch.Generator
) -> BermoForSequenceClassification:
    return _with_head(*load_classifier(checkpoint, config), generator)


def _with_head(model: Any, report: dict[str, Any], generator: torch.Generator) -> Any:
    """The model, its head drawn anew where the checkpoint had none, or one for another number of labels.

    A head is its `classifier`, drawn first and whole, and what an architecture has between that and the encoder.
    """
    absent = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    head = [key for key in absent if not key.startswith(f"{model.base_model_prefix}.")]
    if any(key.startswith("classifier.") for key in head):
        draw_classifier(model, generator)
    draw_tensors(model, sorted(key for key in head if not key.startswith("classifier.")), generator)
    return model


def fit_head(model: Any, checkpoint: Checkpoint, classes: Sequence[str], generator: torch.Generator) -> None:
    """Make a built model's head one for these classes: one that was stored for others is drawn anew.

    Its rows would stand for wrong classes, though there are as many. Names that say nothing, as transformers gives them
    where nobody does (`LABEL_0`), are taken for these classes in this order.
    """
    stored = load_config(checkpoint)
    names = [name for _, name in sorted((stored.id2label or {}).items())]
    is_stored = type(model).__name__ in (stored.architectures or ()) and len(names) == len(classes)
    known = (list(classes), [f"LABEL_{number}" for number in range(len(names))])
    if is_stored and names not in known and isinstance(getattr(model, "classifier", None), nn.Module):
        draw_classifier(model, generator)
    name_classes(model.config, classes)


def name_classes(config: PretrainedConfig, classes: Sequence[str]) -> None:
    """Give the rows of a head their names."""
    config.id2label = dict(enumerate(classes))
    config.label2id = {label: number for number, label in enumerate(classes)}


def set_dropout(config: PretrainedConfig, dropout: float) -> None:
    """Set the dropout of an encoder and of its head, under whatever names its architecture has for them."""
    for name, value in config.to_dict().items():
        if "dropout" in name and (isinstance(value, float) or name == "classifier_dropout"):
            setattr(config, name, dropout)


def check_trainable(model: PreTrainedModel, checkpoint: Checkpoint) -> None:
    """Refuse what can be probed and not be trained, since a part of its architecture was left away.

    Raises:
        InputError: it is the encoder of an encoder-decoder.
    """
    if type(model) is not MODEL_MAPPING.get(type(model.config), None):
        raise InputError(
            f"checkpoint {checkpoint.name}: {type(model).__name__} is a part of {model.config.model_type}, which can "
            "be probed and not be trained here; use an encoder such as BERT"
        )


@torch.no_grad()
def draw_tensors(model: nn.Module, names: Sequence[str], generator: torch.Generator) -> None:
    """Draw tensors anew: matrices normal with deviation .02, as BERT's; biases 0; scales of norms 1."""
    for name in names:
        tensor = model.get_parameter(name)
        if tensor.ndim > 1:
            tensor.normal_(0, _INITIAL_STD, generator=generator)
        else:
            tensor.fill_(0.0 if name.endswith("bias") else 1.0)


@torch.no_grad()
def draw_classifier(model: Any, generator: torch.Generator) -> None:
    """Draw a classifier anew: weights normal with deviation .02, as BERT's; biases 0."""
    layers = [layer for layer in model.classifier.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        layer.weight.normal_(0, _INITIAL_STD, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
