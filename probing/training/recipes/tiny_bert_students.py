"""Students of TinyBERT: drawn, or gone on from what an earlier stage left; without a head, or with one."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from probing.encoders.checkpoints import load_model
from probing.encoders.classifiers import build_bert, fit_head, name_classes, set_dropout
from probing.training.origins import SCRATCH
from probing.training.plan import Start


@dataclass(frozen=True)
class Students:
    """Builders of all students of a run."""

    config: PretrainedConfig
    """Of a student that is drawn, by torch's own generator."""
    classes: Sequence[str]
    """Names of the task's classes."""
    dropout: float

    def build_encoder(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        """A student without a head, and without the pooler, which no layer of a teacher is compared with."""
        del generator
        drawn = start.checkpoint.name == SCRATCH
        model: Any = AutoModel.from_config(self._copy_config()) if drawn else load_model(start.checkpoint)
        model.pooler = None
        return model

    def build_classifier(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        """A student, or a teacher, with a head for the classes of the task, whose names it bears."""
        n_classes = len(self.classes)
        if start.checkpoint.name == SCRATCH:
            config = self._copy_config()
            config.num_labels = n_classes
            model: Any = AutoModelForSequenceClassification.from_config(config)
            name_classes(model.config, self.classes)
        else:
            model = build_bert(start.checkpoint, n_classes, self.dropout, generator)
            fit_head(model, start.checkpoint, self.classes, generator)
        return model

    def _copy_config(self) -> Any:
        config = deepcopy(self.config)
        set_dropout(config, self.dropout)
        return config
