"""The answer of a run in sentences: what the controls leave, where in the depth, what the mix adds."""

from collections.abc import Sequence

import pandas as pd

from analysis.stats.claims import Borne
from analysis.stats.controls import Standing


def answer(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    standings: Sequence[Standing] = (),
    claims: Sequence[Borne] = (),
) -> list[str]:
    """Sentences with numbers, those on controls first, and last what is not shown, and why.

    A difference that is not significant is called so, and nothing is said of a control that was not run.

    Args:
        summary: from `analysis.stats.summary.summarise`.
        comparisons: from `analysis.stats.within_run.compare_all`.
        standings: from `analysis.stats.controls.judge_controls`.
        claims: from `analysis.stats.claims.judge_claims`.
    """
    return [*map(answer_control, standings), *_answer_mixing(summary, comparisons), *answer_claims(claims)]


def answer_claims(claims: Sequence[Borne]) -> list[str]:
    """Sentences on what the run cannot be quoted for: claims that flags would bear, and those that no one run bears."""
    open_ones = [one for one in claims if one.missing]
    flagged = [one for one in open_ones if not one.claim.beyond]
    beyond = [one for one in open_ones if one.claim.beyond]
    sentences = []
    if flagged:
        sentences.append(f"Not shown: {_list_claims(flagged, 'lacks')}. Run it with --reviewer for these.")
    if beyond:
        sentences.append(f"Not shown by one such run: {_list_claims(beyond, 'takes')}.")
    return sentences


def count_claims(claims: Sequence[Borne]) -> str:
    """The same in a line: how many of the claims the run bears; empty where it bears all."""
    lacking = [one.claim for one in claims if one.missing]
    if not lacking:
        return ""
    flags = "" if all(claim.beyond for claim in lacking) else ", and --reviewer runs it"
    return (
        f"This run bears {len(claims) - len(lacking)} of {_count(len(claims), 'claim')} on what a probe's score means; "
        f"the report says what the others lack{flags}."
    )


def _list_claims(claims: Sequence[Borne], verb: str) -> str:
    return "; ".join(f"that {one.claim.says} ({verb} {', '.join(one.missing)})" for one in claims)


def answer_control(standing: Standing) -> str:
    """On which tasks the best layer is significantly above a control, and on which below."""
    above = f" ({', '.join(standing.above)})" if standing.above else ""
    below = f"significantly below on {', '.join(standing.below)}" if standing.below else "significantly below on none"
    left = standing.n_tasks - len(standing.above) - len(standing.below)
    return (
        f"Best layers are significantly above {standing.title} on {len(standing.above)} of "
        f"{_count(standing.n_tasks, 'task')}{above}, {below}; {left or 'none'} inconclusive."
    )


def _answer_mixing(summary: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    tasks = summary[summary["level"] == "task"]
    if tasks["mix"].notna().any():
        last = _answer_pair(comparisons, "mix", "last", "the scalar mix", "the last layer")
        return [answer_depth(tasks), last, _answer_pair(comparisons, "mix", "best", "the scalar mix", "the best layer")]
    nothing = "This model learns no mix of its layers, so what mixing adds stays open: run --model bermo for that."
    return [answer_depth(tasks), _answer_pair(comparisons, "best", "last", "the best layer", "the last layer"), nothing]


def answer_depth(tasks: pd.DataFrame) -> str:
    """Answer where the best single layers lie, from the lowest to the highest."""
    found = tasks[tasks["best"].notna()].sort_values("best_layer", kind="stable")
    if found.empty:
        return "The run holds no scores of single layers on dev, so no best layer was chosen."
    low, high = found.iloc[0], found.iloc[-1]
    if low["best_layer"] == high["best_layer"]:
        return f"The best single layer, chosen on dev, is {_layer(low)} on {_count(len(found), 'task')}."
    return (
        f"The best single layer, chosen on dev, lies between {_layer(low)} for {low['title']} "
        f"({100 * low['best']:z.1f} on test) and {_layer(high)} for {high['title']} ({100 * high['best']:z.1f}), "
        f"over {_count(len(found), 'task')}."
    )


def _layer(row: pd.Series) -> str:
    name = str(row["best_name"])
    return f"layer {name}" if name.isdigit() else f"the {name}" if name == "embeddings" else name


def _answer_pair(comparisons: pd.DataFrame, first: str, second: str, one: str, other: str) -> str:
    pairs = comparisons[(comparisons["first"] == first) & (comparisons["second"] == second)]
    tasks, whole = pairs[pairs["level"] == "task"], pairs[(pairs["level"] == "group") & (pairs["group"] == "all")]
    if tasks.empty:
        return f"No task has both {one} and {other}, so they are not compared."
    up = tasks[tasks["significant"] & (tasks["difference"] > 0)]
    down = tasks[tasks["significant"] & (tasks["difference"] < 0)]
    counted = f"it is significantly better on {_some(up, len(tasks))} and significantly worse on {_some(down)}"
    if whole.empty:
        return f"{one.capitalize()} is compared with {other} on {_count(len(tasks), 'task')}: {counted}."
    return f"{_answer_mean(whole.iloc[0], one, other)}; {counted}."


def _answer_mean(row: pd.Series, one: str, other: str) -> str:
    points = 100 * row["difference"]
    interval = f"95 % interval {100 * row['ci_low']:+z.1f} to {100 * row['ci_high']:+z.1f}"
    if not row["significant"]:
        verdict = "below a point either way" if row["equivalent"] else "inconclusive"
        what = f"the difference of {one} and {other} is {verdict}"
        return f"On the mean over tasks, {what} ({points:+z.1f} points, {interval})"
    text = "On the mean over tasks, {} scores {:z.1f} points {} {} ({}), which is significant"
    return text.format(one, abs(points), "above" if points > 0 else "below", other, interval)


def _some(rows: pd.DataFrame, of: int = 0) -> str:
    total = f" of {of}" if of else ""
    names: Sequence[str] = rows["task"].tolist()
    return f"{len(names) or 'none'}{total}" + (" tasks" if of else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
