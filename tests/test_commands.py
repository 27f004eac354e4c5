"""Every command of README.md, data/README.md and docs/ is run as it stands there, in order, in one folder.

The folder has what a checkout has, with corpora of its own; `.venv/bin` holds programs that start the real ones on a
tiny encoder and few sentences (`tests/small_python.py`).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from probing.tasks.controlled.corpus import make_rows
from probing.tasks.files.download import blob_id
from probing.tasks.files.senteval import write_tasks
from probing.tasks.files.transfer import TRANSFER_TASKS
from tests.helpers import draw_sentences
from tests.toy_treebank import write_treebank

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "data" / "README.md", ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
"""In the order of their running: the README speaks of corpora that data/README.md makes."""
LINKED = ("probing", "analysis", "notebooks", "tests", "Makefile", "pyproject.toml", "constraints.txt", "setup.py")
MULTIBERTS = (
    "# MultiBERTs (arXiv 2106.16163): 25 seeds of BERT-base, of which any number\n"
    "python probing/run_senteval.py --model bert --mix on --checkpoint "
    + " ".join(f"google/multiberts-seed_{seed}" for seed in range(5))
    + " --output data/results/multiberts"
)
NOT_RUN = {
    "conda env create --file environment.yml": "needs conda and its channels",
    "source .venv/bin/activate": "does for one's own shell what these tests do for theirs",
    "pip install 'bermo-probing[hub]'": "needs a package index",
    "pip install 'bermo-probing[augment]'": "needs a package index",
    "make docs": "is run by test_docs.py, which looks at what it builds",
    'make bench BENCH="--only probing --every-task"': "takes minutes at any size; make bench itself is run",
    "python -m tests.benchmarks.distillation": "takes a minute at any size; test_benchmarks.py runs its parts",
    "python -m tests.benchmarks.architectures FILE.conllu": "takes minutes; test_benchmarks.py runs its parts",
    "python -m tests.benchmarks.engines --treebank FILE.conllu": "takes minutes; its parts are run",
    "python -m tests.benchmarks.engines --fits TASK": "takes minutes; its parts are run",
    "python -m tests.benchmarks.cluster RUN": "takes minutes, of a run with times; its parts are run",
    "python -m tests.benchmarks.kills --rounds 10": "takes an hour, and Ray; a round is run where Ray is",
    "python -m tests.benchmarks.gpu": "takes ten minutes; it is run on few sentences",
    "python -m tests.benchmarks.official FOLDER": "takes half an hour; it is run on few sentences",
    "make search TEXT=... DATA=...": "takes minutes at any size; what it calls is run",
    "make orders": "takes minutes at any size; what it calls is run",
    MULTIBERTS: "needs the hub, and encoders of full size",
    "make sentences CLASSIFICATION=FOLDER SPLITS=TABLES": "takes hours; what it calls is run",
    "make forgetting": "takes minutes at any size; what it calls is run",
}
"""Commands of the documents that cannot be run here, and why."""
WORDS = {"FOLDER": "data/corpora/classification", "my_encoder": "letters"}
"""What stands in the documents for something of the reader's own."""
EXIT_CODES = {"exit code 3": 3}
"""What a paragraph says of its own end; all others end well."""
TRANSFER_ROWS = 120
PROGRAMS = {
    "python": f'exec {sys.executable} -S tests/small_python.py "$@"',  # it needs the standard library alone
    "pytest": 'exec python -m pytest "$@"',
    "jupyter": f'exec {Path(sys.executable).parent}/jupyter "$@" --version',
}
"""What `.venv/bin` holds; a server of notebooks would not end."""


def find_pieces(path):
    """Commands of a document, in order: paragraphs of `sh` blocks, consoles, programs, and those inside its text."""
    text, pieces = path.read_text(encoding="utf-8"), []
    for match in re.finditer(r"```(\w*)\n(.*?)```|`((?:python|make|pytest|conda|source|pip) [^`]+)`", text, re.DOTALL):
        kind, block, inside = match.groups()
        if kind == "sh":
            pieces += [piece.strip() for piece in block.split("\n\n")]
        elif kind == "python":
            pieces.append(f"python - <<'END'\n{block}END")
        elif kind == "console":
            pieces.append("\n".join(line[2:] for line in block.splitlines() if line.startswith("$ ")))
        elif inside:
            pieces.append(" ".join(inside.split()))
    return list(dict.fromkeys(pieces))


def drop_comments(piece):
    """The commands of a paragraph alone."""
    lines = [re.sub(r"(^|\s+)#.*", "", line) for line in piece.splitlines()]
    return "\n".join(line for line in lines if line)


PIECES = [(path, piece) for path in DOCUMENTS for piece in find_pieces(path)]
FIRST: dict[str, tuple[Path, str]] = {}
for each in PIECES:
    FIRST.setdefault(drop_comments(each[1]), each)
TO_RUN = [each for each in FIRST.values() if each[1] not in NOT_RUN]
"""Document and commands, each once: where it stands first."""


