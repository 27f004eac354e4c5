"""Encoding as units of work: some shards each, planned by one process and written by the workers that encode them."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from threading import Event, current_thread

import numpy as np
from jaxtyping import Int

from probing.contracts.encoder import Encoder, Tokens
from probing.digests import text_key
from probing.records import InputError, Text
from probing.representations.extraction import Extraction, Extractor
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import Progress, check_finite, encode_shard, plan_shards, tokenise
from probing.store.cache import StackCache
from probing.store.shards import Shard, open_shard, write_shard
from probing.store.shared_folders import NOWHERE, SharedFolders
from probing.work import Done, Engine, Lost, Unit

_UNIT_S = 20.0
"""Time that a unit should take: long against what an engine spends on one, short against what a lost worker costs."""
_UNITS_EACH = 2
"""Units that each worker gets at least, if there are shards enough: at the end they wait for each other."""
_MEASURED_WITHIN_S = 3 * _UNIT_S
"""Longest wait for the first unit, which says how many shards others take; one that takes longer takes one."""


@dataclass(frozen=True)
class Elsewhere:
    """Workers that encode in the place of this process."""

    engine: Engine
    opener: Callable[[], Encoder]
    """Way to the encoder in their processes, which keep it."""
    gpus: float = 0.0
    """Part of a GPU that each of their encoders takes."""
    seen: SharedFolders = NOWHERE


@dataclass(frozen=True)
class Way:
    """Way in which vectors are made, and the folder that they go to: what all units of an encoder share."""

    opener: Callable[[], Encoder]
    pooling: Pooling
    folder: Path
    form: str
    """Number format of the files."""
    seen: SharedFolders


@dataclass(frozen=True)
class ShardOrder:
    """Sentences of one file of the cache."""

    texts: Sequence[Text]
    tokens: Tokens


@dataclass(frozen=True)
class Written:
    """Files that a unit has written; their vectors stay on disk."""

    shards: Sequence[Shard]
    token_s: float
    """Seconds that a token took, the loading of the encoder not counted."""


def encode_shards(orders: Sequence[ShardOrder], way: Way) -> Written:
    """Encode sentences and write their vectors to the cache.

    Raises:
        InputError: the cache is not seen here, the encoder is another one here, or a vector is not finite.
        OSError: a file cannot be written.
    """
    way.seen.check()
    encoder, start = way.opener(), time.perf_counter()
    shards = [_write_shard(encoder, order, way) for order in orders]
    return Written(shards, (time.perf_counter() - start) / sum(int(order.tokens.lengths.sum()) for order in orders))


def _write_shard(encoder: Encoder, order: ShardOrder, way: Way) -> Shard:
    values = encode_shard(encoder, order.tokens, np.arange(len(order.texts)), way.pooling)
    check_finite(values, order.texts, encoder)
    path = write_shard(way.folder, [text_key(text) for text in order.texts], values, order.tokens.truncated, way.form)
    shard = open_shard(path)
    if shard is None:
        raise FileNotFoundError(f"{path}: gone as soon as it was written")
    return shard


@dataclass(eq=False)
class _Part:
    """Texts that are asked for together: their shards hold no others."""

    texts: Sequence[Text]
    """Texts that were not in the cache."""
    tokens: Tokens | None = None
    """None until they are tokenised, by then with all units that they make."""
    left: dict[str, int] = field(default_factory=dict)
    """Units that are not done: name -> sentences."""
    outcomes: Iterator[Done | Lost] = field(default_factory=lambda: iter(()))
    """Outcomes of its units, and of those of texts that were foreseen with it."""

    @property
    def is_done(self) -> bool:
        """True where all of it is encoded."""
        return not self.texts or (self.tokens is not None and not self.left)


class WorkersExtractor(Extractor):
    """Pooled vectors of more and more texts by workers, equal in bytes to those that this process would make.

    Args:
        encoder: in this process, which tokenises and plans.
        pooling: how one vector is made of a text.
        cache: where vectors are looked for and kept.
        elsewhere: who encodes.
    """

    is_here = False

    def __init__(self, encoder: Encoder, pooling: Pooling, cache: StackCache, elsewhere: Elsewhere):
        super().__init__(encoder, pooling, cache)
        self._engine, self._gpus = elsewhere.engine, elsewhere.gpus
        way = Way(elsewhere.opener, pooling, self._space.folder, self._space.form, elsewhere.seen)
        self._handle = self._engine.share(way)
        self._foreseen: dict[tuple[Text, ...], _Part] = {}
        self._parts: dict[str, _Part] = {}
        """By the names of their units that are not done."""
        self._n_units = 0
        self._token_s = 0.0
        """Seconds that a token takes a worker, as last measured; 0 as long as none was encoded."""
        self._measured, self._asked_by = Event(), current_thread()

    def foresee(self, groups: Iterable[Sequence[Text]]) -> None:
        """Have texts encoded that will be asked for, group by group: the next while the last is waited for."""
        parts: list[_Part] = []
        self._asked_by = current_thread()
        for texts in groups:
            known = self._space.find([text_key(text) for text in texts])
            part = _Part([text for text in texts if text_key(text) not in known])
            self._foreseen[tuple(texts)] = part
            parts.append(part)
        outcomes = self._engine.run(encode_shards, self._list_units(parts))
        for part in parts:
            part.outcomes = outcomes

    def encode(self, texts: Sequence[Text], progress: Progress = lambda done: None) -> Extraction:
        """The vectors of distinct texts, in their order; only texts new to the cache are encoded.

        Raises:
            InputError: one of them is not finite, or they cannot be encoded.
        """
        start = time.perf_counter()
        if tuple(texts) not in self._foreseen:
            self.foresee([texts])
        part = self._foreseen.pop(tuple(texts))
        excess = self._cache.trim(self._space)
        while not part.is_done:
            self._take(next(part.outcomes, None), part, progress)
            excess = self._cache.trim(self._space)
        lengths = np.zeros(0, dtype=np.int64) if part.tokens is None else part.tokens.lengths
        return self._describe(texts, lengths, time.perf_counter() - start, excess)

    def _take(self, outcome: Done | Lost | None, awaited: _Part, progress: Progress) -> None:
        """Take in the files of a unit, which may be of another part than the one that is waited for."""
        if outcome is None:
            raise InputError(f"{len(awaited.texts)} sentences could not be encoded: the engine gave no answer")
        part = self._parts.pop(outcome.unit.name, None)
        if part is None:
            return  # encoded twice, to the same bytes
        count = part.left[outcome.unit.name]
        if isinstance(outcome, Lost):
            times = f" ({outcome.attempts} attempts)" if outcome.attempts > 1 else ""
            raise InputError(
                f"{count} sentences could not be encoded: {outcome.reason}{times}; what is finished is kept, and the "
                "same command goes on there"
            )
        for shard in outcome.result.shards:
            self._space.adopt(shard)
        self._token_s = outcome.result.token_s
        self._measured.set()
        del part.left[outcome.unit.name]
        progress(count)

    def _list_units(self, parts: Iterable[_Part]) -> Iterator[Unit]:
        """The units of each part, in the order in which their sentences are asked for; an engine's thread may ask."""
        for part in (part for part in parts if part.texts):
            tokens = tokenise(self.encoder, part.texts)
            shards = plan_shards(self.encoder, tokens)
            # The first ones, a shard for each worker, say how long it takes.
            n_first = 0 if self._token_s else min(self._engine.workers, len(shards) - 1)
            yield from self._announce(part, tokens, [[shard] for shard in shards[:n_first]])
            rest = shards[n_first:]
            if n_first and current_thread() is not self._asked_by:
                self._measured.wait(_MEASURED_WITHIN_S)  # outcomes are taken in there meanwhile
            size = self._count_together(tokens, len(shards), len(rest))
            groups = [rest[start : start + size] for start in range(0, len(rest), size)]
            yield from self._announce(part, tokens, groups, whole=True)

    def _announce(
        self, part: _Part, tokens: Tokens, groups: Sequence[Sequence[Int[np.ndarray, " _"]]], *, whole: bool = False
    ) -> Iterator[Unit]:
        """Units of a part, all of which are noted before the first is given away; the last ones make it whole."""
        first, self._n_units = self._n_units, self._n_units + len(groups)
        names = [f"encode {self._space.folder.name} {first + number}" for number in range(len(groups))]
        self._parts |= dict.fromkeys(names, part)
        part.left |= {name: sum(map(len, rows)) for name, rows in zip(names, groups, strict=True)}
        if whole:
            part.tokens = tokens
        for number, (name, rows) in enumerate(zip(names, groups, strict=True)):
            # The costliest goes first, and here that is what others wait for.
            orders = _order(part.texts, tokens, rows)
            yield Unit(name, -float(first + number), orders, self._handle, self._gpus)

    def _count_together(self, tokens: Tokens, n_shards: int, n_left: int) -> int:
        """Shards of a unit, by how long the last unit took: as many as fill its time, if all workers have work."""
        if not self._token_s:
            return 1
        shard_s = self._token_s * int(tokens.lengths.sum()) / n_shards
        return max(1, min(round(_UNIT_S / shard_s), ceil(n_left / (_UNITS_EACH * self._engine.workers))))


def _order(texts: Sequence[Text], tokens: Tokens, shards: Sequence[Int[np.ndarray, " _"]]) -> list[ShardOrder]:
    """The sentences of some files, with their tokens."""
    return [ShardOrder([texts[row] for row in rows], _pick(tokens, rows)) for rows in shards]


def _pick(tokens: Tokens, rows: Int[np.ndarray, " rows"]) -> Tokens:
    """The tokens of some texts."""
    ids, types, special = (tuple(column[row] for row in rows) for column in (tokens.ids, tokens.types, tokens.special))
    return Tokens(ids, types, special, tokens.truncated[rows])
