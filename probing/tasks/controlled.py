"""The controlled corpus: all ten tasks on sentences made by a grammar of our own, so that every label is exact.

    rules -> derivation of a wanted depth and length -> tree with words -> example -> task

`grammar` has the rules, `derivation` draws from them, `lexicon` and `morphology` have the words, `realisation` puts the
words in; `structure_tasks`, `word_tasks` and `order_tasks` say what each task labels. Nothing here was taken from a text.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from random import Random

import numpy as np

from probing.randomness import derived_seed
from probing.records import Split, Task
from probing.tasks import order_tasks, structure_tasks, word_tasks
from probing.tasks.senteval import Row, find_specs
from probing.tasks.sentence_source import Example, SentenceSource

SIZES = {"train": 10_000, "dev": 1_000, "test": 1_000}
"""Number of sentences per split."""

_Maker = Callable[[SentenceSource, Mapping[str, int]], list[Example]]


def load(names: Iterable[str] = ("all",), seed: int = 0, sizes: Mapping[str, int] = SIZES) -> dict[str, Task]:
    """Make some of the ten tasks; none depends on which others are made.

    Args:
        names: names, titles, aliases or groups of tasks, or `all`.
        seed: another seed gives other sentences, and other target words to each split.
        sizes: number of sentences per split, in the order `train`, `dev`, `test`.

    Raises:
        InputError: a name that no task bears.
    """
    tasks = {}
    for spec in find_specs(names):
        examples = make_examples(spec.name, seed, sizes)
        classes = tuple(sorted({example.label for example in examples}))
        index = {label: number for number, label in enumerate(classes)}
        splits = {
            split: Split(
                tuple((example.sentence,) for example in examples if example.split == split),
                np.array([index[example.label] for example in examples if example.split == split]),
            )
            for split in sizes
        }
        tasks[spec.name] = Task(spec, classes, splits, origin=f"controlled corpus, seed {seed}")
    return tasks


def make_rows(names: Iterable[str] = ("all",), seed: int = 0, sizes: Mapping[str, int] = SIZES) -> dict[str, list[Row]]:
    """The same tasks as rows of SentEval files, for `write_tasks`."""
    return {
        spec.name: [
            (example.split, example.label, example.sentence) for example in make_examples(spec.name, seed, sizes)
        ]
        for spec in find_specs(names)
    }


def make_examples(name: str, seed: int = 0, sizes: Mapping[str, int] = SIZES) -> list[Example]:
    """The labelled sentences of one task with their trees, split by split, shuffled within each."""
    examples = _maker(name, seed)(SentenceSource(name, seed), sizes)
    Random(derived_seed("controlled", name, "order", seed)).shuffle(examples)
    return [example for split in sizes for example in examples if example.split == split]


def _maker(name: str, seed: int) -> _Maker:
    return {
        "sentence_length": structure_tasks.make_sentence_length,
        "word_content": word_tasks.make_word_content,
        "tree_depth": structure_tasks.make_tree_depth,
        "top_constituents": structure_tasks.make_top_constituents,
        "bigram_shift": structure_tasks.make_bigram_shift,
        "past_present": partial(word_tasks.make_past_present, seed=seed),
        "subj_number": partial(word_tasks.make_subj_number, seed=seed),
        "obj_number": partial(word_tasks.make_obj_number, seed=seed),
        "odd_man_out": partial(order_tasks.make_odd_man_out, seed=seed),
        "coordination_inversion": order_tasks.make_coordination_inversion,
    }[name]
