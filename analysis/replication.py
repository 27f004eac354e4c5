"""BERMo's claims about training (arXiv 2110.15802), each held against a pair of runs: does it hold at this scale?

    faster convergence      steps_bert / steps_bermo to (95 % of) BERT's final dev score; as in
                            `analysis.convergence`
    better scores           final dev score of BERMo less that of BERT, in points
    better gradient flow    (g_1 / g_L of BERMo) / (g_1 / g_L of BERT), g_l the norm of dL/dtheta of block l: how much
                            more the first block gets, held against the last; geometric mean over training. True by
                            construction: the mix gives the last block only its own weight's share of the gradient,
                            with shuffled labels and an untrained encoder as well. No verdict
    stable pruning          share of diverged runs of BERT less that of BERMo, in points
    pruning, score          final dev score of pruned BERMo less that of pruned BERT, in points; under soft movement
                            the two may have other shares of zeros, which the next row tells
    pruning, zeros          share of zeros that BERMo reaches less that of BERT, in points, where a penalty decides it

A claim holds where p, corrected by Holm over the table, is below 0.05 and the effect on its side, and is reversed where
it is on the other; else it is inconclusive. Intervals are 95 %, not corrected: of scores over other seeds and other
dev sentences (`analysis.stats.trained_scores`), of zeros and gradients Student's over seeds, each seed's two models
paired, of steps as in `analysis.convergence`, of a diverged share Newcombe's for the difference of two shares (its p is
Fisher's).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy.stats import binomtest, fisher_exact

from analysis.figures.files import write_figures
from analysis.figures.training import plot_gradients_by_depth, plot_pruning, plot_training
from analysis.runs.frames import title_of
from analysis.runs.training_run import TrainingRun, load_training, name_aims, stack_logs, stack_models
from analysis.stats.convergence import compare_convergence
from analysis.stats.significance import ALPHA, holm, is_equivalent
from analysis.stats.trained_scores import compare_over_seeds, compare_scores
from analysis.tables.formats import to_markdown
from analysis.tables.table import format_p
from analysis.terminal.tables import open_console, print_table
from analysis.terminal.training import draw_rows
from probing.atomic_files import to_csv, write_atomically
from probing.records import InputError

COLUMNS = ["claim", "task", "aim", "bert", "bermo", "effect", "ci_low", "ci_high", "p", "neutral", "n_seeds"]
COLUMNS += ["equivalent"]
"""`neutral` is the effect of no difference: 1 for a ratio, 0 for points; `p` is not corrected, NaN where nothing was
tested; `equivalent` is true where two scores are shown to differ by less than a point. `judge_claims` adds `p_holm`."""

BY_CONSTRUCTION = ("better gradient flow",)
"""Claims that no training could refute."""

Rows = TypeVar("Rows", pd.Series, pd.DataFrame)

_SHARES = (0.95, 1.0)
"""Of BERT's final dev score."""

_NOTE = (
    "[ ]: 95 % interval, of scores over seeds and dev sentences, else over seeds; none where no method covers. Holds, "
    "reversed: p, corrected by Holm over the table, is below 0.05; equivalent: shown to differ by less than a point "
    "either way (two one-sided tests, not corrected); inconclusive: none of these, or nothing was tested. "
    "By construction: the mix alone makes it so, whatever is learned."
)


def load_pairs(folder: Path) -> dict[str, tuple[TrainingRun, TrainingRun]]:
    """The pairs of a replication: `NAME-bert` and `NAME-bermo` side by side in one folder, by name.

    Raises:
        InputError: there are none, or as `load_training`.
    """
    names = sorted(path.name.removesuffix("-bermo") for path in folder.glob("*-bermo"))
    paired = [name for name in names if (folder / f"{name}-bert").is_dir()]
    if not paired:
        raise InputError(f"{folder}: expected folders NAME-bert and NAME-bermo of training runs, found no pair")
    return {name: (load_training(folder / f"{name}-bert"), load_training(folder / f"{name}-bermo")) for name in paired}


def judge_claims(pairs: Iterable[tuple[TrainingRun, TrainingRun]]) -> pd.DataFrame:
    """One row per claim, task and way of pruning.

    Args:
        pairs: a run of BERT and one of BERMo, on the same data.

    Returns:
        Columns `COLUMNS` and `p_holm`; `bert` and `bermo` are steps, scores, ratios or shares, as the claim says.
    """
    rows = [row for bert, bermo in pairs for row in _judge_pair(bert, bermo)]
    claims = pd.DataFrame(rows, columns=COLUMNS).sort_values("claim", kind="stable", ignore_index=True)
    tested = claims["p"].notna()
    corrected = pd.Series(holm(claims.loc[tested, "p"].tolist()), index=claims.index[tested], dtype=float)
    return claims.assign(p_holm=corrected)


