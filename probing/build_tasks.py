"""Make SentEval's probing tasks from treebanks of any language or by a grammar, or check tasks of any origin.

python probing/build_tasks.py --conllu de_gsd-ud-*.conllu --output data/corpora/german
python probing/build_tasks.py --controlled --confounds length_depth --output data/corpora/confounded
python probing/build_tasks.py --check data/corpora/german
"""

import os
import sys

if __name__ == "__main__":
    # Run as a file, Python puts probing/ first on the path, where its modules would hide others of the same name.
    _here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    _named = [p for p in sys.path if not (os.path.isdir(p or ".") and os.path.samefile(p or ".", _here))]  # noqa: PTH112, PTH121
    sys.path[:] = [os.path.dirname(_here), *_named]  # noqa: PTH120
    from probing.command_line.starting import start

    start()

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from probing.atomic_files import check_new_file, check_writable, write_atomically
from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.records import SPLITS, InputError
from probing.tasks.builds import check_unused, write_build

_LEAST_WIDTH = 142
"""Columns that the widest table needs."""
MOST_SENTENCES = 200_000
"""Of a split of the controlled corpus: twice what SentEval has in all."""
_SHORTCUTS = {
    **{"majority": "majority", "length": "length", "bag": "bag_of_words", "pairs": "word_pairs"},
    **{"chars": "characters", "first": "first_word", "comma": "after_comma"},
}
"""Columns of the check's table, with what they show of `Shortcuts`."""
_GRAPH_COUNTS = {
    **{"true": "n_true", "false": "n_false", "in train too": "n_shown", "false but true": "n_not_false"},
    **{"with unseen entity": "n_unseen", "reverse in train": "n_reversed"},
}
"""Columns of the table of a graph, with what they show of its check."""


@dataclass(frozen=True)
class BuildSettings:
    """Make SentEval's probing tasks from treebanks of any language or by a grammar, or check tasks of any origin."""

    conllu: tuple[Path, ...] = ()
    """CoNLL-U files; the name of each says its split (train, dev or test), as in de_gsd-ud-train.conllu."""
    output: Path | None = None
    """New or empty folder for NAME.txt of each task and tasks.json; one that holds the same tasks already will do."""
    trees: tuple[Path, ...] = ()
    """Folders of bracketed trees (NAME.ptb, one a line, and NAME.ids, their sent_id)."""
    controlled: bool = False
    """Write the built-in controlled corpus to files instead."""
    confounds: tuple[str, ...] = ()
    """Shortcuts that the controlled corpus shall have: length_depth (longer sentences are deeper), shared_words (target
    words stand in all splits), function_words (they tell tense and number), content_words (each label has adjectives
    and adverbs of its own), uneven_classes (every other sentence is of the first class)."""
    sizes: tuple[int, int, int] = (10_000, 1_000, 1_000)
    """Sentences of train, dev and test of the controlled corpus, 200,000 each at most."""
    seed: int = 0
    """Seed of all draws: the same input and seed give the same bytes."""
    check: str = ""
    """Check the tasks of a folder, of controlled or of senteval, or a knowledge graph (a folder of triples, made, or a
    copy in the package pykeen: kinships, nations, umls), and make none; exit code 1 where one is faulty."""
    report: Path | None = None
    """Write what the check found to this file too, as JSON."""


def main() -> int:
    """Run the script.

    Returns:
        0; 1 where a check found faults; 2 after a mistake that the user can mend.
    """
    settings = read_settings(BuildSettings, description=__doc__)
    if settings.check:
        refuse_idle(settings, "--check", ("check", "report"))
        return check(settings.check, settings.report)
    return build(settings)


def refuse_idle(settings: BuildSettings, way: str, used: Sequence[str]) -> None:
    """Refuse flags that the way in which the program is asked to work does not use.

    Raises:
        InputError: naming one.
    """
    for column in fields(settings):
        if column.name not in used and getattr(settings, column.name) != column.default:
            raise InputError(f"--{column.name}: has no effect with {way}; leave it away")


def build(settings: BuildSettings) -> int:
    """Make the tasks and report on them.

    Raises:
        InputError: nothing to make them from or nowhere to put them, or a treebank that cannot be used.
    """
    if settings.output is None or bool(settings.conllu) == settings.controlled:
        raise InputError(
            "expected --output FOLDER with --conllu FILES or --controlled to make tasks, or --check FOLDER for a check"
        )
    if settings.confounds and not settings.controlled:
        raise InputError("--confounds are switched on in the controlled corpus alone; add --controlled")
    if settings.controlled:
        refuse_idle(settings, "--controlled", ("controlled", "confounds", "sizes", "seed", "output"))
    else:
        refuse_idle(settings, "--conllu", ("conllu", "trees", "seed", "output"))
    output = settings.output.expanduser().resolve()
    # It is put in the place of an empty folder.
    check_writable(output)
    check_writable(output.parent)
    check_unused(output)
    made = _make(settings, _log)
    write_build(output, made.rows, made.report)
    show_report(made.report)
    return 0


def _log(line: str) -> None:
    Console(stderr=True).print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def _make(settings: BuildSettings, log: Callable[[str], None]) -> Any:
    if settings.controlled:
        from probing.tasks.controlled import corpus as grammar  # noqa: PLC0415 - lemminflect: not for --help

        if max(settings.sizes) > MOST_SENTENCES:
            raise InputError(
                f"--sizes {' '.join(map(str, settings.sizes))}: expected at most {MOST_SENTENCES} sentences of a split"
            )
        sizes: dict[str, int] = dict(zip(SPLITS, settings.sizes, strict=True))
        return grammar.build_corpus(settings.seed, sizes, settings.confounds, log=log)
    from probing.tasks.treebank import corpus as treebank  # noqa: PLC0415 - the same

    return treebank.build_corpus(settings.conllu, settings.trees, settings.seed, log=log)


