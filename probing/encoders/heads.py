"""Heads of our own architectures, whatever their encoder is: a class of a text, and words in place of masked tokens."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput

_IGNORED = -100
"""Label of tokens that no loss is of."""


class FirstTokenClassifier:
    """Forward pass of a linear `classifier` on the first token's state; what its encoder fills up is not read."""

    config: Any
    base_model: Any
    dropout: nn.Module
    classifier: nn.Linear

    def forward(
        self, input_ids: Int[Tensor, "batch tokens"] | None = None, labels: Tensor | None = None, **inputs: Any
    ) -> SequenceClassifierOutput:
        """Logits, and with labels the loss: cross-entropy, or squared error where there is one label (regression)."""
        output = self.base_model(input_ids, **inputs)
        first = output.last_hidden_state[:, 0, : self.classifier.in_features]
        logits = self.classifier(self.dropout(first))
        return SequenceClassifierOutput(
            loss=None if labels is None else self._compute_loss(logits, labels),  # pyright: ignore
            logits=logits,
            hidden_states=output.hidden_states,
        )

    def _compute_loss(self, logits: Float[Tensor, "batch labels"], labels: Tensor) -> Float[Tensor, ""]:
        if self.config.num_labels == 1:
            return F.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
        return F.cross_entropy(logits, labels)


class Predictions(nn.Module):
    """Scores of every word at a token: a map to the width of the embeddings, GELU, norm, and the tied table.

    Args:
        config: of the encoder, with the size of its embeddings and of its vocabulary.
        width: of the states that are read.
    """

    def __init__(self, config: Any, width: int):
        super().__init__()
        self.dense = nn.Linear(width, config.embedding_size)
        self.norm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)

    def forward(self, states: Float[Tensor, "... hidden"]) -> Float[Tensor, "... words"]:
        """Logits of any number of tokens' states; what an encoder fills them up with is not read."""
        return self.decoder(self.norm(F.gelu(self.dense(states[..., : self.dense.in_features]))))


class WordPredictor:
    """Forward pass of `predictions` at every token; the table of words is the embeddings' own."""

    base_model: Any
    predictions: Predictions

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
        output = self.base_model(input_ids, **inputs)
        logits = self.predictions(output.last_hidden_state)
        loss = (
            None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=_IGNORED)
        )
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=output.hidden_states)  # pyright: ignore
