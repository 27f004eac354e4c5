"""A docstring's first word says what kind of thing it is: "Number of ...", "True where ...", "Compute ..."."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VAGUE = {"What", "How", "Which", "As", "Where", "Those", "Whether"}
EXAMPLE = '''"""What it is."""
LIMIT = 3
"""How many."""
class Part:
    """Where, and why."""
    name: str
    """Those that have one."""
    def find(self):
        """As `search`."""
        self.found = True
        """Whether it is there."""
        return "Which of them"  # no docstring, nor the next one
def count():
    """Number of those whose name says what they are."""
'''


def find_vague(text):
    """Line and first word of the docstrings, those below fields and constants too, that begin with such a word."""
    bodies = [node.body for node in ast.walk(ast.parse(text)) if isinstance(getattr(node, "body", None), list)]
    strings = [one.value for body in bodies for one in body if isinstance(one, ast.Expr)]
    words = [(one.lineno, one.value.split()) for one in strings if isinstance(getattr(one, "value", None), str)]
    return [(line, found[0]) for line, found in words if found and found[0].strip(",.:;") in VAGUE]


def test_the_search_sees_docstrings_of_modules_constants_classes_fields_functions_and_attributes():
    found = [(1, "What"), (3, "How"), (5, "Where,"), (7, "Those"), (9, "As"), (11, "Whether")]
    assert sorted(find_vague(EXAMPLE)) == found


@pytest.mark.parametrize("package", ["probing", "analysis"])
def test_docstrings_begin_with_the_kind_of_thing_that_they_describe(package):
    paths = sorted((ROOT / package).rglob("*.py"))
    assert paths
    vague = [f"{path}:{line}: {word}" for path in paths for line, word in find_vague(path.read_text(encoding="utf-8"))]
    assert not vague, f"say what kind of thing it is, such as 'Number of' or 'True where': {vague}"
