"""A treebank of a made-up language, drawn by chance: enough for most of the ten tasks."""

from pathlib import Path

import numpy as np

from probing.records import SPLITS

NOUNS = [f"{a}{b}n" for a in ("ba", "do", "ki", "lu", "me", "po") for b in ("ra", "to", "zi", "fe")]
VERBS = [f"{a}{b}k" for a in ("sa", "go", "ti", "ru", "be", "ny") for b in ("la", "mo", "vi", "du", "he")]
FIN = "Mood=Ind|VerbForm=Fin|Tense="
SIZES = (700, 250, 250)
"""Sentences of train, dev and test."""


def make_clause(generator: np.random.Generator, start: int) -> list[list[object]]:
    """Rows `form UPOS feats head relation` of `the noun(s) verb(ed) the noun(s) (at noun)*`; heads relative, root 0."""
    rows: list[list[object]] = []
    for relation in ("nsubj", "obj"):
        plural = bool(generator.integers(2))
        noun = str(generator.choice(NOUNS)) + "s" * plural
        place = start + len(rows) + 2
        rows.append(["the", "DET", "_", place, "det"])
        rows.append([noun, "NOUN", f"Number={'Plur' if plural else 'Sing'}", start + 3, relation])
        if relation == "nsubj":
            past = bool(generator.integers(2))
            rows.append(
                [str(generator.choice(VERBS)) + "ed" * past, "VERB", FIN + ("Past" if past else "Pres"), 0, "root"]
            )
    for _ in range(int(generator.integers(0, 5))):
        # A phrase hangs on the verb or on the noun before it, so that depth and length are not the same.
        last = start + len(rows)
        rows.append(["at", "ADP", "_", last + 2, "case"])
        rows.append(
            [str(generator.choice(NOUNS)), "NOUN", "Number=Sing", int(generator.choice([start + 3, last])), "obl"]
        )
    return rows


def make_sentence(generator: np.random.Generator) -> list[list[object]]:
    """Rows of one clause, or of two joined by `and`, with a full stop."""
    rows = make_clause(generator, 0)
    if generator.random() < 0.5:
        joint = len(rows) + 1
        second = make_clause(generator, joint)
        second[2][3:] = [3, "conj"]
        rows += [["and", "CCONJ", "_", joint + 3, "cc"], *second]
    rows.append([".", "PUNCT", "_", 3, "punct"])
    rows[0][0] = "The"
    return rows


def format_conllu(rows: list[list[object]], sent_id: str = "") -> str:
    """A sentence as CoNLL-U has it."""
    lines = (
        f"{n}\t{form}\t_\t{upos}\t_\t{feats}\t{head}\t{rel}\t_\t_\n"
        for n, (form, upos, feats, head, rel) in enumerate(rows, 1)
    )
    return (f"# sent_id = {sent_id}\n" if sent_id else "") + "".join(lines) + "\n"


def write_treebank(folder: Path, name: str, trees: Path | None = None) -> list[Path]:
    """Write `NAME-ud-train.conllu`, dev and test, and with `trees` a folder of flat bracketed trees of them.

    Returns:
        The paths, train first.
    """
    generator = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    paths = []
    for split, size in zip(SPLITS, SIZES, strict=True):
        sentences = {f"{split}-{n}": make_sentence(generator) for n in range(size)}
        paths.append(folder / f"{name}-ud-{split}.conllu")
        paths[-1].write_text("".join(format_conllu(rows, key) for key, rows in sentences.items()), encoding="utf-8")
        if trees:
            trees.mkdir(exist_ok=True)
            (trees / f"{split}.ids").write_text("".join(f"{key}\n" for key in sentences))
            (trees / f"{split}.ptb").write_text("".join(f"{format_tree(rows)}\n" for rows in sentences.values()))
    return paths


def format_tree(rows: list[list[object]]) -> str:
    """A bracketed tree: subject, all that is said of it, full stop."""
    words = [f"({upos} {form})" for form, upos, *_ in rows]
    return f"(ROOT (S (NP {' '.join(words[:2])}) (VP {' '.join(words[2:-1])}) {words[-1]}))"
