"""The reference pages, made of the code at build time: flags, columns of tables, parts by name, the API."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from probing.catalogue.claims import CLAIMS, Claim
from probing.catalogue.controls import CONTROLS
from probing.catalogue.measures import MEASURES, ON_REQUEST, QUANTITIES
from probing.catalogue.tasks import NOTES, SENTEVAL_TASKS, TRANSFER_TASKS
from probing.command_line.config_files import CONFIG_HELP
from probing.command_line.docstrings import list_shown, read_docs
from probing.command_line.entry_points import COMMANDS, PROGRAM, Command
from probing.registry import RECIPES, REGISTRIES
from probing.tables import RECORDS

ROOT = Path(__file__).parents[1]
_TAKES_CONFIG = ("run", "train", "replicate")
_ANALYSIS = ("runs.probing_run", "runs.training_run", "stats.of_a_run", "tables.of_a_run", "figures.of_a_run")


def write_flags() -> str:
    """Every command with its flags: a page of Markdown."""
    lines = [
        "# Commands and flags",
        f"`{PROGRAM} COMMAND --help` lists them on a screen, and `--help-all` shows the same as this page. "
        "Lists take several values, separated by spaces; `--no-FLAG` switches a flag off that is on by default. "
        "This page is made from the settings' classes.",
    ]
    for name, command in COMMANDS.items():
        lines += [f"## {name}", _sentence(command.help), *_describe_command(name, command)]
    return "\n\n".join(lines) + "\n"


def _describe_command(name: str, command: Command) -> list[str]:
    module = import_module(command.module)
    examples = [line for line in (module.__doc__ or "").splitlines() if line.startswith(("python ", PROGRAM))]
    parts = ["```text\n" + "\n".join(examples) + "\n```"] if examples else []
    parts += [f"`--config` `FILE`: {_cell(CONFIG_HELP)}"] if name in _TAKES_CONFIG else []
    parts += _tabulate_settings(find_settings(module))
    if name == "train":
        for recipe in RECIPES.names():
            parts += _describe_recipe(recipe, RECIPES.load(recipe).settings, find_settings(module))
    return parts


def _describe_recipe(recipe: str, kind: type, base: type) -> list[str]:
    """The flags that a recipe has of its own, or whose default it changes."""
    usual = {column.name: column for column in fields(base)}
    changed = [
        column.name
        for column in fields(kind)
        if column.name not in usual or _default(column) != _default(usual[column.name])
    ]
    lines = [f"### train --recipe {recipe}", _sentence(inspect.getdoc(kind) or "")]
    names = [name for name in changed if name != "recipe"]
    lines += [_tabulate_fields(kind, names)] if names else ["It has the flags above, and no others."]
    missing = [name for name in usual if name not in {column.name for column in fields(kind)}]
    return [*lines, f"Without {', '.join(f'`{_name_flag(name)}`' for name in missing)}."] if missing else lines


def find_settings(module: ModuleType) -> type:
    """The class of a command's settings: the one that its module defines, else the most special one that it imports.

    Raises:
        LookupError: there is none, or more than one.
    """
    kinds = [kind for name, kind in vars(module).items() if name.endswith("Settings") and is_dataclass(kind)]
    found = [kind for kind in kinds if kind.__module__ == module.__name__] or kinds
    found = [kind for kind in found if not any(other is not kind and issubclass(other, kind) for other in found)]
    if len(found) != 1:
        raise LookupError(f"{module.__name__}: expected one class of settings, found {len(found)}")
    return found[0]


def _tabulate_settings(kind: type) -> list[str]:
    groups: Mapping[str, tuple[str, ...]] = getattr(kind, "GROUPS", {})
    grouped = {name for names in groups.values() for name in names}
    first = [name for name in list_shown(kind) if name not in grouped]
    parts = [_tabulate_fields(kind, first)] if first else []
    for title, names in groups.items():
        parts += [f"**{title[0].upper()}{title[1:]}**", _tabulate_fields(kind, names)]
    return parts


def _tabulate_fields(kind: type, names: Iterable[str]) -> str:
    types, docs = get_type_hints(kind, include_extras=True), read_docs(kind)
    columns = {column.name: column for column in fields(kind)}
    rows = [[_flag(name, types[name]), _default(columns[name]), docs.get(name, "")] for name in names]
    return tabulate(("flag", "default", "meaning"), rows)


def _flag(name: str, kind: Any) -> str:
    """The flag as it is typed, with what it takes."""
    if get_origin(kind) is Annotated and tyro.conf.Positional in get_args(kind)[1:]:
        return f"`{name.upper()}`"
    return f"`{_name_flag(name)}`" + ("" if kind is bool else f" {name_type(kind)}")


def _name_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def name_type(kind: Any) -> str:
    """The values that a type has, for readers: choices by name, `number`, `several ...`."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return name_type(parts[0])
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is tuple:
        return f"several: {name_type(parts[0])}" if Ellipsis in parts else f"{len(parts)}: {name_type(parts[0])}"
    if origin in (Union, UnionType):
        return " or ".join(name_type(part) for part in parts if part is not NoneType)
    return {int: "whole number", float: "number", str: "text", Path: "path"}.get(kind, kind.__name__)


def _default(column: "Field[Any]") -> str:
    value = column.default if column.default is not MISSING else None
    if column.default_factory is not MISSING:
        value = column.default_factory()
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value in ("", ()):
        return ""
    return f"`{' '.join(map(str, value))}`" if isinstance(value, tuple) else f"`{value}`"


