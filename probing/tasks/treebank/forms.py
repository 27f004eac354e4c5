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
MODALS = frozenset({"can", "could", "may", "might", "must", "shall", "should", "will", "would", "ought"}) | frozenset(
    {"ca", "wo", "sha", "'ll"}
)
"""English auxiliaries that some treebanks give a Tense: neither forms nor meanings are of one."""
_ANNOTATED = 0.5
"""Share of words with a Tense that have a VerbForm too, from which a treebank is taken to annotate it."""
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
    tensed = [word for sentence in corpus for word in sentence.words if "Tense" in word.feats]
    with_form = sum("VerbForm" in word.feats for word in tensed)
    needs_form = with_form >= _ANNOTATED * len(tensed)
    return _build(corpus, seed, floor, "past_present", lambda sentence: read_tense(sentence, needs_form=needs_form))


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
        roots = [sentence.words[sentence.root] for sentence in corpus]
        counts = {name: sum(name in root.feats for root in roots) for name in ("Tense", "VerbForm", "Mood", "Number")}
        raise UnsupportedTaskError(
            f"none of {len(corpus)} main clauses shows its label through the features of its words (column FEATS); of "
            f"their roots {', '.join(f'{count} have {name}' for name, count in counts.items())}"
        )
    kept = separate_forms(candidates)
    rows = balance([(row.split, row.label, row.text) for row in kept], seed, purpose, floor)
    written = {text for _, _, text in rows}
    forms = {row.form for row in kept if row.text in written}
    return Draft(rows, "dependencies", _RELAXED, {"candidates": len(candidates), "target_forms": len(forms)})


def read_tense(sentence: Sentence, *, needs_form: bool = False) -> tuple[str, str] | None:
    """The tense of the main clause, and the word form that shows it.

    That word is the first of the root's auxiliaries and copulas that is finite: `was` in `was seen`, `have` in `have
    seen` (a present, as in SentEval's VBP), whatever the participle bears; without an auxiliary the root comes before
    copulas. None where that word has no tense, is a modal, or is not indicative: imperatives, and
    German `würde`, which is formally past and means no past.

    Args:
        sentence: with dependencies.
        needs_form: whether a finite verb must say so by `VerbForm=Fin`; if not, one that says nothing is finite too.
    """
    root = sentence.words[sentence.root]
    helpers = [sentence.words[index] for index in sentence.dependents(sentence.root, "aux", "cop")]
    verbs = [*helpers, root] if any(word.relation.split(":")[0] == "aux" for word in helpers) else [root, *helpers]
    finite = next((word for word in verbs if _is_finite(word, needs_form) or _is_modal(word)), None)
    if finite is None or _is_modal(finite) or "Imp" in (root.feats.get("Mood"), finite.feats.get("Mood")):
        return None
    if finite.feats.get("Mood", "Ind") != "Ind" or finite.feats.get("Tense") not in TENSES:
        return None
    return TENSES[finite.feats["Tense"]], fold_form(finite.form)


def _is_finite(word: Word, needs_form: bool) -> bool:
    # Participles carry Tense too ("has given": Past), which says nothing of the clause.
    unsaid = "Fin" if "Tense" in word.feats and not needs_form else ""
    return word.upos in {"VERB", "AUX"} and word.feats.get("VerbForm", unsaid) == "Fin"


def _is_modal(word: Word) -> bool:
    # Those that agree with a person, such as German `kann`, inflect for tense as any verb does.
    name = fold_form(word.form if word.lemma == "_" else word.lemma)
    marked = word.feats.get("VerbType") == "Mod" or (word.upos == "AUX" and name in MODALS)
    return marked and word.feats.keys().isdisjoint({"Person", "Number"})


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
    """One spelling of a form: small letters, straight apostrophes; ß and ss stay two, as in German Maße and Masse."""
    return form.lower().replace("\u2019", "'")
