"""Labels of the controlled corpus, recomputed from the trees by another route than the one that made them."""

from collections import Counter
from functools import cache
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk import Tree
from probing.tasks.controlled.structure_tasks import LENGTH_BINS, TOP_ROOTS

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.records import InputError, Task
from probing.tasks.controlled import lexicon
from probing.tasks.controlled.corpus import load, make_examples, make_rows
from probing.tasks.controlled.verbs import STORIES, VERBS
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


def main_verb_phrase(tree):
    return next(child for child in tree if child.label() == "VP")


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
    return sequence if sequence in TOP_ROOTS else "OTHER"


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


def main_tense(example):
    label = next(child.label() for child in main_verb_phrase(read_tree(example)) if child.label().startswith("VB"))
    return {"VBD": "PAST", "VBZ": "PRES", "VBP": "PRES"}[label]


def subject_number(example):
    return head_label([child for child in read_tree(example) if child.label() == "NP"][-1])


def object_number(example):
    phrase = main_verb_phrase(read_tree(example))
    while phrase[0].label() == "MD":
        phrase = phrase[-1]
    return head_label([child for child in phrase if child.label() == "NP"][-1])


def sense(example):
    leaves = {leaf.role: leaf.lemma for leaf in example.tree.leaves()}
    allowed = next(verb.objects for verb in VERBS if verb.strict and verb.lemma == leaves["V.odd"])
    return "O" if KINDS[leaves["N.odd"]] in allowed else "C"


def order_of_clauses(example):
    lemmas = [leaf.lemma for leaf in example.tree.leaves() if leaf.role in {"V.first", "V.second"}]
    kind = next(KINDS[leaf.lemma] for leaf in example.tree.leaves() if leaf.role == "N.new")
    beginnings, endings = (words.split() for words in STORIES[kind])
    return "O" if tuple(lemmas) in set(product(beginnings, endings)) else "I"


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


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=3)
@given(seed=st.integers(0, 2**32))
def test_an_independent_walk_of_the_tree_finds_every_label(name, seed):
    examples = make_examples(name, seed, FEW)
    assert [RECOMPUTED[name](example) for example in examples] == [example.label for example in examples]


@pytest.mark.parametrize("name", NAMES)
def test_all_sentences_differ_and_splits_have_their_sizes(name):
    examples = examples_of(name)
    assert len({example.sentence for example in examples}) == len(examples)
    assert Counter(example.split for example in examples) == {"train": 800, "dev": 200, "test": 200}


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
    leaves = example.tree.leaves()
    if name == "past_present":
        return {next(c for c in main_verb_phrase(read_tree(example)) if c.label().startswith("VB"))[0]}
    role = {"subj_number": ("N.tsubj",), "obj_number": ("N.tobj",), "odd_man_out": ("N.odd", "V.odd")}[name]
    return {leaf.word for leaf in leaves if leaf.role in role}


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
        counts.update((word, example.label) for word in target_forms("odd_man_out", example))
    assert all(counts[word, "O"] == counts[word, "C"] for word, _ in counts)


@pytest.mark.parametrize("name", ["tree_depth", "sentence_length"])
def test_length_and_depth_do_not_go_together(name):
    shapes = np.array([(len(e.sentence.split()), int(depth_in_edges(e))) for e in examples_of(name)])
    assert abs(np.corrcoef(shapes.T)[0, 1]) < 0.12  # four standard errors at this size


def test_structure_is_varied_enough():
    assert len({example.label for example in examples_of("tree_depth")}) == 8
    assert len({example.label for example in examples_of("top_constituents")}) == 20
    assert len(TARGETS) == 250
