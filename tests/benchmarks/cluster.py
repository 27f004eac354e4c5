"""What many workers cost and gain: start, driver's time, bytes and files of a unit, efficiency, times on 1 to 512.

python -m tests.benchmarks.cluster data/results/RUN --engine ray
"""

import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import tyro

from probing import pipeline
from probing.cells.runner import CellRunner
from probing.cells.work import compute_cell
from probing.command_line.config_files import load_mapping
from probing.engines.local import LocalEngine
from probing.progress import Reporter
from probing.registry import ENGINES
from probing.settings.named import make_settings
from probing.work import Done, Engine, EngineOptions, Unit
from tests.benchmarks.cluster_times import Work, predict, read_work, schedule, sleep

SIMULATED = (8, 16, 32, 64)
_SWEPT_S = 30.0
"""Longest time that each worker sleeps for a sweep."""
_EMPTY = 400
"""Units that do nothing."""
PREDICTED = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class ClusterSettings:
    """What is measured."""

    run: Annotated[Path, tyro.conf.Positional]
    """A finished run, whose times are slept and predicted from."""
    engine: str = "processes"
    """Engine of the workers that sleep: ray, or processes of this benchmark's own."""
    workers: tuple[int, ...] = (2, 4, 8)
    """Numbers of workers that sleep."""
    slept_s: float = 60.0
    """Seconds that all units of one run sleep together; times are scaled to that."""
    runs: int = 50
    """Runs of a sweep like this one."""
    limit: int = 1000
    """Sentences of each split in the run that the driver's time is measured on; 0 takes all."""
    rounds: int = 3
    """Times that efficiency is measured."""
    driver: bool = True
    """True where the driver is measured too, which computes a run."""


class Pool:
    """An engine over an executor, the costliest unit first."""

    def __init__(self, executor: ProcessPoolExecutor | ThreadPoolExecutor, workers: int):
        self.executor, self.workers = executor, workers

    def share(self, value: Any) -> Any:
        return value

    def run(self, function: Any, units: Any) -> Iterator[Done]:
        waiting = sorted(units, key=lambda unit: -unit.cost)
        running: dict[Future[Any], Unit] = {}
        while waiting or running:
            while waiting and len(running) < self.workers:
                unit = waiting.pop(0)
                running[self.executor.submit(function, unit.payload, unit.shared)] = unit
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield Done(running.pop(future), future.result())

    def close(self) -> None:
        self.executor.shutdown()


class Answering(LocalEngine):
    """Gives back results that are there already, so that what is left of a run's time is the driver's."""

    def __init__(self, results: dict[str, Any]):
        self._results, self.sent, self.shared = results, list[int](), list[int]()

    def share(self, value: Any) -> Any:
        self.shared.append(len(pickle.dumps(value)))
        return value

    def run(self, function: Any, units: Any) -> Iterator[Done]:
        for unit in units:
            if unit.name not in self._results:
                self._results[unit.name] = function(unit.payload, unit.shared)
            self.sent.append(len(pickle.dumps((compute_cell, unit.payload))))
            yield Done(unit, self._results[unit.name])


def open_engine(name: str, workers: int) -> Engine:
    if name == "processes":
        return Pool(ProcessPoolExecutor(workers), workers)
    return ENGINES.load(name)(EngineOptions(workers=workers, threads=1))


def measure_sleep(engine: Engine, seconds: Sequence[float]) -> float:
    """Seconds until units that sleep are all done."""
    shared = engine.share(None)
    units = [Unit(f"unit {number}", cost, cost, shared) for number, cost in enumerate(seconds)]
    start = time.perf_counter()
    for _ in engine.run(sleep, units):
        pass
    return time.perf_counter() - start


def measure_efficiency(settings: ClusterSettings, work: Work) -> None:
    """Start, what units cost the driver, and efficiency on few workers against the list schedule: a run and a sweep."""
    one = scale_to(work.cells_s, settings.slept_s)
    print(f"a run: {len(one)} units that sleep {sum(one):.0f} s together, {max(one):.2f} s the longest")
    print(f"a sweep: {settings.runs} of them; efficiency [least, most], then as a share of the list schedule's")
    print("workers  start s  driver's ms a unit (processor)  one run  sweep")
    for workers in settings.workers:
        begun = time.perf_counter()
        engine = open_engine(settings.engine, workers)
        try:
            measure_sleep(engine, [0.01] * workers)
            start_s = time.perf_counter() - begun
            measure_sleep(engine, [0.5] * 2 * workers)  # every worker has begun by then
            unit_ms = measure_empty(engine)
            many = scale_to(list(work.cells_s) * settings.runs, _SWEPT_S * workers)
            parts = [measure_against_schedule(engine, workers, seconds, settings.rounds) for seconds in (one, many)]
        finally:
            engine.close()
        print(f"{workers:7}  {start_s:7.1f}  {unit_ms[0]:6.2f} ({unit_ms[1]:.2f})  {'  '.join(parts)}", flush=True)


def scale_to(seconds: Sequence[float], total: float) -> list[float]:
    """Times that take some seconds together, or as long as they took if that is less."""
    scale = min(1.0, total / sum(seconds))
    return [cost * scale for cost in seconds]


