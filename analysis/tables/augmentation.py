"""Tables of a run with augmented sentences: accuracy of each arm, what was written, and some of the sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.augmented_run import AugmentedRun, is_augmented, load_augmented, load_sentences
from analysis.runs.frames import title_of
from analysis.runs.training_run import TrainingRun
from analysis.stats.augmentation import compare_kept, compare_ways, summarise_ways
from analysis.tables.table import STAR, Table, format_bounds, format_gain, format_percent, format_points

_ARMS = (
    "x 100 on test; ±: standard deviation over seeds. Differences are paired by sentence and by seed, [ ]: 95 % "
    f"intervals over both; {STAR}: significant (McNemar with one seed, else the interval's p; Holm over all rows)."
)
_WRITTEN = (
    "x 100 but for perplexity, of all new sentences of train; [ ]: 95 % interval over source sentences, of one seed; "
    "±: standard deviation over seeds. Label kept: by a classifier trained on all of train. New words: not in train. "
    "Perplexity: under the masked language model as it was before it saw the task. Last: of the sources that both "
    "wrote anew, paired."
)
_EXAMPLES = (
    "The first source sentences that every way wrote anew, with the first seed. In place of: new and old tokens. Kept: "
    "whether the judge still gives the label."
)
_METRICS = {
    "label_kept": "Label kept",
    "changed": "Places changed",
    "new_words": "New words",
    "distinct_2": "Distinct pairs",
    "perplexity": "Perplexity",
}
_N_EXAMPLES = 4
_MOST_LETTERS = 100
"""Of a sentence that is shown."""


def tabulate_augmentation(run: TrainingRun) -> dict[str, Table]:
    """Name -> table: accuracy of each arm, what was written, and examples; empty for a run of another kind."""
    if not is_augmented(run):
        return {}
    found, title = load_augmented(run), title_of(run.task)
    tables = {
        "augmentation": tabulate_arms(found, f"{title}: {run.metric} by arm"),
        "new_sentences": tabulate_written(found, f"{title}: the new sentences"),
        "examples": tabulate_examples(found, f"{title}: some of the new sentences"),
    }
    return {name: table for name, table in tables.items() if table.rows}


def tabulate_arms(run: AugmentedRun, title: str = "") -> Table:
    """A row for each classifier, share of train and arm: its accuracy, and what it has beside other arms."""
    arms, pairs = summarise_ways(run), compare_ways(run)
    gains = {(row["classifier"], row["share"], row["way"], row["other"]): row for row in pairs.to_dict("records")}
    rows = []
    for arm in arms.to_dict("records"):
        key = (arm["classifier"], arm["share"], arm["way"])
        cells = [str(arm["classifier"]), f"{arm['share']:.0%}", str(arm["way"]), str(arm["n_seeds"]), _format_mean(arm)]
        rows.append([*cells, *(_format_gain(gains.get((*key, other))) for other in ("none", "unconditional"))])
    heads = ["Classifier", "Of train", "Arm", "Seeds", "Accuracy", "- none", "- unconditional"]
    return Table(_ARMS, heads, rows, title=title)


def tabulate_written(run: AugmentedRun, title: str = "") -> Table:
    """A row for each way of writing, and one for what labels add to it."""
    scored = run.training.models[run.training.models["metric"].str.contains("/")]
    rows = []
    for way in dict.fromkeys(run.judged["way"]):
        own = {metric: scored[scored["metric"] == f"{metric}/{way}"] for metric in _METRICS}
        n = own["label_kept"]["n"].mean()
        rows.append([str(way), f"{n:,.0f}", *(_format_metric(metric, frame) for metric, frame in own.items())])
    for row in compare_kept(run).to_dict("records"):
        share = "" if row["share"] == "1" else f"-{row['share']}"
        name, n = f"conditional{share} - unconditional{share}", f"{row['n']:,} of both"
        rows.append([name, n, _format_gain(row), *[""] * (len(_METRICS) - 1)])
    return Table(_WRITTEN, ["Way", "Sentences", *_METRICS.values()], rows, title=title)


def tabulate_examples(run: AugmentedRun, title: str = "") -> Table:
    """Some new sentences of each way, of the same sources, with what stands there instead of what."""
    first = run.judged[run.judged["seed"] == run.judged["seed"].min()]
    rows = []
    for share, own in first.groupby(first["way"].map(_share_of), sort=False):
        ways = {str(way): _join_sentences(run.training, frame, str(share)) for way, frame in own.groupby("way")}
        sources = [set(frame["row"]) for frame in ways.values()]
        for source in sorted(set.intersection(*sources))[:_N_EXAMPLES]:
            for way in dict.fromkeys(own["way"]):
                row = ways[way][ways[way]["row"] == source].iloc[0]
                rows.append([way, _cut(str(row["text"])), _cut(_list_changes(row)), _say_kept(row)])
    return Table(_EXAMPLES, ["Way", "Sentence", "In place of", "Kept"], rows, title=title)


def _share_of(way: str) -> str:
    return way.partition("-")[2] or "1"


def _join_sentences(run: TrainingRun, judged: pd.DataFrame, share: str) -> pd.DataFrame:
    """The sentences of one way, and the judge's answer on each."""
    name, seed = str(judged["way"].iloc[0]).partition("-")[0], int(judged["seed"].iloc[0])
    return load_sentences(run, name, float(share), seed).merge(judged, on=["row", "copy"])


def _list_changes(row: Mapping[Any, Any] | pd.Series) -> str:
    pairs: Sequence[tuple[str, str]] = list(zip(row["old"], row["new"], strict=True))
    return ", ".join(f"{new}: {old}" for old, new in pairs if old != new)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}..."


def _say_kept(row: Mapping[Any, Any] | pd.Series) -> str:
    return "yes" if row["label"] == row["predicted"] else "no"


def _format_mean(arm: Mapping[Any, Any]) -> str:
    spread = "" if np.isnan(arm["spread"]) else f" ± {format_percent(arm['spread'])}"
    return format_percent(arm["value"]) + spread


def _format_gain(pair: Mapping[Any, Any] | None) -> str:
    if pair is None:
        return ""
    star = STAR if pair["significant"] else ""
    return f"{format_points(pair['difference'])}{star} {format_gain(pair['ci_low'], pair['ci_high'])}"


def _format_metric(metric: str, rows: pd.DataFrame) -> str:
    """A score with its interval, where it has one; of several seeds, the mean and the standard deviation."""
    if rows.empty:
        return "-"
    show = (lambda value: f"{value:z.0f}") if metric == "perplexity" else format_percent
    values = rows["value"]
    if len(rows) > 1:
        return f"{show(values.mean())} ± {show(values.std())}"
    low, high = float(rows["ci_low"].iloc[0]), float(rows["ci_high"].iloc[0])
    bounds = f" [{low:z.0f}, {high:z.0f}]" if metric == "perplexity" else f" {format_bounds(low, high)}"
    return show(float(values.iloc[0])) + ("" if np.isnan(low) else bounds)
