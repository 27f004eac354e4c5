"""New sentences of several ways of writing: what they change in accuracy, and how often they keep their label."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pandas as pd

from analysis.runs.augmented_run import AugmentedRun
from analysis.stats.paired import Paired, pair, pair_tables
from analysis.stats.significance import ALPHA, holm

_NONE, _UNCONDITIONAL, _CONDITIONAL = "none", "unconditional", "conditional"


def summarise_ways(run: AugmentedRun, split: str = "test") -> pd.DataFrame:
    """Accuracy of every arm.

    Returns:
        Columns `classifier share way n_seeds n value spread`: mean and standard deviation over seeds, NaN of one.
    """
    rows = []
    answers = run.answers[run.answers["split"] == split]
    for (classifier, share, way), own in answers.groupby(["classifier", "share", "way"], sort=False):
        values = (own["label"] == own["predicted"]).groupby(own["seed"]).mean()
        numbers = {"n_seeds": len(values), "n": len(own) // len(values), "value": values.mean(), "spread": values.std()}
        rows.append({"classifier": classifier, "share": share, "way": way, **numbers})
    return pd.DataFrame(rows)


def compare_ways(run: AugmentedRun, split: str = "test") -> pd.DataFrame:
    """Each arm minus that of no new sentences, and conditional minus unconditional, paired by sentence and by seed.

    Returns:
        Columns `classifier share way other difference ci_low ci_high p n equivalent smallest significant`; `p` is
        Holm's over all rows.
    """
    answers = run.answers[run.answers["split"] == split]
    rows = []
    for (classifier, share), own in answers.groupby(["classifier", "share"], sort=False):
        arms = {str(way): frame for way, frame in own.groupby("way", sort=False)}
        for way, other in _list_pairs(list(arms)):
            facts: dict[str, Any] = {"classifier": classifier, "share": share, "way": way, "other": other}
            rows.append(facts | pair(arms[way], arms[other]).describe())
    found = pd.DataFrame(rows)
    if len(found):
        found["p"] = holm(found["p"].tolist())
        found["significant"] = found["p"] < ALPHA
    return found


def compare_kept(run: AugmentedRun) -> pd.DataFrame:
    """Share of sentences that keep their label, conditional minus unconditional, of the sources that both wrote anew.

    With several seeds, of those that both wrote anew with each.

    Returns:
        Columns `share difference ci_low ci_high p n equivalent smallest significant`, `share` as in the names of ways.
    """
    ways = list(dict.fromkeys(run.judged["way"]))
    rows = []
    for way, other in product(ways, ways):
        name, _, share = str(way).partition("-")
        if name == _CONDITIONAL and other == "-".join(filter(None, [_UNCONDITIONAL, share])):
            found = _compare_sources(run.judged, str(way), str(other))
            rows += [{"share": share or "1", **found.describe()}] if len(found.differences) else []
    table = pd.DataFrame(rows)
    if len(table):
        table["significant"] = holm(table["p"].tolist()) < ALPHA
    return table


def _compare_sources(judged: pd.DataFrame, way: str, other: str) -> Paired:
    tables = [_tabulate_kept(judged[judged["way"] == name]) for name in (way, other)]
    both = tables[0].columns.intersection(tables[1].columns)
    return pair_tables(tables[0][both].to_numpy(), tables[1][both].to_numpy())


def _tabulate_kept(own: pd.DataFrame) -> pd.DataFrame:
    """Seeds x sources: share of the new sentences that keep the label, of the sources that have some with each seed."""
    kept = (own["label"] == own["predicted"]).astype(float)
    return kept.groupby([own["seed"], own["row"]]).mean().unstack().dropna(axis=1)


def _list_pairs(ways: list[str]) -> Iterator[tuple[str, str]]:
    """The way and the one that it is held against."""
    if _NONE in ways:
        yield from ((way, _NONE) for way in ways if way != _NONE)
    if {_CONDITIONAL, _UNCONDITIONAL} <= set(ways):
        yield _CONDITIONAL, _UNCONDITIONAL
