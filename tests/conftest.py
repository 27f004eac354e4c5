"""No network; shapes in signatures are checked; tiny encoders are written once; a package with parts is installed."""

import gc
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# The tests' problems are tiny: several threads spend their time on waiting for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from jaxtyping import install_import_hook

from tests.outside import install

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

# Before any registry looks around: the conformance tests run on the parts of others as on ours.
OUTSIDE = tempfile.TemporaryDirectory(prefix="outside-")
OUTSIDE_PATH = install(Path(OUTSIDE.name))


@pytest.fixture(scope="session")
def outside_path():
    """What a new interpreter needs on its path to find the package of someone else installed."""
    return OUTSIDE_PATH


@pytest.fixture(scope="module")
def one_thread():
    """Products this small only lose by being shared."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory):
    """Function: the folder of a tiny encoder of some architecture, made when it is first asked for."""
    from tests.helpers import save_encoder  # torch: the process that only hands out tests needs none

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


def pytest_collection_finish(session):
    """Leave what stays for good (modules, tests) out of the collector's rounds: each would look through all of it."""
    gc.freeze()


def pytest_runtest_teardown(item, nextitem):
    """The same after each file, for modules that its tests were the first to load: every training ends in a round."""
    if nextitem and nextitem.path != item.path:
        gc.freeze()


def pytest_unconfigure(config):
    """Take the installed package away again."""
    OUTSIDE.cleanup()


def pytest_addoption(parser):
    parser.addoption("--encoder", help="run the conformance of encoders on this one alone")
