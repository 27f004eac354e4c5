"""The README leads to files that are there; its commands are run in `test_commands.py`."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_a_file_that_is_linked_to_is_there(path):
    assert (ROOT / path).exists()


def test_ci_calls_the_test_command():
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
