"""Triples scored by counts of train alone: how often a relation has this head, and how often this tail."""

import numpy as np
from jaxtyping import Float

from probing.tasks.graphs.graph import HEAD, RELATION, TAIL, Graph, Triples

_UNSEEN = 0.1
"""Added to each count: what never stood there is not impossible."""


class FrequencyScore:
    """score(h, r, t) = log n(h, r) + log n(r, t) - log n(r), head and tail being independent given the relation.

    Among the tails of one query this is the order of n(r, t), among relations naive Bayes.
    """

    def __init__(self, graph: Graph):
        train, shape = graph.true["train"], (len(graph.entities), len(graph.relations))
        self._heads, self._tails = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
        np.add.at(self._heads, (train[:, HEAD], train[:, RELATION]), 1)
        np.add.at(self._tails, (train[:, TAIL], train[:, RELATION]), 1)
        self._relations = np.bincount(train[:, RELATION], minlength=shape[1])

    def __call__(self, triples: Triples) -> Float[np.ndarray, " triples"]:
        """The score of each triple."""
        heads, relations, tails = triples.T
        counts = (self._heads[heads, relations], self._tails[tails, relations], self._relations[relations])
        first, second, whole = (np.log(count + _UNSEEN) for count in counts)
        return first + second - whole
