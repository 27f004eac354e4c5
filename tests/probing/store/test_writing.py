import csv
import errno
import io
import os
from fcntl import LOCK_EX, flock

import pandas as pd
import pytest

from probing.atomic_files import (
    check_new_file,
    check_writable,
    disarm,
    find_obstacle,
    is_part,
    make_part,
    name_part,
    remove_leftovers,
    to_csv,
    write_atomically,
)
from probing.records import InputError
from probing.store.cache import StackCache


def test_a_full_disk_is_told_with_the_name_of_the_file_and_leaves_what_was_there(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a", b"before")

    def fail(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space") as caught:
        write_atomically(tmp_path / "a", b"after")
    assert caught.value.filename == str(tmp_path / "a")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"before")]


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("x" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"


def test_what_is_being_written_is_no_leftover(tmp_path):
    part, rest = name_part(tmp_path / "a"), name_part(tmp_path / "b")
    rest.write_bytes(b"half")
    with part.open("xb") as file:
        flock(file, LOCK_EX)
        remove_leftovers(tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == [part]
    remove_leftovers(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_being_filled_is_no_leftover(tmp_path):
    rest = name_part(tmp_path / "b")
    rest.mkdir()
    with make_part(tmp_path / "a") as part:
        remove_leftovers(tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == [part]
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_was_taken_for_a_leftover_is_begun_again(tmp_path, monkeypatch):
    """Another program clears up in the moment between the making of a file and its lock."""
    taken = []

    def lock(file, how):
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()

    monkeypatch.setattr("probing.atomic_files.flock", lock)
    write_atomically(tmp_path / "a", b"whole")
    assert len(taken) == 1
    assert (tmp_path / "a").read_bytes() == b"whole"


_HEX = "e092219f3ae641b79906e595f8aafabf"


@pytest.mark.parametrize("name", [".DS_Store", "a.safetensors", ".a.txt", f"a.{_HEX}", f".{_HEX}"])
def test_names_of_others_are_no_parts(name, tmp_path):
    (tmp_path / name).write_text("mine")
    assert not is_part(tmp_path / name)
    remove_leftovers(tmp_path.iterdir())
    assert (tmp_path / name).exists()


def test_the_cache_is_cleared_of_what_kills_left(tmp_path):
    cache = StackCache(tmp_path)
    space = cache.space(encoder="one")
    rest = name_part(space.folder / "abc.safetensors")
    rest.write_bytes(b"half")
    cache.space(encoder="another")
    assert not rest.exists()
    assert (space.folder / "space.json").exists()


def test_an_obstacle_is_found_before_anything_is_made(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nothing")
    assert find_obstacle(tmp_path / "new" / "run") == ""
    assert find_obstacle(tmp_path / "file" / "run").endswith("file: a file")
    assert find_obstacle(tmp_path / "link").endswith("link: a link to nothing")
    with pytest.raises(InputError, match="choose another --report"):
        check_writable(tmp_path / "file", "--report")
    with pytest.raises(InputError, match="a folder; expected --output to be the name"):
        check_new_file(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd|'x'!A0", "-x", "\t=1", "+A1"])
def test_a_text_that_a_spreadsheet_would_run_has_an_apostrophe_before_it(text):
    assert disarm(text) == f"'{text}"


@pytest.mark.parametrize(
    "cell", ["tense", "-", "+3.4", "-0.9 [-1.6, -0.2]", "+9.1*", "± 3.2", "-1e-05", "", 3, -1.5, None]
)
def test_numbers_dashes_and_plain_texts_stay_as_they_are(cell):
    assert disarm(cell) is cell


def test_a_written_table_reads_back_with_its_numbers_and_without_formulas():
    frame = pd.DataFrame(
        {"task": ["=evil()", "fine"], "layer": [-1, 2], "value": [-0.25, 0.5], "converged": [True, False]}
    )
    rows = list(csv.DictReader(io.StringIO(to_csv(frame).decode())))
    assert [row["task"] for row in rows] == ["'=evil()", "fine"]
    assert [(int(row["layer"]), float(row["value"]), row["converged"]) for row in rows] == [
        (-1, -0.25, "True"),
        (2, 0.5, "False"),
    ]
    assert frame["task"].tolist() == ["=evil()", "fine"]
