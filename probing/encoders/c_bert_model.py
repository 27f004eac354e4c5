"""C-BERT (Wu et al. 2019, arXiv 1812.06705): BERT whose table of segments is one of labels.

    embedding of token i = norm(word_i + position_i + label)

so that what is predicted at a hidden token agrees with the rest of the sentence and with its label.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel, PreTrainedModel
from transformers.models.bert.modeling_bert import BertEmbeddings

from probing.records import InputError

LabelTable = Literal["segments", "new"]
"""Origin of the rows of labels: the pre-trained rows of segments, or drawn anew."""
_INITIAL_STD = 0.02
_ROWS = "bert.embeddings.token_type_embeddings.weight"


class CBertConfig(BertConfig):
    """BERT's configuration, and the labels.

    Args:
        n_labels: rows of the table of labels.
        label_names: names of the classes in the order of the rows; empty where nobody said.
        label_table: origin of the rows: `segments`, the two pre-trained ones; or `new`. The paper's: segments for two
            classes, new for more.
        kwargs: BERT's own. A text has no segments beside its label.

    Raises:
        InputError: fewer than two labels, or another number of names or of segments.
    """

    model_type = "c_bert"

    def __init__(
        self, n_labels: int = 2, label_names: Sequence[str] = (), label_table: LabelTable = "segments", **kwargs: Any
    ):
        names = list(label_names)
        if n_labels < 2 or (names and len(names) != n_labels):
            raise InputError(f"n_labels {n_labels} with {len(names)} label_names: expected two or more, and as many")
        if label_table == "segments" and n_labels != 2:
            raise InputError(f"label_table segments: BERT has two segments, and there are {n_labels} labels; take new")
        self.n_labels, self.label_names, self.label_table = n_labels, names, label_table
        # Whoever asks how many segments a text may have is told that there is one.
        shared: dict[str, Any] = kwargs | {"type_vocab_size": 1}
        super().__init__(**shared)


class CBertEmbeddings(BertEmbeddings):
    """Words, positions and labels, normed. A text without a label gets the mean of all labels' rows."""

    def __init__(self, config: CBertConfig):
        super().__init__(config)
        self.token_type_embeddings = nn.Embedding(config.n_labels, config.hidden_size)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"] | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Float[Tensor, "batch tokens hidden"] | None = None,
        past_key_values_length: int = 0,
    ) -> Float[Tensor, "batch tokens hidden"]:
        """Embeddings of a batch; `token_type_ids` are labels, the same at all tokens of a text."""
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = self.position_ids[:, past_key_values_length : past_key_values_length + words.shape[1]]
        table = self.token_type_embeddings
        label = table.weight.mean(dim=0) if token_type_ids is None else table(token_type_ids)
        return self.dropout(self.LayerNorm(words + label + self.position_embeddings(position_ids)))


class CBertModel(BertModel):
    """The encoder: `token_type_ids` are labels."""

    config_class = CBertConfig

    def __init__(self, config: CBertConfig, add_pooling_layer: bool = True):
        super().__init__(config, add_pooling_layer=add_pooling_layer)
        self.embeddings = CBertEmbeddings(config)
        self.post_init()


class CBertForMaskedLM(BertForMaskedLM):
    """Words in place of hidden tokens, given the label."""

    config_class = CBertConfig

    def __init__(self, config: CBertConfig):
        super().__init__(config)
        self.bert = CBertModel(config, add_pooling_layer=False)
        self.post_init()


class CBertForSequenceClassification(BertForSequenceClassification):
    """A classifier on the encoder, which is not told the label."""

    config_class = CBertConfig

    def __init__(self, config: CBertConfig):
        super().__init__(config)
        self.bert = CBertModel(config)
        self.post_init()


def condition(
    model: PreTrainedModel, labels: Sequence[str], table: LabelTable | None, generator: torch.Generator
) -> CBertForMaskedLM:
    """The label-conditional model of a masked language model; one that is conditional stays as it is.

    Args:
        model: BERT's masked language model, or a C-BERT.
        labels: names of the classes.
        table: as `choose_table` takes it.
        generator: draws new rows.

    Raises:
        InputError: as `choose_table`.
    """
    table = choose_table(model.config, labels, table)
    if isinstance(model, CBertForMaskedLM):
        return model
    given = {name: value for name, value in model.config.to_dict().items() if name != "model_type"}
    made = CBertForMaskedLM(CBertConfig(len(labels), labels, table, **given))
    state = model.state_dict()
    rows = state[_ROWS]
    if table == "new":
        rows = _INITIAL_STD * torch.randn(len(labels), rows.shape[1], generator=generator)
    made.load_state_dict(state | {_ROWS: rows})
    return made


def choose_table(config: Any, labels: Sequence[str], table: LabelTable | None) -> LabelTable:
    """The origin of the rows of labels: the one asked for, else segments for two classes and new rows for more.

    Args:
        config: of the masked language model that becomes conditional.
        labels: names of the classes.
        table: asked for, if one is.

    Raises:
        InputError: a model of another architecture, a C-BERT of other labels, or segments that are not as many.
    """
    if config.model_type == CBertConfig.model_type:
        check_labels(config, labels)
        return config.label_table
    if config.model_type != "bert":
        raise InputError(f"the masked language model is of type {config.model_type}; expected bert, which C-BERT is")
    table = table or ("segments" if len(labels) == 2 else "new")
    if table == "segments" and not len(labels) == 2 == config.type_vocab_size:
        raise InputError(
            f"--label-table segments: the model has {config.type_vocab_size} segments, and the task {len(labels)} "
            "labels; expected 2 of both: take --label-table new"
        )
    return table


def check_labels(config: Any, labels: Sequence[str]) -> None:
    """Refuse a C-BERT that was trained on other labels.

    Raises:
        InputError: naming both.
    """
    n_labels, names = config.n_labels, list(config.label_names)
    if n_labels != len(labels):
        raise InputError(f"the C-BERT knows {n_labels} labels, and the task has {len(labels)}; expected as many")
    if names and names != list(labels):
        raise InputError(f"the C-BERT knows the labels {', '.join(names)}, and the task has {', '.join(labels)}")


def forget_labels(model: CBertModel) -> BertModel:
    """BERT that gives the states of texts without a label: its one row of segments is the mean of all labels'."""
    own = ("model_type", "n_labels", "label_names", "label_table")
    config = BertConfig(**{name: value for name, value in model.config.to_dict().items() if name not in own})
    made = BertModel(config, add_pooling_layer=model.pooler is not None)
    state = model.state_dict()
    rows = state["embeddings.token_type_embeddings.weight"]
    made.load_state_dict(state | {"embeddings.token_type_embeddings.weight": rows.mean(dim=0, keepdim=True)})
    return made
