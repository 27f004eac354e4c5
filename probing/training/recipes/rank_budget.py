"""Minutes that a ranking takes, reckoned before anything is trained; more than the budget is refused."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from probing.encoders.checkpoints import Checkpoint
from probing.progress import Reporter, format_duration
from probing.records import InputError
from probing.tasks.graphs.graph import Triples
from probing.training.accelerator import make_accelerator
from probing.training.evaluation.triple_models import MakeExamples, score_triples
from probing.training.evaluation.triples import TripleTask
from probing.training.plan import Start

_FEW = 20_000
"""Triples that take no time worth reckoning."""
_SAMPLE = {"cpu": 512, "cuda": 16384}
"""Triples that are scored to measure a rate, by the kind of device."""


def check_rank_budget(
    settings: Any,
    task: TripleTask,
    examples: MakeExamples,
    build: Callable[[Start, torch.Generator], PreTrainedModel],
    checkpoint: Checkpoint,
    reporter: Reporter,
) -> None:
    """Say how long the ranking of all seeds takes here, by the rate of the untrained model on some of its triples.

    Raises:
        InputError: that is more than the budget.
    """
    n = task.n_ranked * len(settings.seeds)
    if n <= _FEW:
        return
    accelerator = make_accelerator(settings)
    model: Any = build(Start(checkpoint, {}), torch.Generator().manual_seed(0))
    model.to(accelerator.device)
    triples = _sample(task, _SAMPLE.get(accelerator.device.type, _SAMPLE["cpu"]))
    rate = measure_rate(model, triples, examples, accelerator)
    words = (
        f"ranking {len(task.graph.true['test']):,} triples on both sides among {task.n_candidates or 'all'} entities: "
        f"{n:,} triples to score, about {format_duration(n / rate)} at {rate:,.0f} a second here"
    )
    if n / rate > 60 * settings.rank_budget:
        raise InputError(
            f"--task links: {words}, above --rank-budget {settings.rank_budget:g} (minutes); pass --candidates 50 for "
            f"a sampled ranking, --limit-dev 200 for fewer triples, or --rank-budget {n / rate / 60 + 1:.0f}"
        )
    reporter.say(words)


def measure_rate(model: PreTrainedModel, triples: Triples, examples: MakeExamples, accelerator: Accelerator) -> float:
    """Triples scored in a second, once the first few have been."""
    score_triples(model, triples[: max(1, len(triples) // 8)], examples, accelerator)
    start = time.perf_counter()
    score_triples(model, triples, examples, accelerator)
    return len(triples) / (time.perf_counter() - start)


def _sample(task: TripleTask, n: int) -> Triples:
    """The candidates of some queries, spread over all."""
    queries = [query for side in task.queries for query in side]
    order = np.random.default_rng(0).permutation(len(queries))
    chosen, size = [], 0
    for row in order:
        chosen.append(queries[row].fill()[:n])
        size += len(chosen[-1])
        if size >= n:
            break
    return np.concatenate(chosen)[:n]
