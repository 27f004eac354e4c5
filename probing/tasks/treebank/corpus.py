"""SentEval's ten tasks from treebanks of any language: read, clean, define, report.

Definitions: Conneau et al. 2018 (arXiv 1805.01070) and the notes beside their data. What is written is the text as the
treebank prints it: encoders are trained on nothing else. A sentence counts once, in one split.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from probing.catalogue.tasks import SENTEVAL_TASKS, TITLES
from probing.records import SPLITS, InputError
from probing.tasks.builds import HEAD, Build, count_rows
from probing.tasks.treebank.conllu import Treebank, is_there, read_conllu, split_of
from probing.tasks.treebank.coordination import build_coordination_inversion
from probing.tasks.treebank.forms import build_obj_number, build_past_present, build_subj_number
from probing.tasks.treebank.odd_man_out import build_odd_man_out
from probing.tasks.treebank.sampling import DEFAULT_FLOOR, Draft, Floor, UnsupportedTaskError, normalise
from probing.tasks.treebank.sentences import Sentence
from probing.tasks.treebank.surface import build_sentence_length, build_word_content
from probing.tasks.treebank.syntax import build_bigram_shift, build_top_constituents, build_tree_depth
from probing.tasks.treebank.trees import attach_trees, find_tree_files, read_brackets

LENGTHS = (5, 28)
"""Fewest and most tokens of a sentence, as in SentEval."""
WITHHELD = "_"
"""The form of tokens whose text a treebank may not give away; a single one may be an underscore that was written."""
NEED_DEPENDENCIES = frozenset(
    ("tree_depth", "top_constituents", "past_present", "subj_number", "obj_number", "coordination_inversion")
)
"""Tasks whose labels are read from the tree."""
_FROM_CONSTITUENTS = frozenset(("tree_depth", "top_constituents"))
"""Tasks for which brackets do too."""
_SHOWN, _SHOWN_ON_SCREEN = 100, 5
"""Number of sentences that cannot be used that the report and the screen name."""

BUILDERS: Mapping[str, Callable[[Sequence[Sentence], int, Floor], Draft]] = {
    "sentence_length": build_sentence_length,
    "word_content": build_word_content,
    "tree_depth": build_tree_depth,
    "top_constituents": build_top_constituents,
    "bigram_shift": build_bigram_shift,
    "past_present": build_past_present,
    "subj_number": build_subj_number,
    "obj_number": build_obj_number,
    "odd_man_out": build_odd_man_out,
    "coordination_inversion": build_coordination_inversion,
}


def build_corpus(
    conllu: Sequence[Path],
    trees: Sequence[Path] = (),
    seed: int = 0,
    floor: Floor = DEFAULT_FLOOR,
    log: Callable[[str], None] = lambda _: None,
) -> Build:
    """Make all tasks that some treebanks support, in memory.

    Args:
        conllu: CoNLL-U files, the split of each in its name; their order does not matter.
        trees: folders of bracketed trees.
        seed: of all draws.
        floor: the fewest sentences of a class.
        log: takes a line of progress.

    Raises:
        InputError: a file that cannot be read as what it should be, or a split without sentences.
    """
    files = sorted(set(conllu), key=lambda path: (path.parent.name, path.name))
    tree_files = [file for folder in sorted(set(trees)) for file in find_tree_files(folder)]
    _check_files(files)
    log(f"reading {len(files)} treebank files")
    treebanks = {path: read_conllu(path) for path in files}
    corpus, facts = _gather_sentences(treebanks, tree_files, log)
    drafts, unsupported = _make_drafts(corpus, seed, floor, log)
    report = {
        **HEAD,
        "format": "split TAB label TAB sentence (SentEval)",
        "tokens": "the text as the treebank prints it; counted are its surface tokens, contractions whole",
        "seed": seed,
        "floor": asdict(floor),
        "sources": [_describe(path, sentences=len(treebank.sentences)) for path, treebank in treebanks.items()],
        "trees": [_describe(path) for path in tree_files],
        "sentences": facts,
        "tasks": {name: _report_task(draft) for name, draft in drafts.items()},
        "unsupported": unsupported,
    }
    return Build({name: draft.rows for name, draft in drafts.items()}, report)


def _gather_sentences(
    treebanks: Mapping[Path, Treebank], tree_files: Sequence[Path], log: Callable[[str], None]
) -> tuple[list[Sentence], dict[str, Any]]:
    """The usable sentences of all files, with their trees, and how many there are and were dropped, for the report.

    Raises:
        InputError: none is left.
    """
    faults = [f"{path.name}:{line}: {reason}" for path, one in treebanks.items() for line, reason in one.faults]
    corpus, dropped = clean([sentence for treebank in treebanks.values() for sentence in treebank.sentences])
    dropped = {"cannot be used": len(faults)} | dropped
    if not corpus:
        raise InputError(_explain_nothing(dropped))
    _log_faults(faults, log)
    corpus, dropped["tree does not fit its words"] = attach_trees(corpus, read_brackets(tree_files))
    with_tree = sum(sentence.tree is not None for sentence in corpus)
    facts = {"kept": _count_splits(corpus), "with_tree": with_tree, "dropped": dropped, "faults": faults[:_SHOWN]}
    return corpus, facts


def _log_faults(faults: Sequence[str], log: Callable[[str], None]) -> None:
    for fault in faults[:_SHOWN_ON_SCREEN]:
        log(f"left out: the sentence at {fault}")
    if faults:
        log(f"{len(faults)} sentences cannot be used and are left out")


def clean(sentences: Sequence[Sentence]) -> tuple[list[Sentence], dict[str, int]]:
    """The usable sentences, each once and in one split, and how many were dropped for which reason.

    What stands in two splits stays in the held-out one: test before dev before train.
    """
    dropped = dict.fromkeys(["length", "text withheld", "repeated in its split", "also in another split"], 0)
    splits_of: dict[str, str] = {}
    for split in SPLITS:
        splits_of |= {normalise(sentence.text): split for sentence in sentences if sentence.split == split}
    seen: set[str] = set()
    kept = []
    for sentence in sentences:
        fault = _find_fault(sentence, splits_of[normalise(sentence.text)], seen)
        seen.add(sentence.text)
        if fault:
            dropped[fault] += 1
        else:
            kept.append(sentence)
    return kept, dropped


def _find_fault(sentence: Sentence, home: str, seen: set[str]) -> str:
    if not LENGTHS[0] <= sentence.length <= LENGTHS[1]:
        return "length"
    if _is_withheld(sentence):
        return "text withheld"
    if sentence.split != home:
        return "also in another split"
    return "repeated in its split" if sentence.text in seen else ""


def _is_withheld(sentence: Sentence) -> bool:
    """True where half of its words or more are underscores: one alone may be an underscore that was written."""
    words = [token for token, mark in zip(sentence.tokens, sentence.punctuation, strict=True) if not mark]
    return 2 * words.count(WITHHELD) >= max(1, len(words))


def _explain_nothing(dropped: Mapping[str, int]) -> str:
    total = sum(dropped.values())
    if dropped["text withheld"] == total:
        return f"all {total} sentences have their words withheld; see the treebank's README for how to get them"
    counts = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
    return f"none of {total} sentences can be used ({counts}); expected {LENGTHS[0]} to {LENGTHS[1]} tokens"


def _make_drafts(
    corpus: Sequence[Sentence], seed: int, floor: Floor, log: Callable[[str], None]
) -> tuple[dict[str, Draft], dict[str, str]]:
    """Make a draft of each task that the corpus supports; for the others, the reason why it does not.

    Raises:
        InputError: it supports none.
    """
    drafts, unsupported = {}, {}
    for spec in SENTEVAL_TASKS:
        log(f"building {spec.title}")
        try:
            drafts[spec.name] = BUILDERS[spec.name](_choose_usable(spec.name, corpus), seed, floor)
        except UnsupportedTaskError as reason:
            unsupported[spec.name] = str(reason)
    if not drafts:
        name, reason = next(iter(unsupported.items()))
        raise InputError(f"no task can be made of {len(corpus)} sentences, for {TITLES[name]}, to name one, {reason}")
    return drafts, unsupported


def _choose_usable(name: str, corpus: Sequence[Sentence]) -> Sequence[Sentence]:
    """The sentences that a task can be made of: with a tree, where its labels are read from one.

    Raises:
        UnsupportedTaskError: there is none.
    """
    if name not in NEED_DEPENDENCIES:
        return corpus
    usable = [sentence for sentence in corpus if sentence.is_parsed or sentence.tree is not None]
    if not any(sentence.is_parsed for sentence in usable) and not (usable and name in _FROM_CONSTITUENTS):
        raise UnsupportedTaskError(f"none of {len(corpus)} sentences has dependencies (column HEAD)")
    return usable if name in _FROM_CONSTITUENTS else [sentence for sentence in usable if sentence.is_parsed]


def _check_files(files: Sequence[Path]) -> None:
    for path in files:
        if not is_there(path):
            raise InputError(f"{path}: no such file; --conllu expects CoNLL-U files")
    missing = [split for split in SPLITS if split not in map(split_of, files)]
    if missing:
        names = ", ".join(path.name for path in files)
        raise InputError(f"no file for split {' and '.join(missing)} among {names}: tasks need train, dev and test")


def _report_task(draft: Draft) -> dict[str, Any]:
    return {
        "labels_from": draft.source,
        **count_rows(draft.rows),
        "relaxed": list(draft.relaxed),
        "measures": draft.measures,
    }


def _count_splits(sentences: Sequence[Sentence]) -> dict[str, int]:
    return {split: sum(sentence.split == split for sentence in sentences) for split in SPLITS}


def _describe(path: Path, **more: int) -> dict[str, Any]:
    licence = path.with_name("LICENSE.txt")
    lines = licence.read_text(encoding="utf-8", errors="replace").splitlines() if licence.is_file() else []
    first = next((line.strip() for line in lines if line.strip()), "no LICENSE.txt beside the file")
    digest = sha256(path.read_bytes()).hexdigest()
    # Folder and name only: the report must not depend on where the corpora lie.
    return {"file": f"{path.resolve().parent.name}/{path.name}", "sha256": digest, "licence": first, **more}
