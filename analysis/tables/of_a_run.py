"""Every table of a run, made once; page and files render them, each by its name."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.stats.of_a_run import RunNumbers
from analysis.tables import amnesia, controls, depth, erasure, measures, scores, seeds
from analysis.tables.main import describe_main, main_table, tabulate_main
from analysis.tables.table import Table, frame_of

Tables = Mapping[str, Table]
"""By name, which is also the stem of its file."""


@dataclass(frozen=True)
class RunTables:
    """The tables of a run by the section they stand in; some have no rows where the run did not measure it."""

    frame: pd.DataFrame
    """The main table, from `analysis.tables.main.main_table`."""
    main: Table
    """The same, the supported best values starred."""
    scores: Tables
    weights: Tables
    gradients: Tables
    """Names begin with `gradients_QUANTITY_`."""
    controls: Tables
    """The first one is what the others spell out by layer."""
    depth: Tables
    measures: Tables
    erasure: Tables
    amnesia: Tables
    """The first one says where it hurts; empty where nothing was erased inside the encoder."""
    seeds: Tables
    published: Tables

    def printed(self) -> dict[str, tuple[pd.DataFrame, str]]:
        """Name -> frame of strings and caption, of every table that has rows, the main one first."""
        sections = (self.scores, self.weights, self.gradients, self.controls, self.depth, self.measures)
        sections += (self.erasure, self.amnesia, self.seeds, self.published)
        tables = {name: table for part in sections for name, table in part.items()}
        frames = {name: (frame_of(table), table.caption) for name, table in tables.items() if table.rows}
        return {"main": (self.frame, describe_main("Bold:"))} | frames


def tabulate_run(numbers: RunNumbers) -> RunTables:
    """The tables of a run.

    Raises:
        InputError: the run has no scores, or a task lacks a layer that others have.
    """
    run, frame = numbers.run, main_table(numbers.summary, numbers.comparisons)
    mixed = {"weights": scores.tabulate_weights(numbers.weights)} if len(numbers.weights) else {}
    above = {"controls": controls.tabulate_controls(numbers.controls)} if len(numbers.gains) else {}
    return RunTables(
        frame=frame,
        main=tabulate_main(frame),
        scores={"scores": scores.tabulate_scores(numbers.scores)},
        weights=mixed | (measures.tabulate_weight_intervals(run) if mixed else {}),
        gradients=_tabulate_gradients(run.gradients),
        controls=above | controls.tabulate_control_layers(run, numbers.gains) | {"cost": controls.tabulate_cost(run)},
        depth={
            "depth": depth.tabulate_depth(numbers.depth),
            "agreement": depth.tabulate_agreement(numbers.depth),
        },
        measures=measures.tabulate_information(run) | measures.tabulate_several_layers(run),
        erasure=erasure.tabulate_erasure(numbers.erasures, numbers.summary),
        amnesia=amnesia.tabulate_amnesia(numbers.losses, numbers.places),
        seeds={"seeds": seeds.tabulate_seeds(numbers.seeds)},
        published={"published": scores.tabulate_published(numbers.published)},
    )


def _tabulate_gradients(gradients: pd.DataFrame) -> dict[str, Table]:
    pairs = gradients[["quantity", "head"]].drop_duplicates().itertuples(index=False, name=None)
    return {
        f"gradients_{quantity}_{head}": scores.tabulate_gradients(gradients, head, quantity) for quantity, head in pairs
    }
