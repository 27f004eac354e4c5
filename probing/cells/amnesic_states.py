"""Erasers of token states, and what an encoder makes of its sentences behind them.

A sentence's tokens weigh by their shares w_t in the pooled vector z = sum_t w_t h_t, sum_t w_t = 1, and each bears the
label y of its sentence. So the covariance of tokens and labels is that of pooled vectors and labels,

    sum_t w_t (h_t - m) (y - E y) = (z - m) (y - E y),    m = E z

and an affine map that takes the former to 0 does the same with the latter, since pooling is linear: after it no linear
probe reads the property off the pooled vectors of that layer. For `max` this does not hold, nor does it for weights
that give each token the same: then long sentences count for more than they do in the pooled vectors. Of all such maps
the one is taken that changes the tokens least, all tokens of a text counting alike (`TokenMoments`).
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.cells.encoding import list_texts, locate_sentences
from probing.contracts.encoder import Change, ChangeableEncoder, HiddenStates, Tokens
from probing.randomness import stream
from probing.records import LayerStack, Task
from probing.registry import POOLINGS
from probing.representations.batches import plan_batches
from probing.representations.pooling import Pooling, choose_positions, share_tokens
from probing.scores.leace import Eraser, Moments, draw_eraser, fit_eraser
from probing.tasks.relabelling import label_by_word

_BATCH_TOKENS = 4096
"""Tokens in a batch, padding counted: the states of all its layers are held while blocks are erased one by one."""

PROPERTY, RANDOM, BY_WORD = "none", "random_subspace", "control_task"
"""Erasures, as in the column `control`: the property itself, as many random directions, labels drawn once per word."""

Erasers = Mapping[str, Mapping[int, Eraser]]
"""By erasure and layer."""


@dataclass(frozen=True)
class Sentences:
    """The sentences of a task as tokens, and the encoder that reads them."""

    encoder: ChangeableEncoder
    tokens: Tokens
    pooling: Pooling

    def pool(self, states: HiddenStates, first: int = 0) -> Float[np.ndarray, "layers batch hidden"]:
        """Pooled vectors of a batch, from one layer on."""
        positions = choose_positions(states, special_tokens=self.pooling.special_tokens)
        pool = POOLINGS.load(self.pooling.name)
        return torch.stack([pool(layer, positions) for layer in states.layers[first:]]).cpu().numpy()

    def plan(self, rows: Int[np.ndarray, " sentences"]) -> Iterator[Int[np.ndarray, " batch"]]:
        """Some of the sentences in batches, from long to short."""
        lengths = self.tokens.lengths[rows]
        order = np.argsort(-lengths, kind="stable")
        for batch in plan_batches(lengths[order], _BATCH_TOKENS):
            yield rows[order[batch]]


def fit_for_task(sentences: Sentences, task: Task, layers: Sequence[int], seed: int) -> Erasers:
    """The erasers of a task's property, and of its controls."""
    rows = locate_task(task)["train"]
    labels = {PROPERTY: task, BY_WORD: label_by_word(task, seed)}
    train = {name: one.splits["train"].labels for name, one in labels.items()}
    return fit_erasers(sentences, rows, train, layers, (seed, task.name))


def locate_task(task: Task) -> Mapping[str, np.ndarray]:
    """The places of a task's sentences among its distinct texts."""
    return locate_sentences(task, {text: row for row, text in enumerate(list_texts(task))})


def fit_erasers(
    sentences: Sentences,
    rows: Int[np.ndarray, " train"],
    labels: Mapping[str, Int[np.ndarray, " train"]],
    layers: Sequence[int],
    random: tuple[int, str],
) -> Erasers:
    """The erasers of each layer, from one pass over training sentences.

    Args:
        sentences: of the task.
        rows: of its training sentences.
        labels: of the property and of the control, by `PROPERTY` and `BY_WORD`.
        layers: where something is to be erased.
        random: seed of the random directions, and the name of the task.
    """
    coded = {name: np.eye(int(values.max()) + 1)[values] for name, values in labels.items()}
    moments = measure_tokens(sentences, rows, np.concatenate(list(coded.values()), axis=1), layers)
    ends = np.cumsum([0, *(values.shape[1] for values in coded.values())])
    columns = {name: slice(*ends[place : place + 2]) for place, name in enumerate(coded)}
    found = {name: {layer: fit_eraser(moments[layer], own) for layer in layers} for name, own in columns.items()}
    found[RANDOM] = {
        layer: draw_eraser(moments[layer], found[PROPERTY][layer].rank, stream(random[0], RANDOM, random[1], layer))
        for layer in layers
    }
    return found


