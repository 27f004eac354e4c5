import errno
import json
import multiprocessing
import os
import pickle
import time
from hashlib import sha256
from tempfile import TemporaryFile
from threading import Thread

import numpy as np
import pytest

from probing.atomic_files import write_atomically
from probing.digests import digest_json, text_key
from probing.records import InputError, LayerStack
from probing.store import mapped_arrays
from probing.store.cache import StackCache
from probing.store.shards import pack_shard

WAY = {"encoder": "abc", "dtype": "float32", "max_length": 16, "pooling": "mean", "special_tokens": True}
KEYS = [text_key((f"sentence {number}",)) for number in range(6)]


def draw(n, seed=0):
    return np.random.default_rng(seed).normal(size=(2, n, 3)).astype(np.float32)


def fill(folder, keys=KEYS, seed=0):
    values, truncated = draw(len(keys), seed), np.arange(len(keys)) % 3 == 0
    StackCache(folder).space(**WAY).add(keys, values, truncated)
    return values, truncated


def load(space, keys):
    """The vectors of some sentences, and which had been cut."""
    stack = space.stack(keys, ("embeddings", "1"), "mean")
    return stack.values, stack.truncated


def shards(folder):
    return sorted(folder.rglob("*.safetensors"))


def test_writes_what_it_is_given_and_makes_the_folder(tmp_path):
    path = tmp_path / "new" / "deep" / "file.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("broken", ["write", "fsync", "replace"])
def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(broken, tmp_path, monkeypatch):
    path = tmp_path / "file.bin"
    write_atomically(path, b"old")

    def fail(*args):
        raise OSError("disk full")

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    if broken == "replace":
        monkeypatch.setattr("pathlib.Path.replace", fail)
    content = None if broken == "write" else b"new"
    with pytest.raises((OSError, TypeError)):
        write_atomically(path, content)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file.bin"]


def test_an_interruption_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file.bin", b"new")
    assert list(tmp_path.iterdir()) == []


def test_text_keys_tell_segments_and_their_borders_apart():
    texts = [("a b",), ("a", "b"), ("b", "a"), ("ab",), ("a b", ""), ("", "a b"), ("a\0b",), ("A b",), ("",), ("é",)]
    assert len({text_key(text) for text in texts}) == len(texts)
    assert text_key(("a", "b")) == text_key(("a", "b"))


def test_equal_json_has_equal_names_whatever_its_order():
    assert digest_json({"a": 1, "b": [2]}) == digest_json({"b": [2], "a": 1})
    assert digest_json({"a": 1, "b": [2]}) != digest_json({"a": 1, "b": [3]})


def test_what_is_filed_is_found_in_any_order_bit_by_bit(tmp_path):
    values, truncated = fill(tmp_path)
    space = StackCache(tmp_path).space(**WAY)
    order = [4, 0, 5, 2]
    found, cut = load(space, [KEYS[row] for row in order])
    assert np.array_equal(found, values[:, order])
    assert cut.tolist() == truncated[order].tolist()
    assert space.find([*KEYS, text_key(("other",))]) == set(KEYS)


def test_sentences_of_several_files_come_together(tmp_path):
    one, _ = fill(tmp_path, KEYS[:2], seed=1)
    two, _ = fill(tmp_path, KEYS[2:], seed=2)
    assert len(shards(tmp_path)) == 2
    found, _ = load(StackCache(tmp_path).space(**WAY), KEYS)
    assert np.array_equal(found, np.concatenate([one, two], axis=1))


def test_a_sentence_that_is_not_there_is_a_key_error(tmp_path):
    fill(tmp_path)
    with pytest.raises(KeyError):
        load(StackCache(tmp_path).space(**WAY), [text_key(("other",))])


@pytest.mark.parametrize(
    "change",
    [{"encoder": "abd"}, {"dtype": "bfloat16"}, {"max_length": 15}, {"pooling": "cls"}, {"special_tokens": False}],
)
def test_vectors_that_were_made_in_another_way_are_not_found(change, tmp_path):
    fill(tmp_path)
    assert StackCache(tmp_path).space(**WAY).find(KEYS) == set(KEYS)
    assert StackCache(tmp_path).space(**WAY | change).find(KEYS) == set()


