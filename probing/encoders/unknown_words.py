"""Words that a tokenizer does not know: an encoder sees one mark in the place of each, and probes read that."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from probing.contracts.encoder import Tokens
from probing.records import Task, Text

_SOME = 500
"""Texts that are looked at, spread over all."""
_MUCH = 0.05
"""Share of unknown tokens from which on it is told: a name or a sign here and there is usual."""


@runtime_checkable
class Inputs(Protocol):
    """Maker of tokens: an encoder, or what goes into a model that is trained."""

    def tokenize(self, texts: Sequence[Text]) -> Tokens:
        """Tokens of each text."""
        ...


def describe_unknown(inputs: Inputs, name: str, tasks: Sequence[Task]) -> list[str]:
    """A warning for each task of which the encoder's tokenizer knows too little, as of one in another script.

    Args:
        inputs: what makes tokens, with the number of that for unknown words as `unknown_id`; else nothing is found.
        name: of the encoder.
        tasks: that will be encoded.
    """
    texts = {f"task {task.name}": task.splits["test"].texts for task in tasks}
    return [line for what, own in texts.items() for line in describe_unknown_texts(inputs, name, what, own)]


def describe_unknown_texts(inputs: Inputs, name: str, what: str, texts: Sequence[Text]) -> list[str]:
    """A warning where the encoder's tokenizer knows too little of some texts; nothing where it knows enough.

    Args:
        inputs: as in `describe_unknown`.
        name: of the encoder.
        what: has these texts, in words.
        texts: that will be encoded.
    """
    unknown = getattr(inputs, "unknown_id", None)
    share = 0.0 if unknown is None else _measure_share(inputs, unknown, texts)
    if share <= _MUCH:
        return []
    return [
        f"{what}: {share:.0%} of its tokens are unknown to the tokenizer of {name}, all "
        "one to the encoder: what is read off it says little of these texts; take an encoder of their language"
    ]


def _measure_share(inputs: Inputs, unknown: int, texts: Sequence[Text]) -> float:
    rows = np.unique(np.linspace(0, len(texts) - 1, _SOME).round().astype(int))
    tokens = inputs.tokenize([texts[row] for row in rows.tolist()])
    own = np.concatenate([ids[~special] for ids, special in zip(tokens.ids, tokens.special, strict=True)])
    return float((own == unknown).mean()) if len(own) else 0.0
