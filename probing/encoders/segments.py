"""Texts of more than two segments, put together from a tokenizer's pieces in the way in which it makes a pair.

A tokenizer knows single texts and pairs. Its pair shows which marks stand before, between and behind segments and of
which type each token is; a longer text repeats that, its segments being of the pair's two types in turn. KG-BERT's
triple (arXiv 1909.03193, section 3) is so made: [CLS] head [SEP] relation [SEP] tail [SEP], types 0, 1 and 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from probing.encoders.slow_tokenizers import SlowEncoding
from probing.records import InputError

Pieces = Int[np.ndarray, " _pieces"]
"""The tokens of one segment, without marks."""


@dataclass(frozen=True)
class Marks:
    """Some marks in a row, such as [SEP], and their types."""

    ids: list[int]
    types: list[int]


@dataclass(frozen=True)
class Frame:
    """The marks around and between segments, and the types of a pair's two segments."""

    before: Marks
    between: Marks
    behind: Marks
    kinds: tuple[int, int]

    def count_marks(self, n_segments: int) -> int:
        """Number of marks of a text of so many segments."""
        return len(self.before.ids) + (n_segments - 1) * len(self.between.ids) + len(self.behind.ids)


def find_frame(backend: Any) -> Frame:
    """The frame that a tokenizer sets around a pair.

    Args:
        backend: as `open_backend` gives it; it must cut nothing.
    """
    [pair] = backend.encode_batch_fast([("a", "b")])
    [one] = backend.encode_batch_fast(["a"], add_special_tokens=False)
    places = [place for place, special in enumerate(pair.special_tokens_mask) if not special]
    first, second = places[: len(one.ids)], places[len(one.ids) :]

    def take(start: int, stop: int) -> Marks:
        return Marks(list(pair.ids[start:stop]), list(pair.type_ids[start:stop]))

    return Frame(
        before=take(0, first[0]),
        between=take(first[-1] + 1, second[0]),
        behind=take(second[-1] + 1, len(pair.ids)),
        kinds=(pair.type_ids[first[0]], pair.type_ids[second[0]]),
    )


def join_segments(frame: Frame, segments: Sequence[Pieces], limit: int) -> SlowEncoding:
    """One text of several segments, cut to a limit in tokens; what is cut off is counted in `overflowing`.

    The longest segment loses first, so that none is cut while another is longer.

    Raises:
        InputError: the limit has no room for the marks and a token of each segment.
    """
    lengths = np.array([len(one) for one in segments])
    room = find_room(frame, len(segments), limit)
    kept = share_room(lengths, room)
    marks = [frame.before, *[frame.between] * (len(segments) - 1), frame.behind]
    ids, types, special = list[int](), list[int](), list[int]()
    for number, mark in enumerate(marks):
        ids += mark.ids
        types += [_type_mark(frame, kind, number, len(segments)) for kind in mark.types]
        special += [1] * len(mark.ids)
        if number < len(segments):
            size = int(kept[number])
            ids += segments[number][:size].tolist()
            types += [frame.kinds[number % 2]] * size
            special += [0] * size
    return SlowEncoding(ids, types, special, [0] * int((lengths - kept).sum()))


def find_room(frame: Frame, n_segments: int, limit: int) -> int:
    """Number of tokens that a limit leaves to the segments of a text.

    Raises:
        InputError: it has no room for the marks and a token of each segment.
    """
    room = limit - frame.count_marks(n_segments)
    if room < n_segments:
        raise InputError(
            f"--max-length {limit}: the marks of {n_segments} segments and a word of each take "
            f"{limit - room + n_segments}; expected at least that"
        )
    return room


def _type_mark(frame: Frame, kind: int, number: int, n_segments: int) -> int:
    """The type of a mark before segment `number`: in a pair that of the segment before or behind it, or its own."""
    if 0 < number < n_segments and kind == frame.kinds[0]:
        return frame.kinds[(number - 1) % 2]
    if 0 < number < n_segments and kind == frame.kinds[1]:
        return frame.kinds[number % 2]
    return frame.kinds[(n_segments - 1) % 2] if number == n_segments and kind == frame.kinds[1] else kind


def share_room(lengths: Int[np.ndarray, " segments"], room: int) -> Int[np.ndarray, " segments"]:
    """Number of tokens that each segment keeps: all, or as if the longest lost one after the other."""
    if lengths.sum() <= room:
        return lengths
    ordered = np.sort(lengths)
    # Those of the shortest that keep all; the others share what these leave, one more for the first of them.
    whole = next(n for n in range(len(ordered)) if ordered[:n].sum() + (len(ordered) - n) * ordered[n] > room)
    level, more = divmod(room - int(ordered[:whole].sum()), len(ordered) - whole)
    kept = np.minimum(lengths, level)
    kept[np.flatnonzero(lengths > level)[:more]] += 1
    return kept
