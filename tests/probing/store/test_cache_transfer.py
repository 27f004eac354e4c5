"""A cache taken to another machine is the same there, or is refused before anything of it is copied."""

import json
from hashlib import sha256

import numpy as np
import pytest

from probing.digests import text_key
from probing.records import InputError
from probing.store.cache import StackCache
from probing.store.cache_transfer import HASHES, empty_cache, export_cache, import_cache, list_spaces

WAY = {"encoder": "abc", "dtype": "float32", "max_length": 16, "pooling": "mean", "special_tokens": True}
KEYS = [text_key((f"sentence {number}",)) for number in range(6)]


def fill(cache, pooling="mean", keys=KEYS):
    values = np.random.default_rng(0).normal(size=(2, len(keys), 3)).astype(np.float32)
    StackCache(cache).space(**WAY | {"pooling": pooling}).add(keys, values, np.zeros(len(keys), dtype=bool))
    return values


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rewrite(folder, change):
    """Change the list of files, and nothing else."""
    listed = json.loads((folder / HASHES).read_text())
    (folder / HASHES).write_text(json.dumps(change(listed)))


@pytest.fixture
def exported(tmp_path):
    """An exported folder of two spaces, and the vectors of the first."""
    values = fill(tmp_path / "cache")
    fill(tmp_path / "cache", "max")
    assert export_cache(tmp_path / "cache", tmp_path / "exported") == 4
    return tmp_path / "exported", values


def test_what_was_exported_and_imported_gives_the_same_vectors(exported, tmp_path):
    folder, values = exported
    assert import_cache(folder, tmp_path / "other") == 4
    space = StackCache(tmp_path / "other").space(**WAY)
    assert space.find(KEYS) == set(KEYS)
    np.testing.assert_array_equal(space.stack(KEYS, ("embeddings", "1"), "mean").values, values)
    assert contents(tmp_path / "other") == contents(tmp_path / "cache")


def test_hashes_are_those_of_the_files(exported):
    folder, _ = exported
    found = {name: sha256(content).hexdigest() for name, content in contents(folder).items() if name != HASHES}
    assert json.loads((folder / HASHES).read_text()) == found


def test_files_that_are_there_stay_and_are_not_counted(exported, tmp_path):
    folder, _ = exported
    other = tmp_path / "other"
    fill(other)
    first = next(other.rglob("*.safetensors"))
    first.write_bytes(b"of this machine")
    assert import_cache(folder, other) == 2
    assert first.read_bytes() == b"of this machine"
    assert import_cache(folder, other) == 0


@pytest.mark.parametrize("pattern", ["*.safetensors", "space.json"])
def test_a_damaged_file_is_refused_before_anything_is_copied(pattern, exported, tmp_path):
    folder, _ = exported
    damaged = sorted(folder.rglob(pattern))[-1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=f"{damaged}: .*not as it was written"):
        import_cache(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_file_that_is_missing_is_refused_before_anything_is_copied(exported, tmp_path):
    folder, _ = exported
    sorted(folder.rglob("*.safetensors"))[-1].unlink()
    with pytest.raises(InputError, match="missing"):
        import_cache(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("content", [b"{}", b"not a shard"])
def test_a_file_whose_hash_fits_and_that_is_none_of_a_cache_is_refused(content, exported, tmp_path):
    folder, _ = exported
    path = sorted(folder.rglob("*.safetensors" if content != b"{}" else "space.json"))[0]
    path.write_bytes(content)
    rewrite(folder, lambda listed: listed | {str(path.relative_to(folder)): sha256(content).hexdigest()})
    with pytest.raises(InputError, match="no file of a cache"):
        import_cache(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",
        "stacks/../outside.safetensors",
        "stacks/../../outside.safetensors",
        "stacks/0123456789abcdef/../outside.safetensors",
        "/tmp/outside.safetensors",
        "stacks/0123456789abcdef/.hidden.safetensors",
        "settings.json",
    ],
)
def test_a_name_that_leads_out_of_the_cache_is_refused(name, exported, tmp_path):
    folder, _ = exported
    whole = next(folder.rglob("*.safetensors")).read_bytes()
    (folder / "outside.safetensors").write_bytes(whole)
    rewrite(folder, lambda listed: listed | {name: sha256(whole).hexdigest()})
    with pytest.raises(InputError, match="is no file of a cache"):
        import_cache(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_vectors_without_a_description_are_refused(exported, tmp_path):
    folder, _ = exported
    rewrite(folder, lambda listed: {name: digest for name, digest in listed.items() if "space" not in name})
    with pytest.raises(InputError, match="is no file of a cache"):
        import_cache(folder, tmp_path / "other")


@pytest.mark.parametrize("content", [None, "[]1", "[1, 2]", "3"])
def test_a_folder_that_was_not_exported_is_refused(content, tmp_path):
    (tmp_path / "any").mkdir()
    if content is not None:
        (tmp_path / "any" / HASHES).write_text(content)
    with pytest.raises(InputError, match="expected a folder that"):
        import_cache(tmp_path / "any", tmp_path / "other")


def test_a_damaged_file_is_not_exported(tmp_path):
    fill(tmp_path / "cache")
    fill(tmp_path / "cache", keys=KEYS[:2])
    damaged = next((tmp_path / "cache").rglob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert export_cache(tmp_path / "cache", tmp_path / "exported") == 2
    assert damaged.name not in {path.name for path in (tmp_path / "exported").rglob("*")}


def test_there_must_be_something_to_export_and_room_for_it(tmp_path):
    with pytest.raises(InputError, match="no encoded sentences"):
        export_cache(tmp_path / "cache", tmp_path / "exported")
    fill(tmp_path / "cache")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export_cache(tmp_path / "cache", tmp_path / "full")
    assert list(contents(tmp_path / "full")) == ["mine.txt"]


def test_emptying_removes_what_the_list_shows(tmp_path):
    fill(tmp_path / "cache")
    (tmp_path / "cache" / "mine.txt").write_text("mine")
    [space] = list_spaces(tmp_path / "cache")
    assert (space.n_sentences, space.facts) == (len(KEYS), WAY)
    assert empty_cache(tmp_path / "cache") == space.n_bytes > 0
    assert contents(tmp_path / "cache") == {"mine.txt": b"mine"}
