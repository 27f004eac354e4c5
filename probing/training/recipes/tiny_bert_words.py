"""TinyBERT's augmentation as a stage: each sentence of train written anew, some of its words replaced."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.encoders.checkpoints import Checkpoint
from probing.encoders.masked_lm import load_masked_lm
from probing.randomness import stream
from probing.records import InputError, Split, Task, Text
from probing.training.contracts import Written
from probing.training.data.generated import list_known
from probing.training.data.near_words import (
    EMBEDDINGS,
    GLOVE,
    EmbeddingNeighbours,
    Neighbours,
    find_whole_words,
    list_spellings,
    load_glove,
)
from probing.training.data.replacement import replace_spans
from probing.training.data.vocabulary import Marks, read_marks
from probing.training.data.word_choices import Choices, Word, WordFinder
from probing.training.plan import Stage, Start, Writing, plan_writing

AUGMENT = "augment"
_PART = 256
"""Sentences of which a part is made."""


@dataclass(frozen=True)
class Rewriting:
    """The way in which sentences are written anew."""

    copies: int
    """New sentences of each old one."""
    share: float
    """Probability of each word's being replaced."""
    candidates: int
    """Words that one is drawn from."""
    near: str = EMBEDDINGS
    """Vectors by which words of several pieces have neighbours: GLOVE or EMBEDDINGS."""


def plan_augmentation(
    task: Task, how: Rewriting, seed: int, reader: PreTrainedModel, masked: Checkpoint,
    tokenizer: PreTrainedTokenizerBase,
) -> Stage:  # fmt: skip
    """A stage that writes the sentences of a split anew.

    Args:
        task: with classes; its train is written anew.
        how: it is done.
        seed: of what is replaced by what.
        reader: the encoder whose input embeddings say which words are near.
        masked: a masked language model of its vocabulary.
        tokenizer: of both.

    Raises:
        InputError: a text of more than two segments, or a tokenizer that does not say where its tokens are.
    """
    split = task.splits["train"]
    if any(len(text) > 2 for text in split.texts):
        raise InputError("--arms augmented: texts of more than two segments cannot be written anew; leave it out")
    limit = int(reader.config.max_position_embeddings)  # pyright: ignore
    finder, marks = WordFinder(tokenizer, min(limit, tokenizer.model_max_length)), read_marks(tokenizer, masked.name)

    def write(start: Start, accelerator: Accelerator) -> Callable[[int], Sequence[Written]]:
        del start
        model: Any = load_masked_lm(masked)[0].eval().to(accelerator.device)  # pyright: ignore
        near = _find_neighbours(how, reader, tokenizer, marks)
        choices = Choices(model, tokenizer, marks, near, how.candidates)
        choices.autocast = accelerator.autocast
        return lambda number: write_part(split, number, how, seed, (finder, choices))

    n_parts = -(-len(split) // _PART)
    return plan_writing(AUGMENT, Writing(n_parts, write, known=list_known(task)))


def _find_neighbours(
    how: Rewriting, reader: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, marks: Marks
) -> Neighbours:
    if how.near == GLOVE:
        return load_glove(how.candidates)
    table: Any = reader.get_input_embeddings()
    spellings = list_spellings(tokenizer, marks)
    return EmbeddingNeighbours(table.weight, spellings, find_whole_words(spellings, marks), how.candidates)


def write_part(
    split: Split, number: int, how: Rewriting, seed: int, tools: tuple[WordFinder, Choices]
) -> list[Written]:
    """The new sentences of a part; a copy in which nothing was replaced is none."""
    rows = range(number * _PART, min((number + 1) * _PART, len(split)))
    finder, choices = tools
    words = finder.find([split.texts[row] for row in rows])
    generators = [stream(seed, AUGMENT, row) for row in rows]
    drawn = [
        [draw_places(len(text.words), how.share, generator) for _ in range(how.copies)]
        for text, generator in zip(words, generators, strict=True)
    ]
    written = []
    found = choices.list_for(words, [set[int]().union(*copies) for copies in drawn])
    for row, text, copies, candidates, generator in zip(rows, words, drawn, found, generators, strict=True):
        for copy, places in enumerate(copies):
            picked = choose_words(places, candidates, generator)
            if picked:
                replaced = [(text.words[place], word) for place, word in picked]
                written.append(_spell(split, row, copy, replaced))
    return written


def draw_places(n: int, share: float, generator: np.random.Generator) -> list[int]:
    """The words to replace, by their numbers: each of n with the same probability."""
    return np.flatnonzero(generator.random(n) < share).tolist()


def choose_words(
    places: Sequence[int], candidates: Mapping[int, Sequence[str]], generator: np.random.Generator
) -> list[tuple[int, str]]:
    """One of the candidates for each place that has any."""
    there = [place for place in places if candidates[place]]
    return [(place, candidates[place][int(generator.integers(len(candidates[place])))]) for place in there]


def replace_words(text: Text, words: Sequence[tuple[Word, str]]) -> Text:
    """A text with other words in place of some; all else is as it was."""
    return tuple(
        replace_spans(segment, [((one.start, one.stop), other) for one, other in words if one.segment == number])
        for number, segment in enumerate(text)
    )


def _spell(split: Split, row: int, copy: int, words: Sequence[tuple[Word, str]]) -> Written:
    return Written(
        row,
        copy,
        replace_words(split.texts[row], words),
        int(split.labels[row]),
        tuple(word.place for word, _ in words),
        tuple(word.spelling for word, _ in words),
        tuple(other for _, other in words),
    )
