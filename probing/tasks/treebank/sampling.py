"""Rules of a fair sample: cleaned text, balanced classes, forms and sentences kept apart between the splits."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from probing.randomness import stream
from probing.records import SPLITS
from probing.tasks.files.senteval import Row

FORM_SHARE = 0.05
"""The largest share of a class that one target form may have in a split; SentEval bounds it as 5,000 of 100,000."""
_HELD_OUT_WEIGHT = 3
"""Weight of a held-out sentence against a training one when a form's split is chosen; ours."""
_MOST_SHOWN = 6
"""Classes of a split that a message shows, from the rarest on."""


class UnsupportedTaskError(Exception):
    """The corpus cannot support a task; the message says why, with counts."""


@dataclass(frozen=True)
class Floor:
    """The fewest sentences of a class that make a task worth writing."""

    train: int = 20
    held_out: int = 5
    """For dev and for test."""

    def of(self, split: str) -> int:
        """The floor of one split."""
        return self.train if split == "train" else self.held_out


DEFAULT_FLOOR = Floor()


@dataclass(frozen=True)
class Draft:
    """One task, ready to be written."""

    rows: Sequence[Row]
    source: str = "dependencies"
    """Source that the labels were read from."""
    relaxed: tuple[str, ...] = ()
    """Points where the definition departs from SentEval's, and why."""
    measures: Mapping[str, Any] = field(default_factory=dict)
    """Numbers that tell how good the sample is, by name."""


class Candidate(NamedTuple):
    """A sentence that could serve, with the form that its label is about."""

    split: str
    label: str
    text: str
    form: str


def normalise(text: str) -> str:
    """Reduce a text to what splits must not share: its letters, digits and symbols, without case and spacing."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(letter for letter in folded if unicodedata.category(letter)[0] not in "PZC")
    return kept or "".join(folded.split())


def balance(rows: Iterable[Row], seed: int, purpose: str, floor: Floor, most: int = 1) -> list[Row]:
    """Rows whose classes are equally frequent in each split, drawn at random, in random order within a split.

    Args:
        rows: the candidates; of those with equal normalised text the first is taken.
        seed: of the run.
        purpose: the task's name, which tells its draws from all others.
        floor: fewest rows of each class.
        most: how many times the rarest class the others may be; 1 is exact balance.

    Raises:
        UnsupportedTaskError: fewer than two classes, or a class below the floor.
    """
    groups: dict[str, dict[str, list[Row]]] = {split: defaultdict(list) for split in SPLITS}
    for row in {normalise(row[2]): row for row in reversed(list(rows))}.values():
        groups[row[0]][row[1]].append(row)
    check_floor(groups, floor)
    chosen: list[Row] = []
    for split, classes in groups.items():
        size = most * min(map(len, classes.values()))
        picked = [row for label in sorted(classes) for row in draw(classes[label], size, seed, purpose, split, label)]
        chosen += draw(picked, len(picked), seed, purpose, split)
    return chosen


def check_floor(groups: Mapping[str, Mapping[str, Sequence[Row]]], floor: Floor) -> None:
    """See that each split has the same two or more classes, none too small."""
    labels = sorted({label for classes in groups.values() for label in classes})
    counts = {split: {label: len(groups[split].get(label, ())) for label in labels} for split in groups}
    if len(labels) < 2 or any(count < floor.of(split) for split in counts for count in counts[split].values()):
        raise UnsupportedTaskError(
            f"needs two classes or more with {floor.train} sentences each in train and {floor.held_out} in dev and "
            f"test; the corpus gives {_show_counts(counts)}"
        )


def draw(items: Sequence[Any], size: int, seed: int, *purpose: str | int) -> list[Any]:
    """At most `size` of some items, in random order."""
    order = stream(seed, "treebank", *purpose).permutation(len(items))
    return [items[index] for index in order[:size]]


def separate_forms(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates whose target form belongs to their split: each form is given to one split, none is moved.

    Frequent forms (more than `FORM_SHARE` of a class in dev or test) go to train, and are thinned out there to that
    share. The others, from frequent to rare, go where the share of sentences kept is smallest so far.
    """
    available = Counter((row.split, row.label) for row in candidates)
    home = _assign_forms(candidates, available)
    used: Counter[tuple[str, str]] = Counter()
    kept = []
    for row in candidates:
        if home[row.form] == row.split:
            used[row.form, row.label] += 1
            if used[row.form, row.label] <= _largest(available[row.split, row.label]):
                kept.append(row)
    return kept


def _assign_forms(candidates: Sequence[Candidate], available: Counter[tuple[str, str]]) -> dict[str, str]:
    counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in candidates:
        counts[row.form][row.split, row.label] += 1
    home: dict[str, str] = {}
    kept: Counter[str] = Counter()
    total = Counter(row.split for row in candidates)
    for form in sorted(counts, key=lambda form: (-counts[form].total(), form)):
        home[form] = _choose_split(counts[form], available, kept, total)
        kept[home[form]] += sum(count for (split, _), count in counts[form].items() if split == home[form])
    return home


def _choose_split(
    count: Counter[tuple[str, str]], available: Counter[tuple[str, str]], kept: Counter[str], total: Counter[str]
) -> str:
    places = [split for split in SPLITS if any(split == place for place, _ in count)]
    heavy = any(number > _largest(available[key]) for key, number in count.items() if key[0] != "train")
    if heavy and "train" in places:
        return "train"
    weight = {split: 1 if split == "train" else _HELD_OUT_WEIGHT for split in SPLITS}
    return min(places, key=lambda split: kept[split] / total[split] / weight[split])


def _largest(available: int) -> int:
    return max(2, int(FORM_SHARE * available))


def _show_counts(counts: Mapping[str, Mapping[str, int]]) -> str:
    shown = []
    for split, classes in counts.items():
        parts = [f"{label} {count}" for label, count in sorted(classes.items(), key=lambda pair: pair[1])[:_MOST_SHOWN]]
        rest = f", ... ({len(classes)} classes)" if len(classes) > _MOST_SHOWN else ""
        shown.append(f"{split}: {', '.join(parts) or 'nothing'}{rest}")
    return "; ".join(shown)
