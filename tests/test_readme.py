"""The README is short; its links are looked at in `test_docs.py`, its commands are run in `test_commands.py`."""

from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_readme_can_be_read_in_one_go():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


def test_ci_calls_the_test_command():
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
