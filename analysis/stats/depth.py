"""At which depth does an encoder hold a task: several summaries that should agree, and whether they do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.runs.frames import ACCURACY, mean_scores, mean_weights
from analysis.runs.probing_run import Run
from analysis.stats.significance import ALPHA, holm, mcnemar
from analysis.stats.summary import centre_of_gravity, choose_layers
from probing.bootstrap import percentile_interval, resample_rows

COLUMNS = ["task", "title", "group", "best_layer", "best_name", "indistinct"]
RANGES = ("gravity_weight", "gravity_contribution", "gravity_compression", "expected_layer", "entropy_bits")
"""The summaries that may have an interval."""
COLUMNS += [f"{name}{bound}" for name in (*RANGES, "kl_uniform_bits") for bound in ("", "_low", "_high")]
COLUMNS += ["rank_weight_contribution", "rank_weight_score", "rank_contribution_score", "disagreement", "agreement"]

_MEASURED = {
    "gravity_compression": "compression_gravity",
    "gravity_weight": "weight_gravity",
    "gravity_contribution": "contribution_gravity",
    "entropy_bits": "weight_entropy_bits",
}
"""Summary -> the metric of the score that holds its interval."""


AGREE, DISAGREE, INCONCLUSIVE = "agree", "do not agree", "inconclusive"


def summarise_depth(run: Run, seed: int = 0) -> pd.DataFrame:
    """One row per task; NaN where the run did not measure what a number needs.

    * `best_layer` is the single layer that is best on dev; `indistinct` the layers, that one included, that are not
      significantly worse on test (`compare_layers`).
    * `gravity_weight` and `gravity_contribution` are sum_l l w_l of the mix (arXiv 1905.05950, section 3.1);
      `gravity_compression` is sum_l l c_l / sum_l c_l of the compressions (arXiv 2109.05958, eq. 3).
    * `expected_layer` is that of the cumulative mixes (`expect_layer`).
    * `entropy_bits` and `kl_uniform_bits` say how peaked the weights are: log2 L bits and 0 where they are even.
    * Each of `RANGES` has bounds of a 95 % interval, `_low` and `_high`: over training sentences where the run measured
      `weight_intervals` or `code_length`, over test sentences for `expected_layer`.
    * `rank_*` are Spearman's correlations over the mixed layers of weights, contributions and single-layer scores.
    * `disagreement` says in words where they do not point to the same depth (`explain_disagreement`), `agreement` what
      can be said at all (`judge_agreement`); empty without a mix.

    Raises:
        InputError: the run has no scores of single layers.
    """
    means, weights = mean_scores(run.scores), mean_weights(run.weights)
    best = choose_layers(mean_scores(run.scores, "dev"))
    rows = []
    for task, scores in means[means["representation"] == "layer"].groupby("task", sort=False):
        first, name = scores.iloc[0], str(task)
        names = dict(zip(scores["layer"].tolist(), scores["layer_name"].tolist(), strict=True))
        row = {"task": name, "title": first["title"], "group": first["group"]}
        row |= {"best_layer": best[name], "best_name": names[best[name]], "indistinct": (best[name],)}
        if first["metric"] == ACCURACY:
            row["indistinct"] = find_indistinct(compare_layers(run.predictions, name, best[name]), best[name])
            row |= _expected(run.predictions, name, seed)
        row |= _measure(run.scores, name) | _weigh(weights[weights["task"] == name], scores)
        row |= _diverge(row)
        row |= {"disagreement": explain_disagreement(row, names)}
        known = {"gravity_contribution": np.nan} | row
        rows.append(row | {"agreement": judge_agreement(known, len(names)) if "mixed" in row else ""})
    return pd.DataFrame(rows, columns=COLUMNS)


def compare_layers(predictions: pd.DataFrame, task: str, best: int) -> pd.DataFrame:
    """Every layer of a task against one of them, paired by test sentence.

    Returns:
        Columns `layer difference p p_holm`: accuracy of the layer minus that of `best`, McNemar's p, and p corrected
        over the other layers.
    """
    correct = correctness(predictions, task, "layer")
    others = [layer for layer in correct if layer != best]
    differences = [correct[layer] - correct[best] for layer in others]
    p = [mcnemar(values) for values in differences]
    means = [float(values.mean()) for values in differences]
    return pd.DataFrame({"layer": others, "difference": means, "p": p, "p_holm": holm(p)})


def find_indistinct(compared: pd.DataFrame, best: int) -> tuple[int, ...]:
    """The layers that are not significantly worse than the best one, that one included."""
    worse = (compared["p_holm"] < ALPHA) & (compared["difference"] < 0)
    return tuple(sorted([best, *compared.loc[~worse, "layer"].tolist()]))


def correctness(predictions: pd.DataFrame, task: str, representation: str) -> dict[int, np.ndarray]:
    """Layer -> per test sentence, the share of seeds that were right; without controls."""
    rows = predictions[
        (predictions["task"] == task)
        & (predictions["representation"] == representation)
        & (predictions["control"] == "none")
    ]
    right = (rows["label"] == rows["predicted"]).astype(float)
    table = right.groupby([rows["layer"], rows["row"]]).mean().unstack()
    return dict(zip(table.index.tolist(), table.to_numpy(), strict=True))


def expect_layer(scores: Float[np.ndarray, "layers *samples"], layers: Sequence[int]) -> Float[np.ndarray, "*samples"]:
    """Expected layer of cumulative mixes (Tenney et al. 2019, arXiv 1905.05950, section 3.2).

    With the gain d_l of the mix of layers 0..l over that of 0..l-1: sum_{l >= 1} l d_l / sum_{l >= 1} d_l.
    """
    gains = np.diff(scores, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.tensordot(np.asarray(layers[1:], dtype=float), gains, axes=1) / gains.sum(axis=0))


def entropy_bits(weights: Float[np.ndarray, " layers"]) -> float:
    """- sum_l w_l log2 w_l: log2 L where all layers weigh the same, 0 where one has all the weight."""
    kept = weights[weights > 0]
    return float(-(kept * np.log2(kept)).sum())


def explain_disagreement(row: Mapping[str, Any], names: Mapping[int, str]) -> str:
    """In words, why the views of a task's depth do not agree; empty where they do.

    The rule: they disagree where the layer with the largest weight is not the one with the largest contribution, or
    where the layer with the largest contribution is, alone, significantly worse than the best single layer; the
    latter only where that best layer takes part in the mix.
    """
    weight, contribution = row.get("top_weight"), row.get("top_contribution")
    if weight is None or contribution is None:
        return ""
    reasons = []
    if weight != contribution:
        reasons.append(f"weight points to {_name(names, weight)}, contribution to {_name(names, contribution)}")
    indistinct = row["indistinct"]
    mixed = row["best_layer"] in row["mixed"]
    if mixed and contribution not in indistinct:
        best = _name(names, row["best_layer"])
        reasons.append(f"{_name(names, contribution)}, which contributes most, is worse alone than {best}")
    return "; ".join(reasons)


def judge_agreement(row: Mapping[str, Any], n_layers: int) -> str:
    """Judge whether mix and single layers point to the same depth: `agree`, `do not agree`, or `inconclusive`.

    They agree where no reason of `explain_disagreement` speaks against it and the centre of gravity of contributions
    lies among the layers that are not significantly worse than the best one; but only where those are at most half of
    the layers: among most of the layers any mix would lie.

    Args:
        row: of `summarise_depth`.
        n_layers: single layers that were probed.
    """
    if row["disagreement"]:
        return DISAGREE
    if 2 * len(row["indistinct"]) > n_layers or np.isnan(row["gravity_contribution"]):
        return INCONCLUSIVE
    inside = min(row["indistinct"]) <= row["gravity_contribution"] <= max(row["indistinct"])
    return AGREE if inside else DISAGREE


def _name(names: Mapping[int, str], layer: object) -> str:
    name = names[int(str(layer))]
    return name if name == "embeddings" else f"layer {name}"


def _expected(predictions: pd.DataFrame, task: str, seed: int) -> dict[str, float]:
    correct = correctness(predictions, task, "cumulative_mix")
    if len(correct) < 2:
        return {}
    layers, matrix = list(correct), np.stack(list(correct.values()))
    means = resample_rows(matrix, np.random.default_rng([seed, *task.encode()]))
    # Where the upper layers may well bring nothing, a share of what they bring has no meaning.
    if percentile_interval(means[-1] - means[0])[0] <= 0:
        return {}
    low, high = percentile_interval(expect_layer(means, layers))
    value = float(expect_layer(matrix.mean(axis=1), layers))
    return {"expected_layer": value, "expected_layer_low": low, "expected_layer_high": high}


def _measure(scores: pd.DataFrame, task: str) -> dict[str, float]:
    own = scores[(scores["task"] == task) & (scores["control"] == "none")].drop_duplicates("metric")
    bounds = {"": "value", "_low": "ci_low", "_high": "ci_high"}
    found = {row["metric"]: row for row in own.to_dict("records")}
    return {
        name + bound: found[metric][column]
        for name, metric in _MEASURED.items()
        if metric in found
        for bound, column in bounds.items()
    }


def _diverge(row: Mapping[str, Any]) -> dict[str, float]:
    """KL divergence of the weights from even ones: log2 of their number, less the entropy."""
    if "mixed" not in row:
        return {}
    bounds = {"": "", "_low": "_high", "_high": "_low"}
    most = float(np.log2(len(row["mixed"])))
    return {
        f"kl_uniform_bits{bound}": most - row[f"entropy_bits{other}"]
        for bound, other in bounds.items()
        if f"entropy_bits{other}" in row
    }


def _weigh(weights: pd.DataFrame, scores: pd.DataFrame) -> dict[str, Any]:
    if weights.empty:
        return {}
    both = weights.merge(scores[["layer", "value"]], on="layer", how="left")
    shares = both["weight"].to_numpy()
    row: dict[str, Any] = {"mixed": both["layer"].tolist(), "entropy_bits": entropy_bits(shares)}
    for name in ("weight", "contribution"):
        row[f"gravity_{name}"] = float(centre_of_gravity(both, name).iloc[0])
        row[f"top_{name}"] = int(both["layer"].to_numpy()[both[name].to_numpy().argmax()])
    pairs = {"weight_contribution": ("weight", "contribution"), "weight_score": ("weight", "value")}
    pairs |= {"contribution_score": ("contribution", "value")}
    return row | {f"rank_{name}": correlate_ranks(both[one], both[other]) for name, (one, other) in pairs.items()}


def correlate_ranks(one: pd.Series, other: pd.Series) -> float:
    """Spearman's rank correlation; NaN where one of the two does not vary or there are fewer than three layers."""
    if len(one) < 3 or one.nunique() < 2 or other.nunique() < 2:
        return float("nan")
    return float(one.corr(other, method="spearman"))


def warn_of_disagreement(depth: pd.DataFrame) -> Iterator[str]:
    """One line for every task whose weights, contributions and single-layer scores point to different depths."""
    for _, row in depth.iterrows():
        if row["disagreement"]:
            yield f"{row['title']}: the mix and the single layers disagree on the depth: {row['disagreement']}"
