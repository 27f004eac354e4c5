"""Scores of several encoders of one procedure, and a row between them: by layer, by contender, above the controls."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.draws_run import Draws
from analysis.runs.frames import ACCURACY, mean_scores
from analysis.runs.probing_run import Run
from analysis.stats.between_runs import group_predictions
from analysis.stats.controls import summarise_controls
from analysis.stats.draws import (
    Estimate,
    average,
    draw_both,
    estimate_differences,
    estimate_from_bounds,
    estimate_scores,
)
from analysis.stats.significance import ALPHA, holm
from analysis.stats.summary import CONTENDERS, readout_of, summarise_tasks
from probing.catalogue.controls import CONTROLS
from probing.records import GROUPS

BETWEEN = "between encoders"
"""In the column `encoder`: the row over all of them."""
COLUMNS = ["kind", "level", "task", "title", "group", "metric", "majority", "readout", "layer", "layer_name", "encoder"]
COLUMNS += ["n_encoders", "n", "value", "spread", "low", "high", "p", "significant", "method"]
PAIRS = (("mix", "last"), ("mix", "best"), ("best", "last"))
"""Differences of contenders."""

_Rights = Mapping[tuple[str, str, int], np.ndarray]
"""Task, representation and layer -> right (1) or wrong (0) by test sentence, the mean over seeds."""


def summarise_between(draws: Draws, seed: int = 0) -> pd.DataFrame:
    """One row for each number and encoder, and one between encoders.

    Kinds are `layer` (each layer, and the mix), `contender` (the last layer, each encoder's best one by dev, the mix),
    `difference` (of two contenders, paired by sentence) and `control` (the best layer and the mix less a control).

    Returns:
        `COLUMNS`. Rows of single encoders have their own intervals over sentences; `spread` and `method` are those of
        the row between encoders. `p` and `significant` (Holm over tasks, or over groups) are of differences and
        controls there. A mean over the tasks of a group has `level` group.

    Raises:
        InputError: an encoder has no scores, or lacks a layer.
    """
    tasks = {name: summarise_tasks(run).set_index("task") for name, run in draws.runs.items()}
    rights = {name: _list_rights(run) for name, run in draws.runs.items()}
    rows: list[dict[str, Any]] = []
    for task in next(iter(tasks.values())).index:
        found = _OfTask(str(task), {name: frame.loc[task] for name, frame in tasks.items()}, rights, seed)
        rows += [*found.compare_contenders(), *found.list_layers(draws)]
    rows += _average_groups(rows)
    rows += _list_controls(draws)
    return _correct(pd.DataFrame(rows).reindex(columns=COLUMNS))


class _OfTask:
    """All numbers of one task."""

    def __init__(self, task: str, summaries: Mapping[str, pd.Series], rights: Mapping[str, _Rights], seed: int):
        self.task, self.summaries, self.rights = task, summaries, rights
        first = next(iter(summaries.values()))
        names = ("title", "group", "metric", "n", "majority")
        self.facts = {"level": "task", "task": task} | {name: first[name] for name in names}
        self.accurate = first["metric"] == ACCURACY
        generator = np.random.default_rng([seed, *task.encode()])
        self.drawn = draw_both(len(summaries), int(first["n"]), generator) if self.accurate else None

    def compare_contenders(self) -> Iterator[dict[str, Any]]:
        """Rows of the contenders, and of their differences."""
        shown = [name for name in CONTENDERS if all(pd.notna(one[name]) for one in self.summaries.values())]
        for name in shown:
            ends = (name, f"{name}_low", f"{name}_high")
            singles = {encoder: tuple(float(one[end]) for end in ends) for encoder, one in self.summaries.items()}
            layers = {encoder: str(one[f"{name}_name"]) for encoder, one in self.summaries.items()}
            facts = self.facts | {"kind": "contender", "readout": name}
            yield from _list_rows(facts, singles, self._estimate(name, singles), layers)
        for one, other in PAIRS:
            if one in shown and other in shown:
                values = {name: float(own[f"{one}_minus_{other}"]) for name, own in self.summaries.items()}
                singles = {name: (value, np.nan, np.nan) for name, value in values.items()}
                facts = self.facts | {"kind": "difference", "readout": f"{one} - {other}"}
                yield from _list_rows(facts, singles, self._estimate_difference(one, other, singles))

    def list_layers(self, draws: Draws) -> Iterator[dict[str, Any]]:
        """Rows of every layer, and of the mix."""
        frames = []
        for name, run in draws.runs.items():
            frame = mean_scores(run.scores[run.scores["task"] == self.task])
            frames.append(frame.assign(encoder=name))
        whole = pd.concat(frames)
        for readout in whole[["representation", "layer"]].drop_duplicates().itertuples(index=False, name=None):
            kind, layer = str(readout[0]), int(readout[1])
            own = whole[(whole["representation"] == kind) & (whole["layer"] == layer)]
            singles = {row["encoder"]: (row["value"], row["ci_low"], row["ci_high"]) for row in own.to_dict("records")}
            if len(singles) == len(draws.runs):
                readouts = dict.fromkeys(singles, (kind, layer))
                facts = self.facts | {"kind": "layer", "readout": kind, "layer": layer}
                layers = dict.fromkeys((*singles, BETWEEN), own["layer_name"].iloc[0])
                yield from _list_rows(facts, singles, self._of_readouts(readouts, singles), layers)

    def _estimate(self, contender: str, singles: Mapping[str, tuple[float, ...]]) -> Estimate:
        return self._of_readouts({name: readout_of(one, contender) for name, one in self.summaries.items()}, singles)

    def _of_readouts(
        self, readouts: Mapping[str, tuple[str, int]], singles: Mapping[str, tuple[float, ...]]
    ) -> Estimate:
        right = self._stack(readouts)
        return _from_singles(singles) if right is None else estimate_scores(right, self.drawn)

    def _estimate_difference(self, one: str, other: str, singles: Mapping[str, tuple[float, ...]]) -> Estimate:
        both = [
            self._stack({name: readout_of(own, contender) for name, own in self.summaries.items()})
            for contender in (one, other)
        ]
        if both[0] is None or both[1] is None:
            return _from_singles(singles)
        return estimate_differences(both[0] - both[1], self.drawn)

    def _stack(self, readouts: Mapping[str, tuple[str, int]]) -> np.ndarray | None:
        """Right or wrong by encoder and sentence; none where that is not what the task is scored by."""
        rows = [self.rights[name].get((self.task, *readout)) for name, readout in readouts.items()]
        known = [row for row in rows if row is not None]
        return np.stack(known) if self.accurate and len(known) == len(rows) else None


def _list_rights(run: Run) -> _Rights:
    found = {}
    for key, rows in group_predictions(run).items():
        right = (rows["label"] == rows["predicted"]).astype(float)
        found[key] = right.groupby(rows["row"]).mean().sort_index().to_numpy()
    return found


def _from_singles(singles: Mapping[str, tuple[float, ...]]) -> Estimate:
    """An estimate where sentences are not right or wrong: the encoders' intervals stand for them."""
    values, lows, highs = (np.array(column, dtype=float) for column in zip(*singles.values(), strict=True))
    half = float((highs - lows).mean()) / 2
    half = 0.0 if np.isnan(half) else half
    return estimate_from_bounds(values, float(values.mean()) - half, float(values.mean()) + half)


def _list_rows(
    facts: Mapping[str, Any],
    singles: Mapping[str, tuple[float, ...]],
    estimate: Estimate,
    layers: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """A row for each encoder, and the one between them, which has the estimate."""
    known = dict(layers or {})
    for encoder, (value, low, high) in singles.items():
        bounds = {"value": value, "low": low, "high": high}
        yield {**facts, "encoder": encoder, "layer_name": known.get(encoder, ""), **bounds}
    places = [known[name] for name in singles if name in known]
    common = max(dict.fromkeys(places), key=places.count) if places else ""
    where = common if len(set(places)) < 2 else f"{common} ({places.count(common)} of {len(places)})"
    yield {**facts, "encoder": BETWEEN, "layer_name": where, **estimate}


def _average_groups(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Means over the tasks of each group, and over all, of contenders and differences."""
    frame = pd.DataFrame([row for row in rows if row["kind"] != "layer"])
    n_tasks = frame["task"].nunique()
    for group in (*(name for name in GROUPS if (frame["group"] == name).any()), "all"):
        own = frame if group == "all" else frame[frame["group"] == group]
        for (kind, readout), part in own.groupby(["kind", "readout"], sort=False):
            # A mean of some of the tasks must not stand beside one of all.
            if part["task"].nunique() < (n_tasks if group == "all" else own["task"].nunique()):
                continue
            alone = part[part["encoder"] != BETWEEN]
            single = alone.pivot_table(index="task", columns="encoder", values="value", sort=False)
            parts: Any = part[part["encoder"] == BETWEEN].to_dict("records")
            facts = {"kind": kind, "level": "group", "task": "", "title": "mean", "group": group, "readout": readout}
            singles = {str(name): (float(value), np.nan, np.nan) for name, value in single.mean().items()}
            estimate = average(parts, single.to_numpy())
            yield from _list_rows(facts | {"majority": part["majority"].mean()}, singles, estimate)


def _list_controls(draws: Draws) -> Iterator[dict[str, Any]]:
    """Rows of what best layers and mixes have above each control, by the paired intervals of the single encoders."""
    frames = [summarise_controls(run).assign(encoder=name) for name, run in draws.runs.items()]
    whole = pd.concat(frames, ignore_index=True)
    for control in (name for name in CONTROLS if f"{name}_difference" in whole):
        names = [f"{control}_{end}" for end in ("difference", "low", "high")]
        for (task, contender), own in whole.groupby(["task", "contender"], sort=False):
            known = own.dropna(subset=names)
            if len(known) < len(draws.runs):
                continue
            first = known.iloc[0]
            facts = {name: first[name] for name in ("title", "group", "n", "majority")}
            facts |= {"task": task, "level": "task", "kind": "control", "readout": f"{contender} - {control}"}
            bounds = known[["encoder", *names]].itertuples(index=False, name=None)
            singles = {str(encoder): tuple(map(float, numbers)) for encoder, *numbers in bounds}
            layers = dict(zip(known["encoder"], known["layer_name"], strict=True))
            yield from _list_rows(facts, singles, _from_singles(singles), layers)


def _correct(frame: pd.DataFrame) -> pd.DataFrame:
    """Verdicts of differences and controls between encoders, Holm's correction over the tasks, or over the groups."""
    significant = pd.Series(False, index=frame.index)
    tested = frame[(frame["encoder"] == BETWEEN) & frame["kind"].isin(["difference", "control"]) & frame["p"].notna()]
    for _, own in tested.groupby(["kind", "level", "readout"], sort=False):
        significant[own.index] = np.array(holm(own["p"].tolist())) < ALPHA
    return frame.assign(significant=significant)
