"""The folder of a command's own cluster."""

import os
import subprocess
import sys
from pathlib import Path

from probing.engines.session_folder import make_session_folder

_HELD = """
import os, signal, sys
from pathlib import Path
from probing.engines.session_folder import make_session_folder
folder = make_session_folder(Path(sys.argv[1]))
(folder.path / "log").write_text("x")
os.utime(folder.path, (0, 0))
print(folder.path, flush=True)
sys.stdin.read()
"""


def _begin(parent):
    return subprocess.Popen(
        [sys.executable, "-c", _HELD, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_what_a_killed_program_has_left_goes_and_what_is_in_use_stays(tmp_path):
    with _begin(tmp_path) as program:
        theirs = Path(program.stdout.readline().strip())
        ours = make_session_folder(tmp_path)
        assert (theirs / "log").exists()
        ours.remove()
        assert not ours.path.exists()
        program.kill()
    assert (theirs / "log").exists()
    make_session_folder(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []


def test_neither_young_folders_nor_others_are_removed(tmp_path):
    """One that was made a moment ago may not be held yet; a link may lead anywhere."""
    (tmp_path / "bermo-ray-young").mkdir()
    (tmp_path / "ray-other").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")
    os.utime(elsewhere, (0, 0))
    (tmp_path / "bermo-ray-link").symlink_to(elsewhere)
    make_session_folder(tmp_path).remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bermo-ray-link",
        "bermo-ray-young",
        "elsewhere",
        "ray-other",
    ]
    assert (elsewhere / "kept").exists()
