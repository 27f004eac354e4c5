"""Triples of a graph as texts of three segments, and false ones beside them that every epoch draws anew."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int

from probing.contracts.encoder import Tokens
from probing.encoders.inputs import ModelInputs, make_tokens
from probing.randomness import stream
from probing.tasks.graphs.corruption import corrupt, find_corruptible
from probing.tasks.graphs.graph import HEAD, RELATION, TAIL, Graph, KnownTriples, Triples
from probing.training.contracts import Data, Examples
from probing.training.data.labelled import Rows, batches_by_length, order_batches

_SEGMENTS = 3


class TripleTokens:
    """Tokens of triples, put together from those of entities and relations, which are split once.

    Args:
        inputs: makes tokens and batches.
        graph: whose texts are split.
        limit: of `inputs`, in tokens.
    """

    def __init__(self, inputs: ModelInputs, graph: Graph, limit: int):
        self.inputs, self._limit = inputs, limit
        entities, relations = inputs.split(graph.entity_texts), inputs.split(graph.relation_texts)
        self._pieces = {HEAD: entities, RELATION: relations, TAIL: entities}
        self._sizes = {column: np.array([len(one) for one in parts]) for column, parts in self._pieces.items()}
        self._marks = inputs.count_marks(_SEGMENTS)

    def make(self, triples: Triples) -> Tokens:
        """The tokens of some triples, cut where they are too long."""
        pieces = [[self._pieces[column][number] for column, number in enumerate(triple)] for triple in triples.tolist()]
        return make_tokens([self.inputs.join(segments) for segments in pieces])

    def measure(self, triples: Triples) -> Int[np.ndarray, " triples"]:
        """Their lengths in tokens, special tokens included, once they are cut."""
        return np.minimum(self._limit, self._add_up(triples))

    def count_cut(self, triples: Triples) -> int:
        """Number of triples that are too long."""
        return int((self._add_up(triples) > self._limit).sum())

    def _add_up(self, triples: Triples) -> Int[np.ndarray, " triples"]:
        parts = [sizes[triples[:, column]] for column, sizes in self._sizes.items()]
        return self._marks + np.sum(parts, axis=0)


@dataclass(frozen=True)
class TripleExamples:
    """Triples with labels, 1 for true and 0 for false. Obeys `probing.training.contracts.LabelledSplit`."""

    tokens: TripleTokens
    triples: Triples
    labels: Int[np.ndarray, " triples"]
    lengths: Int[np.ndarray, " triples"] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "lengths", self.tokens.measure(self.triples))

    def __len__(self) -> int:
        return len(self.triples)

    def list_batches(self, n_tokens: int) -> list[Int[np.ndarray, " batch"]]:
        """The rows of each batch for going once through them: sorted by length, of at most about `n_tokens` tokens."""
        return batches_by_length(self.lengths, n_tokens)

    def collate(self, rows: Int[np.ndarray, " batch"], device: str) -> Examples:
        """Some of the triples, padded together."""
        tokens = self.tokens.make(self.triples[rows])
        inputs = self.tokens.inputs.collate(tokens, np.arange(len(rows)), device)
        return Examples(inputs, torch.from_numpy(self.labels[rows]).to(device))


class TripleData(Data):
    """True triples, each with some false ones, in batches of like lengths; the false ones are new in every epoch.

    Args:
        tokens: makes triples tokens.
        true: what is learned.
        known: what is never drawn as false.
        k: false triples beside each true one.
        size: triples in a batch, true and false.
        seed: of order and draws.
    """

    def __init__(self, tokens: TripleTokens, true: Triples, known: KnownTriples, k: int, size: int, seed: int):
        self.tokens, self.true, self.known = tokens, true, known
        self.k, self.size, self.seed = k, size, seed
        n_false = k * int(find_corruptible(known, true).sum())
        self.n_steps_per_epoch = -(-(len(true) + n_false) // size)
        self._epoch = -1
        self._examples: TripleExamples
        self._order: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.true)

    def batch(self, step: int) -> Rows:
        """The batch that follows `step` others."""
        epoch, number = divmod(step, self.n_steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._examples = epoch, self.draw_epoch(epoch)
            self._order = order_batches(self._examples.lengths, self.size, self.seed, epoch)
        return Rows(self._examples, self._order[number])

    def draw_epoch(self, epoch: int) -> TripleExamples:
        """All that one epoch learns from."""
        false = corrupt(self.known, self.true, self.k, stream(self.seed, "negatives", epoch))
        labels = np.repeat([1, 0], [len(self.true), len(false)])
        return TripleExamples(self.tokens, np.concatenate([self.true, false]), labels)
