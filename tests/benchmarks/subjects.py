"""What is compared, as functions that a fresh process can be told to call."""

from dataclasses import replace
from importlib import import_module
from typing import Any

from tests.benchmarks.sizes import Rate, Sizes
from tests.benchmarks.timing import Comparison

SUBJECTS = {
    "encoding": "tests.benchmarks.encoding:compare_encoding",
    "probing": "tests.benchmarks.probes:compare_probing",
    "training": "tests.benchmarks.training:compare_training",
    "pretraining": "tests.benchmarks.pretraining:compare_pretraining",
    "job": "tests.benchmarks.whole_job:compare_job",
    "cache": "tests.benchmarks.caching:compare_cache",
    "scaling": "tests.benchmarks.scaling:compare_scaling",
    "default": "tests.benchmarks.default_job:compare_default_job",
}
"""What is compared, in order; each in a process of its own, which is ended when its time is up."""


def describe(checkpoint: str) -> tuple[dict[str, Any], Rate]:
    """The machine, and its rate."""
    machine = import_module("tests.benchmarks.machine").describe_machine(checkpoint)
    return machine, import_module("tests.benchmarks.rate").measure_rate(checkpoint)


def compare_subject(name: str, checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """A subject's comparisons, without what the ways gave."""
    return [replace(comparison, results={}) for comparison in find_subject(name)(checkpoint, sizes)]


def find_subject(name: str) -> Any:
    """The function that makes a subject's comparisons."""
    module, _, attribute = SUBJECTS[name].partition(":")
    return getattr(import_module(module), attribute)
