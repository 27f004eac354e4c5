"""NAS-BERT's supernet (arXiv 2105.14444, section 3.3): blocks of every operation, which learn a teacher's one by one.

    Y_n ~ leave_n( operations_n( enter_n( Y_{n-1} ) ) )      Y_n: the teacher's states at the n-th border

Each block reads the teacher's states, not those of the block before it, and so learns by itself. Every width has
operations and maps of its own; maps are left out where a width is the teacher's.
"""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from probing.encoders.nas_bert_model import NasBertConfig, NasBertPreTrainedModel, check_heads
from probing.encoders.operations import KINDS, BlockChoice, build_operation, write_blocks
from probing.encoders.sublayers import Mask
from probing.records import InputError

Border = Float[Tensor, "batch tokens border"]
"""States of the teacher's width."""


class NasBertSupernetConfig(NasBertConfig):
    """Sizes of a supernet, and the path that it takes, which is its `blocks`.

    Args:
        widths: of a block, any of them. The paper's: 128 to 512.
        n_places: operations of a block at most. The paper's: 6.
        border_size: width of the teacher's states.

    Raises:
        InputError: a path that is none, or heads that do not divide a width.
    """

    model_type = "nas_bert_supernet"

    def __init__(
        self,
        widths: Sequence[int] = (128, 192, 256, 384, 512),
        n_places: int = 6,
        border_size: int = 768,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.widths, self.n_places, self.border_size = list(widths), n_places, border_size
        check_heads([(width, 0) for width in widths], self.head_size)
        for choice in self.choices:
            self.check_choice(choice)

    def check_choice(self, choice: BlockChoice) -> None:
        """Refuse what no block of the supernet can be.

        Raises:
            InputError: a width that it has not, or more operations than there are places.
        """
        if choice[0] not in self.widths or not 0 < len(choice) - 1 <= self.n_places:
            raise InputError(f"block {choice}: expected a width of {self.widths} and 1 to {self.n_places} operations")

    @property
    def hidden_size(self) -> int:
        """Width of the teacher's states, which every block reads and gives."""
        return self.border_size

    @property
    def num_hidden_layers(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Width of each layer, the teacher's first states included."""
        return (self.border_size,) * (len(self.blocks) + 1)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """`embeddings`, the teacher's, then each block."""
        return ("embeddings", *(f"{number}:block" for number in range(1, len(self.blocks) + 1)))


class SupernetBlock(nn.Module):
    """Every operation of every width at each place of a block."""

    def __init__(self, config: NasBertSupernetConfig):
        super().__init__()
        size, widths = config.border_size, config.widths
        self.enter = nn.ModuleDict({str(width): _build_map(size, width) for width in widths})
        self.places = nn.ModuleDict({str(width): _build_places(config, width) for width in widths})
        self.leave = nn.ModuleDict({str(width): _build_map(width, size) for width in widths})

    def forward(self, states: Border, mask: Mask, choice: BlockChoice) -> Border:
        """The output of one of its paths."""
        inner = self.enter[str(choice[0])](states)
        for place, code in enumerate(choice[1:]):
            inner = self.find(choice[0], place, code)(inner, mask)
        return self.leave[str(choice[0])](inner)

    def find(self, width: int, place: int, code: int) -> nn.Module:
        """Module of an operation at a place."""
        return self.places[str(width)][place][code]  # pyright: ignore


class NasBertSupernet(NasBertPreTrainedModel):
    """The blocks, of which one path is taken at a time. It has no embeddings: the teacher's are what it reads."""

    config_class = NasBertSupernetConfig

    def __init__(self, config: NasBertSupernetConfig):
        super().__init__(config)
        self.blocks = nn.ModuleList(SupernetBlock(config) for _ in config.blocks)
        self.embeddings = nn.Identity()
        self.post_init()

    def take_path(self, path: Sequence[BlockChoice]) -> None:
        """Choose what is computed from now on; what is saved has that path.

        Raises:
            InputError: no path of its blocks.
        """
        if len(path) != len(self.blocks):
            raise InputError(f"path: {len(path)} block(s); expected {len(self.blocks)}")
        for choice in path:
            self.config.check_choice(choice)
        self.config.blocks = write_blocks(path)

    def forward(self, borders: Sequence[Border], mask: Mask = None) -> tuple[Border, ...]:
        """Outputs of all blocks on the path, each from the teacher's states at the border before it."""
        choices = self.config.choices
        pairs = zip(self.blocks, borders[: len(choices)], choices, strict=True)
        return tuple(block(states, mask, choice) for block, states, choice in pairs)

    def follow(self, states: Border, mask: Mask = None) -> Border:
        """The output of the whole path, each block reading what the one before it gives."""
        for block, choice in zip(self.blocks, self.config.choices, strict=True):
            states = block(states, mask, choice)
        return states


def _build_map(width: int, other: int) -> nn.Module:
    return nn.Identity() if width == other else nn.Linear(width, other)


def _build_places(config: NasBertSupernetConfig, width: int) -> nn.ModuleList:
    shape, codes = config.at_width(width), range(len(KINDS))
    return nn.ModuleList(nn.ModuleList(build_operation(shape, code) for code in codes) for _ in range(config.n_places))
