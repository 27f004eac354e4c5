"""Docstrings of settings -> help."""

import ast
import inspect
import textwrap
from itertools import pairwise


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
