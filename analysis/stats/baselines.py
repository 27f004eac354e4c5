"""Scores of trained models beside those of baselines on the same test: each with its interval, and the differences.

Training writes no predictions down, so how often two answers fail together is not known: they are taken to fail
independently, the wider assumption (as in `analysis.stats.trained_scores`). With several seeds, intervals are over
other seeds and other examples; with one, over examples alone.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.runs.training_run import TrainingRun
from analysis.stats.significance import ALPHA, add_errors, error_over_seeds, holm
from analysis.stats.trained_scores import variance_over_sentences

RANK = "mean_rank"
"""Begins the names of metrics of which less is better, and which are no share."""


def list_answers(run: TrainingRun) -> dict[str, pd.DataFrame]:
    """Name -> rows of scores: the model, then the baselines."""
    return {run.model: run.models, **{str(name): own for name, own in run.baselines.groupby("model", sort=False)}}


def summarise_answers(run: TrainingRun, split: str = "test") -> pd.DataFrame:
    """Every metric that has an interval, of the models and of each baseline; no rows without baselines.

    Returns:
        Columns `metric answer value ci_low ci_high n n_seeds`; the value is the mean over seeds.
    """
    rows = []
    for metric, answer, own in _list_scores(run, split):
        value, half, _ = add_errors(float(own["value"].mean()), _list_errors(own["value"], own))
        # Of few seeds an interval may end beyond what a share or a rank can be.
        least, most = (1.0, np.inf) if metric.startswith(RANK) else (0.0, 1.0)
        bounds = {"ci_low": max(least, value - half), "ci_high": min(most, value + half)}
        if len(own) == 1:
            bounds = {name: float(own[name].iloc[0]) for name in bounds}  # its own: Wilson's, or of a bootstrap
        rows.append({"metric": metric, "answer": answer, "value": value, **bounds})
        rows[-1] |= {"n": int(own["n"].max()), "n_seeds": len(own)}
    return pd.DataFrame(rows)


def compare_baselines(run: TrainingRun, split: str = "test") -> pd.DataFrame:
    """The models minus each baseline in every metric that has an interval; no rows without baselines.

    Returns:
        Columns `metric baseline value other difference ci_low ci_high p significant better`; `p` is Holm's over rows of
        all examples, and over those of parts of them (`accuracy[part of]`); `better` says whether the difference is in
        the models' favour, as a negative one of ranks is.
    """
    found = pd.DataFrame([_compare(metric, models, name, own) for metric, models, name, own in _list_pairs(run, split)])
    if len(found):
        # One question on the whole shall not pay for many on its parts.
        found["p"] = found["p"].groupby(found["metric"].str.endswith("]")).transform(lambda own: holm(own.tolist()))
        found["significant"] = found["p"] < ALPHA
    return found


def _compare(metric: str, models: pd.DataFrame, name: str, own: pd.DataFrame) -> dict[str, object]:
    values, others = (rows.set_index("seed")["value"] for rows in (models, own))
    # What draws nothing has one seed, and is the same beside every one of the models.
    differences = values - (others.iloc[0] if len(others) == 1 else others)
    mean, half, p = add_errors(float(differences.mean()), _list_errors(differences.dropna(), models, own))
    facts = {"metric": metric, "baseline": name, "value": values.mean(), "other": others.mean(), "difference": mean}
    better = mean < 0 if metric.startswith(RANK) else mean > 0
    return facts | {"ci_low": mean - half, "ci_high": mean + half, "p": 1.0 if np.isnan(p) else p, "better": better}


def _list_errors(values: pd.Series, *scored: pd.DataFrame) -> list[tuple[float, float]]:
    over_seeds = error_over_seeds(values.to_numpy())
    over_examples = (sum(map(variance_over_sentences, scored)), np.inf)
    return [over_examples, over_seeds] if over_seeds else [over_examples]


def _list_pairs(run: TrainingRun, split: str) -> Iterator[tuple[str, pd.DataFrame, str, pd.DataFrame]]:
    scores = {(metric, answer): own for metric, answer, own in _list_scores(run, split)}
    for (metric, answer), own in scores.items():
        if answer != run.model and (metric, run.model) in scores:
            yield metric, scores[metric, run.model], answer, own


def _list_scores(run: TrainingRun, split: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Metric, whose answer, and the rows of its seeds, where there are baselines and an interval."""
    if run.baselines.empty:
        return
    for metric in dict.fromkeys(run.models.loc[run.models["split"] == split, "metric"]):
        for answer, rows in list_answers(run).items():
            own = rows[(rows["split"] == split) & (rows["metric"] == metric)]
            if len(own) and own[["value", "ci_low", "ci_high"]].notna().all(axis=None):
                yield str(metric), answer, own
