"""NAS-BERT's operations (Xu et al. 2021, arXiv 2105.14444, section 3.2), and architectures that are made of them.

An architecture of a block is a width and the codes of its operations, `(192, 0, 2, 1)`; that of a model, one for each
block. In a configuration an operation stands as `attention-192`. Identity stands at a block's tail alone and computes
nothing: it is left out.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from probing.encoders.sublayers import FeedForward, Mask, SelfAttention, States
from probing.records import InputError

KINDS = ("attention", "feed_forward", "convolution_3", "convolution_5", "convolution_7")
"""By code. A number is that of the taps."""
IDENTITY = "identity"
TAPS = (0, 0, 3, 5, 7)
"""Of each kind."""
INNER = 4
"""Inner width of feed-forward, as a multiple of the block's."""

BlockChoice = tuple[int, ...]
"""Width of a block, then the codes of its operations, one at least."""


class SeparableBlock(nn.Module):
    """Depthwise convolution and a map over it: y = LN(x + dropout(GELU(W depthwise(x) + b))), padding being 0.

    As in the released model (dotnet/machinelearning, NasBert/Modules), where each of an operation's two has a residual
    and a norm of its own.
    """

    def __init__(self, config: Any, n_taps: int):
        super().__init__()
        width = config.hidden_size
        self.depthwise = nn.Conv1d(width, width, n_taps, padding=n_taps // 2, groups=width)
        self.pointwise = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, states: States, mask: Mask) -> States:
        """Normed sum of the input and of what is read from each token's neighbours."""
        shown = states if mask is None else states * mask[..., None].to(states.dtype)
        read: Float[Tensor, "batch tokens hidden"] = self.depthwise(shown.transpose(1, 2)).transpose(1, 2)
        return self.norm(states + self.dropout(F.gelu(self.pointwise(read))))


class SeparableConvolution(nn.Module):
    """Two separable blocks, one after the other."""

    def __init__(self, config: Any, n_taps: int):
        super().__init__()
        self.blocks = nn.ModuleList(SeparableBlock(config, n_taps) for _ in range(2))

    def forward(self, states: States, mask: Mask) -> States:
        """The states behind both."""
        for block in self.blocks:
            states = block(states, mask)
        return states


def build_operation(config: Any, code: int) -> nn.Module:
    """Module of an operation: states and mask -> states.

    Args:
        config: sizes and dropout at the operation's width, as `NasBertConfig.at_width` gives them.
        code: of its kind.
    """
    if TAPS[code]:
        return SeparableConvolution(config, TAPS[code])
    return (SelfAttention, FeedForward)[code](config)


def count_operation(width: int, code: int) -> int:
    """Parameters of an operation, biases and norms included.

    Attention 4 H^2 + 6 H, feed-forward 8 H^2 + 7 H, separable convolution 2 (H^2 + k H + 4 H).
    """
    if TAPS[code]:
        return 2 * (width**2 + TAPS[code] * width + 4 * width)
    return 4 * width**2 + 6 * width if KINDS[code] == "attention" else 2 * INNER * width**2 + (INNER + 3) * width


def count_map(width: int, other: int) -> int:
    """Parameters of the linear map from one block's width to the next one's; none where they are equal."""
    return 0 if width == other else other * (width + 1)


def count_body(choices: Sequence[BlockChoice]) -> int:
    """Parameters of all operations and of the maps between blocks; embeddings and the map behind them not counted."""
    own = sum(count_operation(choice[0], code) for choice in choices for code in choice[1:])
    return own + sum(count_map(one[0], other[0]) for one, other in pairwise(choices))


def name_operation(width: int, code: int) -> str:
    """An operation as a configuration has it."""
    return f"{KINDS[code]}-{width}"


def write_blocks(choices: Iterable[BlockChoice]) -> list[list[str]]:
    """An architecture as a configuration has it."""
    return [[name_operation(choice[0], code) for code in choice[1:]] for choice in choices]


def read_blocks(blocks: Sequence[Sequence[str]]) -> tuple[BlockChoice, ...]:
    """An architecture from what a configuration has of it; identities are left out.

    Raises:
        InputError: an operation that is none, widths that differ in a block, or an identity before another operation.
    """
    if not blocks:
        raise InputError("blocks: none; expected one or more, each a list of operations such as attention-192")
    return tuple(_read_block(number, block) for number, block in enumerate(blocks, 1))


def _read_block(number: int, block: Sequence[str]) -> BlockChoice:
    names = [str(name) for name in block]
    while names and names[-1].partition("-")[0] == IDENTITY:
        names.pop()
    found = [name.rpartition("-") for name in names]
    unknown = [name for name, (kind, _, width) in zip(names, found, strict=True) if not _is_known(kind, width)]
    if unknown or not names:
        expected = f"expected one of {', '.join(KINDS)} with a width, such as attention-192, and {IDENTITY} at its end"
        raise InputError(f"blocks: block {number} has {unknown[0] if unknown else 'no operation'}; {expected}")
    widths = {int(width) for _, _, width in found}
    if len(widths) > 1:
        raise InputError(f"blocks: block {number} has the widths {sorted(widths)}; expected one")
    return (widths.pop(), *(KINDS.index(kind) for kind, _, _ in found))


def _is_known(kind: str, width: str) -> bool:
    return kind in KINDS and width.isdecimal() and int(width) > 0
