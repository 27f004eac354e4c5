"""Uncertainty of a score when the probe's start matters too: over sentences, over seeds, over both."""

import numpy as np
import pandas as pd

from analysis.runs.frames import title_of
from analysis.stats.significance import add_errors, error_over_seeds
from probing.bootstrap import wilson_interval

KINDS = ("sentences", "seeds", "both")
"""Sources of error."""
COLUMNS = ["task", "title", "representation", "layer", "layer_name", "n_seeds", "value"]
COLUMNS += [f"{kind}_{bound}" for kind in KINDS for bound in ("low", "high")]


def summarise_seeds(predictions: pd.DataFrame, control: str = "none") -> pd.DataFrame:
    """Accuracy on test of every readout that was fitted from several seeds, with three 95 % intervals.

    `sentences` holds the seeds, and is Wilson's of as many independent sentences as have the variance of the seeds'
    mean; `seeds` is Student's over the seeds' accuracies and says how far another start would move them; `both` adds
    the two, each bound's distance the root of the sum of the squares (Howe 1974): drawing few seeds with replacement
    would leave out a third of what they differ by.
    """
    rows = []
    keys = ["task", "representation", "layer", "layer_name"]
    for key, found in predictions[predictions["control"] == control].groupby(keys, sort=False):
        right = (found["label"] == found["predicted"]).astype(float)
        table = right.groupby([found["seed"], found["row"]]).mean().unstack().to_numpy()
        if len(table) > 1:
            facts = dict(zip(keys, key, strict=True))
            rows.append(facts | {"title": title_of(str(facts["task"]))} | measure_seeds(table))
    return pd.DataFrame(rows, columns=COLUMNS)


def measure_seeds(correct: np.ndarray) -> dict[str, float | int]:
    """The accuracy and its intervals, from 1 where a seed (row) is right about a sentence and 0 elsewhere."""
    means = correct.mean(axis=1)
    value, n_seeds = float(means.mean()), len(means)
    over_seeds = error_over_seeds(means)
    half = float(np.nan_to_num(add_errors(value, [over_seeds] if over_seeds else [])[1]))
    low, high = wilson_interval(value, count_independent(correct.mean(axis=0), n_seeds))
    bounds = {
        "sentences": (low, high),
        "seeds": (value - half, value + half),
        "both": (value - np.hypot(value - low, half), value + np.hypot(high - value, half)),
    }
    row: dict[str, float | int] = {"n_seeds": n_seeds, "value": value}
    for kind, pair in bounds.items():
        row |= {f"{kind}_{end}": float(np.clip(bound, 0, 1)) for end, bound in zip(("low", "high"), pair, strict=True)}
    return row


def count_independent(shares: np.ndarray, n_seeds: int) -> float:
    """Number of sentences, each right or wrong, whose mean varies as that of shares of seeds does.

    p (1 - p) / var, times their number: between that of the sentences, where seeds agree, and all seeds' together.
    """
    p, variance = shares.mean(), shares.var()
    return float(np.clip(p * (1 - p) / variance if variance > 0 else 1, 1, n_seeds) * len(shares))
