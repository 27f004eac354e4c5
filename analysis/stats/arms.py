"""Arms of one training run held against each other and against the teacher, paired by example and by seed."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.answers import TEACHER, Arm, load_arms
from analysis.runs.training_run import TrainingRun
from analysis.stats.paired import measure_noise, pair
from analysis.stats.significance import ALPHA, add_errors, error_over_seeds, holm

PAIRS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "tiny_bert": (
        *(("both", "labels"), ("task", "labels"), ("general", "labels"), ("both", "task"), ("augmented", "both")),
        ("both", "teacher"),
    ),
    "kdlsq_bert": (
        *(("kdlsq", "lsq"), ("kdlsq", "initial"), ("lsq", "initial"), ("initial", "minmax")),
        *(("kdlsq", "teacher"), ("lsq", "teacher"), ("initial", "teacher"), ("minmax", "teacher")),
    ),
    "nas_bert": (("searched", "hand_made"), ("searched", "random"), ("searched", "unshrunk")),
}
"""Recipe -> its questions: an arm, and the one that it is held against."""
_LOSS = "loss"


def compare_arms(run: TrainingRun, split: str = "test") -> pd.DataFrame:
    """Each arm minus another of the same bits or budget; no rows where no answers were kept.

    Of accuracies as `analysis.stats.paired` has it. Of losses, whose differences are no signs, the interval over blocks
    is the normal one of their means, with that over seeds added.

    Returns:
        Columns `group arm other difference ci_low ci_high p n n_seeds equivalent of_losses significant`; `p` is Holm's
        over all rows, `equivalent` whether accuracies differ by less than a point (`is_equivalent`), not corrected.
    """
    arms = load_arms(run) if run.recipe in PAIRS else []
    rows = [
        {"group": _group(first), "arm": first.name, "other": other.name} | _compare(first, other, split)
        for first, other in _list_pairs(arms, PAIRS.get(run.recipe, ()))
    ]
    table = pd.DataFrame(rows)
    if len(table):
        table["p"] = holm(table["p"].tolist())
        table["significant"] = table["p"] < ALPHA
    return table


def _list_pairs(arms: list[Arm], pairs: tuple[tuple[str, str], ...]) -> Iterator[tuple[Arm, Arm]]:
    """The pairs that there are, of one bits or budget after the other; a teacher is every group's."""
    for group in dict.fromkeys(_group(arm) for arm in arms if arm.name != TEACHER):
        own = {arm.name: arm for arm in arms if _group(arm) == group or arm.name == TEACHER}
        yield from ((own[one], own[other]) for one, other in pairs if one in own and other in own)


def _group(arm: Arm) -> str:
    """The bits or the budget: hand-made models, `3x192`, stand with what was searched of at most their size."""
    facts = arm.facts
    if "in_few_bits" in facts:
        return f"{facts['in_few_bits']} in {facts['few_bits']} bits"
    if "bits" in facts:
        return f"{facts['bits']} bits"
    return _name_size(str(facts.get("budget", "")))


def _name_size(budget: str) -> str:
    """`0.40M` of `2x128`: layers of BERT of a width H have 12 H^2 + 13 H parameters."""
    if not (found := re.fullmatch(r"(\d+)x(\d+)", budget)):
        return budget
    layers, width = map(int, found.groups())
    size = layers * (12 * width**2 + 13 * width)
    return f"{size / 1e6:.2f}M" if size >= 1e4 else f"{size:g}"


def _compare(first: Arm, other: Arm, split: str) -> dict[str, Any]:
    one, two = (arm.answers[arm.answers["split"] == split] for arm in (first, other))
    numbers = {"n_seeds": int(one["seed"].nunique()), "of_losses": _LOSS in one}
    if _LOSS in one:
        return numbers | _compare_losses(one, two)
    row = pair(one, two).describe()
    return numbers | {name: row[name] for name in ("difference", "ci_low", "ci_high", "p", "n", "equivalent")}


def _compare_losses(one: pd.DataFrame, two: pd.DataFrame) -> dict[str, Any]:
    """The mean difference of losses over the blocks and seeds of both."""
    tables = [frame.pivot_table(index="seed", columns="row", values=_LOSS) for frame in (one, two)]
    differences = (tables[0] - tables[1]).dropna().to_numpy()
    n_seeds, n = differences.shape
    noise = measure_noise(differences) if n_seeds > 1 else 0.0
    over_blocks = max(0.0, float(differences.mean(axis=0).var(ddof=1)) / n - noise)
    over_seeds = error_over_seeds(differences.mean(axis=1))
    errors = [(over_blocks, np.inf), *([over_seeds] if over_seeds else [])]
    mean, half, p = add_errors(float(differences.mean()), errors)
    bounds = {"difference": mean, "ci_low": mean - half, "ci_high": mean + half, "p": 1.0 if np.isnan(p) else p}
    return bounds | {"n": n, "n_seeds": n_seeds, "equivalent": False}
