"""Synonyms from a WordNet of a few words in nltk's own format, and the places that they are put in."""

from types import SimpleNamespace

import nltk
import numpy as np
import pytest
from nltk.corpus.reader import CorpusReader
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader

from probing.training.data import synonyms
from probing.training.data.replacement import Replacer, Sampling
from probing.training.data.sentences import Reading, Sentences
from probing.training.data.synonyms import SynonymFill, find_synonyms, has_wordnet
from probing.training.data.vocabulary import Marks

KINDS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
SENSES = {
    "noun": [("movie", "film"), ("word",), ("film", "coat", "thin_coat"), ("inch", "in"), ("icon", "picture")],
    "verb": [("run", "operate")],
}
TOKENS = (
    "[PAD]",
    "[MASK]",
    "movie",
    "film",
    "coat",
    "in",
    "inch",
    "icon",
    "picture",
    "##oclast",
    "run",
    "Operate",
    "b",
)
NUMBER = {token: number for number, token in enumerate(TOKENS)}


def write_wordnet(folder):
    """The files of a WordNet: an index of words, and the line of each sense at the byte that the index names."""
    folder.mkdir(parents=True)
    for kind, letter in KINDS.items():
        data, places = "", {}
        for words in SENSES.get(kind, ()):
            offset = len(data)
            spelled = " ".join(f"{word} 0" for word in words)
            data += f"{offset:08d} 03 {letter} {len(words):02x} {spelled} 000 {'00 ' * (kind == 'verb')}| what it is\n"
            for word in words:
                places.setdefault(word, []).append(f"{offset:08d}")
        index = [f"{word} {letter} {len(at)} 0 {len(at)} 0 {' '.join(at)}\n" for word, at in sorted(places.items())]
        (folder / f"data.{kind}").write_text(data)
        (folder / f"index.{kind}").write_text("".join(index))
        (folder / f"{kind}.exc").write_text("films film\n" if kind == "noun" else "")
    for name in ("index.sense", "cntlist.rev"):
        (folder / name).write_text("")
    (folder / "lexnames").write_text("".join(f"{number:02d}\tnoun.all\t1\n" for number in range(4)))


@pytest.fixture
def wordnet(tmp_path, monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    write_wordnet(tmp_path / "corpora" / "wordnet")
    names = LazyCorpusLoader("omw-1.4", CorpusReader, r".*")
    found = LazyCorpusLoader("wordnet", WordNetCorpusReader, names)
    monkeypatch.setattr(synonyms, "wordnet", found)
    yield found
    for file in found._data_file_map.values():  # nltk leaves them open
        if file is not None:
            file.close()


@pytest.fixture
def tokenizer():
    return SimpleNamespace(get_vocab=lambda: NUMBER, convert_ids_to_tokens=lambda number: TOKENS[number])


READABLE = np.array([token[0] != "[" for token in TOKENS])
CONTINUES = np.array([token.startswith("##") for token in TOKENS])


def test_synonyms_are_the_words_of_all_senses_that_are_tokens(wordnet, tokenizer):
    assert has_wordnet()
    find = find_synonyms(tokenizer, READABLE)

    def words(token):
        return [TOKENS[number] for number in find(NUMBER[token])]

    assert words("film") == ["movie", "coat"]  # of two senses; "thin coat" is no token
    assert words("movie") == ["film"]
    assert words("icon") == ["picture"]
    assert words("b") == words("##oclast") == words("run") == []  # "operate" is no token, Operate another one


def test_stop_words_and_marks_are_no_synonyms_and_have_none(wordnet, tokenizer):
    assert {"in", "inch"} == set(wordnet.synsets("in")[0].lemma_names())  # WordNet has it: an inch
    assert find_synonyms(tokenizer, READABLE)(NUMBER["in"]).tolist() == []
    unreadable = READABLE & ~np.isin(TOKENS, ["movie"])
    assert find_synonyms(tokenizer, unreadable)(NUMBER["film"]).tolist() == [NUMBER["coat"]]


def test_only_whole_words_that_have_synonyms_are_places(wordnet, tokenizer):
    fill = SynonymFill(find_synonyms(tokenizer, READABLE), CONTINUES)
    ids = np.array([NUMBER[token] for token in ("b", "icon", "##oclast", "icon", "in", "film")])
    assert fill.may_fill(ids).tolist() == [False, False, False, True, False, True]
    places = set()
    for seed in range(20):
        replacer = object.__new__(Replacer)
        marks = Marks(0, 0, NUMBER["[MASK]"], ~READABLE, CONTINUES)
        replacer._reading = Reading(None, marks, 0)
        replacer._sentences = Sentences(SimpleNamespace(ids=[ids]), np.array([0]))
        replacer._sampling, replacer._fill = Sampling(1, 1, seed), fill
        drawn, noise = replacer._draw(0, 0)
        assert len(drawn) == len(noise) == 2  # six were asked for
        places |= set(drawn.tolist())
    assert places == {3, 5}


def test_without_wordnet_or_with_half_of_it_there_is_none(wordnet, tmp_path, monkeypatch):
    (tmp_path / "corpora" / "wordnet" / "data.noun").unlink()
    assert not has_wordnet()

    def fail(word):
        raise LookupError(word)

    monkeypatch.setattr(synonyms, "wordnet", SimpleNamespace(synsets=fail))
    assert not has_wordnet()