def name_piece(path, piece):
    """The name of a test: its document, and the first line of the paragraph, or the second one of a program."""
    line = piece.splitlines()[piece.startswith("python -") and "END" in piece.splitlines()[0]]
    return f"{path.relative_to(ROOT)}: {line.lstrip('# ')}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A checkout with small corpora where the commands expect theirs."""
    folder = tmp_path_factory.mktemp("home")
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, script in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    (folder / "data" / "figures").mkdir(parents=True)
    write_treebank(folder, "de_gsd")
    write_treebank(folder / "UD_English-EWT", "en_ewt")
    write_treebank(folder / "UD_English-GUM", "en_gum", folder / "gum")
    write_transfer(folder / "data" / "corpora" / "classification")
    write_own(folder / "mine")
    write_text(folder / "data" / "corpora" / "text")
    for name, stored in {"RUN_A": "untrained", "RUN_B": "bermo"}.items():
        shutil.copytree(ROOT / "tests" / "analysis" / "runs" / stored, folder / "data" / "results" / name)
    return folder


def write_transfer(folder):
    """All transfer tasks, and SST-2's sentences as training has them: sentences, or pairs, and a label."""
    rng = np.random.default_rng(0)
    files = {task.spec.title: (task.files.values(), task.graded) for task in TRANSFER_TASKS}
    for name, (names, graded) in (files | {"SST-2-sent": (("train.tsv", "dev.tsv", "test.tsv"), False)}).items():
        (folder / name).mkdir(parents=True)
        pairs = name in {"MRPC", "RTE", "STS-B", "MNLI", "QQP"}
        for file in names:
            firsts, seconds = draw_sentences(TRANSFER_ROWS, rng), draw_sentences(TRANSFER_ROWS, rng)
            rows = ["text_a\ttext_b\tlabel" if pairs else "text\tlabel"]
            for n, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
                label = f"{n % 11 / 2}" if graded else n % 2
                rows.append("\t".join([first, *([second] if pairs else []), str(label)]))
            (folder / name / file).write_text("\n".join(rows) + "\n")


def write_text(folder):
    """Running text, a paragraph a line."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, n in {"train": 400, "dev": 100, "test": 100}.items():
        (folder / f"{split}.txt").write_text("\n".join(draw_sentences(n, rng)) + "\n")


def write_own(folder):
    """The sentences that data/README.md shows, and more of their kind."""
    folder.mkdir()
    animals = ("cat", "dog", "cow", "hen", "fox")
    pairs = [(a, b, n) for a, b in product(animals, animals) if a != b for n in range(3)]
    rows = [f"The {a} sat on {n} {b}s .,calm\nThe {a} barked at {n} {b}s !,loud\n" for a, b, n in pairs]
    shown = "text,label\nThe cat sat on the mat .,calm\nThe dog barked at the cat !,loud\n"
    (folder / "my_task.csv").write_text(shown + "".join(rows))


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The address of a server that has small files in place of the official ones, and their ids."""
    folder = tmp_path_factory.mktemp("official")
    write_tasks(folder, make_rows(["all"], 0, {"train": 600, "dev": 24, "test": 24}))
    ids = {path.stem: blob_id(path.read_bytes()) for path in folder.glob("*.txt")}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield {"SENTEVAL_URL": f"http://127.0.0.1:{server.server_address[1]}", "BLOB_IDS": json.dumps(ids)}
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Says nothing of what it serves."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def environment(home, official, tiny_folder, outside_path):
    """What the commands find in their environment; a Python that has read the large packages serves them."""
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHONPATH"))}
    passed |= official | {"TINY_ENCODER": str(tiny_folder), "PYTHONPATH": os.pathsep.join(outside_path)}
    passed |= {"PATH": f"{home / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}", "MAKEFLAGS": ""}
    passed["WARM_PYTHON"] = str(home / "warm")
    server = subprocess.Popen([sys.executable, "tests/warm_python.py", passed["WARM_PYTHON"]], cwd=home, env=passed)
    while not (home / "warm").exists():
        assert server.poll() is None
        time.sleep(0.05)
    yield passed
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def run(home, environment):
    """Function: a paragraph's commands in one shell, as a reader starts them."""

    def start(piece):
        script = re.sub(r"\b(" + "|".join(WORDS) + r")\b", lambda match: WORDS[match[0]], piece)
        return subprocess.run(
            ["bash", "-euxc", script], cwd=home, env=environment, capture_output=True, text=True, check=False
        )

    return start


def test_there_are_commands_in_every_kind_of_place():
    pieces = [piece for _, piece in PIECES]
    assert any("make probe" in piece for piece in pieces)
    assert any("--confounds length_depth content_words" in piece for piece in pieces)
    assert "python probing/run_senteval.py --data senteval" in pieces
    assert any("import probing" in piece for piece in pieces)


@pytest.mark.parametrize("command", NOT_RUN)
def test_what_is_not_run_still_stands_in_a_document(command):
    assert command in [piece for _, piece in PIECES]


@pytest.mark.slow
@pytest.mark.parametrize("piece", [piece for _, piece in TO_RUN], ids=[name_piece(*each) for each in TO_RUN])
def test_a_command_does_what_its_document_says(piece, home, run):
    done = run(piece)
    expected = next((code for words, code in EXIT_CODES.items() if words in piece), 0)
    assert done.returncode == expected, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr
    for path in re.findall(r"--(?:output|report) (\S+)", piece):
        assert (home / path).exists(), path


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["python probing/run_senteval.py --modle bermo", "make prob", "false\ntrue"])
def test_a_command_that_is_wrong_is_noticed(piece, run):
    assert run(piece).returncode != 0
