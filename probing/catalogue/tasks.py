"""The tasks that have a name in the field: SentEval's ten, and the transfer tasks of SentEval and GLUE.

SentEval's are of arXiv 1805.01070; the transfer tasks of arXiv 1803.05449 and, where it lacks them, of GLUE (arXiv
1804.07461), CoLA (1805.12471), STS-B (1708.00055), MultiNLI (1704.05426) and QQP (1702.03814).
"""

from collections.abc import Iterable, Sequence

from probing.records import InputError, TaskSpec
from probing.registry import suggest

SENTEVAL_TASKS = (
    TaskSpec("sentence_length", "SentLen", "surface", ("Length",)),
    TaskSpec("word_content", "WC", "surface", ("WordContent",)),
    TaskSpec("tree_depth", "TreeDepth", "syntactic", ("Depth",)),
    TaskSpec("top_constituents", "TopConst", "syntactic", ("TopConstituents",)),
    TaskSpec("bigram_shift", "BShift", "syntactic", ("BigramShift",)),
    TaskSpec("past_present", "Tense", "semantic", ("PastPresent",)),
    TaskSpec("subj_number", "SubjNum", "semantic", ("SubjNumber",)),
    TaskSpec("obj_number", "ObjNum", "semantic", ("ObjNumber",)),
    TaskSpec("odd_man_out", "SOMO", "semantic", ("OddManOut",)),
    TaskSpec("coordination_inversion", "CoordInv", "semantic", ("CoordinationInversion",)),
)
"""The ten tasks, in the paper's order."""

_BOTH = ("accuracy", "f1")

TRANSFER_TASKS = (
    TaskSpec("mr", "MR", "transfer"),
    TaskSpec("cr", "CR", "transfer"),
    TaskSpec("subj", "SUBJ", "transfer"),
    TaskSpec("mpqa", "MPQA", "transfer"),
    TaskSpec("sst_2", "SST-2", "transfer"),
    TaskSpec("sst_5", "SST-5", "transfer"),
    TaskSpec("trec", "TREC", "transfer"),
    TaskSpec("mrpc", "MRPC", "transfer", metrics=_BOTH),
    TaskSpec("cola", "CoLA", "transfer", metrics=("matthews",)),
    TaskSpec("rte", "RTE", "transfer"),
    TaskSpec("sts_b", "STS-B", "transfer", metrics=("pearson", "spearman")),
    TaskSpec("mnli", "MNLI", "transfer"),
    TaskSpec("qqp", "QQP", "transfer", metrics=_BOTH),
)
"""SentEval's tasks in its order, then GLUE's."""

TITLES = {spec.name: spec.title for spec in (*SENTEVAL_TASKS, *TRANSFER_TASKS)}
"""Task key -> the name that papers print, in the order of tables and figures. Others keep their key."""


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
