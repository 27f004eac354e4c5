"""Encoders that tell which tokens of a text were replaced (ELECTRA, arXiv 2003.10555): one logit for each token."""

from typing import Any

import torch
from transformers import (
    MODEL_FOR_PRETRAINING_MAPPING,
    AutoModelForPreTraining,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from probing.encoders.checkpoints import Checkpoint, load_with_head


def build_detector(config: PretrainedConfig, checkpoint: Checkpoint | None) -> PreTrainedModel:
    """An encoder with a head of one logit for each token, which is drawn by torch's own generator.

    Args:
        config: of the encoder; its labels are set.
        checkpoint: whose weights it starts from; none draws all of them.

    Raises:
        InputError: the architecture has no such head, or the checkpoint cannot be read.
    """
    auto = choose_head(config)
    config.num_labels = 1
    if checkpoint is None:
        return auto.from_config(config)
    return load_with_head(auto, "a classifier of tokens", checkpoint, config)[0]


def choose_head(config: PretrainedConfig) -> Any:
    """ELECTRA's own head where the architecture has it, named `discriminator_predictions`; else one linear map."""
    if type(config) in MODEL_FOR_PRETRAINING_MAPPING:
        with torch.device("meta"):
            if hasattr(AutoModelForPreTraining.from_config(config), "discriminator_predictions"):
                return AutoModelForPreTraining
    return AutoModelForTokenClassification
