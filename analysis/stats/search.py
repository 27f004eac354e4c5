"""Answers that a search of sub-layers' orders gives (LV-BERT, arXiv 2106.11740), each with a 95 % interval.

Differences are of masked accuracy on held-out text: the same hidden tokens for all models, the same seeds for both.
An interval is over blocks of text and over seeds: each bound's distance is the root of the sum of the squares of the
bootstrap's over blocks and of Student's over the seeds' differences (Howe 1974), as in `analysis.stats.seeds`. With one
seed it is over blocks alone.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float, Num
from scipy.stats import kendalltau, t

from probing.bootstrap import N_ROW, percentile_interval, resample_counts

QUESTIONS = {
    ("searched", "interleaved"): "searched against interleaved",
    ("searched", "best_random"): "searched against the best of as many random ones",
    ("varied", "interleaved"): "variety: a convolution for every second attention",
    ("convolution_first", "sandwich"): "variety: convolutions for the attention in front",
}
"""Order and the one that it is held against -> what that answers."""
_FEWEST = 10
"""Blocks that an interval is made of; of fewer, it is as wide as a difference can be."""
COLUMNS = ["question", "one", "other", "n_seeds", "n", "difference", "low", "high"]


def answer_questions(answers: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Columns `COLUMNS`: a row for each question that both orders of were trained for, in shares of 1.

    Args:
        answers: of `analysis.runs.search_run.SearchRun`.
        split: `dev` chose the candidates, so that what it says of `searched` flatters; `test` did not.
    """
    rows = []
    own = answers[answers["split"] == split]
    for (one, other), question in QUESTIONS.items():
        found = compare_orders(own, one, other)
        if found is not None:
            rows.append({"question": question, "one": one, "other": other} | found)
    return pd.DataFrame(rows, columns=COLUMNS)


def compare_orders(answers: pd.DataFrame, one: str, other: str) -> dict[str, float | int] | None:
    """The difference of two orders' accuracies with its interval; None where they have no seed in common.

    Args:
        answers: of one split.
        one: an order.
        other: the one that is taken from it.
    """
    tables = [_tabulate(answers, order) for order in (one, other)]
    seeds = tables[0].index.intersection(tables[1].index)
    if seeds.empty:
        return None
    gained = tables[0].loc[seeds].to_numpy() - tables[1].loc[seeds].to_numpy()
    tokens = _count_tokens(answers, one)
    rng = np.random.default_rng([0, *f"{one} {other}".encode()])
    difference, low, high = _estimate(gained, tokens, rng)
    facts = {"n_seeds": len(seeds), "n": int(tokens.sum())}
    return facts | {"difference": difference, "low": low, "high": high}


def summarise_orders(answers: pd.DataFrame, orders: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Columns `order pattern supernet n_seeds value spread difference low high`, the best order first.

    `supernet` is the accuracy of the path on dev, `value` the mean over the seeds of the models by themselves, `spread`
    its standard deviation (NaN with one), and `difference`, with its interval, what it is above the interleaved order.
    """
    rows, own = [], answers[answers["split"] == split]
    for order, pattern, supernet in orders[["order", "pattern", "supernet"]].itertuples(index=False, name=None):
        values = _accuracies(own, order)
        row = {"order": order, "pattern": pattern, "supernet": supernet, "n_seeds": len(values)}
        row |= {"value": values.mean(), "spread": values.std()}
        found = None if order == "interleaved" else compare_orders(own, order, "interleaved")
        nothing = dict.fromkeys(("difference", "low", "high"), np.nan)
        rows.append(row | ({name: found[name] for name in nothing} if found else nothing))
    return pd.DataFrame(rows).sort_values("value", ascending=False, ignore_index=True)


def measure_agreement(orders: pd.DataFrame, seed: int = 0) -> dict[str, float]:
    """Kendall's tau-b between the supernet's scores and those of models by themselves, over orders.

    Args:
        orders: from `summarise_orders`; of equal patterns one counts.
        seed: of the resamples.

    Returns:
        `tau`, `low` and `high` (percentile bootstrap over orders), `p` (of no agreement) and `n`, the orders; NaN where
        there are fewer than three, or all are alike.
    """
    known = orders.dropna(subset="supernet").drop_duplicates("pattern")
    pairs = known[["supernet", "value"]].to_numpy(dtype=float)
    if len(pairs) < 3 or (np.ptp(pairs, axis=0) == 0).any():
        return dict.fromkeys(("tau", "low", "high", "p"), float("nan")) | {"n": float(len(pairs))}
    tau, p = map(float, kendalltau(*pairs.T))
    low, high = percentile_interval(np.array(list(_resample_tau(pairs, np.random.default_rng(seed)))))
    return {"tau": tau, "low": float(low), "high": float(high), "p": p, "n": float(len(pairs))}


def best_so_far(candidates: pd.DataFrame) -> pd.DataFrame:
    """Columns `arm n score`: the best score of each arm after each of its candidates."""
    frames = [
        pd.DataFrame({"arm": arm, "n": np.arange(1, len(own) + 1), "score": own["score"].cummax().to_numpy()})
        for arm, own in candidates.groupby("arm", sort=False)
    ]
    return pd.concat(frames, ignore_index=True)


def _resample_tau(pairs: Float[np.ndarray, "orders 2"], rng: np.random.Generator) -> Iterator[float]:
    for _ in range(N_ROW):
        drawn = pairs[rng.integers(len(pairs), size=len(pairs))]
        # A resample of one order, or of orders alike in one of the two, has no ranking.
        if (np.ptp(drawn, axis=0) > 0).all():
            yield float(kendalltau(*drawn.T, method="asymptotic").statistic)  # pyright: ignore


def _estimate(
    gained: Num[np.ndarray, "seeds blocks"], tokens: Num[np.ndarray, " blocks"], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Difference of two accuracies over seeds and blocks, and the bounds of its interval."""
    by_seed, by_block = gained.sum(axis=1) / tokens.sum(), gained.mean(axis=0)
    value = float(by_seed.mean())
    if len(tokens) < _FEWEST:
        return value, -1.0, 1.0
    drawn = resample_counts(len(tokens), rng)
    low, high = percentile_interval((drawn @ by_block) / (drawn @ tokens))
    n, half = len(by_seed), 0.0
    if n > 1:
        half = float(t.ppf(0.975, n - 1) * by_seed.std(ddof=1) / np.sqrt(n))
    return value, value - float(np.hypot(value - low, half)), value + float(np.hypot(high - value, half))


def _tabulate(answers: pd.DataFrame, order: str) -> pd.DataFrame:
    """Right answers of an order's models: seeds by blocks."""
    return answers[answers["order"] == order].pivot_table(index="seed", columns="block", values="right")


def _accuracies(answers: pd.DataFrame, order: str) -> pd.Series:
    sums = answers[answers["order"] == order].groupby("seed")[["right", "n"]].sum()
    return sums["right"] / sums["n"]


def _count_tokens(answers: pd.DataFrame, order: str) -> Num[np.ndarray, " blocks"]:
    own = answers[answers["order"] == order]
    return own[own["seed"] == own["seed"].iloc[0]].sort_values("block")["n"].to_numpy(dtype=float)
