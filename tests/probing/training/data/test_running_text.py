"""Running text as blocks: nothing is lost or run together, dev and test are fixed, and what is kept is whole."""

import lzma
import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest

from probing.records import InputError
from probing.tasks.controlled import corpus
from probing.tasks.controlled.corpus import SIZES
from probing.training.data import text_sources
from probing.training.data.blocks import Packing, open_blocks, pack
from probing.training.data.masking import Masking
from probing.training.data.running_text import load_text
from probing.training.data.text_sources import find_source
from probing.training.data.vocabulary import read_marks
from tests.helpers import WORDS, draw_sentences, save_tokenizer

LENGTH = 16


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def packing(tokenizer):
    return Packing(tokenizer, read_marks(tokenizer, "tiny"), LENGTH)


def write(folder, **splits):
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in splits.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    lines = draw_sentences(200, np.random.default_rng(0))
    return write(tmp_path / "corpus", train=lines[:150], dev=lines[150:175], test=lines[175:])


def load(folder, packing, cache, **changes):
    return load_text(find_source((str(folder),)), Packing(**(vars(packing) | changes)), cache)


def test_the_blocks_of_a_text_laid_end_to_end_are_its_paragraphs_each_with_the_mark_that_ends_it(packing, tokenizer):
    paragraphs = draw_sentences(60, np.random.default_rng(1))
    blocks = np.concatenate(list(pack(paragraphs, packing)))
    assert blocks.shape[1] == LENGTH
    assert (blocks[:, 0] == tokenizer.cls_token_id).all()
    stream = [number for text in paragraphs for number in [*tokenizer(text, add_special_tokens=False).input_ids,
                                                           tokenizer.sep_token_id]]  # fmt: skip
    found = blocks[:, 1:].ravel()
    np.testing.assert_array_equal(found, stream[: len(found)])
    assert len(stream) - len(found) < LENGTH - 1


def test_marks_typed_in_a_text_are_text(packing, tokenizer):
    blocks = np.concatenate(list(pack(["ada [SEP] [MASK] sees the dog today ."] * 8, packing)))
    assert (blocks == tokenizer.mask_token_id).sum() == 0
    body = blocks[:, 1:].ravel()
    ends = np.flatnonzero(body == tokenizer.sep_token_id)
    assert len(set(np.diff(ends))) == 1
    assert np.diff(ends)[0] > len(["ada", "sees", "the", "dog", "today", ".", "[SEP]"])


def test_a_packed_file_reads_as_a_plain_one_and_empty_lines_count_for_nothing(folder, packing, tmp_path):
    plain = load(folder, packing, tmp_path / "cache")
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in folder.iterdir():
        (packed / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes().replace(b"\n", b"\n\n \n")))
    other = load(packed, packing, tmp_path / "cache")
    for split, blocks in plain.splits.items():
        np.testing.assert_array_equal(blocks, other.splits[split])


def test_blocks_are_made_once_and_then_read_from_the_disk(folder, packing, tmp_path, monkeypatch):
    first = load(folder, packing, tmp_path / "cache")
    monkeypatch.setattr("probing.training.data.blocks.pack", lambda *_: pytest.fail("made again"))
    second = load(folder, packing, tmp_path / "cache")
    assert isinstance(second.splits["train"].base, np.memmap) or isinstance(second.splits["train"], np.memmap)
    for split, blocks in first.splits.items():
        np.testing.assert_array_equal(blocks, second.splits[split])


def test_blocks_that_another_run_has_made_meanwhile_stay_and_those_being_written_too(folder, packing, tmp_path):
    source, cache, made = find_source([str(folder)]), tmp_path / "cache", []

    def read():
        if not made:
            made.append("begun")
            open_blocks(source, packing, cache)
            made.extend(path.stat().st_ino for path in cache.rglob("blocks.json"))
        return source.splits["train"]()

    open_blocks(replace(source, splits={**source.splits, "train": read}), packing, cache)
    assert made == ["begun", *(path.stat().st_ino for path in cache.rglob("blocks.json"))]
    assert len(list((cache / "text").iterdir())) == 1


