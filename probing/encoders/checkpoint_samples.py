"""Texts through which an encoder is checked, made of its own tokens and of each other."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from probing.contracts.encoder import Encoder, Tokens

_SENTENCES = (
    "the old dog sees a small cat .",
    "3 + 4 = 7 , and 8 is more ; who knows why ?",
    "der Hund sieht die Katze , und er lacht",
    "老狗看见一只小猫",
    "собака видит кошку",
    "犬が猫を見る",
    "كلب يرى قطة",
    "कुत्ता बिल्ली को देखता है",
)
"""In several scripts: a tokenizer shall know some of the words."""
_LONGEST = 512
"""Tokens of the longest text that is tried, where the encoder takes as many."""


@dataclass(frozen=True)
class Samples:
    """Texts as tokens, made of each other so that they differ in one thing alone."""

    tokens: Tokens
    """The rows that the constants of this class name."""
    words: Int[np.ndarray, " words"]
    """Places of the first text that are no special token."""

    TEXT, FIRST_REPLACED, LAST_REPLACED, TURNED, LONGER, PAIR, WORD, LONGEST = range(8)


def draw_samples(encoder: Encoder) -> Samples:
    """Samples made of the encoder's own tokens; texts in a script that it does not know would be all alike."""
    parts = encoder.tokenize([(sentence,) for sentence in _SENTENCES])
    known = np.unique(np.concatenate([ids[~special] for ids, special in zip(parts.ids, parts.special, strict=True)]))
    row = max(range(len(parts.ids)), key=lambda row: len(np.unique(parts.ids[row][~parts.special[row]])))
    ids, special = parts.ids[row], parts.special[row]
    words = np.flatnonzero(~special)
    texts = [ids, _replace(ids, words[:1], known), _replace(ids, words[-1:], known), ids.copy()]
    texts[Samples.TURNED][words] = ids[words][::-1]
    many = (" ".join(_SENTENCES * (_LONGEST // 32)),)
    mixed = encoder.tokenize([(" ".join(_SENTENCES[:3]),), _SENTENCES[:2], ("a",), many])
    ids, types, marks = (
        tuple(array[:_LONGEST] for array in (*made, *found))
        for made, found in (
            (texts, mixed.ids),
            ([parts.types[row]] * len(texts), mixed.types),
            ([special] * len(texts), mixed.special),
        )
    )
    return Samples(Tokens(ids, types, marks, np.zeros(len(ids), dtype=bool)), words)


def _replace(
    ids: Int[np.ndarray, " tokens"], places: Int[np.ndarray, " places"], known: Int[np.ndarray, " known"]
) -> Int[np.ndarray, " tokens"]:
    """Other known tokens in some places; the same text where there is no other."""
    changed = ids.copy()
    for place in places:
        others = known[known != ids[place]]
        changed[place] = others[len(others) // 2] if len(others) else ids[place]
    return changed
