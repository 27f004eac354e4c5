"""Sentences on what probes alone do not show: which properties are their own, and which layers and heads use them."""

from analysis.report.erasure import tell_erasure
from analysis.stats.alike import warn_of_alike
from analysis.stats.amnesia import AGREE, DISAGREE, warn_of_amnesia
from analysis.stats.erasure import warn_of_erasure
from analysis.stats.of_a_run import RunNumbers


def conclude_use(numbers: RunNumbers) -> list[str]:
    """Conclude what erasure, amnesia and knock-outs show; of each that was not measured, which flag does."""
    return [*_conclude_erasure(numbers), *_conclude_amnesia(numbers), *_conclude_knockouts(numbers)]


def _conclude_erasure(numbers: RunNumbers) -> list[str]:
    told = [*tell_erasure(numbers.erasures, numbers.summary), *warn_of_erasure(numbers.run)]
    return told or _ask_for("erasure", "what one property owes to another")


def _conclude_amnesia(numbers: RunNumbers) -> list[str]:
    places = numbers.places
    if places.empty:
        return _ask_for("amnesia", "what later layers make use of")
    used = places.loc[places["verdict"].isin([AGREE, DISAGREE]), "title"].unique().tolist()
    named = ", ".join(used) or "none"
    first = f"Of {places['title'].nunique()} properties erased inside the encoder, later readouts miss: {named}."
    return [first, *warn_of_amnesia(places)]


def _conclude_knockouts(numbers: RunNumbers) -> list[str]:
    views = numbers.views
    if views.empty or views["cost"].isna().all():
        return _ask_for("knockouts", "what the mix loses without each layer")
    lost = [
        f"{row['title']} {100 * row['cost']:.1f} points without layer {row['cost_layer']}"
        for row in views[views["cost_low"] > 0].to_dict("records")
    ]
    first = f"Without its dearest layer, the mix loses: {'; '.join(lost) or 'nothing that the test sets resolve'}."
    return [first, *warn_of_alike(numbers.alike)]


def _ask_for(measure: str, what: str) -> list[str]:
    return [f"This run did not measure {what}: --measures {measure} does."]
