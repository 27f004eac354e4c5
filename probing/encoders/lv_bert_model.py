"""LV-BERT (Yu et al. 2021, arXiv 2106.11740): sub-layers of three kinds in any order, and supernets of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from probing.encoders.layer_patterns import AUTHORS, build_pattern, check_pattern, name_places
from probing.encoders.sublayers import Choice, build_place, draw_weights
from probing.records import InputError

SIZES = {
    "small": {"hidden_size": 256, "embedding_size": 128, "num_attention_heads": 4, "intermediate_size": 1024},
    "medium": {"hidden_size": 384, "embedding_size": 128, "num_attention_heads": 6, "intermediate_size": 1536},
    "base": {"hidden_size": 768, "embedding_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
}
"""The authors' sizes; the repository gives one pattern, `layer_patterns.AUTHORS`, and none for medium and base."""


class LvBertConfig(PretrainedConfig):
    """Sizes, and the kind of each sub-layer. Defaults are those of the authors' small model where nothing else is said.

    Args:
        vocab_size: rows of the table of words.
        embedding_size: width of the tables, which a map brings to `hidden_size` where that differs.
        hidden_size: width of the states.
        num_attention_heads: heads of attention and of convolution, by which `hidden_size` can be divided.
        intermediate_size: inner width of a feed-forward sub-layer.
        conv_kernel_size: taps of a convolution, an odd number.
        layer_pattern: the code of each sub-layer: 0 convolution, 1 self-attention, 2 feed-forward. None: what the
            authors' search found, or the interleaved one where `num_hidden_layers` is given and is not 24.
        supernet: whether every place has a sub-layer of each kind; the pattern is then the path that is taken.
        convolution_sees_padding: whether values at padding enter the convolution, as in the authors' code, where a
            sentence's states move with the length of its batch mates. Ours: no.
        hidden_dropout_prob: after embeddings and sub-layers.
        attention_probs_dropout_prob: of attention's weights.
        classifier_dropout: before the classifier; None takes `hidden_dropout_prob`.
        max_position_embeddings: longest input in tokens.
        type_vocab_size: segments.
        initializer_range: deviation that weights are drawn with.
        layer_norm_eps: added to the variance in norms.
        pad_token_id: of padding.

    Raises:
        InputError: sizes that do not divide, or a pattern that is none.
    """

    model_type = "lv_bert"
    supernet: bool = False

    def __init__(
        self,
        vocab_size: int = 30522,
        embedding_size: int = 128,
        hidden_size: int = 256,
        num_attention_heads: int = 4,
        intermediate_size: int = 1024,
        conv_kernel_size: int = 9,
        layer_pattern: Sequence[int] | None = None,
        supernet: bool = False,
        convolution_sees_padding: bool = False,
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        classifier_dropout: float | None = None,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-12,
        pad_token_id: int = 0,
        **kwargs: Any,
    ):
        n_places = int(kwargs.pop("num_hidden_layers", 0))
        self.layer_pattern = list(AUTHORS if layer_pattern is None else check_pattern(layer_pattern, n_places))
        self.num_hidden_layers = n_places or len(self.layer_pattern)
        self.vocab_size, self.type_vocab_size = vocab_size, type_vocab_size
        self.embedding_size, self.hidden_size = embedding_size, hidden_size
        self.num_attention_heads, self.intermediate_size = num_attention_heads, intermediate_size
        self.conv_kernel_size, self.convolution_sees_padding = conv_kernel_size, convolution_sees_padding
        self.supernet = supernet
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.classifier_dropout = classifier_dropout
        self.max_position_embeddings = max_position_embeddings
        self.initializer_range, self.layer_norm_eps = initializer_range, layer_norm_eps
        self.check_sizes()
        shared: dict[str, Any] = {"tie_word_embeddings": True} | kwargs | {"pad_token_id": pad_token_id}
        super().__init__(**shared)

    @property
    def num_hidden_layers(self) -> int:
        """Number of sub-layers."""
        return len(self.layer_pattern)

    @num_hidden_layers.setter
    def num_hidden_layers(self, value: int) -> None:
        if value != len(self.layer_pattern):
            self.layer_pattern = list(build_pattern("interleaved", value))

    def check_sizes(self) -> None:
        """Refuse sizes that do not go together.

        Raises:
            InputError: naming them.
        """
        size, heads = self.hidden_size, self.num_attention_heads
        if size % heads:
            raise InputError(f"hidden_size {size}: expected a multiple of num_attention_heads, {heads}")
        if self.conv_kernel_size < 1 or self.conv_kernel_size % 2 == 0:
            raise InputError(f"conv_kernel_size {self.conv_kernel_size}: expected an odd number of taps")

    @property
    def layer_names(self) -> tuple[str, ...]:
        """`embeddings`, then number and kind of each sub-layer: `1:conv`, `2:att`, ...; in a supernet, `1:any`, ..."""
        if self.supernet:
            return ("embeddings", *(f"{place}:any" for place in range(1, len(self.layer_pattern) + 1)))
        return ("embeddings", *name_places(self.layer_pattern))