def measure_tokens(
    sentences: Sentences,
    rows: Int[np.ndarray, " train"],
    labels: Float[np.ndarray, "train columns"],
    layers: Sequence[int],
) -> Mapping[int, Moments]:
    """Means and covariances of token states and of their sentences' labels, weighted by the shares of pooling."""
    encoder, pool = sentences.encoder, POOLINGS.load(sentences.pooling.name)
    moments = {layer: TokenMoments(encoder.hidden_size, labels.shape[1]) for layer in layers}
    place = {row: number for number, row in enumerate(rows.tolist())}
    for batch in sentences.plan(rows):
        states = next(iter(encoder.encode_changed(sentences.tokens, batch, ())))
        shares = share_tokens(states, pool, special_tokens=sentences.pooling.special_tokens)
        mask = states.mask.cpu()
        even = (mask / mask.sum(dim=1, keepdim=True))[mask].numpy()
        owners = torch.arange(len(batch))[:, None].expand(mask.shape)[mask].numpy()
        own = labels[[place[row] for row in batch.tolist()]][owners]
        for layer in layers:
            tokens = states.layers[layer].cpu()[mask].float().numpy()
            moments[layer].add_tokens(tokens, own, shares[mask].numpy(), even)
    return moments


class TokenMoments(Moments):
    """Moments of tokens whose change is least over all of them, and whose covariance with labels is that of a pooling.

    Where the shares of the pooling are not those of the mean over all tokens, as with `cls`, the whitening and the mean
    are of all tokens: an eraser that was whitened by the states of [CLS] alone would throw all others about.
    """

    def __init__(self, hidden: int, columns: int):
        super().__init__(hidden, columns)
        self._pooled: Moments | None = None

    def add_tokens(
        self,
        X: Float[np.ndarray, "block hidden"],
        Z: Float[np.ndarray, "block columns"],
        shares: Float[np.ndarray, " block"],
        even: Float[np.ndarray, " block"],
    ) -> None:
        """Add tokens, with their shares in the pooled vectors and in means over all tokens of their texts."""
        if self._pooled is not None or not np.allclose(shares, even, atol=1e-6):
            # Up to here, shares were those of the mean.
            self._pooled = self._pooled or deepcopy(self)
            self._pooled.add(X[shares > 0], Z[shares > 0], shares[shares > 0])
        self.add(X, Z, even)

    @property
    def cross_covariance(self) -> Float[np.ndarray, "hidden columns"]:
        """S_xz of the pooled vectors."""
        return super().cross_covariance if self._pooled is None else self._pooled.cross_covariance

    @property
    def label_variance(self) -> Float[np.ndarray, " columns"]:
        """Variance of each column of the labels."""
        return super().label_variance if self._pooled is None else self._pooled.label_variance


def encode_erased(sentences: Sentences, erasers: Mapping[int, Eraser]) -> tuple[LayerStack, dict[int, LayerStack]]:
    """Pooled vectors of all sentences: as they are, and by the layer that is erased, of that layer and those above."""
    encoder, n = sentences.encoder, len(sentences.tokens.ids)
    n_layers = len(encoder.layer_names)
    changes = [(layer, make_change(eraser)) for layer, eraser in erasers.items()]
    firsts = [0, *erasers]
    values = [np.empty((n_layers - first, n, encoder.hidden_size), dtype=np.float32) for first in firsts]
    for batch in sentences.plan(np.arange(n)):
        passes = encoder.encode_changed(sentences.tokens, batch, changes)
        for stack, first, states in zip(values, firsts, passes, strict=True):
            stack[:, batch] = sentences.pool(states, first)
    plain, *others = (_Above(stack, first, sentences) for stack, first in zip(values, firsts, strict=True))
    return plain, dict(zip(erasers, others, strict=True))


def make_change(eraser: Eraser) -> Change:
    """The eraser as a function of states, computed in float32; of narrower layers the part that is theirs."""
    mean, left, right = (
        torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in (eraser.mean, eraser.left, eraser.right)
    )

    def change(states: Tensor) -> Tensor:
        width, device = states.shape[-1], states.device
        exact = states.float()
        taken = (exact - mean[:width].to(device)) @ right[:, :width].T.to(device) @ left[:width].T.to(device)
        return (exact - taken).to(states.dtype)

    return change


class _Above(LayerStack):
    """A stack that begins at some layer, and whose layers keep their numbers."""

    def __init__(self, values: Float[np.ndarray, "layers sentences hidden"], first: int, sentences: Sentences):
        super().__init__(values, sentences.encoder.layer_names, sentences.pooling.name)
        self._first = first

    def select(self, layers: Sequence[int], rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "chosen rows hidden"]:
        return super().select([layer - self._first for layer in layers], rows)
