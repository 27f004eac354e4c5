"""Stands for `python` where the documents' commands are tried: starts the same program on less, in a warm Python.

A flag that a command gives itself is left as it is; only the id of a large encoder becomes the folder of a tiny one.
The environment says which: `TINY_ENCODER`, `SENTEVAL_URL` of a server with small files, `BLOB_IDS` of these; and
`WARM_PYTHON`, where `tests/warm_python.py` serves.
"""

import json
import os
import sys

from warm_python import start

ENCODER = os.environ["TINY_ENCODER"]
LESS = {
    "probing/run_senteval.py": f"--checkpoint {ENCODER} --limit 40 --gradient-steps 2 --device cpu",
    "probing/train_encoder.py": f"--checkpoint {ENCODER} --max-steps 4 --limit 64 --limit-dev 20 --device cpu",
    "probing/replicate_bermo.py": f"--checkpoint {ENCODER} --max-steps 20 --prune-steps 4",
    "tests.benchmarks": f"--checkpoint {ENCODER} --quick --only cache",
    "pytest": "tests/probing/test_randomness.py",
}
"""What is added to each program."""
FEW = ["--tasks", "SentLen", "TopConst", "Tense"]
"""Of the tasks where a command names neither these nor its corpus; `--data controlled` and others are read whole."""
SMALL_CORPORA = """
import runpy, sys
from probing.tasks.controlled.corpus import SIZES
from probing.tasks.files.download import BLOB_IDS
SIZES.update(train=240, dev=48, test=48)
BLOB_IDS.update({blob_ids})
sys.argv = {arguments}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Starts a script where the corpora that it makes or fetches are small."""


def shorten(words: list[str]) -> list[str]:
    """The arguments of `python`, with those added that make the program's work small."""
    words = [ENCODER if word == "bert-base-uncased" else word for word in words]
    target = words[1] if words[0] == "-m" else words[0]
    more = LESS.get(target, "").split()
    if "--controlled" in words:
        more += ["--sizes", "600", "24", "24"]
    if target.endswith("run_senteval.py") and not {"--data", "--config"} & set(words):
        more += FEW
    if "senteval" in words and target.endswith("run_senteval.py"):
        more += ["--senteval-url", os.environ["SENTEVAL_URL"]]
    if target == "pytest" and any(word.startswith(("tests/", "notebooks")) for word in words):
        more = []
    return words + take_new(more, words)


def take_new(more: list[str], given: list[str]) -> list[str]:
    """Those of some flags, with their values, that are not among the given ones."""
    taken, keep = [], True
    for word in more:
        keep = word not in given if word.startswith("--") else keep
        taken += [word] if keep else []
    return taken


def main() -> int:
    """Run the real program; returns its exit code."""
    words = shorten(sys.argv[1:])
    if words[0].startswith("probing/"):
        blob_ids = json.loads(os.environ["BLOB_IDS"])
        words = ["-c", SMALL_CORPORA.format(blob_ids=blob_ids, arguments=words)]
    if "pytest" in words:  # rewrites what is imported after it
        os.execv(sys.executable, [sys.executable, *words])
    return start(os.environ["WARM_PYTHON"], words)


if __name__ == "__main__":
    sys.exit(main())
