"""Bracketed constituency trees, joined to sentences by `sent_id`: their depth and their top constituents.

A folder of trees holds pairs `NAME.ptb`, one tree a line, and `NAME.ids`, the sent_id of each line.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from probing.records import InputError
from probing.tasks.treebank.conllu import is_there, read_text
from probing.tasks.treebank.sentences import Sentence, head_depths

if TYPE_CHECKING:
    from nltk.tree import Tree

_DEEPEST = 200
"""Levels of a tree; those of real sentences have some thirty."""
_OUTER = {"", "ROOT", "TOP"}
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}


def find_tree_files(folder: Path) -> list[Path]:
    """The `.ptb` files of a folder, by name.

    Raises:
        InputError: no such folder, no `.ptb` file in it, or one without its `.ids`.
    """
    files = sorted(folder.glob("*.ptb")) if is_there(folder) else []
    if not files:
        raise InputError(f"{folder}: no .ptb file there; --trees expects folders of NAME.ptb with NAME.ids beside")
    for file in files:
        if not file.with_suffix(".ids").is_file():
            raise InputError(f"{file}: no {file.stem}.ids beside it; expected the sent_id of each tree, one a line")
    return files


def read_brackets(files: Iterable[Path]) -> dict[str, tuple[str, str]]:
    """By sent_id: where a tree stands, as `file:line`, and its brackets, not parsed yet.

    Raises:
        InputError: a file has another number of lines than its `.ids`.
    """
    found: dict[str, tuple[str, str]] = {}
    for file in files:
        brackets = read_text(file).rstrip("\n").split("\n")
        ids = read_text(file.with_suffix(".ids")).rstrip("\n").split("\n")
        if len(brackets) != len(ids):
            raise InputError(f"{file}: {len(brackets)} trees for {len(ids)} ids; expected one id for each tree")
        for line, (sent_id, tree) in enumerate(zip(ids, brackets, strict=True), start=1):
            found[sent_id.strip()] = f"{file}:{line}", tree
    return found


def attach_trees(sentences: Sequence[Sentence], brackets: dict[str, tuple[str, str]]) -> tuple[list[Sentence], int]:
    """The sentences, those that have a fitting tree with it, and how many trees did not fit their words.

    Raises:
        InputError: brackets that do not close, or trees of which not one fits.
    """
    joined, misfits = [], 0
    for sentence in sentences:
        tree = _parse(*brackets[sentence.sent_id]) if sentence.sent_id in brackets else None
        fits = tree is not None and _leaves(tree) == [word.form for word in sentence.words]
        misfits += tree is not None and not fits
        joined.append(replace(sentence, tree=tree) if fits else sentence)
    if brackets and not any(sentence.tree for sentence in joined):
        raise InputError(f"none of {len(brackets)} trees fits a sentence of the treebanks: compare sent_id and leaves")
    return joined, misfits


def constituency_depth(sentence: Sentence) -> int:
    """Edges on the longest way from the root node (ROOT, counted where the brackets lack it too) to a word."""
    return _top(sentence).height()


def top_constituents(sentence: Sentence) -> str:
    """The constituents directly below the top clause, such as `NP_VP`: no functions, no punctuation, no traces."""
    labels = [_bare(child) for child in _top(sentence) if not isinstance(child, str)]
    return "_".join(label for label in labels if label)


def dependency_depth(sentence: Sentence) -> int:
    """Words on the longest way from the root of the dependencies down to a word, punctuation left out."""
    depths = head_depths(sentence.words)
    return max(
        depth for depth, word in zip(depths, sentence.words, strict=True) if not word.is_punctuation or depth == 1
    )


def top_dependents(sentence: Sentence) -> str:
    """The root's part of speech among its dependents' relations, in order, such as `nsubj_VERB_obj`."""
    parts = {index: sentence.words[index].relation.split(":")[0] for index in sentence.dependents(sentence.root)}
    parts[sentence.root] = sentence.words[sentence.root].upos
    return "_".join(parts[index] for index in sorted(parts) if parts[index] != "punct")


def _parse(place: str, brackets: str) -> "Tree":
    depth = max(accumulate((one == "(") - (one == ")") for one in brackets), default=0)
    if depth > _DEEPEST:
        raise InputError(f"{place}: {depth} brackets inside one another; expected a tree of a sentence")
    from nltk.tree import Tree  # noqa: PLC0415 - a second, and most treebanks have no brackets

    try:
        return Tree.fromstring(brackets)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{place}: not one tree in brackets: {reason}") from None


def _leaves(tree: "Tree") -> list[str]:
    return [_BRACKETS.get(str(leaf), str(leaf)) for leaf in tree.leaves()]


def _top(sentence: Sentence) -> "Tree":
    tree = sentence.tree
    if tree is None:
        raise ValueError(f"{sentence.sent_id} has no tree")
    while tree.label() in _OUTER and len(tree) == 1 and not isinstance(tree[0], str):
        (tree,) = tree
    return tree


def _bare(tree: "Tree") -> str:
    # `NP-SBJ=2` is an NP; punctuation tags (`.`, `,`, `-LRB-`) and traces (`-NONE-`) begin with no letter.
    label = tree.label()
    return label.split("-")[0].split("=")[0] if label[:1].isalpha() and label not in {"HYPH", "NFP"} else ""
