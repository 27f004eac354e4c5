"""The whole job, from sentences to tables, and the usual pieces added up."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from probing.encoders.bert import build
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.pipeline import run
from probing.progress import Narrator
from probing.records import SPLITS, Text
from probing.settings import RunSettings
from probing.tasks.controlled import make_rows
from probing.tasks.senteval import format_rows
from tests.benchmarks.encoding import encode_as_usual
from tests.benchmarks.probes import Data, encode_task, fit_senteval, fit_senteval_mix, fit_sklearn
from tests.benchmarks.sizes import WARM_UP, Sizes, draw_tasks
from tests.benchmarks.timing import Comparison, Way, compare

OURS, ENCODING = "ours: all layers and the mix", "piece: Hugging Face loop, float32"
SKLEARN, SENTEVAL = "piece: scikit-learn on each layer", "piece: SentEval's recipe on each layer and the mix"


def compare_job(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """Ours is the command without controls and gradients, its cache empty; nobody's start-up is counted."""
    tasks, encoder = draw_tasks(sizes.job_tasks, sizes.job), build(checkpoint, device="cpu")
    found = find_checkpoint(checkpoint)
    model, tokenizer = load_model(found).eval(), load_tokenizer(found)
    data = [encode_task(task, encoder) for task in tasks]
    texts: list[Text] = [text for task in tasks for split in SPLITS for text in task.splits[split].texts]
    few = [one.shorten(WARM_UP) for one in data[:1]]
    with TemporaryDirectory() as name:
        corpus = write_corpus(Path(name) / "corpus", sizes)
        ways = [
            Way(OURS, partial(run_ours, checkpoint, corpus, sizes.job_tasks, Path(name))),
            Way(ENCODING, partial(encode_as_usual, model, tokenizer, texts)),
            Way(SKLEARN, partial(fit_all_sklearn, data), warm_up=partial(fit_all_sklearn, few)),
            Way(SENTEVAL, partial(fit_all_senteval, data), warm_up=partial(fit_all_senteval, few)),
        ]
        title = f"whole job, {len(tasks)} tasks of {len(texts) // len(tasks)} sentences"
        comparison = compare(title, "jobs", ways, sizes.job_rounds)
    comparison.add_up("pieces: encoding once, and scikit-learn (no mix)", {ENCODING: 1, SKLEARN: 1})
    comparison.add_up("pieces: encoding once, and SentEval's recipe", {ENCODING: 1, SENTEVAL: 1})
    # SentEval's engine knows one layer at a time, and encodes anew for each.
    n_layers = len(encoder.layer_names)
    comparison.add_up("pieces: encoding for each layer, and SentEval's recipe", {ENCODING: n_layers, SENTEVAL: 1})
    return [comparison]


def write_corpus(folder: Path, sizes: Sizes) -> Path:
    """The tasks as files."""
    folder.mkdir()
    for name, rows in make_rows(sizes.job_tasks, sizes=sizes.job).items():
        (folder / f"{name}.txt").write_text(format_rows(rows))
    return folder


def run_ours(checkpoint: str, corpus: Path, tasks: tuple[str, ...], scratch: Path) -> None:
    """One run in a folder and with a cache of its own."""
    folder = scratch / uuid4().hex
    settings = RunSettings(
        checkpoint=checkpoint, data=str(corpus), tasks=tasks, controls=(), gradients=0, report=False, device="cpu",
        quiet=True, output=folder / "run", cache_dir=folder / "cache",
    )  # fmt: skip
    run(settings, Narrator(quiet=True))


def fit_all_sklearn(data: Sequence[Data]) -> None:
    """Every layer of every task."""
    for one in data:
        fit_sklearn(one)


def fit_all_senteval(data: Sequence[Data]) -> None:
    """Every layer, and the mix of all, of every task."""
    for one in data:
        fit_senteval(one)
        fit_senteval_mix(one)
