"""Each cue by which a sentence may give its class away is found where it was planted, and by no other rule."""

import numpy as np
import pytest

from probing.records import SPLITS, Split, Task, TaskSpec
from probing.tasks.checks.shortcuts import (
    Shortcuts,
    find_after_comma,
    find_first_word,
    list_characters,
    list_pairs,
    measure_shortcuts,
)

WORDS = np.array(
    ["river", "stone", "cloud", "paper", "bread", "horse", "chair", "glass", "smoke", "field", "tower", "shirt"]
)
CUES = ("length", "bag_of_words", "word_pairs", "characters", "first_word", "after_comma")
N = {"train": 1200, "dev": 40, "test": 400}


def draw_words(rng):
    """Eight words that say nothing, a comma after the fourth."""
    words = list(rng.choice(WORDS, size=8))
    words[3] += ","
    return words


def plant_nothing(words, label):
    """No cue."""


def plant_first_word(words, label):
    """Both classes have both words; one of them comes first."""
    words[0], words[6] = ("yes", "no") if label else ("no", "yes")


def plant_after_comma(words, label):
    """Both classes have both words; one of them follows the comma."""
    words[4], words[6] = ("yes", "no") if label else ("no", "yes")


def plant_pair(words, label):
    """Both classes have both words, side by side in another order, at places that say nothing."""
    at = 5 + len(words[0]) % 2
    words[at : at + 2] = ("yes", "no") if label else ("no", "yes")


def plant_letters(words, label):
    """A new word in each sentence, of its class by its end alone."""
    words[1] = f"{words[2][::-1]}{words[5][1:3]}{words[6][2:4]}{words[7][:2]}" + ("tion" if label else "ness")


def plant_word(words, label):
    """A word of one class."""
    words[1] = "yes" if label else "no"


def plant_length(words, label):
    """A longer sentence."""
    if label:
        words += ["river", "stone"]


def measure(plant, seed=0) -> Shortcuts:
    rng, splits = np.random.default_rng(seed), {}
    for split in SPLITS:
        labels, texts = rng.integers(0, 2, size=N[split]), []
        for label in labels:
            words = draw_words(rng)
            plant(words, label)
            texts.append((" ".join(words),))
        splits[split] = Split(tuple(texts), labels)
    return measure_shortcuts(Task(TaskSpec("made", "Made", "semantic"), ("a", "b"), splits))


@pytest.mark.parametrize(
    ("plant", "found", "blind"),
    [
        (plant_nothing, (), CUES),
        (plant_first_word, ("first_word", "word_pairs"), ("length", "bag_of_words", "after_comma")),
        (plant_after_comma, ("after_comma", "word_pairs"), ("length", "bag_of_words", "first_word")),
        (plant_pair, ("word_pairs", "characters"), ("length", "bag_of_words", "first_word", "after_comma")),
        (plant_letters, ("characters",), ("length", "first_word", "after_comma")),
        (plant_word, ("bag_of_words", "word_pairs", "characters"), ("length", "first_word", "after_comma")),
        (plant_length, ("length",), ("first_word", "after_comma")),
    ],
)
def test_a_planted_cue_is_found_by_the_rules_that_can_see_it_and_by_no_other(plant, found, blind):
    scores = measure(plant)
    # 400 sentences at chance: more than .60 is four standard errors away.
    assert {name: getattr(scores, name) for name in found if getattr(scores, name) < 0.95} == {}
    assert {name: getattr(scores, name) for name in blind if getattr(scores, name) > 0.6} == {}


def test_pairs_keep_order_case_ends_and_segments_apart():
    assert list_pairs(("Go on", "on")) == [
        "0<",
        "Go",
        "on",
        "0>",
        "0< Go",
        "Go on",
        "on 0>",
        "1<",
        "on",
        "1>",
        "1< on",
        "on 1>",
    ]


def test_runs_of_characters_go_across_words():
    assert list_characters(("ab c",)) == ["ab", "b ", " c", "ab ", "b c", "ab c"]


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("Yes , no", "yes", "no"),
        ("Yes, No", "yes", "no"),
        ("one two", "one", ""),
        ("ends with a comma,", "ends", ""),
        ("", "", ""),
    ],
)
def test_the_first_word_and_the_one_after_a_comma(text, first, after):
    assert (find_first_word((text,)), find_after_comma((text,))) == (first, after)
