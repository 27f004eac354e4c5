"""Confounds of the controlled corpus: each shows while it is on and not while it is off, and moves nothing else."""

import json
from collections import Counter
from functools import cache
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.records import InputError
from probing.tasks.checks.task_check import check_rows
from probing.tasks.controlled.confounds import CONFOUNDS, find_confounds
from probing.tasks.controlled.corpus import load, make_examples, make_rows
from probing.tasks.files.senteval import format_rows

REPOSITORY = Path(__file__).parents[4]
SIZES = {"train": 600, "dev": 8, "test": 400}
FEW = {"train": 80, "dev": 24, "test": 24}
MARGIN = 5 * 0.5 / SIZES["test"] ** 0.5  # five standard errors of a share around one half
DEFAULT = {
    "sentence_length": "ca8716a5a0a6c1da",
    "word_content": "72b518b0e85e1997",
    "tree_depth": "74ddc6d8ba4aef13",
    "top_constituents": "88bf127c5e7742e5",
    "bigram_shift": "2b00ca3cca904d0d",
    "past_present": "5dc1757b0ff86a33",
    "subj_number": "1ea15a5656c2fbee",
    "obj_number": "7c8009975a8a8b18",
    "odd_man_out": "0edfbff6a522b094",
    "coordination_inversion": "9cfdf9444e275059",
}
"""The start of the SHA-256 of each file, with seed 0 and FEW: published scores belong to these sentences."""

N_CLASSES = {"sentence_length": 6, "word_content": 250, "tree_depth": 8, "top_constituents": 20}


@cache
def shortcuts_of(name, *confounds):
    found = check_rows(name, make_rows([name], 0, SIZES, confounds)[name], "controlled")
    assert list(found.faults) == []
    assert found.shortcuts is not None
    return found.shortcuts


def digests(*confounds):
    made = make_rows(["all"], 0, FEW, confounds)
    return {name: sha256(format_rows(rows).encode()).hexdigest()[:16] for name, rows in made.items()}


def test_with_every_switch_off_the_corpus_is_what_it_was():
    assert digests() == DEFAULT


@pytest.mark.slow
def test_the_whole_corpus_is_the_one_that_the_manifest_describes():
    manifest = json.loads((REPOSITORY / "data" / "manifest.json").read_text(encoding="utf-8"))
    corpus = next(corpus for corpus in manifest["corpora"] if corpus["name"] == "controlled")
    texts = {f"{name}.txt": format_rows(rows).encode() for name, rows in make_rows().items()}
    described = {file["path"]: (file["bytes"], file["sha256"]) for file in corpus["files"]}
    assert described == {path: (len(text), sha256(text).hexdigest()) for path, text in texts.items()}


@pytest.mark.parametrize("confound", CONFOUNDS)
def test_a_switch_changes_its_own_tasks_and_no_other(confound):
    changed = {name for name, digest in digests(confound).items() if digest != DEFAULT[name]}
    assert changed == set(CONFOUNDS[confound])


BAGS = [(confound, name) for confound in ("function_words", "content_words") for name in CONFOUNDS[confound]]


@pytest.mark.slow
@pytest.mark.parametrize(("confound", "name"), BAGS)
def test_a_bag_of_words_reads_the_cue_while_it_is_on(confound, name):
    assert abs(shortcuts_of(name).bag_of_words - 0.5) < MARGIN
    assert shortcuts_of(name, confound).bag_of_words > 0.5 + 1.5 * MARGIN


def words_told(name, *confounds):
    return {word.split(" ")[0] for word in shortcuts_of(name, *confounds).telling_words}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cues"),
    [
        ("past_present", {"was", "were", "is", "are"}),
        ("subj_number", {"every", "these", "those", "many", "some"}),
        ("obj_number", {"every", "these", "those", "many", "some"}),
    ],
)
def test_single_function_words_tell_tense_and_number_while_they_may(name, cues):
    assert not words_told(name) & cues
    assert len(words_told(name, "function_words") & cues) >= 3


