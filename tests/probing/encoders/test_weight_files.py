"""Weights are the same whatever files they are stored in, and a pickle is read for its tensors alone."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from probing.encoders.bert import build
from probing.records import InputError
from probing.settings.training import TrainSettings
from probing.training.origins import find_origin
from tests.probing.encoders.odd_checkpoints import write

OPTIONS = {"dtype": "float32", "device": "cpu", "backend": "torch"}
SAFE, OLD = "model", "pytorch_model"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole"), "bert")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def split(folder, stem, form, write_file):
    """Put the weights into three files and an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"{stem}-0000{number % 3 + 1}-of-00003.{form}" for number, name in enumerate(sorted(tensors))}
    for file in set(places.values()):
        write_file({name: tensors[name] for name, place in places.items() if place == file}, folder / file)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / f"{stem}.{form}.index.json").write_text(json.dumps(index))


def save_safe(tensors, path):
    save_file(tensors, path, metadata={"format": "pt"})


def store_old(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def store_old_before_zip(folder):
    """As torch wrote before version 1.6."""
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()


FORMS = {
    "sharded": lambda folder: split(folder, SAFE, "safetensors", save_safe),
    "bin": store_old,
    "bin_before_zip": store_old_before_zip,
    "sharded_bin": lambda folder: split(folder, OLD, "bin", torch.save),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_encoder(form, whole, folder):
    FORMS[form](folder)
    assert not (folder / "model.safetensors").exists()
    # The digest is over every tensor that a state reads.
    assert build(str(folder), **OPTIONS).digest == build(str(whole), **OPTIONS).digest


def test_another_tensor_in_a_shard_is_another_encoder(whole, folder):
    FORMS["sharded"](folder)
    shard = folder / "model-00001-of-00003.safetensors"
    save_safe({name: tensor + 1 for name, tensor in load_file(shard).items()}, shard)
    assert build(str(folder), **OPTIONS).digest != build(str(whole), **OPTIONS).digest


@pytest.mark.parametrize("form", FORMS)
def test_of_two_sets_of_weights_the_one_that_is_read_is_named(form, whole, folder, tmp_path):
    (other := tmp_path / "other").mkdir()
    save_safe(
        {name: 2 * tensor for name, tensor in load_file(folder / "model.safetensors").items()},
        other / "model.safetensors",
    )
    FORMS[form](other)
    for path in other.iterdir():
        shutil.copy(path, folder / path.name)
    encoder = build(str(folder), **OPTIONS)
    assert encoder.digest == build(str(whole), **OPTIONS).digest
    second = next(
        path.name for path in sorted(other.iterdir(), reverse=True) if path.suffix == ".json" or "-" not in path.name
    )
    assert encoder.notes == [f"checkpoint {folder}: weights are read from model.safetensors; not read: {second}"]
    warnings = []
    find_origin(TrainSettings(checkpoint=str(folder)), warnings.append)
    assert warnings == encoder.notes


class Code:
    """Code that a pickle runs where it is read without care."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("form", ["bin", "bin_before_zip", "sharded_bin"])
def test_code_in_a_pickle_is_refused_and_never_run(form, folder, tmp_path):
    FORMS[form](folder)
    path = sorted(folder.glob("pytorch_model*.bin"))[0]
    tensors = torch.load(path, weights_only=True)
    old = {"_use_new_zipfile_serialization": form != "bin_before_zip"}
    torch.save(tensors | {"code": Code(tmp_path / "ran")}, path, **old)
    with pytest.raises(InputError, match="whose code is never run, or is damaged"):
        build(str(folder), **OPTIONS)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("form", ["sharded", "sharded_bin"])
def test_a_shard_that_is_missing_or_cut_is_named_in_one_line(form, folder):
    FORMS[form](folder)
    shard = sorted(folder.glob("*-00002-of-00003.*"))[0]
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="its weights cannot be read"):
        build(str(folder), **OPTIONS)
    shard.unlink()
    with pytest.raises(InputError, match=shard.name):
        build(str(folder), **OPTIONS)
