"""Heads on LV-BERT, as its code and ELECTRA's have them: of a class, of masked tokens, of replaced tokens."""

from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput
from transformers.models.electra.modeling_electra import ElectraForPreTrainingOutput

from probing.encoders.lv_bert_model import LvBertConfig, LvBertModel, LvBertPreTrainedModel

_IGNORED = -100
"""Label of tokens that no loss is of."""


class LvBertForSequenceClassification(LvBertPreTrainedModel):
    """A linear classifier on the first token's state."""

    def __init__(self, config: LvBertConfig):
        super().__init__(config)
        self.lv_bert = LvBertModel(config)
        drop = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if drop is None else drop)
        self.classifier = nn.Linear(config.hidden_size, int(config.num_labels or 2))
        self.post_init()

    def forward(
        self, input_ids: Int[Tensor, "batch tokens"] | None = None, labels: Tensor | None = None, **inputs: Any
    ) -> SequenceClassifierOutput:
        """Logits, and with labels the loss: cross-entropy, or squared error where there is one label (regression)."""
        output = self.lv_bert(input_ids, **inputs)
        logits = self.classifier(self.dropout(output.last_hidden_state[:, 0]))
        return SequenceClassifierOutput(
            loss=None if labels is None else self._compute_loss(logits, labels),  # pyright: ignore
            logits=logits,
            hidden_states=output.hidden_states,
        )

    def _compute_loss(self, logits: Float[Tensor, "batch labels"], labels: Tensor) -> Float[Tensor, ""]:
        if self.config.num_labels == 1:
            return F.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
        return F.cross_entropy(logits, labels)


class LvBertPredictions(nn.Module):
    """Scores of every word at a token: a map to the width of the embeddings, GELU, norm, and the tied table."""

    def __init__(self, config: LvBertConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.norm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)

    def forward(self, states: Float[Tensor, "... hidden"]) -> Float[Tensor, "... words"]:
        """Logits of any number of tokens' states."""
        return self.decoder(self.norm(F.gelu(self.dense(states))))


class LvBertForMaskedLM(LvBertPreTrainedModel):
    """Words in place of masked tokens; the table of words is the embeddings' own."""

    _tied_weights_keys: ClassVar = {"predictions.decoder.weight": "lv_bert.embeddings.word_embeddings.weight"}  # pyright: ignore

    def __init__(self, config: LvBertConfig):
        super().__init__(config)
        self.lv_bert = LvBertModel(config)
        self.predictions = LvBertPredictions(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """The map to the words, whose weights are the embeddings'."""
        return self.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the map to the words."""
        self.predictions.decoder = new_embeddings  # pyright: ignore

    def forward(
        self, input_ids: Int[Tensor, "batch tokens"] | None = None, labels: Tensor | None = None, **inputs: Any
    ) -> MaskedLMOutput:
        """Logits of every word, and with labels (-100 where there is none) the mean cross-entropy."""
        output = self.lv_bert(input_ids, **inputs)
        logits = self.predictions(output.last_hidden_state)
        loss = (
            None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=_IGNORED)
        )
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=output.hidden_states)  # pyright: ignore


class LvBertDetection(nn.Module):
    """Logit of a token's having been replaced: a map, GELU, and a map to one number."""

    def __init__(self, config: LvBertConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.prediction = nn.Linear(config.hidden_size, 1)

    def forward(self, states: Float[Tensor, "batch tokens hidden"]) -> Float[Tensor, "batch tokens"]:
        """Logits of all tokens."""
        return self.prediction(F.gelu(self.dense(states))).squeeze(-1)


class LvBertForPreTraining(LvBertPreTrainedModel):
    """ELECTRA's discriminator: whether each token was replaced."""

    def __init__(self, config: LvBertConfig):
        super().__init__(config)
        self.lv_bert = LvBertModel(config)
        self.discriminator_predictions = LvBertDetection(config)
        self.post_init()

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Int[Tensor, "batch tokens"] | None = None,
        labels: Tensor | None = None,
        **inputs: Any,
    ) -> ElectraForPreTrainingOutput:
        """Logit of each token's having been replaced, and with labels (1: replaced) the mean loss over tokens."""
        output = self.lv_bert(input_ids, attention_mask, **inputs)
        logits = self.discriminator_predictions(output.last_hidden_state)
        loss = None
        if labels is not None:
            there = slice(None) if attention_mask is None else attention_mask.bool()
            loss = F.binary_cross_entropy_with_logits(logits[there], labels[there].to(logits.dtype))
        return ElectraForPreTrainingOutput(loss=loss, logits=logits, hidden_states=output.hidden_states)  # pyright: ignore
