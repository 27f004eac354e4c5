"""Answers on several encoders of one procedure, in sentences with numbers."""

from collections.abc import Iterator

import pandas as pd

from analysis.stats.between_encoders import BETWEEN

_NAMES = {"last": "the last layer", "best": "the best layer", "mix": "the mix"}


def answer_draws(rows: pd.DataFrame) -> Iterator[str]:
    """Sentences on how far encoders differ, and which differences of readouts hold for the procedure.

    Args:
        rows: from `analysis.stats.between_encoders.summarise_between`.
    """
    between = rows[rows["encoder"] == BETWEEN]
    scores = between[(between["kind"] == "contender") & (between["readout"] == "best") & (between["level"] == "task")]
    widest = scores.sort_values("spread").iloc[-1]
    yield (
        f"Scores of the best layer differ between {int(widest['n_encoders'])} encoders by a standard deviation of "
        f"{100 * scores['spread'].min():z.1f} to {100 * widest['spread']:z.1f} points, most on {widest['title']}."
    )
    for readout, own in between[between["kind"] == "difference"].groupby("readout", sort=False):
        tasks = own[own["level"] == "task"]
        one, other = str(readout).split(" - ")
        held = tasks[tasks["significant"]]
        above, below = (", ".join(held.loc[sign * held["value"] > 0, "title"]) for sign in (1, -1))
        yield (
            f"In the mean over encoders of this procedure, {_NAMES[one]} is above {_NAMES[other]} on "
            f"{above or 'no task for sure'}{f', and below it on {below}' if below else ''} "
            f"({len(held)} of {len(tasks)} tasks significant, Holm)."
        )
