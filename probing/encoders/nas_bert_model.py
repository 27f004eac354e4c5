"""NAS-BERT (Xu et al. 2021, arXiv 2105.14444): blocks of operations, each block of a width of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from probing.encoders.lv_bert_model import LvBertEmbeddings, embed_tokens, run_places
from probing.encoders.operations import INNER, BlockChoice, SeparableBlock, build_operation, name_operation, read_blocks
from probing.encoders.sublayers import Mask, States, draw_weights
from probing.records import InputError

RELEASED = (
    ("convolution_3-192", "convolution_7-192", "attention-192"),
    ("convolution_7-192", "convolution_7-192", "attention-192"),
    ("convolution_3-192", "attention-192", "convolution_7-192"),
    ("convolution_5-192", "attention-192", "convolution_3-192"),
)
"""Blocks of the released model of some 5 M parameters (dotnet/machinelearning, NasBert), the only list made public."""


@dataclass(frozen=True)
class Shape:
    """Sizes that operations of one width are built with, under BERT's names."""

    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    layer_norm_eps: float


class NasBertConfig(PretrainedConfig):
    """Blocks of operations, and the sizes around them. Defaults are the released small model's where it says them.

    Args:
        vocab_size: rows of the table of words.
        embedding_size: width of the tables, which a map brings to the first block's where that differs.
        blocks: operations of each block, such as `["convolution_3-192", "attention-192", "identity"]`; one width a
            block, and identities, which compute nothing, at its tail alone.
        maps_always: whether a map stands between two blocks of one width too. A supernet's path has it there, by way
            of the teacher's width; ours: no.
        head_size: width of a head of attention, by which all widths with attention can be divided. The paper's: 64.
        hidden_dropout_prob: after embeddings and operations.
        attention_probs_dropout_prob: of attention's weights.
        classifier_dropout: before the classifier; None takes `hidden_dropout_prob`.
        max_position_embeddings: longest input in tokens.
        type_vocab_size: segments.
        initializer_range: deviation that weights are drawn with.
        layer_norm_eps: added to the variance in norms.
        pad_token_id: of padding.

    Raises:
        InputError: blocks that are none, or heads that do not divide a width.
    """

    model_type = "nas_bert"

    def __init__(
        self,
        vocab_size: int = 30522,
        embedding_size: int = 64,
        blocks: Sequence[Sequence[str]] = RELEASED,
        maps_always: bool = False,
        head_size: int = 64,
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
        self.vocab_size, self.embedding_size = vocab_size, embedding_size
        self.blocks, self.maps_always, self.head_size = [list(block) for block in blocks], maps_always, head_size
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.classifier_dropout = classifier_dropout
        self.max_position_embeddings, self.type_vocab_size = max_position_embeddings, type_vocab_size
        self.initializer_range, self.layer_norm_eps = initializer_range, layer_norm_eps
        check_heads(self.choices, head_size)
        shared: dict[str, Any] = {"tie_word_embeddings": True} | kwargs | {"pad_token_id": pad_token_id}
        super().__init__(**shared)

    @property
    def choices(self) -> tuple[BlockChoice, ...]:
        """The width of each block, and the codes of its operations."""
        return read_blocks(self.blocks)

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Width of each layer: of the embeddings, which is the first block's, and of each operation's output."""
        choices = self.choices
        return (choices[0][0], *(choice[0] for choice in choices for _ in choice[1:]))

    @property
    def hidden_size(self) -> int:
        """Width of the widest block; all states are filled up to it with zeros."""
        return max(self.layer_sizes)

    @property
    def output_size(self) -> int:
        """Width of the last block, which heads read."""
        return self.layer_sizes[-1]

    @property
    def num_hidden_layers(self) -> int:
        """Number of operations, identities not counted."""
        return len(self.layer_sizes) - 1

    @property
    def layer_names(self) -> tuple[str, ...]:
        """`embeddings`, then number, kind and width of each operation: `1:attention-192`, ..."""
        names = [name_operation(choice[0], code) for choice in self.choices for code in choice[1:]]
        return ("embeddings", *(f"{number}:{name}" for number, name in enumerate(names, 1)))

    def at_width(self, width: int) -> Shape:
        """Sizes of operations of a width."""
        drops = (self.hidden_dropout_prob, self.attention_probs_dropout_prob)
        return Shape(width, max(1, width // self.head_size), INNER * width, *drops, self.layer_norm_eps)


def check_heads(choices: Sequence[BlockChoice], head_size: int) -> None:
    """Refuse attention at a width that has no whole number of heads.

    Raises:
        InputError: naming it.
    """
    for width in sorted({choice[0] for choice in choices if 0 in choice[1:]}):
        if width % max(1, width // head_size):
            raise InputError(f"width {width}: expected a multiple of head_size, {head_size}, where there is attention")


class NasBertPreTrainedModel(PreTrainedModel):
    """Base of NAS-BERT's models: configuration, starting weights, names."""

    config_class = NasBertConfig
    base_model_prefix = "nas_bert"
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        draw_weights(module, self.config.initializer_range)
        if isinstance(module, SeparableBlock):
            _draw_separable(module)


@torch.no_grad()
def _draw_separable(block: SeparableBlock) -> None:
    """Start both maps with the released code's deviation, sqrt(4 (1 - dropout) / (k H)), and no biases."""
    n_taps, width = block.depthwise.kernel_size[0], block.pointwise.in_features
    std = (4 * (1 - block.dropout.p) / (n_taps * width)) ** 0.5
    for part in (block.depthwise, block.pointwise):
        nn.init.normal_(part.weight, std=std)
        nn.init.zeros_(part.bias)  # pyright: ignore


class MappedOperation(nn.Module):
    """The first operation of a block, behind the map from the block before it."""

    def __init__(self, previous: int, width: int, operation: nn.Module):
        super().__init__()
        self.map = nn.Linear(previous, width)
        self.operation = operation

    def forward(self, states: Float[Tensor, "batch tokens previous"], mask: Mask) -> States:
        """The operation's output from the other block's states."""
        return self.operation(self.map(states), mask)


class NasBertModel(NasBertPreTrainedModel):
    """The bare encoder, whose states are all filled up with zeros to the width of the widest block."""

    def __init__(self, config: NasBertConfig):
        super().__init__(config)
        self.embeddings = LvBertEmbeddings(config)
        choices = config.choices
        if config.embedding_size != choices[0][0]:
            self.embeddings_project = nn.Linear(config.embedding_size, choices[0][0])
        self.operations = nn.ModuleList(_build_operations(config, choices))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The table of words."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the table of words."""
        self.embeddings.word_embeddings = value  # pyright: ignore

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Int[Tensor, "batch tokens"] | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        inputs_embeds: Tensor | None = None,
        **inputs: Any,
    ) -> BaseModelOutput:
        """Hidden states of the last operation and, with `output_hidden_states`, of the embeddings and of each.

        Without a mask there is no padding.
        """
        states = embed_tokens(self, input_ids, token_type_ids, inputs_embeds)
        layers = run_places(self.operations, states, attention_mask)
        filled = [self._fill_up(layer) for layer in (layers if inputs.get("output_hidden_states") else layers[-1:])]
        return BaseModelOutput(
            last_hidden_state=filled[-1],  # pyright: ignore
            hidden_states=tuple(filled) if inputs.get("output_hidden_states") else None,
        )

    def _fill_up(self, states: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens hidden"]:
        return F.pad(states, (0, self.config.hidden_size - states.shape[-1]))


def _build_operations(config: NasBertConfig, choices: Sequence[BlockChoice]) -> list[nn.Module]:
    built: list[nn.Module] = []
    previous = choices[0][0]
    for number, (width, *codes) in enumerate(choices):
        own = [build_operation(config.at_width(width), code) for code in codes]
        if number and (config.maps_always or width != previous):
            own[0] = MappedOperation(previous, width, own[0])
        built += own
        previous = width
    return built