def write_columns() -> str:
    """The columns of every table that a run leaves: a page of Markdown."""
    lines = [
        "# Columns of the tables",
        "A run folder holds these tables as Parquet, `scores` as CSV too. A column that came later has a default when "
        "older files are read; none is ever renamed. This page is made from the records in `probing/tables/`.",
    ]
    for stem, record in RECORDS.items():
        docs, types = read_docs(record), get_type_hints(record)
        rows = [[f"`{one.name}`", types[one.name].__name__, docs.get(one.name, "")] for one in fields(record)]
        lines += [f"## {stem}.parquet", _sentence(inspect.getdoc(record) or "")]
        lines += [tabulate(("column", "type", "meaning"), rows)]
    lines += ["## Values of `metric` beyond scores"]
    lines += ["Numbers that measures give stand in `scores.parquet` as well, each under a name of its own."]
    rows = [[f"`{name}`", one.title, f"`{one.measure}`"] for name, one in QUANTITIES.items()]
    return "\n\n".join([*lines, tabulate(("metric", "what it is", "measure"), rows)]) + "\n"


def write_registries() -> str:
    """Every part by its name, with what is known of it: a page of Markdown."""
    lines = [
        "# Parts by name",
        "A name is what a flag takes, what a column says and what a test is called. Installed packages add names: "
        "see [Add a part](../how-to/extend.md). This page is made from the registries and the catalogue.",
        "## Tasks with a name in the field",
        tabulate(
            ("name", "paper", "group", "other names", "metrics", "question"),
            [
                [f"`{s.name}`", s.title, s.group, ", ".join(s.aliases), ", ".join(s.metrics), NOTES.get(s.name, "")]
                for s in (*SENTEVAL_TASKS, *TRANSFER_TASKS)
            ],
        ),
        "## Controls",
        tabulate(
            ("name", "difference", "what it takes away"),
            [[f"`{name}`", control.difference, control.note] for name, control in CONTROLS.items()],
        ),
        "## Measures",
        tabulate(
            ("name", "asked for by", "readouts", "needs"),
            [
                [f"`{name}`", _ask(name), ", ".join(one.representations), _needs(one.needs)]
                for name, one in MEASURES.items()
            ],
        ),
    ]
    for registry in REGISTRIES:
        rows = [
            [f"`{name}`", f"`{registry.own[name]}`", _summarise(registry.own[name])] for name in sorted(registry.own)
        ]
        lines += [f"## Registry `{registry.name}`"]
        lines += [f"Contract: `{registry.contract}`. Entry points of packages: `probing.{registry.name}`."]
        lines += [tabulate(("name", "where", "what it is"), rows)]
    return "\n\n".join(lines) + "\n"


def tabulate_claims() -> str:
    """The catalogue's claims, what else each may be, and what must have been run: a table of Markdown."""
    rows = [[claim.says, claim.bounds, _list_flags(claim) or "nothing more"] for claim in CLAIMS.values()]
    return tabulate(("claim", "otherwise it may be", "must have been run"), rows)


def _list_flags(claim: Claim) -> str:
    flags = [f"`--controls {' '.join(claim.controls)}`"] if claim.controls else []
    named = [name for name in claim.measures if name in ON_REQUEST]
    flags += [f"`--measures {' '.join(named)}`"] if named else []
    flags += [f"`--seeds {' '.join(map(str, range(claim.seeds)))}`"] if claim.seeds > 1 else []
    return ", ".join([*flags, *([claim.beyond] if claim.beyond else [])])


def _ask(name: str) -> str:
    if name in ON_REQUEST:
        return f"`--measures {name}`"
    return f"`--{MEASURES[name].flag}`" if MEASURES[name].flag else "always"


def _needs(needs: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}` = `{value}`" for name, value in needs.items())


def _summarise(place: str) -> str:
    """First line of the docstring of what `"module:attribute"` names, read without importing it."""
    module, _, attribute = place.partition(":")
    tree = ast.parse(find_source(module).read_text(encoding="utf-8"))
    named = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute]
    text = ast.get_docstring(named[0] if named else tree) or ""
    return text.split("\n\n")[0]


def find_source(module: str) -> Path:
    """The file of a module of this repository."""
    path = ROOT / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def write_api() -> dict[str, str]:
    """Pages of the API: page -> Markdown, in which mkdocstrings puts signatures and docstrings."""
    contracts = sorted(path.stem for path in (ROOT / "probing" / "contracts").glob("*.py"))
    tables = [f"probing.tables.{path.stem}" for path in sorted((ROOT / "probing" / "tables").glob("[a-z]*.py"))]
    kinds = [f"probing.contracts.{name}" for name in contracts if name not in ("__init__", "checking")]
    return {
        "api-calls": _list_objects(
            "Python calls", ["probing.api.run", "probing.api.encode", "probing.api.FinishedRun"]
        ),
        "api-contracts": _list_objects("Contracts of parts", kinds),
        "api-records": _list_objects("Records and tables", ["probing.records", *tables]),
        "api-parts": _list_objects("Probes, poolings, metrics", list_parts()),
        "api-analysis": _list_objects("Runs, statistics, tables, figures", [f"analysis.{name}" for name in _ANALYSIS]),
    }


def list_parts() -> list[str]:
    """Dotted names of our own probes, poolings and metrics."""
    chosen = [one for one in REGISTRIES if one.name in ("probes", "poolings", "metrics")]
    return [place.replace(":", ".") for one in chosen for _, place in sorted(one.own.items())]


def _list_objects(title: str, objects: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", *(f"::: {name}" for name in objects)]) + "\n"


def tabulate(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *([_cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """A text as one cell: no line ends, and no bars that would begin another cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _sentence(text: str) -> str:
    """A text's first paragraph as a sentence."""
    first = " ".join(textwrap.dedent(text).split("\n\n")[0].split())
    return f"{first[:1].upper()}{first[1:].rstrip('.')}."
