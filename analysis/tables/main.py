"""The main table of a run: a frame of strings ready to print, and its Markdown, LaTeX and CSV."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis.stats.summary import CONTENDERS

MARK = "Marked"
"""Column that names the one column, if any, whose value is supported as the row's best; not for print."""

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


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
        cells["Majority"] = _percent(row["majority"])
        for name in shown:
            cells[heads[name]] = _score(row, name)
            cells |= {"At": row["best_name"] if row["level"] == "task" else ""} if name == "best" else {}
        difference = _difference(f"{first.capitalize()} - last", _of_row(compared, row), interval)
        cells |= difference or {
            f"{first.capitalize()} - last": _signed(row[f"{first}_minus_last"]),
            "95 % interval": "-",
        }
        rows.append(cells | {MARK: heads.get(find_best(row, comparisons, shown), "")})
    return pd.DataFrame(rows, dtype=object)


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


def to_markdown(table: pd.DataFrame) -> str:
    """A pipe table; the best value in bold where it is supported."""
    heads = [str(name) for name in table.columns.drop(MARK)]
    ruler = [":--" if name in ("Group", "Task", "At") else "--:" for name in heads]
    rows = _cells(table, lambda text: text.replace("|", "\\|"), "**{}**")
    return "".join(f"| {' | '.join(row)} |\n" for row in [heads, ruler, *rows])


def to_latex(table: pd.DataFrame) -> str:
    """A `tabular` that needs booktabs; the best value in bold where it is supported, a rule after each group."""
    heads = [str(name) for name in table.columns.drop(MARK)]
    spec = "".join("l" if name in ("Group", "Task", "At") else "r" for name in heads)
    lines = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", _latex_row([_escape_latex(name) for name in heads])]
    group = None
    for cells, (_, row) in zip(_cells(table, _escape_latex, r"\textbf{{{}}}"), table.iterrows(), strict=True):
        lines += [r"\midrule"] if row["Group"] != group else []
        lines.append(_latex_row(cells))
        group = row["Group"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def to_csv(table: pd.DataFrame) -> str:
    """Comma-separated, with the column `Marked` in place of bold type."""
    return table.to_csv(index=False, lineterminator="\n")


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
        return _percent(row[name])
    return f"{_percent(row[name])} ± {_percent((row[f'{name}_high'] - row[f'{name}_low']) / 2)}"


def _difference(head: str, compared: pd.DataFrame, interval: str) -> dict[str, str]:
    if compared.empty:
        return {}
    pair = compared.iloc[0]
    low, high = 100 * pair["ci_low"], 100 * pair["ci_high"]
    text = f"± {(high - low) / 2:.1f}" if interval == "half" else f"[{low:+.1f}, {high:+.1f}]"
    return {head: _signed(pair["difference"]), "95 % interval": text}


def _signed(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:+.1f}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def _cells(table: pd.DataFrame, escape: Callable[[str], str], bold: str) -> list[list[str]]:
    heads = table.columns.drop(MARK)
    return [
        [bold.format(escape(row[name])) if row[MARK] == name else escape(row[name]) for name in heads]
        for _, row in table.iterrows()
    ]


def _escape_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(sign, sign) for sign in text)
    return f"${escaped}$" if escaped[:1] in "+-" and escaped[1:2].isdigit() else escaped


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
