"""Classifiers on word vectors: Kim's convolutions (2014, arXiv 1408.5882) and an LSTM, as C-BERT's paper trains them.

They read an encoder's tokens, and their table of vectors starts as that encoder's input embeddings.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

Network = Literal["cnn", "lstm"]
_WIDTHS = (3, 4, 5)
"""Widths of the convolutions, in tokens; each has a third of the units."""


class WordNetworkConfig(PretrainedConfig):
    """Sizes of a classifier on word vectors. Defaults are those of C-BERT's paper.

    Args:
        network: `cnn` or `lstm`.
        vocab_size: rows of the table.
        hidden_size: width of a word vector.
        n_units: units of the network.
        dropout: of word vectors and of what the classifier reads.
        pad_token_id: of padding.
        kwargs: of every configuration, such as the number of labels.
    """

    model_type = "word_network"

    def __init__(
        self,
        network: Network = "cnn",
        vocab_size: int = 30522,
        hidden_size: int = 300,
        n_units: int = 300,
        dropout: float = 0.5,
        pad_token_id: int = 0,
        **kwargs: Any,
    ):
        self.network, self.vocab_size, self.hidden_size = network, vocab_size, hidden_size
        self.n_units, self.dropout, self.num_hidden_layers = n_units, dropout, 1
        shared: dict[str, Any] = {"pad_token_id": pad_token_id} | kwargs
        super().__init__(**shared)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The table of vectors, and the network."""
        return ("embeddings", self.network)


class Convolutions(nn.Module):
    """Windows of three widths, and each unit's largest value over the text."""

    def __init__(self, config: WordNetworkConfig):
        super().__init__()
        units = config.n_units // len(_WIDTHS)
        self.size = units * len(_WIDTHS)
        self.windows = nn.ModuleList(nn.Conv1d(config.hidden_size, units, width) for width in _WIDTHS)

    def forward(
        self, vectors: Float[Tensor, "batch tokens hidden"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch units"]:
        """A window that begins in a text is read to its end, over zeros behind it; none begins in padding."""
        places = torch.arange(vectors.shape[1], device=vectors.device)
        inside = (places < lengths[:, None]).to(vectors.dtype)
        columns = (vectors * inside[:, :, None]).transpose(1, 2)
        found = []
        for width, window in zip(_WIDTHS, self.windows, strict=True):
            values = window(
                nn.functional.pad(columns, (0, width - 1))
            ).relu()  # never negative, so that 0 hides padding
            found.append((values * inside[:, None]).amax(dim=2))
        return torch.cat(found, dim=1)


class Recurrence(nn.Module):
    """An LSTM from left to right, and its state at the last token."""

    def __init__(self, config: WordNetworkConfig):
        super().__init__()
        self.size = config.n_units
        self.cells = nn.LSTM(config.hidden_size, config.n_units, batch_first=True)

    def forward(
        self, vectors: Float[Tensor, "batch tokens hidden"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch units"]:
        """The state at each text's own last token."""
        packed = pack_padded_sequence(vectors.float(), lengths.cpu(), batch_first=True, enforce_sorted=False)
        return self.cells(packed)[1][0][0]


class WordNetworkForSequenceClassification(PreTrainedModel):
    """Word vectors, a network and a linear classifier."""

    config_class = WordNetworkConfig
    base_model_prefix = "network"

    def __init__(self, config: WordNetworkConfig):
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        body = {"cnn": Convolutions, "lstm": Recurrence}[config.network](config)
        self.blocks = nn.ModuleList([body])
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(body.size, int(config.num_labels or 2))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The table of word vectors."""
        return self.embeddings

    def _init_weights(self, module: nn.Module) -> None:
        """Leave torch's own starting weights."""

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Int[Tensor, "batch tokens"] | None = None,
        token_type_ids: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits; padding is not read, and segments are not known."""
        del token_type_ids
        whole = torch.full((len(input_ids),), input_ids.shape[1], device=input_ids.device)
        lengths = whole if attention_mask is None else attention_mask.sum(dim=1)
        vectors = self.dropout(self.embeddings(input_ids))
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(self.blocks[0](vectors, lengths))))


def build_word_network(network: Network, vectors: Float[Tensor, "vocab hidden"], n_labels: int, pad: int) -> Any:
    """A classifier that starts from some word vectors, which it changes; torch's own generator draws the rest.

    Args:
        network: `cnn` or `lstm`.
        vectors: one per token.
        n_labels: classes.
        pad: the token of padding.
    """
    config = WordNetworkConfig(network, *vectors.shape, pad_token_id=pad, num_labels=n_labels)
    model = WordNetworkForSequenceClassification(config)
    with torch.no_grad():
        model.embeddings.weight.copy_(vectors)
        model.embeddings.weight[pad] = 0
    return model
