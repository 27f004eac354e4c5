"""Heads on NAS-BERT: of a class, and of masked tokens. They read the last block's width, and nothing filled up."""

from typing import ClassVar

from torch import nn

from probing.encoders.heads import FirstTokenClassifier, Predictions, WordPredictor
from probing.encoders.nas_bert_model import NasBertConfig, NasBertModel, NasBertPreTrainedModel


class NasBertForSequenceClassification(FirstTokenClassifier, NasBertPreTrainedModel):  # pyright: ignore
    """A linear classifier on the first token's state."""

    def __init__(self, config: NasBertConfig):
        super().__init__(config)
        self.nas_bert = NasBertModel(config)
        drop = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if drop is None else drop)
        self.classifier = nn.Linear(config.output_size, int(config.num_labels or 2))
        self.post_init()


class NasBertForMaskedLM(WordPredictor, NasBertPreTrainedModel):  # pyright: ignore
    """Words in place of masked tokens; the table of words is the embeddings' own."""

    _tied_weights_keys: ClassVar = {"predictions.decoder.weight": "nas_bert.embeddings.word_embeddings.weight"}  # pyright: ignore

    def __init__(self, config: NasBertConfig):
        super().__init__(config)
        self.nas_bert = NasBertModel(config)
        self.predictions = Predictions(config, config.output_size)
        self.post_init()