@pytest.mark.parametrize("change", ["text", "split", "length", "tokenizer", "limit"])
def test_blocks_are_made_anew_where_anything_is_changed_that_they_depend_on(change, folder, packing, tmp_path):
    first = load(folder, packing, tmp_path / "cache").source.digest
    changes = {"length": {"length": 8}, "limit": {"limit": 20}}.get(change, {})
    if change == "text":
        path = folder / "train.txt"
        path.write_text(path.read_text().replace("ada", "ben", 1))
    if change == "split":
        (folder / "dev.txt").rename(folder / "train-1.txt")
        (folder / "test.txt").unlink()
    if change == "tokenizer":
        save_tokenizer(tmp_path / "other", make_tokenizer=lambda: make_word_tokenizer(WORDS[:-1]))
        from transformers import AutoTokenizer

        other = AutoTokenizer.from_pretrained(tmp_path / "other")
        changes = {"tokenizer": other, "marks": read_marks(other, "other")}
    assert load(folder, packing, tmp_path / "cache", **changes).source.digest != first


def make_word_tokenizer(words):
    from tests.helpers import build_word_tokenizer

    return build_word_tokenizer(words)


@pytest.mark.parametrize("damage", ["a byte", "the end", "the facts"])
def test_kept_blocks_that_are_damaged_are_made_anew(damage, folder, packing, tmp_path):
    first = {split: np.array(blocks) for split, blocks in load(folder, packing, tmp_path / "cache").splits.items()}
    (kept,) = (tmp_path / "cache" / "text").iterdir()
    path = kept / ("blocks.json" if damage == "the facts" else "train.bin")
    content = path.read_bytes()
    changed = bytes([content[0] ^ 1]) + content[1:]
    path.write_bytes({"a byte": changed, "the end": content[:-2], "the facts": b"{"}[damage])
    for split, blocks in load(folder, packing, tmp_path / "cache").splits.items():
        np.testing.assert_array_equal(blocks, first[split])


def test_a_killed_writer_leaves_nothing_that_is_believed(folder, packing, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    def die(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("probing.training.data.blocks.digest_file", die)
        with pytest.raises(KilledError):
            load(folder, packing, tmp_path / "cache")
    assert list((tmp_path / "cache" / "text").iterdir()) == []
    assert len(load(folder, packing, tmp_path / "cache").splits) == 3


def test_without_dev_text_the_last_blocks_are_held_out(folder, packing, tmp_path):
    for name in ("dev", "test"):
        (folder / f"{name}.txt").unlink()
    whole = np.concatenate(list(pack(find_source((str(folder),)).splits["train"](), packing)))
    splits = load(folder, packing, tmp_path / "cache").splits
    np.testing.assert_array_equal(np.concatenate([splits[name] for name in ("train", "dev", "test")]), whole)
    assert len(splits["dev"]) == len(splits["test"]) == len(whole) // 50


def test_every_block_comes_once_an_epoch_and_a_step_is_the_same_whatever_was_asked_for_before(
    folder, packing, tmp_path
):
    text = load(folder, packing, tmp_path / "cache")
    data, late = (text.data(Masking(), 8, seed=3) for _ in range(2))
    steps = [data.batch(step) for step in range(2 * data.n_steps_per_epoch)]
    for half in (steps[: data.n_steps_per_epoch], steps[data.n_steps_per_epoch :]):
        rows = np.concatenate([batch.original for batch in half])
        np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(text.splits["train"], axis=0))
    for step in (5, 0, len(steps) - 1):
        for name, array in vars(late.batch(step)).items():
            np.testing.assert_array_equal(array, getattr(steps[step], name))
    assert not np.array_equal(steps[0].original, text.data(Masking(), 8, seed=4).batch(0).original)


def test_masks_of_an_epoch_are_not_those_of_the_next(folder, packing, tmp_path):
    text = load(folder, packing, tmp_path / "cache")
    data = text.data(Masking(), len(text.splits["train"]), seed=0)
    both = [data.batch(step) for step in (0, 1)]
    hidden = [{row.tobytes(): mask.tolist() for row, mask in zip(b.original, b.hidden, strict=True)} for b in both]
    different = [hidden[0][row] != hidden[1][row] for row in hidden[0]]
    assert np.mean(different) > 0.8


def test_held_out_masks_do_not_depend_on_the_seed(folder, packing, tmp_path):
    text = load(folder, packing, tmp_path / "cache")
    one, other = (text.hold("dev", Masking()) for _ in range(2))
    np.testing.assert_array_equal(one.shown, other.shown)
    assert len(text.hold("dev", Masking(), limit=2)) == 2


def test_a_dataset_of_the_hub_reads_as_the_same_lines_in_files(folder, packing, tmp_path):
    hub = tmp_path / "hub"
    for split in ("train", "dev", "test"):
        lines = (folder / f"{split}.txt").read_text().splitlines()
        name = {"dev": "validation"}.get(split, split)
        hub.mkdir(exist_ok=True)
        datasets.Dataset.from_dict({"text": ["\n".join(lines[:3]), *lines[3:]]}).to_json(hub / f"{name}.jsonl")
    source = find_source((f"hub:{hub}",))
    for split, read in find_source((str(folder),)).splits.items():
        assert list(source.splits[split]()) == list(read())
    assert source.digest != find_source((str(folder),)).digest


def test_the_embedded_text_needs_no_file_and_is_the_same_each_time(monkeypatch):
    for split, n in (("train", 60), ("dev", 12), ("test", 12)):
        monkeypatch.setitem(SIZES, split, n)
    source = find_source(())
    sentences = list(source.splits["train"]())
    assert len(sentences) == len(set(sentences)) > 100
    assert sentences == list(source.splits["train"]())
    assert source.digest == find_source(()).digest


BAD = {
    "empty": (b"", "train of corpus is shorter than one block of 16 tokens"),
    "blank": (b"\n \n\t\n", "shorter than one block"),
    "one word": (b"ada\n", "shorter than one block"),
    "another script": ("жук лес дом ada\n".encode() * 900, "75% of the tokens of corpus are unknown to the tokenizer"),
    "one word again and again": (b"ada\n" * 900, "one word again and again"),
    "binary": (bytes(range(128, 256)) * 20, "no text in UTF-8 .byte 0x80 in line 1"),
    "zeros": (b"ada sees\0 a dog\n" * 50, "NUL character in line 1"),
    "short": (b"ada sees a dog today .\n" * 4, "too few to hold any out"),
}


@pytest.mark.parametrize("case", BAD)
def test_text_that_cannot_be_used_is_refused_in_one_line_and_nothing_is_kept(case, packing, tmp_path):
    content, message = BAD[case]
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "train.txt").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load(tmp_path / "corpus", packing, tmp_path / "cache")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").rglob(".*"))


