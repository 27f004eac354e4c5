"""Plans the pool: which sentences the tasks that only read one need, so that one sentence serves many of them.

Each task asks for equally many of each class, and for shapes that do not go with them. A sentence that one task wants
is offered to the next one before a new one is made; what stays open is free.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from probing.tasks.controlled.forms import (
    COMMON_FORMS,
    NEUTRAL_QUESTIONS,
    STATEMENTS,
    STORY,
    TOP_FORMS,
    draw_form,
    find_lengths,
    find_variants,
)
from probing.tasks.controlled.sentence_source import SentenceSource

_Item = TypeVar("_Item")

LENGTH_BINS = ((5, 8), (9, 12), (13, 16), (17, 20), (21, 25), (26, 28))
"""Numbers of tokens, the final stop included."""
FREE_LENGTHS = tuple(range(8, 17))
_LENGTH_DEPTHS = (6, 7, 8)
_DEPTHS = tuple(range(5, 13))
_DEPTH_LENGTHS = tuple(range(11, 20))
_TOP_LENGTHS = range(10, 25)
STORY_LENGTHS = range(13, 23)
_STORIES_IN_DEPTHS, _STORIES_IN_LENGTHS = 0.12, 0.9
"""Share of stories in each depth that they can have, and among the long sentences that a length asks for: large enough
that the pool is small, and small enough that stories do not tell the shape."""
NUMBERS = {"NN": False, "NNS": True}


@dataclass(slots=True, eq=False)
class Wish:
    """Demands on one sentence; what is None or empty is free."""

    form: str = ""
    length: int = 0
    depth: int | None = None
    """In levels of the tree, the word's own included."""
    past: bool | None = None
    plurals: dict[str, bool] = field(default_factory=dict)
    """Number of the target nouns, by role."""
    variants: str = "oz"
    """Variants of the form that will do."""
    side: str = ""
    """The label of which it has no words; empty if it may have all."""
    labels: dict[str, str] = field(default_factory=dict)
    """By task."""

    def fits(self, form: str) -> bool:
        """True where a sentence of this shape can have a form."""
        return bool(find_variants(form, self.length, self.depth))

    @property
    def is_statement(self) -> bool:
        """True where its tense can be asked for."""
        return self.form in STATEMENTS