def verdict_of(row: Mapping | pd.Series) -> str:
    """`holds` or `reversed` by the corrected p and the side of the effect, else `equivalent` or `inconclusive`.

    Of a claim that no training could refute it is `by construction`.
    """
    if row["claim"] in BY_CONSTRUCTION:
        return "by construction"
    if not row["p_holm"] < ALPHA:
        return "equivalent" if row["equivalent"] else "inconclusive"
    return "holds" if row["effect"] > row["neutral"] else "reversed"


def claims_table(claims: pd.DataFrame) -> pd.DataFrame:
    """The rows of `judge_claims` as strings, with the verdict."""
    return pd.DataFrame([_format(row) for row in claims.to_dict("records")])


def show_replication(folder: Path) -> None:
    """Save table and figures of a folder of pairs there, then print the verdicts.

    Raises:
        InputError: as `load_pairs` and `compare_convergence`.
    """
    pairs = load_pairs(folder)
    claims = judge_claims(pairs.values())
    table = claims_table(claims)
    write_figures(_draw_figures(pairs), folder / "figures")
    write_atomically(folder / "claims.csv", to_csv(claims))
    write_atomically(folder / "claims.md", to_markdown(table, _NOTE).encode())
    console = open_console()
    print_table(console, draw_rows(table, "BERMo's claims about training, here (exploratory)", _NOTE))
    console.print(f"table and figures: {folder}", markup=False, highlight=False, soft_wrap=True)


def _judge_pair(bert: TrainingRun, bermo: TrainingRun) -> list[dict]:
    if bert.pruned:
        return [row for keys in _aims_of(bert) for row in _judge_pruning(bert, bermo, keys)]
    return [*_judge_convergence(bert, bermo), _judge_scores(bert, bermo), _judge_gradients(bert, bermo)]


def _judge_convergence(bert: TrainingRun, bermo: TrainingRun) -> list[dict]:
    table = compare_convergence(bert, bermo, _SHARES)
    numbers = table[["baseline_steps", "other_steps", "ratio", "ci_low", "ci_high", "p"]].to_numpy().tolist()
    aims = [f"to {share:.0%}" for share in _SHARES]
    return [_row("faster convergence", bert, row, neutral=1.0, aim=aim) for aim, row in zip(aims, numbers, strict=True)]


def _judge_scores(bert: TrainingRun, bermo: TrainingRun, claim: str = "better scores", aim: str = "") -> dict:
    one, two = _pair_seeds(*(_select(run, aim).set_index("seed", drop=False) for run in (bert, bermo)))
    *numbers, p = compare_scores(one, two)
    numbers = [100 * number for number in (one["value"].mean(), two["value"].mean(), *numbers)]
    _, low, high, _ = compare_scores(one, two, 1 - 2 * ALPHA)
    return _row(claim, bert, [*numbers, p], neutral=0.0, aim=aim) | {"equivalent": is_equivalent(low, high)}


def _judge_zeros(bert: TrainingRun, bermo: TrainingRun, aim: str) -> dict:
    one, two = _pair_seeds(*(100 * _select(run, aim).set_index("seed")["achieved_sparsity"] for run in (bert, bermo)))
    return _row("pruning, zeros", bert, [one.mean(), two.mean(), *compare_over_seeds(two - one)], neutral=0.0, aim=aim)


def _judge_gradients(bert: TrainingRun, bermo: TrainingRun) -> dict:
    one, two = _pair_seeds(_log_reach(bert), _log_reach(bermo))
    logarithms = [one.mean(), two.mean(), *compare_over_seeds(two - one)[:3]]
    return _row("better gradient flow", bert, [*np.exp(logarithms).tolist(), math.nan], neutral=1.0)


def _judge_pruning(bert: TrainingRun, bermo: TrainingRun, aim: str) -> list[dict]:
    failed = [_select(run, aim)["diverged"].to_numpy(bool) for run in (bert, bermo)]
    numbers = [100 * value for value in (*(one.mean() for one in failed), *newcombe(*failed))]
    table = [[int(one.sum()), int(len(one) - one.sum())] for one in failed]
    p: Any = fisher_exact(table)[1]
    stable = _row("stable pruning", bert, [*numbers, float(p)], neutral=0.0, aim=aim)
    rows = [stable, _judge_scores(bert, bermo, "pruning, score", aim)]
    if (_select(bert, aim)["penalty"] > 0).any():
        rows.append(_judge_zeros(bert, bermo, aim))
    return rows


