"""What is measured on a machine of some rate, so that all ends within ten minutes: sizes, budgets, predictions."""

from dataclasses import replace

from tests.benchmarks.sizes import ALL_TASKS, WARM_UP, Rate, Sizes
from tests.benchmarks.timing import Rounds

TOTAL_S = 600.0
"""All of it."""
RATE_S, CLOSING_S = 45.0, 5.0
"""For the machine's description and its rate; and for ending the last process and writing the numbers."""
STARTING_S = 15.0
"""For a process to start before its work begins, on a slow machine."""
BUDGETS = {"encoding": 55.0, "probing": 98.0, "training": 75.0, "pretraining": 52.0, "job": 85.0, "cache": 40.0,
           "scaling": 60.0, "default": 80.0}  # fmt: skip
"""Seconds after which a subject's process is ended, its imports included; what those before it left is added. The last
one so gets most: it is the main job, and what it costs at least is least known."""
QUICK_FIT_S = 0.04
"""Seconds of the rate's fit on a current server core."""
_ROUNDS_S = 15.0
_FITS_RATE = 300.0
"""Sentences per second of the usual loop on that core's machine."""
_START_S = 4.0
"""Imports and loading there."""
_DEAR_FROM, _ALL_FROM, _WEIGHED_FROM = 0.5, 1.0, 200.0
_MANY_CLASSES = ("word_content",)
_FEW_TASKS = ("sentence_length", "bigram_shift", "past_present")
_WAYS = 5
"""Of encoding; none is slower than the usual loop."""
_STEP = 29
"""Sentences of the loop that a step's three ways take as long as, for each of its batch: forward and backward are three
passes; the third way pads 17 tokens to 128."""
_PRETRAINED = 18
"""Sentences of the loop that a step of pre-training, its four ways, takes as long as, for each of its batch: an eighth
of a block of 128 tokens, three passes, and in two ways as much again for the vocabulary's head."""
_PROBED_S, _OTHER_S = {"sentence_length": 4.5, "word_content": 15.5, "past_present": 2.2}, 4.5
"""Seconds of all ways of probing two layers, 600 training sentences, on that core."""
_JOB_TASK_S = 5.0
"""Of a task of the whole job, 300 training sentences: SentEval's recipe on a layer and on the mix, and ours."""
_JOB_S = 30.0
"""Of the default command, whatever its number of sentences: readout tasks, gradients, figures, report."""
_LIMIT_S = 0.03
"""Of a sentence of its `--limit`: ten tasks, all layers, the mix, controls, on that core."""
_DEFAULT_S, _AIM_S = 150.0, 480.0
"""The default command takes no more than the one, and all together no more than the other: a machine may be busy."""


def choose_sizes(rate: Rate) -> Sizes:
    """What fits into the budgets: proportional to the loop's rate or to that of fits, between bounds.

    Where fits or encoding are slow, dear ways get few tasks (SentEval's recipe takes 10 to 200 times as long as ours).
    The default command gets what the others leave.
    """
    speed, fits = rate.sentences_per_s, measure_fits(rate)
    probed, job, base = clamp(1500 * fits, 120, 4000), clamp(200 * fits, 60, 600), clamp(speed / 2, 15, 3000)
    sizes = Sizes(
        rounds=Rounds(least=1, most=7, budget_s=_ROUNDS_S),
        encoded=clamp(4 * speed, 80, 3000),
        cached=clamp(4 * speed, 80, 6000),
        tasks=("sentence_length", *_MANY_CLASSES, "past_present") if fits >= _DEAR_FROM else _FEW_TASKS[::2],
        probed={"train": probed, "dev": probed // 4, "test": probed // 4},
        steps=clamp(speed / 50, 1, 6),
        batch=clamp(speed / 8, 4, 64),
        job_tasks=ALL_TASKS if fits >= _ALL_FROM else _FEW_TASKS,
        job={"train": job, "dev": job // 2, "test": job // 2},
        limit=0,
        growth=(base, 4 * base, 16 * base),
        threaded=clamp(2 * speed, 40, 5000),
        weigh=speed >= _WEIGHED_FROM,
    )
    predicted = predict_seconds(sizes, rate)
    left = min(_DEFAULT_S, _AIM_S - sum(predicted.values())) - predicted["default"]
    return replace(sizes, limit=clamp(left / price_sentence(rate), 60, 3000))


def price_sentence(rate: Rate) -> float:
    """Seconds that each sentence of `--limit` adds to the default command: four are encoded, and one is probed."""
    return 4 / rate.sentences_per_s + _LIMIT_S / measure_fits(rate)


def measure_fits(rate: Rate) -> float:
    """How fast probes are, 1 being a current server core; no faster than encoding says, where that is slower still."""
    return min(QUICK_FIT_S / rate.fit_s, rate.sentences_per_s / _FITS_RATE)


def list_omissions(sizes: Sizes) -> list[str]:
    """What this machine is too slow for, in words."""
    missing = [f"{name}: not probed, many classes cost most" for name in _MANY_CLASSES if name not in sizes.tasks]
    if sizes.job_tasks != ALL_TASKS:
        missing.append(f"whole job: {len(sizes.job_tasks)} tasks of {len(ALL_TASKS)}, SentEval's recipe costs most")
    if not sizes.weigh:
        missing.append("training: peak memory, which takes all of it a second time")
    return missing


def predict_seconds(sizes: Sizes, rate: Rate) -> dict[str, float]:
    """Seconds of each subject: its start, its warm-ups, and one round or as many as its budget allows.

    Ours is taken to be no quicker than the usual ways, as on a processor without a matrix unit.
    """
    speed, fits = rate.sentences_per_s, measure_fits(rate)
    start, budget = _START_S * (1 + _FITS_RATE / 4 / speed), sizes.rounds.budget_s
    train, job = sizes.probed["train"], sizes.job["train"]
    fitted = [_PROBED_S.get(name, _OTHER_S) * train / 600 / fits for name in sizes.tasks]
    n_job = len(sizes.job_tasks) * sum(sizes.job.values())
    step = _STEP * sizes.batch / speed
    return {
        "encoding": start + _WAYS * WARM_UP / speed + max(budget, _WAYS * sizes.encoded / speed),
        "probing": start + 1.5 * train * len(fitted) / speed + sum(max(budget, one) for one in fitted),
        "training": start * (5 if sizes.weigh else 2) + step + max(budget, step * sizes.steps)
        + sizes.weigh * step * sizes.steps,
        "pretraining": start * 2 + _PRETRAINED * sizes.batch / speed * (1 + sizes.steps) + budget,
        "job": start * 2 + 2.2 * n_job / speed + _JOB_TASK_S * len(sizes.job_tasks) * job / 300 / fits,
        "cache": start + sizes.cached / speed + max(budget, sizes.cached / speed),
        "scaling": start + 3 * sizes.growth[0] / speed + max(budget, sum(sizes.growth) / speed)
        + 3 * sizes.threaded / speed + max(budget, 3 * sizes.threaded / speed),
        "default": start + _JOB_S * (1 + _FITS_RATE / 3 / speed) + price_sentence(rate) * sizes.limit,
    }  # fmt: skip


def clamp(value: float, least: int, most: int) -> int:
    """The next whole number, between bounds."""
    return max(least, min(most, round(value)))
