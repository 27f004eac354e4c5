"""What a training leaves for others."""

import errno
import os
import resource
import stat

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from probing.training.artifacts import save_model
from probing.training.objectives.supervised import Supervised
from probing.training.state import Trained, save_state


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_all_files_of_a_model_can_be_read_by_whom_the_umask_lets(mask, mode, tiny_folder, tmp_path):
    model, tokenizer = AutoModel.from_pretrained(tiny_folder), AutoTokenizer.from_pretrained(tiny_folder)
    before = os.umask(mask)
    try:
        save_model(tmp_path / "model", model, tokenizer, {"model": "bert"})
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "model").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= set(modes)
    assert set(modes.values()) == {mode}


@pytest.fixture
def little_room():
    """The system refuses files of more than 4 kB, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("what", ["model", "state"])
def test_what_the_system_refuses_to_write_is_an_error_of_the_system_with_its_path(what, tiny_folder, tmp_path):
    model, tokenizer = AutoModel.from_pretrained(tiny_folder), AutoTokenizer.from_pretrained(tiny_folder)
    trained = Trained(model, Supervised(), torch.optim.AdamW(model.parameters()))
    writers = {
        "model": lambda path: save_model(path, model, tokenizer, {"model": "bert"}),
        "state": lambda path: save_state(path, "key", trained),
    }
    with pytest.raises(OSError, match="File too large") as caught:
        writers[what](tmp_path / what)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / what))
    assert list(tmp_path.iterdir()) == []
