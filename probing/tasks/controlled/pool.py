"""The pool of sentences that all tasks of the controlled corpus draw from.

A sentence of the pool belongs to one split, and there is one parting of nouns and verbs among the splits for all tasks.
`wishes` plans what is needed; here the plans become sentences.
"""

from functools import cache, lru_cache
from itertools import count, product

from probing.records import SPLITS
from probing.tasks.controlled import lexicon
from probing.tasks.controlled.agreement import Plan
from probing.tasks.controlled.alterations import ALTERATIONS, count_missing, split_sides
from probing.tasks.controlled.forms import STATEMENTS, STORY, derive, draw_form, find_lengths, find_variants
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.morphology import inflect
from probing.tasks.controlled.realisation import spell_out
from probing.tasks.controlled.sentence_source import Sentence, SentenceSource
from probing.tasks.controlled.verbs import STORIES, VERBS, Verb
from probing.tasks.controlled.wishes import FREE_LENGTHS, STORY_LENGTHS, Wish, WishList
from probing.tasks.controlled.word_tasks import Targets

_PATIENCE = 200
"""Draws after which a sentence gives up a form that no task asks for."""
_STRICT_SHARE = 0.9
"""Share of objects whose verb makes other objects odd; the odd word needs many."""
_AUXILIARIES = frozenset({"BE", "HAVE", "DO", "COP"})
"""Symbols of function words whose form is that of their clause's tense."""
_CUED = {"subj_number": "tsubj", "obj_number": "tobj"}


@lru_cache(maxsize=2)
def make_pool(
    seed: int, sizes: tuple[int, ...], tasks: frozenset[str], confounds: frozenset[str], keep_trees: bool = False
) -> tuple[Sentence, ...]:
    """All sentences for some tasks, those of a split together.

    Args:
        seed: another seed gives other sentences, and other target words to each split.
        sizes: of each task's splits, in the order of `SPLITS`.
        tasks: keys of the tasks to be served.
        confounds: those that are switched on.
        keep_trees: whether sentences keep their trees.
    """
    source = SentenceSource(" ".join(sorted(tasks)), seed, confounds)
    makers = [_PoolMaker(source, split, size, tasks, keep_trees) for split, size in zip(SPLITS, sizes, strict=True)]
    return tuple(sentence for maker in makers for sentence in maker.make())


