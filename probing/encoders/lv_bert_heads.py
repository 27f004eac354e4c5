"""Heads on LV-BERT, as its code and ELECTRA's have them: of a class, of masked tokens, of replaced tokens."""

from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.electra.modeling_electra import ElectraForPreTrainingOutput

from probing.encoders.heads import FirstTokenClassifier, Predictions, WordPredictor
from probing.encoders.lv_bert_model import LvBertConfig, LvBertModel, LvBertPreTrainedModel


class LvBertForSequenceClassification(FirstTokenClassifier, LvBertPreTrainedModel):  # pyright: ignore
    """A linear classifier on the first token's state."""

    def __init__(self, config: LvBertConfig):
        super().__init__(config)
        self.lv_bert = LvBertModel(config)
        drop = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if drop is None else drop)
        self.classifier = nn.Linear(config.hidden_size, int(config.num_labels or 2))
        self.post_init()


class LvBertForMaskedLM(WordPredictor, LvBertPreTrainedModel):  # pyright: ignore
    """Words in place of masked tokens; the table of words is the embeddings' own."""

    _tied_weights_keys: ClassVar = {"predictions.decoder.weight": "lv_bert.embeddings.word_embeddings.weight"}  # pyright: ignore

    def __init__(self, config: LvBertConfig):
        super().__init__(config)
        self.lv_bert = LvBertModel(config)
        self.predictions = Predictions(config, config.hidden_size)
        self.post_init()


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
