"""What a training leaves for others."""

import os
import stat

import pytest
from transformers import AutoModel, AutoTokenizer

from probing.training.artifacts import save_model


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
