"""The whole job, from sentences to tables, and the usual pieces added up."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from probing.encoders.bert import build
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.pipeline import run
from probing.progress import Reporter
from probing.records import SPLITS, Text
from probing.settings.run import RunSettings
from probing.tasks.controlled.corpus import make_rows
from probing.tasks.files.senteval import format_rows
from tests.benchmarks.encoding import encode_as_usual
from tests.benchmarks.fitters import (
    Data,
    encode_task,
    fit_senteval,
    fit_senteval_mix,
    fit_sklearn,
    try_senteval,
    try_sklearn,
)
from tests.benchmarks.sizes import WARM_UP, Sizes, draw_tasks
from tests.benchmarks.threads import find_threads, format_threads, run_limited
from tests.benchmarks.timing import Comparison, Way, compare

OURS = "ours: encoding, all layers, the mix, intervals, tables"
_EVERY = 10
"""Of so many sentences the usual loop encodes one, and its time is multiplied."""


def compare_job(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """Ours is the command without controls and gradients, its cache empty; nobody's start-up is counted."""
    tasks, encoder = draw_tasks(sizes.job_tasks, sizes.job), build(checkpoint, device="cpu")
    found = find_checkpoint(checkpoint)
    model, tokenizer = load_model(found).eval(), load_tokenizer(found)
    data = [encode_task(task, encoder) for task in tasks]
    texts: list[Text] = [text for task in tasks for split in SPLITS for text in task.splits[split].texts]
    n_layers = len(encoder.layer_names)
    layer = n_layers // 2
    ones = [one.select_layers([layer]) for one in data]
    some = texts[::_EVERY]
    n_sklearn, n_senteval = (find_threads(partial(trial, ones[0])) for trial in (try_sklearn, try_senteval))
    encoding = f"piece: usual loop, float32 (timed on 1 in {_EVERY} sentences)"
    sklearn = f"piece: scikit-learn, {format_threads(n_sklearn)} (timed on layer {layer})"
    senteval = f"piece: SentEval's recipe, {format_threads(n_senteval)} (timed on layer {layer})"
    mix = f"piece: SentEval's recipe on the mix, {format_threads(n_senteval)}"
    encode, share = partial(encode_as_usual, model, tokenizer), 1 / n_layers
    with TemporaryDirectory() as name:
        corpus = write_corpus(Path(name) / "corpus", sizes)
        ours = partial(run_ours, checkpoint, corpus, scratch=Path(name))
        ways = [
            Way(OURS, partial(ours, sizes.job_tasks), 1.0, partial(ours, sizes.job_tasks[:1])),
            Way(encoding, partial(encode, some), len(some) / len(texts), partial(encode, some[:WARM_UP])),
            make_way(sklearn, fit_sklearn, try_sklearn, n_sklearn, ones, share),
            make_way(senteval, fit_senteval, try_senteval, n_senteval, ones, share),
            make_way(mix, fit_senteval_mix, try_senteval, n_senteval, data, 1.0),
        ]
        title = f"whole job, tasks x sentences x layers: {len(tasks)} x {len(texts) // len(tasks):,} x {n_layers}"
        comparison = compare(title, "jobs", ways, sizes.job_rounds)
    comparison.add_up("sum: encoding once, scikit-learn (no mix)", {encoding: 1, sklearn: 1})
    comparison.add_up("sum: encoding once, SentEval's recipe and mix", {encoding: 1, senteval: 1, mix: 1})
    # SentEval's engine knows one layer at a time, and encodes anew for each.
    comparison.add_up(
        "sum: encoding for each layer, SentEval's recipe and mix", {encoding: n_layers, senteval: 1, mix: 1}
    )
    return [comparison]


def make_way(
    name: str, fit: Callable[[Data], Any], attempt: Callable[[Data], Any], n: int, data: Sequence[Data], share: float
) -> Way:
    """Fits of all tasks, as a share of the job, on some number of threads."""
    few = [data[0].shorten(WARM_UP)]
    return Way(name, partial(run_limited, n, fit_all, fit, data), share, partial(fit_all, attempt, few))


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
    run(settings, Reporter(quiet=True))


def fit_all(fit: Callable[[Data], Any], data: Sequence[Data]) -> None:
    """One task after the other."""
    for one in data:
        fit(one)