def check(data: str, report: Path | None) -> int:
    """Check tasks or a graph and report on them; 1 where something has to be mended.

    Raises:
        InputError: there is nothing to check, or the report cannot be written.
    """
    from probing.tasks.graphs.sources import is_graph  # noqa: PLC0415 - numpy: not for --help

    if report:
        check_new_file(report, "--report")
    faults, findings = (_check_graph if is_graph(data) else _check_tasks)(data)
    if report:
        try:
            write_atomically(report, (json.dumps(findings, indent=1, ensure_ascii=False) + "\n").encode())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no name of a file"
            raise InputError(f"--report {report}: cannot be written ({reason}); choose another --report") from None
    return 1 if faults else 0


def _check_tasks(data: str) -> tuple[Sequence[str], Mapping[str, Any]]:
    """The faults of the tasks of a source, and all that was found, which is shown."""
    from probing.tasks.checks.task_check import check_source  # noqa: PLC0415 - scikit-learn: not for --help

    checks, faults = check_source(data)
    show_checks(checks, faults)
    every = [*faults, *(fault for check in checks for fault in check.faults)]
    return every, {"data": data, "faults": faults, "tasks": [check.as_json() for check in checks]}


def _check_graph(data: str) -> tuple[Sequence[str], Mapping[str, Any]]:
    """The same of a graph."""
    from probing.tasks.graphs.check import check_graph  # noqa: PLC0415 - numpy: not for --help
    from probing.tasks.graphs.sources import load_graph  # noqa: PLC0415 - the same

    graph = load_graph(data, flag="--check")
    found = check_graph(graph)
    show_graph(graph, found)
    return found.faults, {"data": data, "faults": found.faults, "notes": found.cautions, "graph": found.facts()}


def open_console() -> Console:
    """A console wide enough for the tables: cut numbers are worse than folded lines."""
    return Console(width=max(Console().width, _LEAST_WIDTH))


def show_report(report: Mapping[str, Any]) -> None:
    """A table of the tasks on the screen, and below it what was relaxed and what the corpus could not support."""
    console = open_console()
    table = Table("task", *SPLITS, "classes", "majority", "labels from")
    for spec in SENTEVAL_TASKS:
        if spec.name in report["tasks"]:
            task = report["tasks"][spec.name]
            sizes = [str(task["sentences"][split]) for split in SPLITS]
            table.add_row(
                spec.title, *sizes, str(task["classes"]), f"{task['majority']['test']:.1%}", task["labels_from"]
            )
    console.print(table)
    titles = {spec.name: spec.title for spec in SENTEVAL_TASKS}
    for name, task in report["tasks"].items():
        for line in task["relaxed"]:
            console.print(f"{titles[name]}: {line}", style="dim", markup=False, highlight=False)
    n_faults = report["sentences"]["dropped"]["cannot be used"] if "dropped" in report.get("sentences", {}) else 0
    if n_faults:
        line = f"{n_faults} sentences cannot be used and were left out; tasks.json names them (sentences, faults)"
        console.print(line, style="yellow", markup=False, highlight=False)
    for name, reason in report["unsupported"].items():
        console.print(f"{titles[name]} is not supported: {reason}", style="yellow", markup=False, highlight=False)


def show_checks(checks: Sequence[Any], faults: Sequence[str]) -> None:
    """A table of the tasks on the screen, and below it what is wrong and what is worth knowing."""
    console = open_console()
    heads = ("task", "/".join(SPLITS), "classes", "rarest", "words", "repeated", "shared", *_SHORTCUTS)
    table = Table(*heads, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.caption_justify = "left"
    for one in checks:
        sizes = "/".join(str(count) for split, count in one.sentences.items() if count or split)
        row = [one.task, sizes if any(one.sentences[split] for split in SPLITS) else str(one.sentences.get("", 0))]
        row += [str(one.classes), f"{one.class_shares[0]:.1%}", "{}-{}-{}".format(*one.words)]
        row += [str(one.repeated), str(one.shared)]
        shortcuts = one.shortcuts
        row += [f"{100 * getattr(shortcuts, each):.1f}" if shortcuts else "-" for each in _SHORTCUTS.values()]
        table.add_row(*map(Text, row))  # names of files are no markup
    table.caption = (
        "rarest: share of the rarest class. words: least, median, most. repeated: within a split; shared: with an "
        "earlier split. The rest is accuracy on test, in percent: of the most frequent class; of the number of words; "
        "of a bag of words, of words and pairs of them, of runs of characters; of the first word, of that after commas."
    )
    console.print(table)
    for one in checks:
        for note in one.notes:
            console.print(f"{one.task}: {note}", style="dim", markup=False, highlight=False, soft_wrap=True)
    _show_faults(console, [*faults, *(f"{one.task}: {fault}" for one in checks for fault in one.faults)])


def show_graph(graph: Any, found: Any) -> None:
    """A table of a graph's splits on the screen, and below it what is worth knowing and what is wrong."""
    console = open_console()
    table = Table("split", *_GRAPH_COUNTS, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_row("train", f"{found.n_train:,}", *("-" * (len(_GRAPH_COUNTS) - 1)))
    for place, split in enumerate(SPLITS[1:]):
        table.add_row(split, *(f"{getattr(found, name)[place]:,}" for name in _GRAPH_COUNTS.values()))
    names = f"graph {graph.name}: {len(graph.entities):,} entities, {len(graph.relations):,} relations"
    console.print(names, markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    for note in found.cautions:
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
    _show_faults(console, found.faults)


def _show_faults(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(f"fault: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(lines)} faults" if lines else "no faults", style="bold")


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