class LvBertPreTrainedModel(PreTrainedModel):
    """Base of LV-BERT's models: configuration, starting weights, names."""

    config_class = LvBertConfig
    base_model_prefix = "lv_bert"
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        draw_weights(module, self.config.initializer_range)


class LvBertEmbeddings(nn.Module):
    """Words, positions and segments, normed; NAS-BERT has them too."""

    def __init__(self, config: Any):
        super().__init__()
        width = config.embedding_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, types: Tensor | None) -> Tensor:
        """Embeddings of each token, from those of its word."""
        # Without segments all are of the first one.
        segments = self.token_type_embeddings.weight[0] if types is None else self.token_type_embeddings(types)
        return self.dropout(self.LayerNorm(words + self.position_embeddings.weight[: words.shape[1]] + segments))


class LvBertModel(LvBertPreTrainedModel):
    """The bare encoder."""

    def __init__(self, config: LvBertConfig):
        super().__init__(config)
        config.check_sizes()
        self.embeddings = LvBertEmbeddings(config)
        if config.embedding_size != config.hidden_size:
            self.embeddings_project = nn.Linear(config.embedding_size, config.hidden_size)
        self.sublayers = nn.ModuleList(build_place(config, code) for code in config.layer_pattern)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The table of words."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the table of words."""
        self.embeddings.word_embeddings = value  # pyright: ignore

    def take_path(self, pattern: Sequence[int]) -> None:
        """Choose what a supernet computes from now on; what is saved has that pattern.

        Raises:
            InputError: no pattern of its length.
        """
        self.config.layer_pattern = list(check_pattern(pattern, len(self.sublayers)))
        for place, code in zip(self.sublayers, pattern, strict=True):
            if not isinstance(place, Choice):
                raise TypeError("take_path: of a supernet only")
            place.code = code

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Int[Tensor, "batch tokens"] | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        inputs_embeds: Tensor | None = None,
        **inputs: Any,
    ) -> BaseModelOutput:
        """Hidden states of the last sub-layer and, with `output_hidden_states`, of the embeddings and of each.

        Without a mask there is no padding.
        """
        states = embed_tokens(self, input_ids, token_type_ids, inputs_embeds)
        layers = run_places(self.sublayers, states, attention_mask)
        return BaseModelOutput(
            last_hidden_state=layers[-1],  # pyright: ignore
            hidden_states=tuple(layers) if inputs.get("output_hidden_states") else None,
        )


def embed_tokens(model: Any, ids: Tensor | None, types: Tensor | None, words: Tensor | None) -> Tensor:
    """The states that a stack begins with, brought to its width; of given embeddings of words, if there are any."""
    words = model.embeddings.word_embeddings(ids) if words is None else words
    states = model.embeddings(words, types)
    return model.embeddings_project(states) if hasattr(model, "embeddings_project") else states


def run_places(places: Iterable[nn.Module], states: Tensor, attention_mask: Tensor | None) -> list[Tensor]:
    """The states before the first of a stack's places and behind each; without a mask there is no padding."""
    mask, layers = None if attention_mask is None else attention_mask.bool(), [states]
    for place in places:
        layers.append(place(layers[-1], mask))
    return layers
