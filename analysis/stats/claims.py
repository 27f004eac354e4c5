"""Claims that a run bears: for each of the catalogue's, what of the things it asks for the run lacks."""

from dataclasses import dataclass

from analysis.runs.frames import ACCURACY, headline_metrics
from analysis.runs.probing_run import Run
from probing.catalogue.claims import CLAIMS, Claim, list_missing
from probing.catalogue.controls import DIFFERENCES
from probing.catalogue.measures import QUANTITIES
from probing.catalogue.readouts import FURTHER


@dataclass(frozen=True)
class Borne:
    """A claim, and what a run lacks for it."""

    claim: Claim
    missing: tuple[str, ...]
    """In words; empty where the run has all that the claim asks for."""


def judge_claims(run: Run) -> list[Borne]:
    """Every claim of the catalogue, in its order, with what the run lacks for it; without a mix, none that is of it."""
    ran, mixed = list_ran(run), run.scores[run.scores["representation"] == "scalar_mix"]
    n_seeds = int(mixed["seed"].nunique()) if len(mixed) else 1
    claims = [claim for claim in CLAIMS.values() if len(mixed) or not claim.of_mix]
    return [Borne(claim, tuple(list_missing(claim, ran, n_seeds))) for claim in claims]


def list_ran(run: Run) -> set[str]:
    """The controls and measures that a run has numbers of, on every task of its that is counted by accuracy.

    Of a graded task nothing is right or wrong, so that it is held against no control. A measure that writes no row of
    the score table counts where the settings name it.
    """
    metrics = headline_metrics(run.scores)
    scores = run.scores[run.scores["task"].isin(metrics.index[metrics == ACCURACY])]
    n_tasks = scores["task"].nunique()
    held = scores[scores["metric"].isin(DIFFERENCES)]
    plain = scores[scores["control"] == "none"]
    measured = plain[plain["metric"].isin([*QUANTITIES])]
    further = plain[plain["representation"].isin(FURTHER)]
    names = {quantity.measure for quantity in QUANTITIES.values()} | set(FURTHER)
    found = {name for name in run.settings.get("measures", []) if name not in names}
    for rows, keys in (
        (held, held["control"]),
        (measured, measured["metric"].map({name: quantity.measure for name, quantity in QUANTITIES.items()})),
        (further, further["representation"]),
    ):
        counts = rows.groupby(keys)["task"].nunique()
        found |= {str(name) for name in counts.index[counts == n_tasks]}
    return found
