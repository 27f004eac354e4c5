"""Tense, SubjNum and ObjNum from treebanks (arXiv 1805.01070, section 2).

The word form that bears the label stands in one split only. All three are read from the root and its dependents through
UD features, so that they hold for any language.
"""

from collections.abc import Callable, Sequence

from probing.tasks.treebank.sampling import (
    FORM_SHARE,
    Candidate,
    Draft,
    Floor,
    UnsupportedTaskError,
    balance,
    draw,
    separate_forms,
)
from probing.tasks.treebank.sentences import Sentence, Word

TENSES = {"Pres": "PRES", "Past": "PAST", "Imp": "PAST", "Pqp": "PAST"}
"""UD's values of Tense; imperfect and pluperfect are past tenses there."""
NUMBERS = {"Sing": "NN", "Plur": "NNS"}
_RELAXED = (
    "a form's frequency is bounded by its share of a class (at most "
    f"{FORM_SHARE:.0%}; more frequent ones stand in train only, thinned out) in place of 100 to "
    "5,000 occurrences",
)

Reader = Callable[[Sentence], tuple[str, str] | None]
"""Label and target form of a sentence, or None where it has none."""


def build_past_present(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """Tense: whether the finite verb of the main clause is past or present."""
    return _build(corpus, seed, floor, "past_present", read_tense)


def build_subj_number(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """SubjNum: whether the head noun of the main clause's subject is singular or plural."""
    return _build(corpus, seed, floor, "subj_number", lambda sentence: read_number(sentence, "nsubj"))


def build_obj_number(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """ObjNum: whether the head noun of the main clause's direct object is singular or plural."""
    return _build(corpus, seed, floor, "obj_number", lambda sentence: read_number(sentence, "obj"))


def _build(corpus: Sequence[Sentence], seed: int, floor: Floor, purpose: str, read: Reader) -> Draft:
    found = [(sentence, read(sentence)) for sentence in draw(corpus, len(corpus), seed, purpose, "order")]
    candidates = [
        Candidate(sentence.split, *labelled[:1], sentence.text, labelled[1]) for sentence, labelled in found if labelled
    ]
    if not candidates:
        raise UnsupportedTaskError(
            f"none of {len(corpus)} main clauses shows its label through the features of its words (column FEATS)"
        )
    kept = separate_forms(candidates)
    rows = balance([(row.split, row.label, row.text) for row in kept], seed, purpose, floor)
    written = {text for _, _, text in rows}
    forms = {row.form for row in kept if row.text in written}
    return Draft(rows, "dependencies", _RELAXED, {"candidates": len(candidates), "target_forms": len(forms)})


def read_tense(sentence: Sentence) -> tuple[str, str] | None:
    """The tense of the main clause, and the word form that shows it.

    That word is the root where it is finite; else the first of its auxiliaries and copulas that is: `was` in
    `was seen`, `have` in `have seen` (a present, as in SentEval's VBP). None where that word has no tense (modals,
    imperatives) or is not indicative: German `würde` is formally past and means no past.
    """
    helpers = [sentence.words[index] for index in sentence.dependents(sentence.root, "aux", "cop")]
    finite = next((word for word in [sentence.words[sentence.root], *helpers] if _is_finite(word)), None)
    if finite is None or finite.feats.get("Mood", "Ind") != "Ind" or finite.feats.get("Tense") not in TENSES:
        return None
    return TENSES[finite.feats["Tense"]], fold_form(finite.form)


def _is_finite(word: Word) -> bool:
    # Participles carry Tense too ("has given": Past), which says nothing of the clause.
    return word.upos in {"VERB", "AUX"} and word.feats.get("VerbForm") == "Fin"


def read_number(sentence: Sentence, relation: str) -> tuple[str, str] | None:
    """The number of the root's subject or object, and that noun's form.

    Common nouns only, as in SentEval. None where there is no such dependent or more than one, or where it is
    coordinated: `the dog and the cat` is a plural with a singular head.
    """
    found = sentence.dependents(sentence.root, relation)
    if len(found) != 1 or sentence.dependents(found[0], "conj"):
        return None
    noun = sentence.words[found[0]]
    if noun.upos != "NOUN" or noun.feats.get("Number") not in NUMBERS:
        return None
    return NUMBERS[noun.feats["Number"]], fold_form(noun.form)


def fold_form(form: str) -> str:
    """One spelling of a form: no case, straight apostrophes."""
    return form.casefold().replace("\u2019", "'")
