"""No network; shapes in signatures are checked; tiny encoders are written once."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# The tests' problems are tiny: several threads spend their time on waiting for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

# Where arrays flow. Not probing.tasks, whose grammars and treebanks are plain Python and would be ten times slower.
ARRAY_CODE = (
    *(
        "bootstrap",
        "cells",
        "contracts",
        "encoders",
        "folds",
        "probes",
        "records",
        "representations",
        "scalar_mix",
        "scores",
        "store",
        "tables",
    ),
)
install_import_hook([*(f"probing.{name}" for name in ARRAY_CODE), "analysis"], "beartype.beartype")

import pytest  # noqa: E402
import torch  # noqa: E402

from probing.registry import ENCODERS  # noqa: E402
from tests.helpers import ARCHITECTURES, save_encoder  # noqa: E402


@pytest.fixture(scope="module")
def one_thread():
    """Products this small only lose by being shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory):
    """Function: the folder of a tiny encoder of some architecture, made when it is first asked for."""
    made = {}

    def find(architecture="bert"):
        if architecture not in made:
            made[architecture] = save_encoder(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return find


@pytest.fixture(scope="session")
def tiny_folder(tiny_folders):
    """The folder of a tiny BERT."""
    return tiny_folders("bert")


def pytest_addoption(parser):
    parser.addoption("--encoder", help="run the conformance of encoders on this one alone")


def pytest_generate_tests(metafunc):
    """`bert` over every architecture that must load; the others, which share its code, over three."""
    if "encoder_name" in metafunc.fixturenames:
        one = metafunc.config.getoption("--encoder")
        few = ("bert", "roberta", "modernbert")
        pairs = [
            (name, architecture)
            for name in ([one] if one else ENCODERS.names())
            for architecture in (ARCHITECTURES if name in {one, "bert"} else few)
        ]
        metafunc.parametrize(("encoder_name", "architecture"), pairs, scope="function")
