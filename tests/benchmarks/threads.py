"""Numbers of threads: set for some work, and tried, since more are not always quicker."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from threadpoolctl import threadpool_limits

_TRIES = 2


@contextmanager
def limit_threads(n: int) -> Iterator[None]:
    """Threads of torch, and of the libraries beneath numpy, scipy and scikit-learn; set back afterwards."""
    usual = torch.get_num_threads()
    with threadpool_limits(n):
        torch.set_num_threads(n)
        try:
            yield
        finally:
            torch.set_num_threads(usual)


def run_limited(n: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """Do some work with a number of threads."""
    with limit_threads(n):
        return work(*arguments)


def find_threads(trial: Callable[[], Any]) -> int:
    """One thread or all of them, whichever is quicker for a trial; the quickest of its tries counts."""
    return min((1, torch.get_num_threads()), key=lambda n: min(_time_trial(n, trial) for _ in range(_TRIES)))


def format_threads(n: int) -> str:
    """A number of threads in words."""
    return f"{n} thread{'s' if n > 1 else ''}"


def _time_trial(n: int, trial: Callable[[], Any]) -> float:
    with limit_threads(n):
        start = time.perf_counter()
        trial()
        return time.perf_counter() - start
