"""How large the measured work is, and the sentences it is done on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.records import Task, Text
from probing.tasks.controlled.corpus import load
from tests.benchmarks.timing import Rounds

WARM_UP = 64
"""Training sentences that slow ways warm up on."""
ALL_TASKS = tuple(one.name for one in SENTEVAL_TASKS)


@dataclass(frozen=True)
class Rate:
    """How fast a machine is."""

    sentences_per_s: float
    """Of the usual Hugging Face loop, float32."""
    fit_s: float
    """Seconds of one fit of scikit-learn: 2,000 sentences, 384 units, six classes, one thread."""
    gflops: float = 0.0
    """Of a plain product in float32: named in the table, no size depends on it."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything; `tests.benchmarks.budgets` chooses it by the machine's rate."""

    rounds: Rounds = field(default_factory=Rounds)
    encoded: int = 3000
    """Sentences of the encoding."""
    cached: int = 6000
    """Sentences of the cache."""
    tasks: tuple[str, ...] = ("sentence_length", "word_content", "past_present")
    probed: Mapping[str, int] = field(default_factory=lambda: {"train": 4000, "dev": 1000, "test": 1000})
    dear_rounds: int = 1
    """Rounds of what takes longest: SentEval's recipe, scikit-learn where classes are many, the most sentences."""
    steps: int = 6
    """Optimiser steps of the training."""
    batch: int = 64
    """Sentences of such a step."""
    job_tasks: tuple[str, ...] = ALL_TASKS
    job: Mapping[str, int] = field(default_factory=lambda: {"train": 600, "dev": 300, "test": 300})
    """Sentences of each task of the whole job."""
    job_rounds: Rounds = field(default_factory=lambda: Rounds(least=1, most=1))
    """SentEval's recipe on ten tasks is slow."""
    limit: int = 1000
    """Sentences of each split that the default command is run with."""
    default_s: float = inf
    """Seconds after which that command is ended, and what it has done by then is told."""
    growth: tuple[int, ...] = (1000, 10_000, 50_000)
    """Numbers of sentences that encoding is tried on."""
    threaded: int = 5000
    """Sentences that numbers of threads are tried on."""
    weigh: bool = True
    """Whether peak memory is measured too, in processes of their own."""


QUICK = Sizes(
    rounds=Rounds(least=1, most=1),
    encoded=300,
    cached=2000,
    tasks=("sentence_length",),
    probed={"train": 500, "dev": 200, "test": 200},
    dear_rounds=1,
    steps=2,
    job_tasks=("past_present",),
    job={"train": 200, "dev": 100, "test": 100},
    limit=60,
    growth=(500, 5000),
    threaded=1000,
    weigh=False,
)


def draw_tasks(names: Sequence[str], sizes: Mapping[str, int]) -> list[Task]:
    """Tasks of the controlled corpus."""
    return list(load(names, sizes=sizes).values())


def draw_texts(n: int) -> list[Text]:
    """Distinct sentences of the controlled corpus, of all the lengths that it has; about as many as asked for."""
    (task,) = draw_tasks(["sentence_length"], {"train": n, "dev": 1, "test": 1})
    return list(dict.fromkeys(task.splits["train"].texts))
