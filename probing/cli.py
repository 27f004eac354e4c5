"""One command for everything: `bermo-probing run`, `bermo-probing report RUN`, ...; the scripts do the same."""

import sys

from probing.command_line.starting import start

start()

from importlib import import_module
from itertools import groupby

from probing import __version__
from probing.command_line.entry_points import COMMANDS, PROGRAM
from probing.exit_codes import MISTAKE, end_in_one_line
from probing.suggestions import suggest

EXAMPLES = (
    "run --limit 1000                 # the first look: a table, figures and a report in minutes",
    "run --checkpoint bert-base-uncased --data senteval --tasks Tense TreeDepth",
    "report data/results/RUN          # the page again",
    "compare data/results/A data/results/B",
)


def main() -> int:
    """Run the command that the first argument names, as its script would run.

    Returns:
        Its exit code; 0 for help and version, 2 where there is no such command.
    """
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        return end_in_one_line(lambda: _print(format_help()))
    if name == "--version":
        return end_in_one_line(lambda: _print(f"{PROGRAM} {__version__}"))
    command = COMMANDS.get(name)
    if command is None:
        sys.stderr.write(f"{PROGRAM} {name}: no such command; {suggest(name, COMMANDS)}\n")
        return MISTAKE
    sys.argv = [f"{PROGRAM} {name}", *arguments]
    return end_in_one_line(import_module(command.module).main)


def format_help() -> str:
    """The commands by group, each with its line, and some examples."""
    width = max(map(len, COMMANDS))
    lines = [f"usage: {PROGRAM} COMMAND [OPTIONS]     {PROGRAM} COMMAND --help shows a command's options"]
    for group, names in groupby(COMMANDS, key=lambda name: COMMANDS[name].group):
        lines += ["", f"{group}:", *(f"  {name:{width}}  {COMMANDS[name].help}" for name in names)]
    return "\n".join([*lines, "", "examples:", *(f"  {PROGRAM} {example}" for example in EXAMPLES)])


def _print(text: str) -> int:
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
