"""The controlled corpus: all ten tasks on sentences made by a grammar of our own, so that every label is exact.

    wishes -> rules -> derivation of a wanted depth and length -> tree with words -> pool -> tasks

`wishes` plans which sentences the tasks need, so that one serves many; `grammar` has the rules, `derivation` draws from
them, `lexicon`, `verbs` and `morphology` have the words, `realisation` puts them in; `pool` makes the sentences,
`alterations` what three tasks alter, `confounds` says what can be switched on. No text was copied for it.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from probing.catalogue.tasks import SENTEVAL_TASKS, find_specs
from probing.digests import digest_file, digest_json
from probing.randomness import derived_seed
from probing.records import SPLITS, InputError, Split, Task, TaskSpec
from probing.tasks.builds import HEAD, Build, count_rows
from probing.tasks.controlled.alterations import ALTERATIONS, choose, split_sides
from probing.tasks.controlled.confounds import CONFOUNDS, find_confounds
from probing.tasks.controlled.pool import make_pool
from probing.tasks.controlled.sentence_source import Example, SentenceSource
from probing.tasks.files.senteval import Row

SIZES = {"train": 10_000, "dev": 1_000, "test": 1_000}
"""Number of sentences per split."""
_INFLECTION = "lemminflect"
_ALL = frozenset(spec.name for spec in SENTEVAL_TASKS)


def load(
    names: Iterable[str] = ("all",), seed: int = 0, sizes: Mapping[str, int] = SIZES, confounds: Iterable[str] = ()
) -> dict[str, Task]:
    """Make some of the ten tasks; none depends on which others are made.

    Args:
        names: names, titles, aliases or groups of tasks, or `all`.
        seed: another seed gives other sentences, and other target words to each split.
        sizes: number of sentences per split, in the order `train`, `dev`, `test`.
        confounds: those of `CONFOUNDS` that are switched on; a switch leaves the tasks that it does not concern as
            they are.

    Raises:
        InputError: a name that no task or no confound bears.
    """
    switched = find_confounds(confounds)
    origin = ", ".join([f"controlled corpus, seed {seed}", *sorted(switched)])
    return {
        spec.name: _make_task(spec, rows, origin)
        for spec in find_specs(names)
        for rows in [_make_rows(spec.name, seed, sizes, switched)]
    }


def make_rows(
    names: Iterable[str] = ("all",), seed: int = 0, sizes: Mapping[str, int] = SIZES, confounds: Iterable[str] = ()
) -> dict[str, list[Row]]:
    """The same tasks as rows of SentEval files, for `write_tasks`."""
    switched = find_confounds(confounds)
    return {spec.name: _make_rows(spec.name, seed, sizes, switched) for spec in find_specs(names)}


def build_corpus(
    seed: int = 0,
    sizes: Mapping[str, int] = SIZES,
    confounds: Iterable[str] = (),
    log: Callable[[str], None] = lambda _: None,
) -> Build:
    """Make all ten tasks as files.

    Args:
        seed: as `load`, and so are `sizes` and `confounds`.
        sizes: see there.
        confounds: see there.
        log: takes a line of progress.

    Raises:
        InputError: a name that no confound bears, or a split without sentences.
    """
    if min(sizes.values()) < 1:
        raise InputError(f"expected one sentence or more of each split, got {' '.join(map(str, sizes.values()))}")
    switched = find_confounds(confounds)
    rows = {}
    for spec in SENTEVAL_TASKS:
        log(f"making {spec.title}")
        rows[spec.name] = _make_rows(spec.name, seed, sizes, switched)
    report = {
        **HEAD,
        "seed": seed,
        "confounds": sorted(switched),
        "tasks": {name: _report_task(name, made, switched) for name, made in rows.items()},
        "unsupported": {},
    }
    return Build(rows, report)


def make_examples(
    name: str, seed: int = 0, sizes: Mapping[str, int] = SIZES, confounds: Iterable[str] = ()
) -> list[Example]:
    """The same sentences with their trees, in the same order."""
    return _draw_examples(name, seed, sizes, find_confounds(confounds), keep_trees=True)


def list_sentences(seed: int = 0, sizes: Mapping[str, int] = SIZES) -> dict[str, list[str]]:
    """Split -> the sentences that all ten tasks draw from, none of them altered, in the order of their making."""
    pool = make_pool(seed, tuple(sizes[split] for split in SPLITS), _ALL, frozenset())
    return {split: [" ".join(one.written()) for one in pool if one.split == split] for split in SPLITS}


def digest_grammar(folder: Path = Path(__file__).parent) -> str:
    """The identity of what makes the sentences: of this folder's code, and of the package that inflects words."""
    return digest_json(
        [[path.name, digest_file(path)] for path in sorted(folder.glob("*.py"))] + [version(_INFLECTION)]
    )


def _make_rows(name: str, seed: int, sizes: Mapping[str, int], confounds: frozenset[str]) -> list[Row]:
    return [(one.split, one.label, one.sentence) for one in _draw_examples(name, seed, sizes, confounds)]


def _report_task(name: str, rows: list[Row], confounds: frozenset[str]) -> dict[str, Any]:
    relaxed = [f"{confound} is switched on" for confound in sorted(confounds) if name in CONFOUNDS[confound]]
    return {"labels_from": "grammar", **count_rows(rows), "relaxed": relaxed}


def _make_task(spec: TaskSpec, rows: list[Row], origin: str) -> Task:
    classes = tuple(sorted({label for _, label, _ in rows}))
    index = {label: number for number, label in enumerate(classes)}
    splits = {
        split: Split(
            tuple((sentence,) for mark, _, sentence in rows if mark == split),
            np.array([index[label] for mark, label, _ in rows if mark == split]),
        )
        for split in SPLITS
    }
    return Task(spec, classes, splits, origin)


def _draw_examples(
    name: str, seed: int, sizes: Mapping[str, int], confounds: frozenset[str], keep_trees: bool = False
) -> list[Example]:
    """The sentences of one task in a drawn order, splits one after the other.

    A task that a switch concerns has a pool of its own, so that all others keep theirs.
    """
    own = frozenset(confound for confound in confounds if name in CONFOUNDS[confound])
    tasks = frozenset([name]) if own else _ALL
    pool = make_pool(seed, tuple(sizes[split] for split in SPLITS), tasks, own, keep_trees)
    found = []
    for split in SPLITS:
        there = [sentence for sentence in pool if sentence.split == split]
        if name in ALTERATIONS:
            sides = split_sides(SentenceSource(name, seed, own), name, sizes[split])
            found += [Example(split, *made) for made in choose(name, there, sides, seed)]
        else:
            found += [
                Example(split, one.labels[name], " ".join(one.written()), one.tree)
                for one in there
                if name in one.labels
            ]
    Random(derived_seed("controlled", name, "order", seed)).shuffle(found)
    return sorted(found, key=lambda example: SPLITS.index(example.split))