def correlate(name, *confounds):
    """Length in words with depth in edges, over a task's sentences."""
    examples = make_examples(name, 0, SIZES, confounds)
    shapes = [(len(one.sentence.split()), one.tree.bracketed()) for one in examples]
    return np.corrcoef([length for length, _ in shapes], [measure_depth(text) for _, text in shapes])[0, 1]


def measure_depth(bracketed):
    """The deepest nesting of brackets."""
    steps = [(sign == "(") - (sign == ")") for sign in bracketed]
    return max(np.cumsum(steps))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFOUNDS["length_depth"])
def test_length_and_depth_go_together_while_they_may(name):
    assert abs(correlate(name)) < 4 / sum(SIZES.values()) ** 0.5  # four standard errors of no correlation
    assert correlate(name, "length_depth") > 0.85


@pytest.mark.slow
def test_the_number_of_words_tells_the_depth_while_it_may():
    chance = 1 / 8
    assert abs(shortcuts_of("tree_depth").length - chance) < 5 * (chance * (1 - chance) / SIZES["test"]) ** 0.5
    assert shortcuts_of("tree_depth", "length_depth").length > 2 * chance


def find_targets(name, tree):
    """The words that bear the label."""
    leaves = tree.leaves()
    if name == "odd_man_out":
        verb = next(place for place, leaf in enumerate(leaves) if leaf.role == "V.act")
        return [leaves[verb], next(leaf for leaf in leaves[verb:] if leaf.role == "N.tobj")]
    if name == "past_present":
        clauses = [child for child in tree.children if child.label == "S" and tree.children[-2].label == "S"] or [tree]
        phrases = [next(child for child in clause.children if child.label == "VP") for clause in clauses]
        return [next(child for child in phrase.children if child.label.startswith("VB")) for phrase in phrases]
    role = {"subj_number": "N.tsubj", "obj_number": "N.tobj"}[name]
    return [leaf for leaf in leaves if leaf.role == role]


def target_lemmas(name, *confounds):
    """Of each split."""
    found = {split: set() for split in SIZES}
    for one in make_examples(name, 0, {"train": 400, "dev": 160, "test": 160}, confounds):
        found[one.split] |= {leaf.lemma for leaf in find_targets(name, one.tree)}
    return found.values()


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFOUNDS["shared_words"])
def test_target_words_stand_in_all_splits_only_while_they_may(name):
    assert not any(one & other for one, other in combinations(target_lemmas(name), 2))
    assert all(len(one & other) >= 10 for one, other in combinations(target_lemmas(name, "shared_words"), 2))


@pytest.mark.parametrize("name", [spec.name for spec in SENTEVAL_TASKS])
def test_the_first_class_has_half_and_its_share_of_the_rest_while_classes_are_uneven(name):
    sizes = {"train": 240, "dev": 12, "test": 12}
    for confounds in ((), ("uneven_classes",)):
        counts = Counter(label for split, label, _ in make_rows([name], 0, sizes, confounds)[name] if split == "train")
        share = 1 / N_CLASSES.get(name, 2)
        share = (1 + share) / 2 if confounds else share
        assert abs(max(counts.values()) - share * 240) <= 1


def test_switches_may_be_thrown_together():
    names = CONFOUNDS["content_words"]
    rows = make_rows(names, 0, FEW, CONFOUNDS)
    for name in names:
        labels = [label for split, label, _ in rows[name] if split == "train"]
        assert labels.count("O") == 60
        assert len({sentence for _, _, sentence in rows[name]}) == sum(FEW.values())


def test_a_corpus_says_what_was_switched_on():
    task = load(["tree_depth"], 0, FEW, ["length-depth"])["tree_depth"]
    assert task.origin == "controlled corpus, seed 0, length_depth"


def test_an_unknown_confound_is_told_with_the_nearest_name():
    with pytest.raises(InputError, match="did you mean length_depth"):
        find_confounds(["lenght_depth"])


def test_every_task_can_be_confounded():
    assert set().union(*CONFOUNDS.values()) == {spec.name for spec in SENTEVAL_TASKS}
