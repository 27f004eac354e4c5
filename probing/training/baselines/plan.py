"""Baselines of a graph, as a run plans them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from accelerate import Accelerator

from probing.tasks.graphs.graph import Graph
from probing.training.baselines.embeddings import EmbeddingSettings, train_embeddings
from probing.training.baselines.frequency import FrequencyScore
from probing.training.contracts import SplitScore
from probing.training.plan import Baseline

FREQUENCY = "frequency"
"""The one that draws nothing, and so has one seed."""


def plan_baselines(settings: Any, graph: Graph, make_task: Callable[[int], Any]) -> Sequence[Baseline]:
    """One for each name and seed of the settings; each is trained and scored when its turn comes.

    Args:
        settings: with `baselines`, `baseline_steps` and `seeds`.
        graph: that they learn from.
        make_task: seed -> what is asked of them, as of the models, with `score_triples`.
    """
    n_train = len(graph.true["train"])
    embeddings = EmbeddingSettings(steps=settings.baseline_steps)

    def score(name: str, seed: int, accelerator: Accelerator) -> list[SplitScore]:
        found = (
            FrequencyScore(graph)
            if name == FREQUENCY
            else train_embeddings(name, graph, embeddings, seed, accelerator.device)
        )
        return make_task(seed).score_triples(found)

    return [
        Baseline(name, seed, n_train, partial(score, name, seed))
        for name in settings.baselines
        for seed in (settings.seeds[:1] if name == FREQUENCY else settings.seeds)
    ]
