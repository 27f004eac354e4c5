"""A table as Markdown, LaTeX or CSV.

All take a frame of strings: the main table, or `analysis.tables.table.frame_of` of any other. In the main table the
column `Marked` names the column, if any, whose value is supported as the row's best, and `Group` the rows between two
rules.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from probing.atomic_files import disarm

MARK = "Marked"
"""Not for print."""

_WORDS = ("Group", "Task", "At")
"""Columns that hold words, whatever stands in them."""
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"} | {sign: f"${sign}$" for sign in "<>"}


def to_markdown(table: pd.DataFrame, caption: str = "") -> str:
    """A pipe table, its caption below; the best value in bold where it is supported."""
    heads = _heads(table)
    ruler = [":--" if name in _WORDS else "--:" for name in heads]
    rows = _cells(table, lambda text: text.replace("|", "\\|"), "**{}**")
    text = "".join(f"| {' | '.join(row)} |\n" for row in [heads, ruler, *rows])
    return f"{text}\n{caption}\n" if caption else text


def to_latex(table: pd.DataFrame, caption: str = "") -> str:
    """A `tabular` that needs booktabs; the best value in bold where it is supported, a rule after each group.

    Args:
        table: the strings.
        caption: stands above it as a comment.
    """
    heads, rows = _heads(table), _cells(table, _escape_latex, r"\textbf{{{}}}")
    spec = "".join("l" if name in _WORDS or _has_words(table, name) else "r" for name in heads)
    lines = [f"% {line}" for line in caption.splitlines()]
    lines += [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", _latex_row([_escape_latex(name) for name in heads])]
    groups = table["Group"].tolist() if "Group" in table else [""] * len(table)
    for number, (cells, group) in enumerate(zip(rows, groups, strict=True)):
        lines += [r"\midrule"] if not number or group != groups[number - 1] else []
        lines.append(_latex_row(cells))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def to_csv(table: pd.DataFrame) -> str:
    """Comma-separated, with the column `Marked` in place of bold type."""
    return table.map(disarm).to_csv(index=False, lineterminator="\n")


def _heads(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns if name != MARK]


def _has_words(table: pd.DataFrame, name: str) -> bool:
    """True where some cell of a column begins with a letter; of two columns of one name, of either."""
    return any(str(text)[:1].isalpha() for text in table[[name]].to_numpy().ravel())


def _cells(table: pd.DataFrame, escape: Callable[[str], str], bold: str) -> list[list[str]]:
    marks = table[MARK].tolist() if MARK in table else [""] * len(table)
    rows = table.drop(columns=MARK, errors="ignore").itertuples(index=False, name=None)
    heads = _heads(table)
    return [
        [bold.format(escape(text)) if name == mark else escape(text) for name, text in zip(heads, row, strict=True)]
        for row, mark in zip(rows, marks, strict=True)
    ]


def _escape_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(sign, sign) for sign in text)
    return f"${escaped}$" if escaped[:1] in "+-" and escaped[1:2].isdigit() else escaped


def _latex_row(cells: Sequence[str]) -> str:
    # A bracket behind the end of the row before it would be read as a length.
    first = f"{{}}{cells[0]}" if cells[0].startswith("[") else cells[0]
    return " & ".join([first, *cells[1:]]) + r" \\"
