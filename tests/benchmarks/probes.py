"""Probing: ours on all layers, scikit-learn and SentEval's recipe on two of them, and what accuracy each reaches."""

from functools import partial

from probing.contracts.encoder import Encoder
from probing.encoders.bert import build
from probing.probes.fused import MANY_CLASSES
from probing.records import Task
from tests.benchmarks.fitters import encode_task, fit_ours, fit_senteval, fit_sklearn, try_senteval, try_sklearn
from tests.benchmarks.sizes import WARM_UP, Sizes, draw_tasks
from tests.benchmarks.threads import find_threads, format_threads, run_limited
from tests.benchmarks.timing import Comparison, Way, compare

OURS = "ours, all layers"
OTHERS = {"scikit-learn": (fit_sklearn, try_sklearn), "SentEval's recipe": (fit_senteval, try_senteval)}
"""What it is held against: all the work, and a trial of it that is short."""
_EQUAL, _SENTENCES = 0.2, 2
"""Points of accuracy within which two ways agree; and sentences, where the test set is small."""


def compare_probing(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """One comparison per task, with the accuracies that each way reaches."""
    encoder = build(checkpoint, device="cpu")
    return [_compare_task(task, encoder, sizes) for task in draw_tasks(sizes.tasks, sizes.probed)]


def _compare_task(task: Task, encoder: Encoder, sizes: Sizes) -> Comparison:
    data, n_layers = encode_task(task, encoder), len(encoder.layer_names)
    layers = sorted({n_layers // 2, n_layers - 1})
    which = "layers " + " and ".join(map(str, layers))
    some, few = data.select_layers(layers), data.shorten(WARM_UP)
    ways, names = [Way(OURS, partial(fit_ours, data), n_layers, partial(fit_ours, few))], {}
    for other, (fit, attempt) in OTHERS.items():
        n = find_threads(partial(attempt, some))
        names[other] = f"{other}, {which} only, {format_threads(n)}"
        dear = fit is fit_senteval or len(task.classes) >= MANY_CLASSES
        most = sizes.dear_rounds if dear else None
        work, trial = partial(run_limited, n, fit, some), partial(attempt, few)
        ways.append(Way(names[other], work, len(layers), trial, most=most))
    sizes_told = f"{len(data.labels[0]):,} sentences, {n_layers} layers, {len(task.classes)} classes"
    title = f"probing {task.spec.title}, {sizes_told}"
    comparison = compare(title, "layers", ways, sizes.rounds)
    ours = 100 * comparison.results[OURS]
    comparison.facts["accuracy of ours, %, by layer"] = ours.round(2).tolist()
    for other, name in names.items():
        accuracies = 100 * comparison.results[name]
        gap = float((ours[layers] - accuracies).mean())
        comparison.facts[f"accuracy of {other}, %, {which}"] = accuracies.round(2).tolist()
        comparison.facts[f"ours minus {other}, points, mean of {which}"] = judge_gap(gap, len(data.labels[2]))
    return comparison


def judge_gap(points: float, n_test: int) -> str:
    """What a difference of accuracies says; fewer than two sentences of a small test set say nothing."""
    equal = max(_EQUAL, 100 * _SENTENCES / n_test)
    verdict = "equal" if abs(points) <= equal else "ours is better" if points > 0 else "ours is worse"
    return f"{points:+.2f}: {verdict} (equal is within {equal:.2g}, of {n_test:,} test sentences)"
