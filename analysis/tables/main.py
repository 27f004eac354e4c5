"""The main table of a run: a frame of strings ready to print."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.stats.summary import CONTENDERS
from analysis.tables.formats import MARK
from analysis.tables.table import EQUAL, STAR, Table, format_gain, format_percent, format_points, mark_verdict


def main_table(summary: pd.DataFrame, comparisons: pd.DataFrame, interval: str = "bounds") -> pd.DataFrame:
    """One row per task, a mean after each group, and the overall mean; scores times 100, one decimal.

    A task whose metric is not accuracy has it behind its name, and no interval of its difference.

    Args:
        summary: from `analysis.stats.summary.summarise`.
        comparisons: from `analysis.stats.within_run.compare_all`.
        interval: of the difference: `bounds` for `[low, high]`, `half` for half its width.

    Returns:
        Strings, in columns `Group`, `Task`, `Majority`, `Last (NAME)`, `Best`, `At` (where the best layer is), `Mix`,
        `Mix - last`, `95 % interval` and `Marked`. Without a mix the difference is `Best - last`.
    """
    with_mix = bool(summary["mix"].notna().any())
    shown = [name for name in CONTENDERS if with_mix or name != "mix"]
    heads = _headings(summary)
    first = "mix" if with_mix else "best"
    compared = comparisons[(comparisons["first"] == first) & (comparisons["second"] == "last")]
    rows = []
    for row in _in_print_order(summary):
        cells = {"Group": row["group"], "Task": row["title"] if row["level"] == "task" else "mean"}
        cells["Majority"] = format_percent(row["majority"])
        for name in shown:
            cells[heads[name]] = _score(row, name)
            cells |= {"At": row["best_name"] if row["level"] == "task" else ""} if name == "best" else {}
        difference = _difference(f"{first.capitalize()} - last", _of_row(compared, row), interval)
        cells |= difference or {
            f"{first.capitalize()} - last": format_points(row[f"{first}_minus_last"]),
            "95 % interval": "-",
        }
        rows.append(cells | {MARK: heads.get(find_best(row, comparisons, shown), "")})
    return pd.DataFrame(rows, dtype=object)


def tabulate_main(table: pd.DataFrame) -> Table:
    """The main table for the page, the supported best value starred.

    Args:
        table: from `main_table`.
    """
    # Groups come last: on a narrow screen the scores are what should be seen first.
    heads = ["Task", *(str(name) for name in table.columns.drop([MARK, "Task", "Group"])), "Group"]
    named = table.assign(Task=table["Task"].where(table["Task"] != "mean", "mean of " + table["Group"]))
    rows = [[f"{row[name]}{STAR if row[MARK] == name else ''}" for name in heads] for row in named.to_dict("records")]
    return Table(describe_main(f"{STAR}:"), heads, rows)


def describe_main(mark: str) -> str:
    """The caption of the main table, where the supported best value is marked so."""
    what = "Accuracy x 100 on test, ± half the 95 % interval. Best: the single layer that is best on dev."
    return (
        f"{what} {mark} significantly better than each of the others. {STAR} behind a difference: significant "
        f"(McNemar, Holm over tasks; of means, Holm over means). {EQUAL} behind it: less than a point either way "
        "(two one-sided tests). Intervals and those tests are not corrected."
    )


def find_best(row: pd.Series, comparisons: pd.DataFrame, names: Sequence[str] = CONTENDERS) -> str:
    """The contender that is significantly better than each of the others, or the empty string.

    The best layer is left out where it is the last layer: the two are one.
    """
    same = row["level"] == "task" and row["best_layer"] == row["last_layer"]
    names = [name for name in names if not (same and name == "best")]
    wins = dict.fromkeys(names, 0)
    for pair in _of_row(comparisons, row).to_dict("records"):
        if pair["significant"] and pair["first"] in wins and pair["second"] in wins:
            wins[pair["first"] if pair["difference"] > 0 else pair["second"]] += 1
    return next((name for name in names if wins[name] == len(names) - 1 > 0), "")


def _headings(summary: pd.DataFrame) -> dict[str, str]:
    names = [name for name in summary["last_name"].dropna() if name]
    return {"last": f"Last ({names[0]})" if names else "Last", "best": "Best", "mix": "Mix"}


def _in_print_order(summary: pd.DataFrame) -> list[pd.Series]:
    order = list(dict.fromkeys(summary["group"]))
    ranks = [(order.index(row["group"]), row["level"] == "group") for _, row in summary.iterrows()]
    rows = [row for _, row in summary.iterrows()]
    return [rows[number] for number in sorted(range(len(rows)), key=ranks.__getitem__)]


def _of_row(comparisons: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    key = "task" if row["level"] == "task" else "group"
    return comparisons[(comparisons["level"] == row["level"]) & (comparisons[key] == row[key])]


def _score(row: pd.Series, name: str) -> str:
    if row["level"] == "group" or np.isnan(row[name]):
        return format_percent(row[name])
    return f"{format_percent(row[name])} ± {format_percent((row[f'{name}_high'] - row[f'{name}_low']) / 2)}"


def _difference(head: str, compared: pd.DataFrame, interval: str) -> dict[str, str]:
    if compared.empty:
        return {}
    pair = compared.iloc[0]
    low, high = pair["ci_low"], pair["ci_high"]
    text = f"± {format_percent((high - low) / 2)}" if interval == "half" else format_gain(low, high)
    return {head: f"{format_points(pair['difference'])}{mark_verdict(pair)}", "95 % interval": text}
