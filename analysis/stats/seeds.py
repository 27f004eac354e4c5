"""Uncertainty of a score when the probe's start matters too: over sentences, over seeds, over both."""

import numpy as np
import pandas as pd
from scipy.stats import t

from analysis.runs.frames import title_of
from probing.bootstrap import percentile_interval, resample_rows

KINDS = ("sentences", "seeds", "both")
"""Things that are resampled."""
COLUMNS = ["task", "title", "representation", "layer", "layer_name", "n_seeds", "value"]
COLUMNS += [f"{kind}_{bound}" for kind in KINDS for bound in ("low", "high")]


def summarise_seeds(predictions: pd.DataFrame, control: str = "none", seed: int = 0) -> pd.DataFrame:
    """Accuracy on test of every readout that was fitted from several seeds, with three 95 % intervals.

    `sentences` holds the seeds and resamples the sentences; `seeds` is Student's over the seeds' accuracies and says
    how far another start would move them; `both` adds the two, each bound's distance the root of the sum of the squares
    (Howe 1974): drawing few seeds with replacement would leave out a third of what they differ by.
    """
    rows = []
    keys = ["task", "representation", "layer", "layer_name"]
    for key, found in predictions[predictions["control"] == control].groupby(keys, sort=False):
        right = (found["label"] == found["predicted"]).astype(float)
        table = right.groupby([found["seed"], found["row"]]).mean().unstack().to_numpy()
        if len(table) > 1:
            facts = dict(zip(keys, key, strict=True))
            rows.append(facts | {"title": title_of(str(facts["task"]))} | _measure(table, facts["task"], seed))
    return pd.DataFrame(rows, columns=COLUMNS)


def _measure(correct: np.ndarray, task: object, seed: int) -> dict[str, float | int]:
    generator = np.random.default_rng([seed, *str(task).encode()])
    means = correct.mean(axis=1)
    half = float(t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means)))
    value = float(means.mean())
    low, high = percentile_interval(resample_rows(correct, generator).mean(axis=0))
    bounds = {
        "sentences": (low, high),
        "seeds": (value - half, value + half),
        "both": (value - np.hypot(value - low, half), value + np.hypot(high - value, half)),
    }
    row: dict[str, float | int] = {"n_seeds": len(means), "value": value}
    for kind, pair in bounds.items():
        row |= {f"{kind}_{end}": float(np.clip(bound, 0, 1)) for end, bound in zip(("low", "high"), pair, strict=True)}
    return row
