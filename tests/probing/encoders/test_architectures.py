"""Our architectures are known to transformers wherever a checkpoint is loaded, whatever was imported before."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from probing.encoders import bermo, bert, untrained
from probing.encoders.bermo_model import BermoForSequenceClassification, BermoModel
from tests.helpers import build_model, save_tokenizer

ROOT = Path(__file__).parents[3]
OPTIONS = {"dtype": "float32", "device": "cpu"}


@pytest.fixture
def folder(tmp_path):
    """A trained BERMo with its head."""
    body = BermoModel.from_backbone(build_model())
    BermoForSequenceClassification(body.config).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "load",
    [
        "from probing.encoders.checkpoints import find_checkpoint, load_model\nload_model(find_checkpoint({folder}))",
        # Each is a new interpreter that loads torch.
        pytest.param("from probing.encoders.bert import build\nbuild({folder})", marks=pytest.mark.slow),
        pytest.param(
            "import probing.encoders.architectures\n"
            "from transformers import AutoModelForSequenceClassification as Auto\nAuto.from_pretrained({folder})",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_bermo_loads_in_a_program_that_imported_nothing_of_it(load, folder):
    code = load.format(folder=repr(str(folder)))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_transformers_alone_does_not_know_it(folder):
    code = f"from transformers import AutoModel\nAutoModel.from_pretrained({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "bermo" in done.stderr


def test_as_bert_the_encoder_under_the_mix_is_probed(folder):
    mixed, plain = bermo.build(str(folder), **OPTIONS), bert.build(str(folder), **OPTIONS)
    assert (mixed.mixes_layers, plain.mixes_layers) == (True, False)
    assert mixed.digest == plain.digest
    tokens = plain.tokenize([("ada sees dogs .",)])
    pairs = zip(*(encoder.encode(tokens, np.arange(1)).layers for encoder in (mixed, plain)), strict=True)
    for one, other in pairs:
        assert torch.equal(one, other)


def test_untrained_it_is_the_architecture_under_the_mix(folder, tiny_folder):
    assert untrained.build(str(folder), **OPTIONS).digest == untrained.build(str(tiny_folder), **OPTIONS).digest
