"""The engine that settings ask for, of a probing run or of a training."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from probing.records import InputError
from probing.registry import ENGINES, QUEUES
from probing.work import Engine, EngineOptions


@contextmanager
def use_engine(settings: Any, engine: Engine | None = None) -> Iterator[Engine]:
    """The engine that there is or, if there is none, the one that the settings ask for, which ends with its use.

    Args:
        settings: of a run or of a training.
        engine: that there is, if there is one.

    Raises:
        InputError: what it needs is not there.
    """
    if engine is not None:
        yield engine
        return
    if settings.engine in QUEUES.rows:
        raise InputError(
            f"engine {settings.engine}: takes one run, or a sweep, as a command (bermo-probing run, sweep)"
        )
    options = EngineOptions(
        address=settings.engine_address,
        workers=settings.workers,
        threads=settings.worker_threads or settings.threads or 1,
        retries=settings.retries,
        unit_timeout_s=settings.unit_timeout,
        mixed_hardware=settings.mixed_hardware,
    )
    started = ENGINES.load(settings.engine)(options)
    try:
        yield started
    finally:
        started.close()
