"""TreeDepth, TopConst and BShift from treebanks (arXiv 1805.01070, section 2)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from probing.randomness import stream
from probing.records import SPLITS
from probing.tasks.files.senteval import Row
from probing.tasks.treebank.sampling import Draft, Floor, UnsupportedTaskError, balance, draw
from probing.tasks.treebank.sentences import Sentence, print_tokens
from probing.tasks.treebank.trees import constituency_depth, dependency_depth, top_constituents, top_dependents

N_TOP_CLASSES = 19
"""Named classes of TopConst; all other sequences are `OTHER`."""
TOP_RATIO = 4
"""Number of times the rarest class of TopConst that the others may be: exact balance would leave little; ours."""
LENGTH_STEP = 2
"""Lengths that TreeDepth counts as one when it decorrelates depth from length, in tokens; ours."""
_ADEQUATE = 5
"""Times the floor at which more sentences of a class are worth less than one more class; ours."""

Cells = dict[tuple[str, int, int], list[Sentence]]
"""Sentences by split, length step and depth."""


def build_tree_depth(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """TreeDepth: the depth of the tree, which length must not tell.

    In every cell of equal length (to within `LENGTH_STEP`) each depth has the same number of sentences, so that the
    classes are balanced and depth is independent of the length step; the correlation left within steps is reported.
    """
    parsed, depth_of, source = _choose_depth(corpus)
    cells: Cells = defaultdict(list)
    for sentence in parsed:
        cells[sentence.split, sentence.length // LENGTH_STEP, depth_of(sentence)].append(sentence)
    depths = _choose_depths(cells, floor)
    rows, lengths = _sample_cells(cells, depths, seed)
    balanced = balance(rows, seed, "tree_depth", floor)
    relaxed = (
        *_note_source(source, "the depth of the dependencies"),
        f"{len(depths)} depths ({depths[0]} to {depths[-1]}) in place of 8 (5 to 12): the widest range with classes of "
        "adequate size once depth is independent of length",
    )
    return Draft(balanced, source, relaxed, {"correlation_with_length": _correlations(balanced, lengths)})


def _choose_depth(corpus: Sequence[Sentence]) -> tuple[Sequence[Sentence], Callable[[Sentence], int], str]:
    with_trees = [sentence for sentence in corpus if sentence.tree is not None]
    if not with_trees:
        return corpus, dependency_depth, "dependencies"
    return with_trees, constituency_depth, "constituency trees"


def _note_source(source: str, label: str) -> list[str]:
    return [f"the label is {label}: no constituency trees were given"] if source == "dependencies" else []


def _choose_depths(cells: Cells, floor: Floor) -> range:
    known = sorted({depth for _, _, depth in cells})
    windows = [range(low, high + 1) for low in known for high in known if high > low]
    best = max(windows, key=lambda depths: (_worth(cells, depths, floor), -depths[0]), default=range(0))
    if not best or not _worth(cells, best, floor):
        raise UnsupportedTaskError(
            f"no two depths have {floor.train} sentences each in train and {floor.held_out} in dev and test at equal "
            f"lengths; depths in the corpus: {_count_depths(cells)}"
        )
    return best


def _worth(cells: Cells, depths: range, floor: Floor) -> float:
    """Number of classes times their size in units of the floor, saturating; 0 where a class is too small."""
    sizes: dict[str, int] = dict.fromkeys(SPLITS, 0)
    for split, step in {(split, step) for split, step, _ in cells}:
        sizes[split] += min(len(cells.get((split, step, depth), ())) for depth in depths)
    filled = min(sizes[split] / floor.of(split) if floor.of(split) else 1.0 for split in SPLITS)
    return len(depths) * min(filled, _ADEQUATE) if filled >= 1 else 0.0


def _sample_cells(cells: Cells, depths: range, seed: int) -> tuple[list[Row], dict[str, int]]:
    rows, lengths = [], {}
    for split, step in sorted({(split, step) for split, step, _ in cells}):
        size = min(len(cells.get((split, step, depth), ())) for depth in depths)
        for depth in depths:
            for sentence in draw(cells.get((split, step, depth), ()), size, seed, "tree_depth", split, step, depth):
                rows.append((split, str(depth), sentence.text))
                lengths[sentence.text] = sentence.length
    return rows, lengths


def _correlations(rows: Sequence[Row], lengths: dict[str, int]) -> dict[str, float]:
    found = {}
    for split in SPLITS:
        depth = [float(label) for place, label, _ in rows if place == split]
        length = [lengths[text] for place, _, text in rows if place == split]
        found[split] = round(float(np.corrcoef(depth, length)[0, 1]), 4) if np.std(length) > 0 else 0.0
    return found


def _count_depths(cells: Cells) -> str:
    counts = Counter()
    for (_, _, depth), sentences in cells.items():
        counts[depth] += len(sentences)
    return ", ".join(f"{depth}: {count}" for depth, count in sorted(counts.items()))


def build_top_constituents(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """TopConst: which sequence of constituents stands directly below the top clause.

    Where no trees are given: which sequence of relations stands around the root of the dependencies.
    """
    with_trees = [sentence for sentence in corpus if sentence.tree is not None]
    read = [(sentence, top_constituents(sentence)) for sentence in with_trees]
    source = "constituency trees"
    if not with_trees:
        read, source = [(sentence, top_dependents(sentence)) for sentence in corpus], "dependencies"
    named = _choose_sequences([(sentence.split, label) for sentence, label in read], floor)
    rows = [(sentence.split, label if label in named else "OTHER", sentence.text) for sentence, label in read if label]
    relaxed = [
        *_note_source(source, "the sequence of the relations around the root"),
        "punctuation is left out of the sequences, where SentEval drops sentences that hold any inside",
        f"a class may be {TOP_RATIO} times the rarest one: exact balance would leave too few sentences",
    ]
    if len(named) < N_TOP_CLASSES:
        relaxed.append(
            f"{len(named)} sequences and OTHER in place of 19 and OTHER: only the most frequent ones have"
            f" {floor.train} sentences in train and {floor.held_out} in dev and test"
        )
    return Draft(balance(rows, seed, "top_constituents", floor, TOP_RATIO), source, tuple(relaxed))


def _choose_sequences(labels: Sequence[tuple[str, str]], floor: Floor) -> list[str]:
    counts = Counter(labels)
    known = sorted(
        {label for split, label in labels if split == "train"}, key=lambda label: (-counts["train", label], label)
    )
    kept = [label for label in known if label and all(counts[split, label] >= floor.of(split) for split in SPLITS)]
    return kept[:N_TOP_CLASSES]


def build_bigram_shift(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """BShift: whether two neighbouring tokens have changed places; half of the sentences have.

    Neither token is the first of the sentence or punctuation, the two differ, and neither is written together with
    another word (a clitic in another's place would be told by its spelling). Spaces stay where they are. Both classes
    are drawn from the sentences where such a pair exists, each sentence stands in one class, and both classes hold the
    same words.
    """
    rows: list[Row] = []
    for split in SPLITS:
        able = [
            sentence
            for sentence in corpus
            if sentence.split == split and not sentence.has_double_quotes and _pairs(sentence)
        ]
        for number, sentence in enumerate(draw(able, len(able), seed, "bigram_shift", "halves", split)):
            shifted = number % 2 == 0
            rows.append((split, "I", _shift(sentence, seed)) if shifted else (split, "O", sentence.text))
    return Draft(balance(rows, seed, "bigram_shift", floor), source="tokens")


def _pairs(sentence: Sentence) -> list[int]:
    tokens, marks = [token.casefold() for token in sentence.tokens], sentence.punctuation
    return [
        left
        for left, right in pairwise(range(1, len(tokens)))
        if not marks[left] and not marks[right] and tokens[left] != tokens[right]
        if not any(sentence.joins[left - 1 : right + 1])
    ]


def _shift(sentence: Sentence, seed: int) -> str:
    left = int(stream(seed, "treebank", "bigram_shift", "place", " ".join(sentence.tokens)).choice(_pairs(sentence)))
    tokens = list(sentence.tokens)
    tokens[left], tokens[left + 1] = tokens[left + 1], tokens[left]
    return print_tokens(tokens, sentence.glued)
