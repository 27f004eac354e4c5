"""Labels of the controlled corpus, recomputed from the trees by another route than the one that made them."""

from collections import Counter
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk import Tree

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.records import InputError, Task
from probing.tasks.controlled import lexicon
from probing.tasks.controlled.corpus import load, make_examples, make_rows
from probing.tasks.controlled.forms import TOP_FORMS
from probing.tasks.controlled.verbs import STORIES, VERBS
from probing.tasks.controlled.wishes import LENGTH_BINS
from probing.tasks.controlled.word_tasks import target_words
from probing.tasks.files.senteval import read_task, write_tasks

NAMES = [spec.name for spec in SENTEVAL_TASKS]
FEW = {"train": 80, "dev": 24, "test": 24}
KINDS = {lemma: kind for kind, lemmas in lexicon.NOUNS.items() for lemma in lemmas}
TARGETS = {target.word for target in target_words()}


@cache
def examples_of(name):
    return make_examples(name, 0, {"train": 800, "dev": 200, "test": 200})


def read_tree(example):
    return Tree.fromstring(example.tree.bracketed())


def head_label(phrase):
    labels = [child.label() for child in phrase]
    return head_label(phrase[0]) if labels[0] == "NP" and {"PP", "SBAR"} & set(labels[1:]) else labels[-1]


def main_clauses(tree):
    """The clauses that a sentence consists of: those on both sides of a conjunction, a question's, or itself."""
    inner = [child for child in tree if child.label() in {"S", "SQ"}]
    labels = [child.label() for child in tree]
    # before a comma and a subject, a clause without one of its own is no main clause
    return [tree] if not inner or "NP" in labels else [clause for child in inner for clause in main_clauses(child)]


def main_verb_phrases(tree):
    return [next(child for child in clause if child.label() == "VP") for clause in main_clauses(tree)]


def all_alike(found):
    (label,) = set(found)
    return label


def length_bin(example):
    length = len(example.sentence.split())
    return str(next(number for number, (first, last) in enumerate(LENGTH_BINS) if first <= length <= last))


def the_target(example):
    (word,) = [word for word in example.sentence.split() if word in TARGETS or word.lower() in TARGETS]
    return word if word in TARGETS else word.lower()


def depth_in_edges(example):
    return str(read_tree(example).height())  # from S to the word, and one more edge from ROOT


def top_sequence(example):
    sequence = "_".join(child.label() for child in read_tree(example))
    return sequence if sequence in TOP_FORMS else "OTHER"


def order_of_tokens(example):
    tokens, original = example.sentence.lower().split(), [leaf.word.lower() for leaf in example.tree.leaves()]
    tokens, original = ([word.replace("an", "a") for word in words] for words in (tokens, original))
    changed = [place for place, pair in enumerate(zip(tokens, original, strict=True)) if pair[0] != pair[1]]
    if not changed:
        return "O"
    first, second = changed
    assert second == first + 1
    assert (tokens[first], tokens[second]) == (original[second], original[first])
    return "I"


def main_verbs(tree):
    return [next(child for child in phrase if child.label().startswith("VB")) for phrase in main_verb_phrases(tree)]


def main_tense(example):
    tenses = {"VBD": "PAST", "VBZ": "PRES", "VBP": "PRES"}
    return all_alike(tenses[verb.label()] for verb in main_verbs(read_tree(example)))


def subject_number(example):
    subjects = [[child for child in clause if child.label() == "NP"][-1] for clause in main_clauses(read_tree(example))]
    return all_alike(map(head_label, subjects))


def object_number(example):
    # of two objects, the thing given is the last one
    objects = [
        [child for child in phrase if child.label() == "NP"][-1] for phrase in main_verb_phrases(read_tree(example))
    ]
    return all_alike(map(head_label, objects))


def sense(example):
    verb, noun = (leaf.lemma for leaf in odd_words(example.tree))
    allowed = next(each.objects for each in VERBS if each.strict and each.lemma == verb)
    return "O" if KINDS[noun] in allowed else "C"


def odd_words(tree):
    """The first verb with a target object, and that object."""
    leaves = tree.leaves()
    verb = next(place for place, leaf in enumerate(leaves) if leaf.role == "V.act")
    return leaves[verb], next(leaf for leaf in leaves[verb:] if leaf.role == "N.tobj")


def order_of_clauses(example):
    lemmas = [leaf.lemma for leaf in example.tree.leaves() if leaf.role in {"V.first", "V.second"}]
    kind = next(KINDS[leaf.lemma] for leaf in example.tree.leaves() if leaf.role == "N.topic")
    first, second = (
        next(place for place, stage in enumerate(STORIES[kind]) if lemma in stage.split()) for lemma in lemmas
    )
    assert first != second
    return "O" if first < second else "I"


RECOMPUTED = {
    "sentence_length": length_bin,
    "word_content": the_target,
    "tree_depth": depth_in_edges,
    "top_constituents": top_sequence,
    "bigram_shift": order_of_tokens,
    "past_present": main_tense,
    "subj_number": subject_number,
    "obj_number": object_number,
    "odd_man_out": sense,
    "coordination_inversion": order_of_clauses,
}


