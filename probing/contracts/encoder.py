"""Contract of an encoder: token batches, hidden states, and the protocol that every encoder obeys."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import Module

from probing.records import Text

Batching = Literal["padded", "equal lengths", "single"]
"""Texts that a model may compute together: any, filled up with padding; those of one length; none."""

Change = Callable[[Float[Tensor, "batch tokens width"]], Float[Tensor, "batch tokens width"]]
"""Function of the states of all tokens, in the number format of the encoder and as wide as the layer computes them."""

Wait = Callable[[], Float[np.ndarray, "layers batch hidden"]]
"""Waits for pooled vectors that were begun, and gives them."""


@dataclass(frozen=True)
class Tokens:
    """Tokenised texts, unpadded and so of several lengths, in the order given."""

    ids: tuple[Int[np.ndarray, " _tokens"], ...]
    types: tuple[Int[np.ndarray, " _tokens"], ...]
    """Segment of each token: 0, or 1 for the second of a pair; of more segments, 0 and 1 in turn."""
    special: tuple[Bool[np.ndarray, " _tokens"], ...]
    """True where the token is [CLS], [SEP] or their like."""
    truncated: Bool[np.ndarray, " sentences"]
    """True where the text was longer than the encoder's limit and lost its end."""

    @property
    def lengths(self) -> Int[np.ndarray, " sentences"]:
        """Number of tokens of each text, special tokens included."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


@dataclass(frozen=True)
class HiddenStates:
    """The output of every layer for one batch."""

    layers: tuple[Float[Tensor, "batch tokens hidden"], ...]
    mask: Bool[Tensor, "batch tokens"]
    """False at padding."""
    special: Bool[Tensor, "batch tokens"]
    """True at special tokens; False at padding."""


@runtime_checkable
class EncoderFacts(Protocol):
    """The facts of an encoder, which most measures need without the encoder itself."""

    checkpoint: str
    """Name of what was built, for the tables."""
    revision: str
    """Version of it; empty where there is but one."""
    digest: str
    """SHA-256 over architecture, weights and tokenizer: the identity of what is probed, and the key of the cache."""
    layer_names: tuple[str, ...]
    """By depth, all different. The layer that reads no context is named `embeddings`: it is the baseline of controls,
    and mixed on request only. Blocks are numbered from 1 on; anything between them has a name of its own."""
    hidden_sizes: tuple[int, ...]
    """Width of each layer. States of narrower layers are filled up with zeros: dead dimensions, which are harmless to
    standardise and to mix."""
    hidden_size: int
    """Width of a state: the largest of `hidden_sizes`."""
    max_length: int
    """Longest input in tokens, special tokens included."""
    dtype: str
    """`float32` or `bfloat16`."""
    device: str
    """`cpu`, `cuda`, `cuda:1`, ..."""
    backend: str
    """Engine that computes the pooled vectors: `torch` by way of hidden states; `fused` pools in kernels of its own,
    and then there is a method `pool`, as in `PoolingEncoder`; `unpadded` pools sentences in a row, with a method
    `start_pool`, as in `OverlappingEncoder`."""
    mixes_layers: bool
    """True where the model itself reads the mix of its layers: `--mix auto` probes the mix then."""


@dataclass
class EncoderRecord:
    """The facts of an encoder as a record that can be sent elsewhere; see `EncoderFacts`."""

    checkpoint: str
    revision: str
    digest: str
    layer_names: tuple[str, ...]
    hidden_sizes: tuple[int, ...]
    hidden_size: int
    max_length: int
    dtype: str
    device: str
    backend: str
    mixes_layers: bool


def record_facts(encoder: EncoderFacts) -> EncoderRecord:
    """The facts of an encoder."""
    return EncoderRecord(**{column.name: getattr(encoder, column.name) for column in fields(EncoderRecord)})


@runtime_checkable
class Encoder(EncoderFacts, Protocol):
    """Text to hidden states of every layer.

    Frozen and in eval mode: deterministic, and a sentence's states depend on that sentence alone, not on its batch
    mates, on padding, on order or on labels. States are finite, at padding too.
    """

    def tokenize(self, texts: Sequence[Text]) -> Tokens:
        """Tokens of each text, one at least, cut to `max_length`.

        A text is one segment, or two for a pair. Where there are no special tokens, none is marked as one.
        """
        ...

    def encode(self, tokens: Tokens, rows: Int[np.ndarray, " batch"]) -> HiddenStates:
        """Hidden states of some of the tokenised texts, in the order of `rows`."""
        ...


@runtime_checkable
class PoolingEncoder(Encoder, Protocol):
    """An encoder that pools every layer while it computes it, so that hidden states never stand anywhere."""

    def pool(
        self,
        tokens: Tokens,
        rows: Int[np.ndarray, " batch"],
        shares: Float[np.ndarray, " tokens"],
        largest: bool,
    ) -> Float[np.ndarray, "layers batch hidden"]:
        """Pooled vectors of some of the tokenised texts, in the order of `rows`.

        Args:
            tokens: of all texts.
            rows: which of them.
            shares: how much each of their tokens counts, one text after the other.
            largest: whether to take each dimension's largest value over the tokens with a share, in place of their sum.
        """
        ...


@runtime_checkable
class OverlappingEncoder(Encoder, Protocol):
    """An encoder that computes the next batch while the pooled vectors of the last one are on their way."""

    def start_pool(
        self,
        tokens: Tokens,
        rows: Int[np.ndarray, " batch"],
        shares: Float[np.ndarray, " tokens"],
        largest: bool,
    ) -> Wait:
        """Begin what `PoolingEncoder.pool` does; what is given waits for its end, and gives the vectors."""
        ...


@runtime_checkable
class BatchingEncoder(Encoder, Protocol):
    """An encoder that can be told which texts its model computes together, and says what it pads them to.

    Whatever rows `encode` is given, it computes them in groups of that kind: its states obey the contract even where
    those of its model depend on padding or on batch mates.
    """

    batching: Batching
    """Set by the check of the encoder."""
    pads_to: int
    """The model fills up every text to a multiple of this many tokens, which take time and memory; 1 for none."""


@runtime_checkable
class DifferentiableEncoder(Encoder, Protocol):
    """An encoder whose gradients can be measured."""

    model: Module
    """In eval mode, no parameter requiring a gradient."""

    def compute_states(
        self, tokens: Tokens, rows: Int[np.ndarray, " batch"], tensors: Mapping[str, Tensor]
    ) -> HiddenStates:
        """Compute as `encode` does, with other tensors for some parameters and buffers, and with their gradient.

        Args:
            tokens: of all texts.
            rows: which of them.
            tensors: by their names in `model`; those that require a gradient get one. The model itself stays frozen.
        """
        ...


@runtime_checkable
class ChangeableEncoder(Encoder, Protocol):
    """An encoder in which the output of a block can be changed, so that the blocks above read something else."""

    def find_change_obstacle(self) -> str:
        """Find, by trying, what hinders that; empty where nothing does."""
        ...

    def encode_changed(
        self, tokens: Tokens, rows: Int[np.ndarray, " batch"], changes: Sequence[tuple[int, Change]]
    ) -> Iterator[HiddenStates]:
        """Encode as `encode` does, then once more for each change, and give the states of each pass.

        Args:
            tokens: of all texts.
            rows: which of them.
            changes: the layer whose states are changed, 0 being the embeddings, and how; the layers below it stay as
                they are, and those above follow from it. Of the last layer it is the state itself that is changed.
        """
        ...


class EncoderModule(Protocol):
    """A module, or any object, that makes encoders of one kind."""

    def build(
        self,
        checkpoint: str,
        /,
        *,
        max_length: int = 0,
        dtype: str = "auto",
        device: str = "auto",
        backend: str = "auto",
    ) -> Encoder:
        """The frozen encoder over a checkpoint.

        Args:
            checkpoint: where the weights are, in whatever way this encoder names them.
            max_length: limit in tokens; 0 takes the encoder's own.
            dtype: `float32`, `bfloat16`, or `auto`.
            device: `cpu`, `cuda`, `cuda:1`, ..., or `auto`.
            backend: `torch`, `fused`, `unpadded`, or `auto`.

        Raises:
            InputError: there is no such checkpoint, or it cannot be had with such an option.
        """
        ...

    def tiny(self, folder: Path, /) -> str:
        """Write a checkpoint that is built in no time into an empty folder, for the conformance tests.

        Returns:
            Its name, as `build` takes it.
        """
        ...
