"""Docstrings of settings -> help, and the settings that have any."""

import ast
import inspect
import textwrap
from dataclasses import fields
from functools import cache
from itertools import pairwise
from typing import get_args, get_type_hints

from tyro.conf import Suppress


@cache
def read_docs(kind: type) -> dict[str, str]:
    """The docstring below each field of a class and of those it inherits from, as one line."""
    docs: dict[str, str] = {}
    for parent in reversed(kind.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0].body  # pyright: ignore
        for above, below in pairwise(body):
            if (
                isinstance(above, ast.AnnAssign)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                docs[ast.unparse(above.target)] = " ".join(str(below.value.value).split())
    return docs


@cache
def list_shown(kind: type) -> list[str]:
    """Names of the fields that are flags for users: all but those that programs set."""
    types, hidden = get_type_hints(kind, include_extras=True), get_args(Suppress[int])[1]
    return [column.name for column in fields(kind) if hidden not in get_args(types[column.name])[1:]]