class WishList:
    """The wishes for one split."""

    def __init__(self, source: SentenceSource, size: int, tasks: frozenset[str]):
        """Plan sentences for some tasks, `size` for each."""
        self._source, self._size, self._tasks = source, size, tasks
        self._random = source.random
        self.wishes: list[Wish] = []
        self._stories = [Wish(form=STORY) for _ in range(-(-size // 2))] if {"coordination_inversion"} < tasks else []
        self._blank = list(self._stories)
        for plan in (self._plan_depths, self._plan_lengths, self._plan_forms):
            plan()
        self._settle_shapes()
        for plan in (self._plan_tense, self._plan_subjects, self._plan_objects):
            plan()
        self._random.shuffle(self.wishes)

    def _spread(self, task: str, labels: Sequence[_Item]) -> list[_Item]:
        return self._source.spread(labels, self._size) if task in self._tasks else []

    def _add(self, **facts: object) -> Wish:
        self.wishes.append(Wish(**facts))  # type: ignore[arg-type]
        return self.wishes[-1]

    def _take_story(self, length: int, depth: int, share: float) -> Wish | None:
        """Now and then a story, given this shape."""
        if not self._blank or self._random.random() >= share or not find_variants(STORY, length, depth):
            return None
        story = self._blank.pop()
        story.length, story.depth = length, depth
        return story

    def _plan_depths(self) -> None:
        """Depths from `ROOT` to the deepest word in edges, equally many of each, with the same lengths in each."""
        together = "length_depth" in self._source.confounds
        for turn, depth in enumerate(self._spread("tree_depth", _DEPTHS)):
            lengths = tuple(range(depth + 4, depth + 7)) if together else _DEPTH_LENGTHS
            length = lengths[turn // len(_DEPTHS) % len(lengths)]
            # the few lengths that a deep story can have make up for the others
            share = _STORIES_IN_DEPTHS * len(lengths) / max(1, len(find_lengths([STORY], lengths, depth - 1)))
            wish = self._take_story(length, depth - 1, share) or self._add(length=length, depth=depth - 1)
            wish.labels["tree_depth"] = str(depth)

    def _plan_lengths(self) -> None:
        """Bins of length, equally many of each, with the same depths in each."""
        together = "length_depth" in self._source.confounds
        there: dict[tuple[int, int | None], list[Wish]] = defaultdict(list)
        for wish in [*self.wishes, *self._stories]:
            there[wish.length, wish.depth].append(wish)
        for turn, label in enumerate(self._spread("sentence_length", range(len(LENGTH_BINS)))):
            depths = (_LENGTH_DEPTHS[0] + label,) if together else _LENGTH_DEPTHS
            depth = depths[turn // len(LENGTH_BINS) % len(depths)] - 1
            first, last = LENGTH_BINS[label]
            length = self._source.pick(find_lengths(COMMON_FORMS, range(first, last + 1), depth))
            wish = there[length, depth].pop() if there[length, depth] else None
            wish = wish or self._take_story(length, depth, _STORIES_IN_LENGTHS) or self._add(length=length, depth=depth)
            wish.labels["sentence_length"] = str(label)

    def _plan_forms(self) -> None:
        """Plan the form directly below the root, equally many of each, with the same lengths in each."""
        requests = self._spread("top_constituents", tuple(TOP_FORMS))
        open_wishes = [wish for wish in self.wishes if wish.length in _TOP_LENGTHS]
        lengths = self._choose_lengths(max(Counter(requests).values(), default=0), open_wishes)
        asked: dict[int, list[str]] = defaultdict(list)
        turns: Counter[str] = Counter()
        for label in requests:
            asked[lengths[turns[label]]].append(label)
            turns[label] += 1
        for length, labels in sorted(asked.items()):
            self._assign_forms([wish for wish in open_wishes if wish.length == length], labels, length)

    def _choose_lengths(self, count: int, wishes: Sequence[Wish]) -> list[int]:
        """Lengths for the sentences of one class, about as they are frequent among the wishes."""
        usual = sorted(wish.length for wish in wishes) or [each for each in FREE_LENGTHS if each in _TOP_LENGTHS]
        lengths = [usual[int((place + 0.5) * len(usual) / count)] for place in range(count)]
        self._random.shuffle(lengths)
        return lengths

    def _assign_forms(self, wishes: list[Wish], labels: list[str], length: int) -> None:
        """Give each wish a form that it can have, the most demanding forms first."""
        able = {label: [wish for wish in wishes if wish.fits(TOP_FORMS[label])] for label in dict.fromkeys(labels)}
        self._random.shuffle(labels)
        for label in sorted(labels, key=lambda label: len(able[label])):
            free = [wish for wish in able[label] if not wish.form]
            wish = self._source.pick(free) if free else self._add(length=length)
            wish.form, wish.labels["top_constituents"] = TOP_FORMS[label], label

    def _settle_shapes(self) -> None:
        """Give a form and a length to those that have none."""
        for story in self._stories:
            story.length = story.length or self._source.pick(find_lengths([STORY], STORY_LENGTHS))
        self.wishes += self._stories
        for wish in self.wishes:
            wish.form = wish.form or draw_form(self._random, wish.length, wish.depth)
            wish.variants = find_variants(wish.form, wish.length, wish.depth)

    def _add_statements(self, count: int, variant: str = "") -> list[Wish]:
        """Sentences that nothing but one task asks for, of a variant if one is given."""
        made: list[Wish] = []
        while len(made) < count:
            length = self._source.pick(FREE_LENGTHS)
            form = draw_form(self._random, length, None)
            variants = find_variants(form, length, None)
            if variant in variants:
                made.append(self._add(length=length, form=form, variants=variants))
        return made

    def _label(self, task: str, labels: Sequence[str], able: list[Wish]) -> list[Wish]:
        """Label as many wishes as the task needs, the labels in turn within each form."""
        wanted = self._spread(task, labels)
        able = able[: len(wanted)] if len(able) > len(wanted) else able
        able.sort(key=lambda wish: wish.form)
        for wish, label in zip(able, wanted, strict=True):
            wish.labels[task] = label
        return able

    def _plan_tense(self) -> None:
        """Tense of the main clauses, carried by their verbs."""
        able = [wish for wish in self.wishes if wish.is_statement]
        able += self._add_statements(len(self._spread("past_present", "x")) - len(able), "o")
        self._random.shuffle(able)
        for wish in self._label("past_present", ("PAST", "PRES"), able):
            wish.past = wish.labels["past_present"] == "PAST"

    def _plan_subjects(self) -> None:
        """Number of the subjects of the main clauses, told by the nouns alone: nothing agrees in the past but `be`."""
        wanted = len(self._spread("subj_number", "x"))
        able = [wish for wish in self.wishes if wish.is_statement and wish.past is not False]
        able += [wish for wish in self.wishes if wish.form in NEUTRAL_QUESTIONS]
        self._random.shuffle(able)
        stories = [wish for wish in self._stories if "o" in wish.variants]
        self._random.shuffle(stories)
        able += stories[: max(0, wanted - len(able))]
        able += self._add_statements(wanted - len(able), "o")
        for wish in self._label("subj_number", tuple(NUMBERS), able) if wanted else ():
            wish.past, wish.plurals["tsubj"] = True, NUMBERS[wish.labels["subj_number"]]
            if wish.form == STORY:
                wish.variants = "o"

    def _plan_objects(self) -> None:
        """Number of the direct objects of the main clauses, told by the nouns alone."""
        wanted = len(self._spread("obj_number", "x"))
        able = [w for w in self.wishes if "o" in w.variants and w.form not in {STORY, "SBARQ.what"}]
        self._random.shuffle(able)
        able += self._add_statements(wanted - len(able), "o")
        for wish in self._label("obj_number", tuple(NUMBERS), able) if wanted else ():
            wish.variants, wish.plurals["tobj"] = "o", NUMBERS[wish.labels["obj_number"]]
