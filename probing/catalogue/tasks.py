"""The tasks that have a name in the field: SentEval's ten, their aliases and classes."""

from collections.abc import Iterable, Sequence

from probing.records import InputError, TaskSpec
from probing.registry import suggest

_PAPER = "1805.01070"


SENTEVAL_TASKS = (
    TaskSpec("sentence_length", "SentLen", "surface", ("Length",), reference=_PAPER),
    TaskSpec("word_content", "WC", "surface", ("WordContent",), reference=_PAPER),
    TaskSpec("tree_depth", "TreeDepth", "syntactic", ("Depth",), reference=_PAPER),
    TaskSpec("top_constituents", "TopConst", "syntactic", ("TopConstituents",), reference=_PAPER),
    TaskSpec("bigram_shift", "BShift", "syntactic", ("BigramShift",), reference=_PAPER),
    TaskSpec("past_present", "Tense", "semantic", ("PastPresent",), reference=_PAPER),
    TaskSpec("subj_number", "SubjNum", "semantic", ("SubjNumber",), reference=_PAPER),
    TaskSpec("obj_number", "ObjNum", "semantic", ("ObjNumber",), reference=_PAPER),
    TaskSpec("odd_man_out", "SOMO", "semantic", ("OddManOut",), reference=_PAPER),
    TaskSpec("coordination_inversion", "CoordInv", "semantic", ("CoordinationInversion",), reference=_PAPER),
)
"""The ten tasks, in the paper's order."""


def find_specs(wanted: Iterable[str], known: Sequence[TaskSpec] = SENTEVAL_TASKS) -> list[TaskSpec]:
    """The tasks that some names, titles, aliases or groups stand for, in the order of `known`.

    Raises:
        InputError: a name that none of them bears.
    """
    chosen: set[str] = set()
    for name in wanted:
        key = fold_name(name)
        matches = {
            spec.name
            for spec in known
            if key in map(fold_name, (spec.name, spec.title, spec.group, *spec.aliases)) or key == "all"
        }
        if not matches:
            raise InputError(f"unknown task {name!r}: {suggest(name, [spec.name for spec in known])}")
        chosen |= matches
    return [spec for spec in known if spec.name in chosen]


def fold_name(name: str) -> str:
    """What is left of a name when case, hyphens and underscores do not count."""
    return name.lower().replace("-", "").replace("_", "")
