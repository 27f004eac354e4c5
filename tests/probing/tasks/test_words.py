"""Words are the same whether a text is printed or tokenised."""

import pytest

from probing.tasks.controlled.corpus import make_rows
from probing.tasks.words import split_words


@pytest.mark.parametrize(
    ("printed", "tokenised"),
    [
        ("I slept, but the dog barked.", "I slept , but the dog barked ."),
        ("\u201eDas Haus\u201c (alt)!", "\u201e Das Haus \u201c ( alt ) !"),
        ("wait... what?", "wait ... what ?"),
    ],
)
def test_punctuation_is_set_apart(printed: str, tokenised: str) -> None:
    assert split_words(printed) == split_words(tokenised) == tokenised.split()


@pytest.mark.parametrize("text", ["Mr. Smith left .", "I do n't .", "", "don't it's well-known", "..."])
def test_tokenised_text_is_left_as_it_is(text: str) -> None:
    assert split_words(text) == text.split()


def test_the_controlled_corpus_is_tokenised() -> None:
    rows = make_rows(["coordination_inversion"], 0, {"train": 40, "dev": 10, "test": 10})["coordination_inversion"]
    assert all(split_words(text) == text.split() for _, _, text in rows)
