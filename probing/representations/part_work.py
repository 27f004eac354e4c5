"""Encoding as a part of a run, beside other parts of it that know of each other by their numbers alone."""

import time
from collections.abc import Sequence

import numpy as np

from probing.contracts.encoder import Encoder
from probing.digests import text_key
from probing.records import Text
from probing.representations.extraction import Extraction, Extractor
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import Progress, check_finite, encode_shard, plan_shards, tokenise
from probing.store.cache import StackCache


class PartExtractor(Extractor):
    """Encodes the share of one part: of the files that one process would make, every `count`-th from `number` on.

    Files are cut as for an empty cache: parts that work at the same time must not depend on how far others are.

    Args:
        encoder: that reads the texts.
        pooling: how one vector is made of a text.
        cache: where vectors are looked for and kept.
        number: of the part, from 1 on.
        count: of parts.
    """

    def __init__(self, encoder: Encoder, pooling: Pooling, cache: StackCache, number: int, count: int):
        super().__init__(encoder, pooling, cache)
        self._number, self._count, self._n_cut = number, count, 0

    def encode(self, texts: Sequence[Text], progress: Progress = lambda done: None) -> Extraction:
        """The vectors of this part's texts, in an order of their own.

        Raises:
            InputError: one of them is not finite.
        """
        keys = [text_key(text) for text in texts]
        known = self._space.find(keys)
        start = time.perf_counter()
        tokens = tokenise(self.encoder, texts)
        cut = plan_shards(self.encoder, tokens)
        # Counted on from call to call, or small tasks would all go to the first part.
        own = [rows for place, rows in enumerate(cut, self._n_cut) if place % self._count == self._number - 1]
        self._n_cut += len(cut)
        lengths = [np.empty(0, dtype=tokens.lengths.dtype)]
        for rows in own:
            missing = np.array([row for row in rows if keys[row] not in known], dtype=rows.dtype)
            if len(missing):
                values = encode_shard(self.encoder, tokens, missing, self.pooling, progress)
                check_finite(values, [texts[row] for row in missing], self.encoder)
                self._space.add([keys[row] for row in missing], values, tokens.truncated[missing])
            lengths.append(tokens.lengths[missing])
        seconds = time.perf_counter() - start
        stack = self.stack([texts[row] for rows in own for row in rows])
        faults = self._space.take_faults()
        return Extraction(stack, np.concatenate(lengths), seconds, int(stack.truncated.sum()), *faults)
