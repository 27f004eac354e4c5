"""Each definition labels what it should and passes over what it should not."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from probing.tasks.files.senteval import Row
from probing.tasks.treebank.coordination import Coordination, find_coordination, invert
from probing.tasks.treebank.forms import build_past_present, fold_form, read_number, read_tense
from probing.tasks.treebank.letter_case import Casing, learn_casing
from probing.tasks.treebank.odd_man_out import TOLERANCE, build_odd_man_out
from probing.tasks.treebank.sampling import (
    FORM_SHARE,
    Candidate,
    Floor,
    UnsupportedTaskError,
    balance,
    normalise,
    separate_forms,
)
from probing.tasks.treebank.sentences import Sentence, Word
from probing.tasks.treebank.surface import build_sentence_length, build_word_content
from probing.tasks.treebank.syntax import build_bigram_shift, build_tree_depth

TINY = Floor(1, 1)
FIN = "Mood=Ind VerbForm=Fin "


def sentence(*rows: str, split: str = "train") -> Sentence:
    """Words written as `form UPOS head relation Feature=Value ...`; every word is a token; heads count from 1."""
    words = []
    for index, row in enumerate(rows):
        form, upos, head, relation, *feats = row.split()
        words.append(Word(form, upos, "_", dict(feat.split("=") for feat in feats), int(head) - 1, relation, index))
    return Sentence("x", split, tuple(word.form for word in words), (False,) * len(words), tuple(words))


def plain(text: str, split: str = "train", upos: str = "X") -> Sentence:
    """A sentence whose first word governs all others."""
    return sentence(*(f"{form} {upos} {min(index, 1)} dep" for index, form in enumerate(text.split())), split=split)


# Tense ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["She PRON 2 nsubj", f"Sang VERB 0 root {FIN}Tense=Past"], ("PAST", "sang")),
        (
            ["It PRON 3 nsubj", f"has AUX 3 aux {FIN}Tense=Pres", "gone VERB 0 root Tense=Past VerbForm=Part"],
            ("PRES", "has"),
        ),
        (["It PRON 3 nsubj", f"was AUX 3 cop {FIN}Tense=Past", "red ADJ 0 root"], ("PAST", "was")),
        (["\u2019s AUX 2 cop Mood=Ind VerbForm=Fin Tense=Pres", "red ADJ 0 root"], ("PRES", "'s")),
        (["canta VERB 0 root Mood=Ind VerbForm=Fin Tense=Imp"], ("PAST", "canta")),
        (
            [
                "would AUX 3 aux VerbForm=Fin",
                "have AUX 3 aux VerbForm=Inf",
                "gone VERB 0 root Tense=Past VerbForm=Part",
            ],
            None,
        ),
        (["würde AUX 2 aux Mood=Sub VerbForm=Fin Tense=Past", "gehen VERB 0 root VerbForm=Inf"], None),
        (["Go VERB 0 root Mood=Imp VerbForm=Fin"], None),
        (
            [
                "We PRON 3 nsubj",
                "should AUX 3 aux VerbForm=Fin Tense=Past VerbType=Mod",
                "wait VERB 0 root VerbForm=Inf",
            ],
            None,
        ),
        (["we PRON 3 nsubj", "shall AUX 3 aux VerbForm=Fin Tense=Pres", "check VERB 0 root VerbForm=Inf"], None),
        (
            ["must AUX 3 aux VerbForm=Fin", "have AUX 3 aux VerbForm=Inf", f"asked VERB 0 root {FIN}Tense=Past"],
            None,
        ),
        (
            ["man NOUN 3 nsubj", f"had AUX 3 aux {FIN}Tense=Past", f"become VERB 0 root {FIN}Tense=Pres"],
            ("PAST", "had"),
        ),
        ([f"Do AUX 2 aux {FIN}Tense=Pres", "go VERB 0 root Mood=Imp VerbForm=Fin"], None),
        (
            [f"was AUX 3 cop {FIN}Tense=Past", "would AUX 3 aux VerbForm=Fin", "see VERB 0 root VerbForm=Inf"],
            ("PAST", "was"),  # The hope was that he would see: the clause is the predicate
        ),
        (["It PRON 2 nsubj", f"is VERB 0 root {FIN}Tense=Pres", f"was AUX 2 cop {FIN}Tense=Past"], ("PRES", "is")),
        (
            [
                "er PRON 3 nsubj",
                f"konnte AUX 3 aux {FIN}Tense=Past Person=3 VerbType=Mod",
                "gehen VERB 0 root VerbForm=Inf",
            ],
            ("PAST", "konnte"),
        ),
        (["\u0643\u062a\u0628 VERB 0 root Tense=Past"], ("PAST", "\u0643\u062a\u0628")),  # VerbForm is not annotated
        (["Given VERB 0 root Tense=Past VerbForm=Part"], None),
        (["What PRON 0 root", f"said VERB 1 acl:relcl {FIN}Tense=Past"], None),
    ],
)
def test_tense_is_that_of_the_finite_verb_of_the_main_clause(rows: list[str], expected: tuple[str, str] | None) -> None:
    assert read_tense(sentence(*rows)) == expected


def corpus_of_verbs(feats: str) -> list[Sentence]:
    """Thirty sentences of each tense and split, with a verb of its own each."""
    return [
        sentence(f"verb{letter}{number} VERB 0 root Tense={tense} {feats}", f"{split} X 1 dep", split=split)
        for split in ("train", "dev", "test")
        for letter, tense in (("a", "Past"), ("b", "Pres"))
        for number in range(30)
    ]


@pytest.mark.parametrize("feats", ["", "VerbForm=Fin"])
def test_verb_form_is_asked_for_where_a_treebank_annotates_it(feats: str) -> None:
    draft = build_past_present(corpus_of_verbs(feats), 0, TINY)
    assert {label for _, label, _ in draft.rows} == {"PAST", "PRES"}
    with pytest.raises(UnsupportedTaskError, match=r"of their roots 180 have Tense, 180 have VerbForm, 0 have Mood"):
        build_past_present(corpus_of_verbs("VerbForm=Part"), 0, TINY)
    # Where nearly all say so, one that does not is no finite verb.
    corpus = [*corpus_of_verbs("VerbForm=Fin"), sentence("given VERB 0 root Tense=Past", "all X 1 dep")]
    assert not any("given" in text for _, _, text in build_past_present(corpus, 0, TINY).rows)


@pytest.mark.parametrize(("one", "other"), [("Maße", "Masse"), ("ﬁel", "fiel"), ("Buße", "Busse")])
def test_two_spellings_are_two_forms(one: str, other: str) -> None:
    assert fold_form(one) != fold_form(other)
    assert fold_form(one) == fold_form(one[0].lower() + one[1:])


# SubjNum and ObjNum --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (["Dogs NOUN 2 nsubj Number=Plur"], ("NNS", "dogs")),
        (["Dog NOUN 2 nsubj:pass Number=Sing"], ("NN", "dog")),
        (["Rex PROPN 2 nsubj Number=Sing"], None),
        (["They PRON 2 nsubj Number=Plur"], None),
        (["Dog NOUN 2 obl Number=Sing"], None),
    ],
)
def test_number_is_that_of_a_common_noun(subject: list[str], expected: tuple[str, str] | None) -> None:
    assert read_number(sentence(*subject, "bark VERB 0 root"), "nsubj") == expected


def test_a_coordinated_subject_has_no_number_of_its_own() -> None:
    rows = ["dog NOUN 4 nsubj Number=Sing", "and CCONJ 3 cc", "cat NOUN 1 conj Number=Sing", "bark VERB 0 root"]
    assert read_number(sentence(*rows), "nsubj") is None


# forms apart ---------------------------------------------------------------------------------------------------------


def test_a_form_serves_in_one_split_and_never_moves() -> None:
    generator = np.random.default_rng(0)
    rows = [
        Candidate(split, "PAST", f"{split} {number}", f"form{int(generator.zipf(1.5)) % 50}")
        for split, size in (("train", 400), ("dev", 100), ("test", 100))
        for number in range(size)
    ]
    kept = separate_forms(rows)
    homes = {row.form: {other.split for other in kept if other.form == row.form} for row in kept}
    assert all(len(splits) == 1 for splits in homes.values())
    assert set(kept) <= set(rows)
    assert {row.split for row in kept} == {"train", "dev", "test"}


def test_a_form_that_is_everywhere_stays_in_train_and_is_thinned_out() -> None:
    rows = [Candidate(split, "PAST", f"{split} {n}", "was") for split in ("train", "dev", "test") for n in range(100)]
    rows += [Candidate("dev", "PAST", f"rare {n}", f"rare{n}") for n in range(100)]
    kept = separate_forms(rows)
    assert Counter(row.split for row in kept if row.form == "was") == {"train": FORM_SHARE * 100}


# balance -------------------------------------------------------------------------------------------------------------


def rows_of(sizes: dict[str, tuple[int, int]]) -> list[Row]:
    return [
        (split, label, f"{split} {label} {n}")
        for split, pair in sizes.items()
        for label, size in zip("ab", pair, strict=True)
        for n in range(size)
    ]


def test_classes_are_equally_frequent_in_each_split() -> None:
    rows = balance(rows_of({"train": (30, 20), "dev": (9, 5), "test": (5, 9)}), 0, "x", TINY)
    assert Counter((split, label) for split, label, _ in rows) == {
        (split, label): size for split, size in (("train", 20), ("dev", 5), ("test", 5)) for label in "ab"
    }


def test_another_seed_draws_other_rows_in_another_order() -> None:
    rows = rows_of({"train": (30, 20), "dev": (9, 5), "test": (5, 9)})
    assert balance(rows, 0, "x", TINY) == balance(rows, 0, "x", TINY) != balance(rows, 1, "x", TINY)


def test_a_class_below_the_floor_is_said_with_its_counts() -> None:
    with pytest.raises(UnsupportedTaskError, match=r"dev: b 2, a 9"):
        balance(rows_of({"train": (30, 20), "dev": (9, 2), "test": (5, 9)}), 0, "x", Floor(20, 5))


def test_sentences_that_differ_in_case_and_punctuation_are_the_same() -> None:
    assert normalise("Yes , I do !") == normalise("yes I do .") == normalise("\uff39es I do")
    assert normalise("Yes I do") != normalise("Yes I did")
    assert normalise("…") != normalise("?")


# SentLen and WC ------------------------------------------------------------------------------------------------------


def test_length_bins_are_sentevals() -> None:
    bins = {5: 0, 8: 0, 9: 1, 12: 1, 13: 2, 16: 2, 17: 3, 20: 3, 21: 4, 25: 4, 26: 5, 28: 5}
    corpus = [plain(" ".join(f"{s}{n}w{k}" for k in range(n)), s) for s in ("train", "dev", "test") for n in bins]
    rows = build_sentence_length(corpus, 0, Floor(2, 2)).rows
    assert {len(text.split()): int(label) for _, label, text in rows} == bins


@pytest.mark.slow
def test_a_sentence_holds_its_target_once_and_no_other() -> None:
    generator = np.random.default_rng(0)
    corpus = []
    for number, split in enumerate(["train"] * 3000 + ["dev"] * 600 + ["test"] * 600):
        words = [f"w{chr(97 + n // 26)}{chr(97 + n % 26)}x" for n in np.minimum(generator.zipf(1.15, 8), 600)]
        corpus.append(plain(" ".join(words) + f" {number}", split))
    rows = build_word_content(corpus, 0, TINY).rows
    targets = {label for _, label, _ in rows}
    assert len(targets) > 5
    assert all([word for word in text.lower().split() if word in targets] == [label] for _, label, text in rows)
    assert {
        split: {label for place, label, _ in rows if place == split} for split in ("train", "dev", "test")
    } == dict.fromkeys(("train", "dev", "test"), targets)


# TreeDepth and BShift ------------------------------------------------------------------------------------------------


def chain(length: int, depth: int, split: str, number: int) -> Sentence:
    rows = [f"{split}{number}n{k} X {min(k, depth - 1) if k else 0} {'dep' if k else 'root'}" for k in range(length)]
    return sentence(*rows, split=split)


@pytest.mark.slow
def test_depth_is_not_told_by_length() -> None:
    generator = np.random.default_rng(0)
    corpus = []
    for number in range(4000):
        length = int(generator.integers(5, 29))
        depth = int(np.clip(round(length / 4 + generator.normal(0, 1)), 2, length))
        corpus.append(chain(length, depth, ("train", "train", "dev", "test")[number % 4], number))
    together = np.corrcoef([(s.length, max(1, len({w.head for w in s.words}))) for s in corpus], rowvar=False)[0, 1]
    assert together > 0.5  # the control: the corpus itself does tell
    draft = build_tree_depth(corpus, 0, Floor(5, 5))
    assert all(abs(value) < 0.1 for value in draft.measures["correlation_with_length"].values())
    assert "dependencies" in draft.relaxed[0]


def test_a_shifted_sentence_differs_by_one_swap_inside() -> None:
    texts = {f"We saw the {w} and {w} and then left it ( all ) .".lower(): w for w in "abcdefghijkl"}
    corpus = []
    for number, text in enumerate(texts):
        rows = [f"{form} {'PUNCT' if form in '().' else 'X'} {min(k, 1)} dep" for k, form in enumerate(text.split())]
        corpus.append(sentence(*rows, split=("train", "dev", "test")[number % 3]))
    rows = build_bigram_shift(corpus, 0, TINY).rows
    assert {label for _, label, _ in rows} == {"I", "O"}
    for _, label, text in rows:
        original = next(other for other in texts if sorted(other.split()) == sorted(text.split())).split()
        changed = [place for place, (a, b) in enumerate(zip(text.split(), original, strict=True)) if a != b]
        assert changed == [] if label == "O" else changed == [changed[0], changed[0] + 1]
        assert 0 not in changed
        assert not {original[place] for place in changed} & {"(", ")", "."}


# CoordInv ------------------------------------------------------------------------------------------------------------

TWO_CLAUSES = [
    "The DET 2 det", "dog NOUN 3 nsubj", "barked VERB 0 root", ", PUNCT 7 punct", "but CCONJ 7 cc",
    "I PRON 7 nsubj", "slept VERB 3 conj", ". PUNCT 3 punct",
]  # fmt: skip


def test_clauses_change_places_and_nothing_else_does() -> None:
    cut = find_coordination(sentence(*TWO_CLAUSES))
    assert cut
    assert invert(cut, Casing()) == "I slept , but the dog barked ."


def test_spaces_stay_where_they_are_though_clauses_move() -> None:
    original = sentence(*TWO_CLAUSES)
    glued = tuple(token in {"barked", "slept"} for token in original.tokens)
    cut = find_coordination(replace(original, glued=glued))
    assert cut
    assert cut.sentence.text == "The dog barked, but I slept."
    assert invert(cut, Casing()) == "I slept, but the dog barked."


def coordinate(first: str, second: str, upos: str = "NOUN") -> Coordination:
    """`FIRST gelten und SECOND zählen .`."""
    rows = [f"{first} {upos} 2 nsubj", "gelten VERB 0 root", "und CCONJ 5 cc", f"{second} NOUN 5 nsubj"]
    cut = find_coordination(sentence(*rows, "zählen VERB 2 conj", ". PUNCT 2 punct"))
    assert cut
    return cut


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("Maße", "Regeln", "Regeln zählen und Maße gelten ."),  # ß is no ss, and nouns keep their capital
        ("Rex", "sie", "Sie zählen und Rex gelten ."),
        ("NASA", "sie", "Sie zählen und NASA gelten ."),
        ("3", "sie", "sie zählen und 3 gelten ."),
        ("\u10d0\u10d1", "\u10d2", "\u10d2 zählen und \u10d0\u10d1 gelten ."),  # Georgian has no capitals
        ("Sie", "ijs", ""),  # Dutch IJs
        ("Sie", "iPhones", ""),
        ("Sie", "\u02bcn", ""),
        ("'s", "Regeln", ""),
        ("Sie", "\u00dfe", ""),  # ß is no beginning
    ],
)
def test_inversion_changes_first_letters_alone_and_passes_over_what_is_not_sure(
    first: str, second: str, expected: str
) -> None:
    inside = [sentence("x X 0 root", *(f"{form} NOUN 1 dep" for form in ("Regeln", "Masse", "Masse", "Maße")))]
    upos = "PROPN" if first in {"Rex", "NASA"} else "PRON" if first == "Sie" else "NOUN"
    assert invert(coordinate(first, second, upos), learn_casing(inside)) == expected


DOTLESS = "\u0131"


@pytest.mark.parametrize(
    ("first", "second", "turkish", "other"),
    [
        (f"I\u015f{DOTLESS}k", "iyi", (f"{DOTLESS}\u015f{DOTLESS}k", "\u0130yi"), (f"i\u015f{DOTLESS}k", "Iyi")),
        ("\u0130yi", f"{DOTLESS}lk", ("iyi", "Ilk"), None),
    ],
)
def test_turkish_has_two_kinds_of_i(first, second, turkish, other) -> None:
    casing = learn_casing([plain(f"Bir kap{DOTLESS} ve iyi oldu", upos="VERB")])
    assert casing.exchange(first, "ADJ", second) == turkish
    assert Casing().exchange(first, "ADJ", second) == other


def test_words_are_cased_as_they_mostly_are_inside_sentences() -> None:
    casing = learn_casing([plain("X I think I do i The the the", upos="PRON")])
    inside = [casing.write_inside(word, "VERB") for word in ("I", "The", "I've", "Dogs", "McAdam")]
    assert inside == ["I", "the", "I've", "dogs", "McAdam"]


def test_no_word_of_an_inverted_sentence_is_spelt_otherwise_than_before() -> None:
    corpus = [coordinate(first, second, "PRON").sentence for first in ("Daß", "Was") for second in ("dass", "Maße")]
    for item in corpus:
        cut = find_coordination(item)
        assert cut
        text = invert(cut, learn_casing(corpus))
        # The control: casefold would take ß for ss.
        assert sorted(text.lower().split()) == sorted(item.text.lower().split())


@pytest.mark.parametrize(
    ("place", "row"),
    [
        (1, "dog CCONJ 3 cc:preconj"),  # a second conjunction
        (5, "I PRON 7 obl"),  # no subject in the second clause
        (6, "slept VERB 3 parataxis"),
        (5, "I PRON 3 nsubj"),  # a word of the first clause behind the conjunction
        (1, "“ PUNCT 3 punct"),
        (5, "( PUNCT 7 punct"),
    ],
)  # fmt: skip
def test_what_is_not_two_whole_main_clauses_is_passed_over(place: int, row: str) -> None:
    rows = list(TWO_CLAUSES)
    rows[place] = row
    assert find_coordination(sentence(*rows)) is None


# SOMO ----------------------------------------------------------------------------------------------------------------


def noun_corpus() -> list[Sentence]:
    generator = np.random.default_rng(0)
    corpus = []
    for number in range(900):
        noun = f"noun{'abcdefghijklmnopqrst'[int(generator.integers(20))]}"
        verb = ("saw", "met", "likes")[int(generator.integers(3))]
        place = ("here", "there")[int(generator.integers(2))]
        rows = [
            "We PRON 2 nsubj",
            f"{verb} AUX 0 root",
            f"the{number % 3} DET 4 det",
            f"{noun} NOUN 2 obj",
            f"{place} ADV 2 advmod",
        ]
        rows.append(f"n{number} NUM 2 obl")
        corpus.append(sentence(*rows, split=("train", "train", "dev", "test")[number % 4]))
    return corpus


def test_no_word_tells_whether_it_was_put_in() -> None:
    corpus = noun_corpus()
    rows = build_odd_man_out(corpus, 0, TINY).rows
    texts = {item.text for item in corpus}
    homes: dict[str, set[str]] = {}
    for split in ("train", "dev", "test"):
        nouns = {label: Counter(t.split()[3] for s, y, t in rows if (s, y) == (split, label)) for label in "OC"}
        assert nouns["O"] == nouns["C"]
        for noun in nouns["C"]:
            homes.setdefault(noun, set()).add(split)
    assert all(len(splits) == 1 for splits in homes.values())
    assert all((text in texts) == (label == "O") for _, label, text in rows)
    assert len({text.split()[5] for _, _, text in rows}) == len(rows)  # no sentence in both versions


def test_put_in_words_fit_their_neighbours_as_well_as_the_old_ones() -> None:
    corpus = noun_corpus()
    counts = Counter(pair for item in corpus for pair in pairwise(item.tokens))
    original = {item.tokens[5]: item.tokens for item in corpus}
    for _, label, text in build_odd_man_out(corpus, 0, TINY).rows:
        new = text.split()
        old = original[new[5]]
        if label == "C":
            for left, right in ((2, 3), (3, 4)):
                elsewhere = counts[old[left], old[right]] - 1
                assert abs(math.log(counts[new[left], new[right]] / elsewhere)) <= TOLERANCE + 1e-9