class _PoolMaker:
    """Makes one split of a pool."""

    def __init__(self, source: SentenceSource, split: str, size: int, tasks: frozenset[str], keep_trees: bool):
        self._source, self._split, self._size, self._tasks, self._keep = source, split, size, tasks, keep_trees
        self._lemmas = source.part_lemmas(_list_bearers())[split]
        self._targets = Targets(source, size if "word_content" in tasks else 0)
        self._made: list[Sentence] = []
        cued = [role for task, role in _CUED.items() if tasks == {task} and "function_words" in source.confounds]
        self._cued = cued[0] if cued else ""
        self._tense_cued = tasks == {"past_present"} and "function_words" in source.confounds

    def make(self) -> list[Sentence]:
        """All sentences: those that are planned, then what is still missing."""
        for wish in WishList(self._source, self._size, self._tasks).wishes:
            self._fulfil(wish)
        while self._targets.missing:
            self._find_word()
        for task in ALTERATIONS:
            if task in self._tasks:
                self._supply(task)
        return self._made

    def _supply(self, task: str) -> None:
        """Sentences until the task has enough of them to alter."""
        for side, labels in split_sides(self._source, task, self._size).items():
            while (missing := count_missing(task, self._made, side, labels)) > 0:
                for _ in range(missing):
                    self._fulfil(
                        self._free_story(side) if task == "coordination_inversion" else self._free_wish("oz", side)
                    )

    def _free_wish(self, variants: str, side: str = "") -> Wish:
        """A statement of which no shape is asked."""
        length = self._source.pick(FREE_LENGTHS)
        form = draw_form(self._source.random, length, None)
        return Wish(form=form, length=length, variants=find_variants(form, length, None), side=side)

    def _free_story(self, side: str) -> Wish:
        length = self._source.pick(find_lengths([STORY], STORY_LENGTHS))
        return Wish(form=STORY, length=length, variants=find_variants(STORY, length, None), side=side)

    def _fulfil(self, wish: Wish) -> None:
        """Make the sentence of a wish."""
        for draw in count(1):
            if self._try(wish, patient=draw < _PATIENCE):
                return
            if not draw % _PATIENCE:
                self._reform(wish)

    def _find_word(self) -> None:
        """Make a sentence with a word that is still missing, whatever its form."""
        while not self._try(self._free_wish("oz"), wordless=False):
            pass

    def _try(self, wish: Wish, wordless: bool = True, patient: bool = True) -> bool:
        """Draw a sentence for a wish, and keep it if it is new and, unless it may be `wordless`, has a missing word."""
        tree = self._draw(wish, patient)
        word = self._targets.place(tree) if tree is not None else ""
        if tree is None or not (word or wordless) or not self._source.is_new(" ".join(spell_out(tree))):
            return False
        if word:
            self._targets.take(word)
            wish.labels["word_content"] = word
        self._made.append(self._describe(tree, wish))
        return True

    def _reform(self, wish: Wish) -> None:
        """Another form for a shape that few words fit."""
        if wish.form in STATEMENTS and "top_constituents" not in wish.labels:
            form = draw_form(self._source.random, wish.length, wish.depth)
            variants = find_variants(form, wish.length, wish.depth)
            if set(wish.variants) <= set(variants):
                wish.form = form

    def _draw(self, wish: Wish, patient: bool) -> Node | None:
        symbol = f"{wish.form}_{self._source.pick(wish.variants)}"
        derived = derive(self._source.random, symbol, wish.length, wish.depth)
        tree = self._source.realise(derived, self._plan(wish, patient))
        if self._tense_cued and patient and tree is not None and not _has_auxiliary(tree):
            return None  # the main clause has no auxiliary: a dependent one has to tell the tense
        return tree

    def _plan(self, wish: Wish, patient: bool) -> Plan:
        random = self._source.random
        topic, verb_at = "", {}
        if wish.form == STORY:
            topic, first, second = self._source.pick(_list_stories())
            verb_at = {"first": first, "second": second}
        # where tense alone is asked for, numbers need not be hidden
        roles = () if self._tasks == {"past_present"} else ("tsubj", "tobj")
        plurals = {role: wish.plurals.get(role, random.random() < 0.5) for role in roles}
        if wish.form == "SQ.does":
            plurals["tsubj"] = False
        return Plan(
            past=wish.past,
            plurals=plurals,
            nouns=self._lemmas,
            verbs=self._lemmas,
            strict=random.random() < _STRICT_SHARE,
            banned=self._source.keep_out(wish.side),
            reserved=self._targets.reserved,
            spent=self._targets.spent if patient else (),
            shift=0.0 if self._tense_cued else 0.5,
            topic=topic,
            verb_at=verb_at,
            cued=self._cued,
        )

    def _describe(self, tree: Node, wish: Wish) -> Sentence:
        leaves = tree.leaves()
        verb_at, noun_at = _find_strict(leaves) if wish.form in STATEMENTS else (-1, -1)
        parts = [len(child.leaves()) for child in tree.children] if wish.form == STORY else []
        start = sum(parts[:2])
        return Sentence(
            split=self._split,
            words=tuple([leaf.word for leaf in leaves]),
            tags=tuple([leaf.label for leaf in leaves]),
            labels=wish.labels,
            side=wish.side,
            verb_at=verb_at,
            noun_at=noun_at,
            verb=leaves[verb_at].lemma if verb_at >= 0 else "",
            clauses=(start, start + parts[2], start + parts[2] + 1) if parts else (0, 0, 0),
            tree=tree if self._keep else None,
        )


def _has_auxiliary(tree: Node) -> bool:
    return any(leaf.role in _AUXILIARIES for leaf in tree.leaves())


def _find_strict(leaves: list[Node]) -> tuple[int, int]:
    """Find the verb of a person that makes objects of other kinds odd, and its object's noun: places, or -1 twice."""
    roles = [leaf.role for leaf in leaves]
    if "V.act" not in roles:
        return -1, -1
    verb = roles.index("V.act")
    persons = leaves[roles.index("N.tsubj")].lemma in lexicon.NOUNS["person"]
    strict = any(each.strict and each.lemma == leaves[verb].lemma for each in VERBS)
    return (verb, roles.index("N.tobj", verb)) if persons and strict else (-1, -1)


@cache
def _list_bearers() -> tuple[tuple[str, ...], ...]:
    """Lemmas that bear labels, in groups of which each split needs some."""
    # a verb such as `read` looks the same in both tenses
    verbs = [verb for verb in VERBS if inflect(verb.lemma, "VBD") != verb.lemma]
    slots = dict.fromkeys(verb.slot for verb in verbs)
    strict = tuple(verb.lemma for verb in verbs if verb.strict)
    rest = (tuple(verb.lemma for verb in verbs if verb.slot == slot) for slot in slots)
    return (strict, *rest, *lexicon.NOUNS.values())


@cache
def _list_stories() -> tuple[tuple[str, Verb, Verb], ...]:
    """Kinds of things with two verbs, the second for what cannot come first."""
    return tuple(
        (kind, Verb(first, "first", ("person",), (kind,)), Verb(second, "second", ("person",), (kind,)))
        for kind, stages in STORIES.items()
        for place, stage in enumerate(stages)
        for later in stages[place + 1 :]
        for first, second in product(stage.split(), later.split())
    )
