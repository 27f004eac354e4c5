"""Tables of a search of sub-layers' orders."""

import pandas as pd

from analysis.tables.table import Table, format_gain, format_p, format_percent, format_points

_ORDERS = (
    "Pattern: 0 convolution, 1 self-attention, 2 feed-forward. Path: masked accuracy in the supernet, on dev. Test: by "
    "itself, mean over seeds ± standard deviation. All have the interleaved order's weights, steps and tokens. "
    "[ ]: 95 % interval over blocks of text and seeds, over blocks alone where there is one seed."
)
_ANSWERS = (
    "Points of masked accuracy on test, paired by hidden token and seed. [ ]: as above; inconclusive where it holds 0. "
    "Search chose on dev."
)


def tabulate_orders(orders: pd.DataFrame, title: str = "") -> Table:
    """The rows of `summarise_orders`."""
    rows = []
    for row in orders.to_dict("records"):
        spread = "" if pd.isna(row["spread"]) else f" ± {100 * row['spread']:.1f}"
        gain = "-" if pd.isna(row["difference"]) else format_points(row["difference"])
        bounds = "" if pd.isna(row["difference"]) else f" {format_gain(row['low'], row['high'])}"
        cells = [row["order"], row["pattern"], format_percent(row["supernet"]), str(row["n_seeds"])]
        rows.append([*cells, f"{format_percent(row['value'])}{spread}", f"{gain}{bounds}"])
    return Table(_ORDERS, ["Order", "Pattern", "Path", "Seeds", "Test", "Above interleaved"], rows, title=title)


def tabulate_answers(answers: pd.DataFrame, agreement: dict[str, float], title: str = "") -> Table:
    """The rows of `answer_questions`, and the agreement of `measure_agreement`."""
    rows = []
    for row in answers.to_dict("records"):
        verdict = "inconclusive" if row["low"] <= 0 <= row["high"] else "better" if row["low"] > 0 else "worse"
        gain = f"{format_points(row['difference'])} {format_gain(row['low'], row['high'])}"
        rows.append([row["question"], gain, str(row["n_seeds"]), f"{row['n']:,}", verdict])
    if not pd.isna(agreement["tau"]):
        tau = f"{agreement['tau']:+z.2f} [{agreement['low']:+z.2f}, {agreement['high']:+z.2f}]"
        verdict = f"p {format_p(agreement['p'])}"
        rows.append(["Kendall's tau of path and model", tau, "-", f"{agreement['n']:.0f} orders", verdict])
    return Table(_ANSWERS, ["Question", "Answer", "Seeds", "Tokens", "Verdict"], rows, title=title)