def test_the_folder_says_how_its_vectors_were_made(tmp_path):
    fill(tmp_path)
    (path,) = tmp_path.rglob("space.json")
    assert json.loads(path.read_text()) == WAY


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1])
def test_a_truncated_file_is_named_removed_and_counts_as_missing(length, tmp_path):
    fill(tmp_path)
    (path,) = shards(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    space = StackCache(tmp_path).space(**WAY)
    assert space.damaged == [path]
    assert not path.exists()
    assert space.find(KEYS) == set()


def test_any_flipped_bit_is_found_out(tmp_path):
    """One bit in each byte of the file: it is refused, or it meant nothing."""
    values, truncated = fill(tmp_path, KEYS[:2])
    (path,) = shards(tmp_path)
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        space = StackCache(tmp_path).space(**WAY)
        if space.find(KEYS[:2]) < set(KEYS[:2]):
            assert space.damaged == [path]
            refused += 1
        else:
            found, cut = load(space, KEYS[:2])
            assert found.dtype == np.float32
            assert np.array_equal(found, values)
            assert cut.tolist() == truncated.tolist()
    assert refused > len(content) / 2


def test_an_undamaged_file_is_trusted(tmp_path):
    fill(tmp_path)
    assert StackCache(tmp_path).space(**WAY).damaged == []


@pytest.mark.parametrize("when", ["opened", "read through"])
def test_a_file_that_cannot_be_read_is_named_left_and_counts_as_missing(when, tmp_path, monkeypatch):
    """A file system that is out of reach for a moment (ESTALE, EIO) says nothing about the file."""
    fill(tmp_path, KEYS[:3])
    fill(tmp_path, KEYS[3:])
    path = age(tmp_path, *KEYS[3:])
    usual, space = type(path).open, StackCache(tmp_path).space(**WAY)

    def refuse(file, *arguments, **options):
        if file == path:
            raise OSError(errno.ESTALE, "Stale file handle", str(file))
        return usual(file, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(type(path), "open", refuse)
        space = StackCache(tmp_path).space(**WAY) if when == "opened" else space
        assert space.find(KEYS) == set(KEYS[:3])
    assert space.take_faults() == ((), (path,))
    assert space.take_faults() == ((), ())
    assert StackCache(tmp_path).space(**WAY).find(KEYS) == set(KEYS)


def test_a_stack_that_was_sent_elsewhere_reads_the_same_and_neither_lists_nor_checks_nor_deletes(tmp_path, monkeypatch):
    fill(tmp_path, KEYS[:3], seed=1)
    fill(tmp_path, KEYS[3:], seed=2)
    stack = StackCache(tmp_path).space(**WAY).stack(KEYS[::-1], ("embeddings", "1"), "mean")
    sent = pickle.dumps(stack)

    def forbid(*arguments):
        raise AssertionError

    for place in ("pathlib.Path.glob", "pathlib.Path.unlink", "probing.store.shards.Shard.is_whole"):
        monkeypatch.setattr(place, forbid)
    arrived = pickle.loads(sent)
    assert np.array_equal(arrived.values, stack.values)
    assert np.array_equal(arrived.truncated, stack.truncated)
    assert (arrived.layer_names, arrived.pooling) == (stack.layer_names, stack.pooling)
    shards(tmp_path)[0].rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        arrived.select([0], np.arange(6))


def test_large_selections_go_to_the_scratch_folder_that_is_named(tmp_path, monkeypatch):
    values, _ = fill(tmp_path / "cache")
    monkeypatch.setattr(mapped_arrays, "IN_MEMORY_BYTES", 0)
    used = []

    def note(dir):
        used.append(dir)
        return TemporaryFile(dir=dir)

    monkeypatch.setattr(mapped_arrays, "TemporaryFile", note)
    for name in ("SLURM_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for scratch, tmpdir, expected in (
        (None, None, tmp_path / "cache" / "stacks" / digest_json(WAY)),
        (None, tmp_path / "tmp", tmp_path / "tmp"),
        (None, tmp_path / "not there", tmp_path / "cache" / "stacks" / digest_json(WAY)),
        (tmp_path / "mine", tmp_path / "tmp", tmp_path / "mine"),
    ):
        for folder in (tmp_path / "tmp", tmp_path / "mine"):
            folder.mkdir(exist_ok=True)
        if tmpdir:
            monkeypatch.setenv("TMPDIR", str(tmpdir))
        space = StackCache(tmp_path / "cache", scratch=scratch).space(**WAY)
        assert np.array_equal(space.stack(KEYS, ("embeddings", "1"), "mean").values, values)
        assert used.pop() == expected


@pytest.mark.parametrize("way", ["files", "folders"])
def test_vectors_that_were_moved_to_another_encoders_are_found_out(way, tmp_path):
    values, _ = fill(tmp_path)
    other = StackCache(tmp_path).space(**WAY | {"encoder": "xyz"})
    other.add(KEYS, draw(len(KEYS), seed=1), np.zeros(len(KEYS), dtype=bool))
    first, second = sorted((tmp_path / "stacks").iterdir())
    if way == "folders":
        first.rename(tmp_path / "between"), second.rename(first), (tmp_path / "between").rename(second)
    else:  # of the same sentences, files have one name
        [one], [two] = shards(first), shards(second)
        one.rename(tmp_path / "between"), two.rename(one), (tmp_path / "between").rename(two)
    space = StackCache(tmp_path).space(**WAY)
    assert space.find(KEYS) == set()
    assert len(space.damaged) == 1
    assert digest_json(json.loads((space.folder / "space.json").read_text())) == space.folder.name
    space.add(KEYS, values, np.zeros(len(KEYS), dtype=bool))
    assert np.array_equal(load(StackCache(tmp_path).space(**WAY), KEYS)[0], values)


def test_files_of_before_they_named_their_encoder_are_read(tmp_path):
    values, truncated = fill(tmp_path)
    [path] = shards(tmp_path)
    path.write_bytes(pack_shard(np.frombuffer(b"".join(KEYS), np.uint8).reshape(len(KEYS), -1), truncated, values))
    space = StackCache(tmp_path).space(**WAY)
    assert space.find(KEYS) == set(KEYS)
    assert np.array_equal(load(space, KEYS)[0], values)


def test_the_same_vectors_make_the_same_bytes():
    """safetensors orders several facts of a file anew each time."""
    keys = np.frombuffer(b"".join(KEYS), np.uint8).reshape(len(KEYS), -1)
    made = {pack_shard(keys, np.zeros(len(KEYS), dtype=bool), draw(len(KEYS)), space="abc") for _ in range(20)}
    assert len(made) == 1


def test_a_damaged_file_costs_no_other(tmp_path):
    fill(tmp_path, KEYS[:3])
    fill(tmp_path, KEYS[3:])
    shards(tmp_path)[0].write_bytes(b"rubbish")
    space = StackCache(tmp_path).space(**WAY)
    assert len(space.damaged) == 1
    assert space.find(KEYS) in ({*KEYS[:3]}, {*KEYS[3:]})


def test_foreign_and_half_written_files_are_left_alone(tmp_path):
    values, _ = fill(tmp_path)
    folder = shards(tmp_path)[0].parent
    (folder / ".x.safetensors.123").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    space = StackCache(tmp_path).space(**WAY)
    assert space.damaged == []
    assert np.array_equal(load(space, KEYS)[0], values)
    assert (folder / "notes.txt").is_file()


def use(folder, number, errors):
    """What a run does with the cache: look, file what is missing, load all. Two runs in step fight for every file."""
    try:
        for start in range(0, 40, 4):
            keys = [text_key((f"{place}",)) for place in range(start, start + 4)]
            space = StackCache(folder).space(**WAY)
            if len(space.find(keys)) < len(keys):
                space.add(keys, draw(4, start), np.zeros(4, dtype=bool))
            found, _ = load(space, keys)
            if not np.array_equal(found, draw(4, start)) or space.damaged:
                errors.append((number, start))
    except Exception as error:  # noqa: BLE001 (whatever it is, the test tells)
        errors.append((number, repr(error)))


def test_threads_on_one_cache_do_no_harm(tmp_path):
    errors = []
    threads = [Thread(target=use, args=(tmp_path, number, errors)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(shards(tmp_path)) == 10


def use_and_exit(folder, number):
    errors = []
    use(folder, number, errors)
    os._exit(bool(errors))


def test_processes_on_one_cache_do_no_harm(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=use_and_exit, args=(tmp_path, number)) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(shards(tmp_path)) == 10


def test_any_layers_and_rows_are_what_indexing_the_whole_gives(tmp_path):
    fill(tmp_path, KEYS[:4], seed=1)
    fill(tmp_path, KEYS[4:], seed=2)
    stack = StackCache(tmp_path).space(**WAY).stack([*KEYS[3:], *KEYS[:3]], ("embeddings", "1"), "mean")
    whole = LayerStack(stack.values, stack.layer_names, stack.pooling)
    for layers, rows in (([1], [5, 0, 0, 3]), ([1, 0], [2]), (range(2), [])):
        chosen = np.array(rows, dtype=int)
        assert np.array_equal(stack.select(layers, chosen), whole.select(layers, chosen))
    assert stack.hidden_size == whole.hidden_size == 3


def test_a_large_selection_is_mapped_holds_the_same_and_leaves_no_file(tmp_path, monkeypatch):
    values, _ = fill(tmp_path)
    stack = StackCache(tmp_path).space(**WAY).stack(KEYS, ("embeddings", "1"), "mean")
    assert not isinstance(stack.values.base, np.memmap)
    monkeypatch.setattr(mapped_arrays, "IN_MEMORY_BYTES", values.nbytes - 1)
    files = sorted(tmp_path.rglob("*"))
    mapped = stack.values
    assert isinstance(mapped.base, np.memmap)
    assert np.array_equal(mapped, values)
    mapped += 1
    assert np.array_equal(stack.values, values)
    assert sorted(tmp_path.rglob("*")) == files


def test_a_disk_without_room_for_a_large_selection_is_a_memory_error(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(mapped_arrays, "IN_MEMORY_BYTES", 0)

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    stack = StackCache(tmp_path).space(**WAY).stack(KEYS, ("embeddings", "1"), "mean")
    with pytest.raises(MemoryError, match=r"no room for .* \(No space left on device\)"):
        stack.select([0], np.arange(2))


def age(folder, *keys, days=1):
    """Make the file that holds some sentences look as if it had been used last some days ago."""
    path = folder / "stacks" / digest_json(WAY) / f"{sha256(b''.join(keys)).hexdigest()[:16]}.safetensors"
    os.utime(path, (time.time() - 86400 * days,) * 2)
    return path


def fill_three(folder):
    """Three files of two sentences; the second was used longest ago, then the third."""
    for start in (0, 2, 4):
        fill(folder, KEYS[start : start + 2], seed=start)
    return [age(folder, *KEYS[start : start + 2], days=days) for start, days in ((0, 1), (2, 3), (4, 2))]


def test_what_was_used_longest_ago_goes_first_and_no_more_than_the_limit_asks(tmp_path):
    new, _, old = fill_three(tmp_path)
    size = new.stat().st_size
    assert StackCache(tmp_path, 3 * size).trim() == StackCache(tmp_path).trim() == 0
    assert len(shards(tmp_path)) == 3
    assert StackCache(tmp_path, 2 * size).trim() == 0
    assert set(shards(tmp_path)) == {new, old}
    StackCache(tmp_path, 1).trim()
    assert shards(tmp_path) == []


def test_looking_a_sentence_up_counts_as_use(tmp_path):
    new, oldest, _ = fill_three(tmp_path)
    StackCache(tmp_path).space(**WAY).find([KEYS[3]])
    StackCache(tmp_path, 2 * new.stat().st_size).trim()
    assert set(shards(tmp_path)) == {new, oldest}


def test_what_a_run_uses_itself_is_spared_and_the_excess_is_told(tmp_path):
    _, oldest, _ = fill_three(tmp_path)
    size = oldest.stat().st_size
    cache = StackCache(tmp_path, 1)
    space = cache.space(**WAY)
    space.find([KEYS[2]])
    assert cache.trim(space) == size - 1
    assert shards(tmp_path) == [oldest]
    del space
    assert cache.trim() == 0
    assert shards(tmp_path) == []


def hold_open(folder, opened, done):
    space = StackCache(folder).space(**WAY)
    opened.set()
    done.wait(30)
    del space


def test_what_another_program_has_open_is_spared_until_it_ends(tmp_path):
    fill_three(tmp_path)
    context = multiprocessing.get_context("fork")
    opened, done = context.Event(), context.Event()
    other = context.Process(target=hold_open, args=(tmp_path, opened, done))
    other.start()
    assert opened.wait(30)
    cache = StackCache(tmp_path, 1)
    assert cache.trim() > 0
    assert cache.trim(cache.space(**WAY)) > 0
    assert len(shards(tmp_path)) == 3
    done.set()
    other.join()
    assert cache.trim() == 0
    assert shards(tmp_path) == []


def test_only_the_files_that_are_asked_for_are_read_through(tmp_path):
    fill(tmp_path, KEYS[:3])
    fill(tmp_path, KEYS[3:])
    path = age(tmp_path, *KEYS[3:])
    content = path.read_bytes()
    path.write_bytes(content.replace(content[-100:-60], bytes(40)))
    space = StackCache(tmp_path).space(**WAY)
    assert space.find(KEYS[:3]) == set(KEYS[:3])
    assert space.damaged == []
    assert space.find(KEYS) == set(KEYS[:3])
    assert space.damaged == [path]


def test_vectors_in_half_the_room_come_back_rounded_and_are_others_than_whole_ones(tmp_path):
    values, truncated = draw(len(KEYS)), np.arange(len(KEYS)) % 2 == 0
    for form in ("float32", "float16"):
        StackCache(tmp_path / form, form=form).space(**WAY).add(KEYS, values, truncated)
    (half,), (whole,) = (shards(tmp_path / form) for form in ("float16", "float32"))
    assert half.parent.name != whole.parent.name
    assert whole.stat().st_size - half.stat().st_size == 2 * values.size
    space = StackCache(tmp_path / "float16", form="float16").space(**WAY)
    assert space.find(KEYS) == set(KEYS)
    found, cut = load(space, KEYS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(cut, truncated)
    # Half of a unit in the last of eleven bits.
    np.testing.assert_allclose(found, values, rtol=2.0**-11, atol=2.0**-25)
    assert not StackCache(tmp_path / "float16").space(**WAY).find(KEYS)
    content = bytearray(half.read_bytes())
    content[-1] ^= 1
    half.write_bytes(content)
    assert not StackCache(tmp_path / "float16", form="float16").space(**WAY).find(KEYS)


@pytest.mark.parametrize("largest", [7e4, 1e-6])
def test_vectors_that_half_the_room_does_not_hold_are_refused(tmp_path, largest):
    values = draw(len(KEYS))
    values[1] *= largest / np.abs(values[1]).max()
    said = rf"--store float16: vectors of layer 1 of those stored reach {largest:.3g}; ".replace("+", r"\+")
    with pytest.raises(InputError, match=said + r"its range is 6\.1e-05 to 65504"):
        StackCache(tmp_path, form="float16").space(**WAY).add(KEYS, values, np.zeros(len(KEYS), dtype=bool))
    assert not shards(tmp_path)