@pytest.mark.slow
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**32))
def test_an_independent_walk_of_the_tree_finds_every_label(seed):
    for name in NAMES:  # all of one seed draw from the same pool
        examples = make_examples(name, seed, FEW)
        assert [RECOMPUTED[name](example) for example in examples] == [example.label for example in examples]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_sentences_differ_and_splits_have_their_sizes(name):
    examples = examples_of(name)
    assert len({example.sentence for example in examples}) == len(examples)
    assert Counter(example.split for example in examples) == {"train": 800, "dev": 200, "test": 200}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_classes_are_balanced_in_every_split(name):
    counts = Counter((example.split, example.label) for example in examples_of(name))
    for split in ("train", "dev", "test"):
        sizes = [count for (mark, _), count in counts.items() if mark == split]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_sentences_are_written_as_in_the_files_of_senteval(name):
    for example in examples_of(name):
        tokens = example.sentence.split(" ")
        assert tokens[0][0].isupper()
        assert tokens[-1] in {".", "?"}
        assert all(tokens)


def test_a_seed_gives_the_same_rows_whatever_else_is_made():
    alone = make_rows(["past_present"], 3, FEW)
    together = make_rows(["all"], 3, FEW)
    assert list(together) == NAMES
    assert alone["past_present"] == together["past_present"]
    assert alone != make_rows(["past_present"], 4, FEW)


def test_tasks_and_rows_and_examples_are_one(tmp_path):
    rows = make_rows(["semantic"], 1, FEW)
    write_tasks(tmp_path, rows)
    for name, task in load(["semantic"], 1, FEW).items():
        again = read_task(tmp_path / f"{name}.txt", task.spec)
        assert isinstance(task, Task)
        assert again.classes == task.classes
        for split in FEW:
            assert again.splits[split].texts == task.splits[split].texts
            np.testing.assert_array_equal(again.splits[split].labels, task.splits[split].labels)
        assert [tuple(example)[:3] for example in make_examples(name, 1, FEW)] == rows[name]


def test_an_unknown_task_is_told_with_the_nearest_name():
    with pytest.raises(InputError, match="tree_depth"):
        load(["tree_dept"])


def target_forms(name, example):
    if name == "past_present":
        return {verb[0] for verb in main_verbs(read_tree(example))}
    if name == "odd_man_out":
        return {leaf.word for leaf in odd_words(example.tree)}
    role = {"subj_number": "N.tsubj", "obj_number": "N.tobj"}[name]
    return {leaf.word for leaf in example.tree.leaves() if leaf.role == role}


@pytest.mark.parametrize("name", ["past_present", "subj_number", "obj_number", "odd_man_out"])
def test_target_words_of_one_split_are_targets_in_no_other(name):
    forms = {split: set() for split in FEW}
    for example in examples_of(name):
        forms[example.split] |= target_forms(name, example)
    assert min(map(len, forms.values())) >= 10
    for one, other in combinations(forms.values(), 2):
        assert not one & other


def test_odd_words_are_as_often_at_home():
    counts = Counter()
    for example in examples_of("odd_man_out"):
        counts.update((leaf.word, example.label) for leaf in odd_words(example.tree))
    assert all(counts[word, "O"] == counts[word, "C"] for word, _ in counts)


@pytest.mark.parametrize("name", ["tree_depth", "sentence_length"])
def test_length_and_depth_do_not_go_together(name):
    shapes = np.array([(len(e.sentence.split()), int(depth_in_edges(e))) for e in examples_of(name)])
    assert abs(np.corrcoef(shapes.T)[0, 1]) < 0.12  # four standard errors at this size


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [
        {"train": 2000, "dev": 200, "test": 200},
        pytest.param({"train": 1000, "dev": 1000, "test": 1000}, marks=pytest.mark.slow),
    ],
)
def test_ten_tasks_share_their_sentences(sizes):
    rows = make_rows(["all"], 0, sizes)
    distinct = {sentence for found in rows.values() for _, _, sentence in found}
    assert len(distinct) <= 3.6 * sum(sizes.values())  # small pools share a little less


@pytest.mark.slow
def test_ten_tasks_of_the_default_sizes_have_at_most_40_000_sentences():
    distinct = {sentence for found in make_rows().values() for _, _, sentence in found}
    assert 36_000 < len(distinct) <= 40_000


def test_a_sentence_is_in_one_split_of_all_tasks_that_read_it():
    splits = {}
    for name in NAMES:
        for example in examples_of(name):
            splits.setdefault(example.sentence, set()).add(example.split)
    assert all(len(found) == 1 for found in splits.values())


@pytest.mark.parametrize("name", ["odd_man_out", "coordination_inversion"])
def test_altered_sentences_have_the_words_of_originals_of_their_split(name):
    for split in FEW:
        words = {"O": Counter(), "altered": Counter()}
        for example in examples_of(name):
            if example.split == split:
                words["O" if example.label == "O" else "altered"].update(example.sentence.lower().split())
        # `a` before one noun is `an` before another
        for found in words.values():
            found["a"] += found.pop("an", 0)
        assert words["O"] == words["altered"]


def test_structure_is_varied_enough():
    assert len({example.label for example in examples_of("tree_depth")}) == 8
    assert len({example.label for example in examples_of("top_constituents")}) == 20
    assert len(TARGETS) == 250
