"""The tasks that have a name in the field: SentEval's ten, and the transfer tasks of SentEval and GLUE.

SentEval's are of arXiv 1805.01070; the transfer tasks of arXiv 1803.05449 and, where it lacks them, of GLUE (arXiv
1804.07461), CoLA (1805.12471), STS-B (1708.00055), MultiNLI (1704.05426) and QQP (1702.03814).
"""

from collections.abc import Iterable, Sequence

from probing.records import InputError, TaskSpec
from probing.suggestions import suggest

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


NOTES = {
    "sentence_length": "how long is the sentence, in six bins of words?",
    "word_content": "which one of many given words stands in it?",
    "tree_depth": "how deep is its syntax tree?",
    "top_constituents": "which constituents stand directly below the root of its tree?",
    "bigram_shift": "were two words beside one another exchanged?",
    "past_present": "is the verb of its main clause past or present?",
    "subj_number": "is the subject of its main clause singular or plural?",
    "obj_number": "is the object of its main clause singular or plural?",
    "odd_man_out": "semantic odd man out: was a noun or verb put in place of another one?",
    "coordination_inversion": "were its two coordinate clauses exchanged?",
    "mr": "is a film review positive or negative?",
    "cr": "is a product review positive or negative?",
    "subj": "is a sentence subjective or objective?",
    "mpqa": "is a phrase an opinion for or against?",
    "sst_2": "is a sentence of a film review positive or negative?",
    "sst_5": "how positive is a sentence of a film review, in five grades?",
    "trec": "what kind of answer does a question ask for?",
    "mrpc": "do two sentences say the same?",
    "cola": "is a sentence acceptable English?",
    "rte": "does one sentence follow from the other?",
    "sts_b": "how alike are two sentences, from 0 to 5?",
    "mnli": "does one sentence follow from the other, contradict it, or neither?",
    "qqp": "do two questions ask the same?",
}
"""Task key -> what is asked of each text."""


def explain_tasks(tasks: Iterable[str]) -> list[tuple[str, str]]:
    """Title and question of those tasks that are known."""
    return [(TITLES[task], NOTES[task]) for task in dict.fromkeys(tasks) if task in NOTES]


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
    """Reduce a name to what is left of it when case, hyphens and underscores do not count."""
    return name.lower().replace("-", "").replace("_", "")