def _row(claim: str, run: TrainingRun, numbers: list[float], *, neutral: float, aim: str = "") -> dict:
    """`numbers`: BERT, BERMo, effect, lower and upper bound, p."""
    values = (claim, run.task, aim, *numbers, neutral, run.models["seed"].nunique(), False)
    return dict(zip(COLUMNS, values, strict=True))


def _name_aim(models: pd.DataFrame) -> pd.Series:
    named = models["method"].str.replace("_", " ") + " " + name_aims(models)
    return named.where(models["method"] != "", "")


def _aims_of(run: TrainingRun) -> list[str]:
    return list(dict.fromkeys(_name_aim(run.models)))


def _select(run: TrainingRun, aim: str) -> pd.DataFrame:
    scores = run.scores
    return scores[(scores["split"] == "dev") & (_name_aim(scores) == aim)]


def _log_reach(run: TrainingRun) -> pd.Series:
    """Seed -> mean over steps of log(g_1 / g_L).

    Raises:
        InputError: the training ended before its first gradient norms were logged.
    """
    rows = run.log[(run.log["quantity"] == "gradient_norm") & (run.log["layer"] > 0)]
    if rows.empty:
        raise InputError(f"{run.folder}: expected gradient norms in its log, got none; train for more steps")
    table = rows.pivot_table(index=["seed", "step"], columns="layer", values="value").map(np.log)
    return (table.iloc[:, 0] - table.iloc[:, -1]).groupby("seed").mean()


def _pair_seeds(one: Rows, two: Rows) -> tuple[Rows, Rows]:
    both = one.index.intersection(two.index)
    return one.loc[both], two.loc[both]


def newcombe(one: np.ndarray, two: np.ndarray) -> tuple[float, float, float]:
    """The difference of two shares and its 95 % interval (Newcombe 1998, method 10), from Wilson's of either share."""
    (p, below_p, above_p), (q, below_q, above_q) = (_wilson(flags) for flags in (one, two))
    low, high = math.hypot(p - below_p, above_q - q), math.hypot(above_p - p, q - below_q)
    return p - q, p - q - low, p - q + high


def _wilson(flags: np.ndarray) -> tuple[float, float, float]:
    interval = binomtest(int(flags.sum()), len(flags)).proportion_ci(0.95, method="wilson")
    return float(flags.mean()), float(interval.low), float(interval.high)


def _draw_figures(pairs: Mapping[str, tuple[TrainingRun, TrainingRun]]) -> dict:
    figures = {}
    for name, pair in pairs.items():
        runs: Sequence[TrainingRun] = pair
        if pair[0].pruned:
            figures[name] = plot_pruning(stack_models(runs))
        else:
            logs = stack_logs(runs)
            figures[name] = plot_training(logs, metric=pair[0].metric)
            figures[f"{name}-gradients"] = plot_gradients_by_depth(logs)
    return figures


def _format(row: Mapping) -> dict[str, str]:
    digits = "z.2f" if row["neutral"] == 1 else "z.1f"
    own = {"faster convergence": "z.0f", "better gradient flow": "z.2f"}.get(row["claim"], "z.1f")
    bound = "<" if math.isinf(row["bermo"]) else ""
    return {
        "Claim": row["claim"],
        "Task": title_of(row["task"]) + (f", {row['aim']}" if row["aim"] else ""),
        "BERT": _number(row["bert"], own),
        "BERMo": _number(row["bermo"], own),
        "Effect": bound + _number(row["effect"], digits) + _bounds(row, digits),
        "p (Holm)": "-" if math.isnan(row["p_holm"]) else format_p(row["p_holm"]),
        "Seeds": str(row["n_seeds"]),
        "Verdict": verdict_of(row),
    }


def _bounds(row: Mapping, digits: str) -> str:
    low, high = (_number(row[name], digits) for name in ("ci_low", "ci_high"))
    return "" if math.isnan(row["ci_low"]) else f" [{low}, {high}]"


def _number(value: float, digits: str) -> str:
    return "-" if math.isnan(value) else "never" if math.isinf(value) else format(value, digits)