def measure_against_schedule(engine: Engine, workers: int, seconds: Sequence[float], rounds: int) -> str:
    """Efficiency of workers that sleep, and as a share of the list schedule's."""
    found = [sum(seconds) / workers / measure_sleep(engine, seconds) for _ in range(rounds)]
    best, median = sum(seconds) / workers / schedule(seconds, workers), float(np.median(found))
    return f"{median:.3f} [{min(found):.3f}, {max(found):.3f}] {median / best:.3f}"


def measure_empty(engine: Engine) -> tuple[float, float]:
    """Milliseconds of a unit that does nothing: until the next one, and of this process's processors."""
    begun, used = time.perf_counter(), time.process_time()
    measure_sleep(engine, [0.0] * _EMPTY)
    return 1000 * (time.perf_counter() - begun) / _EMPTY, 1000 * (time.process_time() - used) / _EMPTY


def simulate(settings: ClusterSettings, work: Work) -> None:
    """The same by threads that sleep, up to many of them, for one run and for a sweep."""
    print("simulated workers: time against the list schedule's (efficiency), one run and a sweep of "
          f"{settings.runs}")  # fmt: skip
    for workers in SIMULATED:
        parts = []
        for n_runs in (1, settings.runs):
            seconds = list(work.cells_s) * n_runs
            scale = 15.0 / schedule(seconds, workers)
            seconds = [cost * scale for cost in seconds]
            engine = Pool(ThreadPoolExecutor(workers), workers)
            took = measure_sleep(engine, seconds)
            engine.close()
            parts.append(f"{took / schedule(seconds, workers):.3f} ({sum(seconds) / workers / took:.2f})")
        print(f"{workers:7}  {'  '.join(parts)}")


def measure_driver(settings: ClusterSettings) -> float:
    """Seconds of the driver for each unit, median; prints what a unit costs."""
    chosen = {**load_mapping(settings.run / "settings.json", ""), "limit": settings.limit, "quiet": True}
    seconds: list[float] = []
    usual = CellRunner.run
    with TemporaryDirectory() as name:
        asked = replace(make_settings(chosen), output=Path(name) / "0", cache_dir=Path(name) / "cache", report=False)
        opened: list[str] = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        counted: list[int] = []

        def compute(payload: Any, subject: Any) -> Any:
            opened.clear()
            result = compute_cell(payload, subject)
            counted.append(sum(path.endswith(".safetensors") for path in opened))
            return result

        engine = Answering({})
        engine_run = engine.run
        engine.run = lambda function, units: engine_run(compute, units)  # pyright: ignore
        pipeline.run(asked, Reporter(quiet=True), engine)
        engine = Answering(engine._results)

        def timed(self: CellRunner, stages: Any) -> None:
            start = time.perf_counter()
            usual(self, stages)
            encoding = sum(one["seconds"] for name, one in self.reporter.stages.items() if name.startswith("encoding"))
            seconds.append((time.perf_counter() - start - encoding) / len(engine._results))

        CellRunner.run = timed  # pyright: ignore
        try:
            for number in range(1, settings.rounds + 1):
                engine.sent, engine.shared = [], []
                own = replace(asked, output=Path(name) / str(number))
                pipeline.run(own, Reporter(quiet=True), engine)
        finally:
            CellRunner.run = usual
    low, median, high = (1000 * float(value) for value in np.quantile(seconds, (0, 0.5, 1)))
    print(f"driver: {median:.2f} ms a unit [{low:.2f}, {high:.2f}], {len(engine._results)} units")
    print(f"a unit: {np.median(engine.sent):,.0f} bytes sent, {np.median(counted):.0f} openings of files with vectors")
    print(f"  (at most {max(counted)}); a task: {np.median(engine.shared):,.0f} bytes, at most {max(engine.shared):,}")
    return float(np.median(seconds))


def show_predictions(settings: ClusterSettings, work: Work, start_s: float, unit_s: float) -> None:
    """Times on 1 to 512 workers, and the bandwidth below which the file system takes over."""
    many = work.times(settings.runs)
    print(
        f"one run: {sum(work.cells_s):.0f} s of cells, {work.encoding_s:.0f} s of encoding, of {work.threads} threads"
    )
    print(f"  {work.encoding_units} files, {work.bytes_moved / 1e9:.2f} GB moved")
    print("workers  one run s  GB/s  |  sweep s  efficiency  GB/s")
    for workers in PREDICTED:
        one, all_s = (predict(part, workers, start_s=start_s, unit_s=unit_s) for part in (work, many))
        whole = (sum(many.cells_s) + many.encoding_s) / workers / all_s
        rates = work.bytes_moved / one / 1e9, many.bytes_moved / all_s / 1e9
        print(f"{workers:7}  {one:9.1f}  {rates[0]:4.2f}  |  {all_s:7.0f}  {whole:10.2f}  {rates[1]:4.2f}")


def main() -> int:
    """Measure, and print."""
    settings = tyro.cli(ClusterSettings, description=__doc__)
    work = read_work(settings.run)
    unit_s = measure_driver(settings) if settings.driver else 0.005
    measure_efficiency(settings, work)
    simulate(settings, work)
    show_predictions(settings, work, start_s=10.0, unit_s=unit_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