def test_a_damaged_packed_file_is_named(tmp_path):
    packed = lzma.compress(b"ada sees a dog today .\n" * 500)
    (tmp_path / "cut.txt.xz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "none.txt.xz").write_bytes(b"no xz")
    for name in ("cut", "none"):
        source = find_source((str(tmp_path / f"{name}.txt.xz"),))
        with pytest.raises(InputError, match=rf"{name}.txt.xz: no sound xz file"):
            list(source.splits["train"]())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("nowhere",), "nowhere: no such file or folder"),
        (("",), "no such file or folder"),
        (("{}/empty",), "holds no text; expected files"),
        (("{}/corpus/dev.txt",), "no training text"),
        (("{}/corpus/train.txt", "{}/corpus/test.txt"), "has test text and no dev text"),
        (("hub:one", "hub:two"), "expected one dataset of the hub alone"),
        (("hub:no such",), "expected hub:OWNER/NAME"),
    ],
)
def test_text_that_is_not_there_is_refused(names, message, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        find_source(tuple(name.format(tmp_path) for name in names))


def test_a_file_counts_once_by_whatever_name_and_a_copy_of_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("te-1.txt").write_text("ada saw a dog .\n")  # Telugu, and no test
    Path("link.txt").symlink_to("te-1.txt")
    source = find_source(("te-1.txt", str(tmp_path / "te-1.txt"), str(tmp_path)))
    assert {split: len(list(read())) for split, read in source.splits.items()} == {"train": 1}
    shutil.copy("te-1.txt", "dev.txt")
    with pytest.raises(InputError, match=r"--text: .* and .*dev\.txt hold the same; keep one of them"):
        find_source((str(tmp_path),))
    Path("dev.txt").unlink()
    Path("te-1.txt.xz").write_bytes(lzma.compress(Path("te-1.txt").read_bytes()))
    with pytest.raises(InputError, match=r"te-1\.txt and te-1\.txt\.xz hold the same"):
        find_source(("te-1.txt", "te-1.txt.xz"))


def test_sentences_of_the_grammar_are_made_anew_where_its_code_has_changed(tmp_path, packing, monkeypatch):
    grammar = Path(text_sources.__file__).parents[2] / "tasks" / "controlled"
    shutil.copytree(grammar, tmp_path / "grammar", ignore=shutil.ignore_patterns("__pycache__"))
    assert corpus.digest_grammar(tmp_path / "grammar") == corpus.digest_grammar()
    with (tmp_path / "grammar" / "verbs.py").open("a") as file:
        file.write("\n")
    before = packing.name(find_source([]))
    changed = corpus.digest_grammar(tmp_path / "grammar")
    monkeypatch.setattr(text_sources, "digest_grammar", lambda: changed)
    assert packing.name(find_source([])) != before
