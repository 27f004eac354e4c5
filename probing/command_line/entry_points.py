"""The commands of `bermo-probing`, and the files that do the same: data alone, so that naming them costs nothing."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

PROGRAM = "bermo-probing"


@dataclass(frozen=True)
class Command:
    """One command: a module with a `main` that reads the command line and ends by an exit code."""

    group: str
    """Heading under which it is listed."""
    help: str
    """One line."""
    module: str
    """Dotted path of the module."""
    script: str = ""
    """The same as one types it without an installation; empty: there is no script of its own."""


_RUN, _SEE, _KEEP = "make numbers", "see what came out", "look after files"

COMMANDS: Mapping[str, Command] = {
    "run": Command(
        _RUN,
        "probe one model on the tasks, layer by layer and mixed",
        "probing.run_senteval",
        "python probing/run_senteval.py",
    ),
    "sweep": Command(
        _RUN,
        "probe many encoders, or one in many ways, as a file says",
        "probing.run_sweep",
        "python -m probing.run_sweep",
    ),
    "train": Command(
        _RUN, "make an encoder by a named recipe", "probing.train_encoder", "python probing/train_encoder.py"
    ),
    "replicate": Command(
        _RUN, "try BERMo's claims about training", "probing.replicate_bermo", "python probing/replicate_bermo.py"
    ),
    "tasks": Command(_RUN, "list the tasks there are, or those of a corpus", "probing.commands.list_tasks"),
    "build": Command(
        _RUN, "make task files from treebanks or by the grammar", "probing.build_tasks", "python probing/build_tasks.py"
    ),
    "check": Command(_RUN, "look for faults and shortcuts in task files", "probing.commands.check_tasks"),
    "report": Command(
        _SEE, "write one page on one or several runs", "analysis.report.__main__", "python -m analysis.report"
    ),
    "tables": Command(
        _SEE,
        "write every table for a paper: LaTeX, Markdown, CSV",
        "analysis.tables.__main__",
        "python -m analysis.tables",
    ),
    "compare": Command(
        _SEE, "compare two runs; exit code 3 where a score fell", "analysis.compare", "python -m analysis.compare"
    ),
    "convergence": Command(
        _SEE, "steps of two trainings to the same dev score", "analysis.convergence", "python -m analysis.convergence"
    ),
    "forgetting": Command(
        _SEE,
        "what smaller encoders forgot of their teacher, by depth",
        "analysis.forgetting",
        "python -m analysis.forgetting",
    ),
    "layers": Command(
        _SEE,
        "how alike the layers of two encoders are, or those before and after a training",
        "probing.commands.compare_layers",
    ),
    "publish": Command(
        _KEEP,
        "write a run as a data set with cards, into a folder or onto the Hugging Face hub",
        "analysis.publishing.__main__",
        "python -m analysis.publishing",
    ),
    "status": Command(_KEEP, "how far a run is, and what failed in it", "probing.commands.show_status"),
    "cache": Command(
        _KEEP, "size of the cache of encoded sentences; export it, import it, empty it", "probing.commands.show_cache"
    ),
}
"""By the names that users type, in the order of the help."""


def name_program(otherwise: str | None = None) -> str | None:
    """The name for the help: the command's where the program was started as one, else the script's own."""
    return sys.argv[0] if sys.argv[0].startswith(f"{PROGRAM} ") else otherwise


def name_examples(description: str) -> str:
    """A description with its examples as one types them for the program as it was started.

    A line that begins with a script becomes one that begins with the command, the longest script first.
    """
    if name_program() is None:
        return description
    scripts = {command.script: name for name, command in COMMANDS.items() if command.script}
    for script in sorted(scripts, key=len, reverse=True):
        description = re.sub(rf"^{re.escape(script)}(?=\s|$)", f"{PROGRAM} {scripts[script]}", description, flags=re.M)
    return description
