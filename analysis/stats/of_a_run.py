"""Statistics of a run, each worked out once: terminal, page and files draw from here."""

from functools import cached_property

import pandas as pd

from analysis.runs.frames import mean_scores, mean_weights
from analysis.runs.probing_run import Run
from analysis.stats.amnesia import judge_places, list_losses
from analysis.stats.controls import Standing, judge_controls, mean_gains, summarise_controls
from analysis.stats.depth import summarise_depth
from analysis.stats.erasure import list_erasures
from analysis.stats.published import match_published
from analysis.stats.seeds import summarise_seeds
from analysis.stats.summary import summarise
from analysis.stats.within_run import compare_all


class RunNumbers:
    """The frames of a run, each computed when it is first asked for.

    Args:
        run: whose numbers.
        seed: of the bootstrap.
    """

    def __init__(self, run: Run, seed: int = 0):
        self.run, self.seed = run, seed

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The result of `mean_scores`."""
        return mean_scores(self.run.scores)

    @cached_property
    def weights(self) -> pd.DataFrame:
        """The result of `mean_weights`."""
        return mean_weights(self.run.weights)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The result of `summarise`."""
        return summarise(self.run)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """The result of `compare_all`."""
        return compare_all(self.run)

    @cached_property
    def controls(self) -> pd.DataFrame:
        """The result of `summarise_controls`."""
        return summarise_controls(self.run)

    @cached_property
    def standings(self) -> list[Standing]:
        """The result of `judge_controls`."""
        return list(judge_controls(self.controls))

    @cached_property
    def gains(self) -> pd.DataFrame:
        """The result of `mean_gains`."""
        return mean_gains(self.run)

    @cached_property
    def depth(self) -> pd.DataFrame:
        """The result of `summarise_depth`."""
        return summarise_depth(self.run, self.seed)

    @cached_property
    def erasures(self) -> pd.DataFrame:
        """The result of `list_erasures`."""
        return list_erasures(self.run)

    @cached_property
    def losses(self) -> pd.DataFrame:
        """The result of `list_losses`; no rows where nothing was erased inside the encoder."""
        return list_losses(self.run.amnesia) if len(self.run.amnesia) else pd.DataFrame()

    @cached_property
    def places(self) -> pd.DataFrame:
        """The result of `judge_places`."""
        return judge_places(self.losses, self.depth) if len(self.losses) else pd.DataFrame()

    @cached_property
    def seeds(self) -> pd.DataFrame:
        """The result of `summarise_seeds`."""
        return summarise_seeds(self.run.predictions, seed=self.seed)

    @cached_property
    def published(self) -> pd.DataFrame:
        """The result of `match_published`."""
        return match_published(self.run, self.scores)
