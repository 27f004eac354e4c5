"""The peak memory of some work, in a process of its own, where nothing is left over from work before it."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from probing.progress import peak_rss


def weigh_alone(work: Callable[..., Any], *arguments: Any) -> int:
    """Largest resident memory of a fresh process that does some work, in bytes, the interpreter and modules included.

    Args:
        work: a function of a module.
        arguments: what it is called with.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_work_and_weigh, work, *arguments).result()


def _work_and_weigh(work: Callable[..., Any], *arguments: Any) -> int:
    work(*arguments)
    return peak_rss()
