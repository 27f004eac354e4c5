"""Answers on what students have forgotten, in sentences with numbers."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from analysis.runs.frames import title_of
from analysis.runs.lineage import Lineage
from analysis.stats.forgetting import EQUIVALENT, INCONCLUSIVE, SIGNIFICANT
from analysis.stats.of_students import Forgetting

LIMITS = (
    "Probes tell what can be read from a layer, not what the encoder uses. A loss is what a linear probe no longer "
    "finds there; what is inconclusive may still be lost: see the smallest difference that the test set finds.",
    "Layers are held against each other at equal relative depth, layer / number of layers, the embeddings being 0: the "
    "nearest layer of the teacher, of two equally near the lower. Encoders of equal depth have exact partners.",
    "The order of groups is of the tasks shown and of one student each: neither other tasks of a group nor other seeds "
    "of training are in its interval.",
)


def answer_forgetting(found: Forgetting) -> list[str]:
    """Answer what each student lost and where, how its mixes moved, and in which order groups go."""
    sentences = []
    for name in found.students:
        own = found.losses[found.losses["student"] == name]
        sentences.append(f"{name}: {_answer_places(own)} {_answer_depths(own)}")
        sentences += _answer_moves(name, found.moves[found.moves["student"] == name])
        order = found.order[found.order["student"] == name]
        sentences += [answer_order(name, str(place), rows) for place, rows in order.groupby("place", sort=False)]
    return sentences


def explain_teacher(lineages: Mapping[str, Lineage]) -> list[str]:
    """Explain what the distance to this teacher is made of, where a student's training is known; alike ones at once."""
    names: dict[str, list[str]] = {}
    for name, own in lineages.items():
        if name != "teacher" and own.run is not None:
            names.setdefault(_explain(own, lineages["teacher"]), []).append(f"{name}{_describe_zeros(own)}")
    return [f"{_join(known)}: {sentence}" for sentence, known in names.items()]


def answer_order(name: str, place: str, rows: pd.DataFrame) -> str:
    """Answer in which order groups go for one student, at its best layers (`best`) or in its mix (`mix`)."""
    where = "at its best layers" if place == "best" else "in its mix"
    ranked = rows.sort_values("rank").to_dict("records")
    shares = ", ".join(
        f"{row['group']} {100 * row['loss']:z.0f} % ({100 * row['low']:z.0f} to {100 * row['high']:z.0f})"
        for row in ranked
    )
    gained = " (below 0: gained)" if ranked[-1]["loss"] < -0.005 else ""
    lost = f"Of the teacher's room above the majority {name} has lost {where}: {shares}{gained}."
    if not ranked[0]["verdict"]:
        return f"{lost} With one group there is no order."
    held = f"the order holds in {100 * ranked[0]['share']:z.1f} % of the bootstrap's draws"
    if ranked[0]["verdict"] == SIGNIFICANT:
        return f"{lost} That is the order in which they go: {held}."
    if ranked[0]["low"] <= 0:
        return f"{lost} No group is shown to go, so that the order is inconclusive."
    return f"{lost} Which of them goes first is inconclusive: {held}."


def _answer_places(own: pd.DataFrame) -> str:
    parts = []
    for place, words in (("best", "at the best layers"), ("mix", "in the mix")):
        rows = own[own["place"] == place]
        if len(rows):
            parts.append(f"{words} {_count(rows)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _count(rows: pd.DataFrame) -> str:
    lost = rows[rows["significant"] & (rows["difference"] < 0)]
    gained = rows[rows["significant"] & (rows["difference"] > 0)]
    equal, rest = ((rows["verdict"] == verdict).sum() for verdict in (EQUIVALENT, INCONCLUSIVE))
    parts = [f"{verb} {_list_points(found)}" for verb, found in (("lost", lost), ("gained", gained)) if len(found)]
    if equal:
        parts.append(f"{equal} of {len(rows)} tasks equivalent within a point")
    if rest:
        parts.append(f"{rest} of {len(rows)} tasks inconclusive" if parts else f"all {rest} tasks are inconclusive")
    return ", ".join(parts)


def _list_points(rows: pd.DataFrame) -> str:
    ordered = rows.reindex(rows["difference"].abs().sort_values(ascending=False).index)
    return ", ".join(
        f"{abs(100 * row['difference']):z.1f} points of {row['title']} "
        f"[{100 * row['ci_low']:+z.1f}, {100 * row['ci_high']:+z.1f}]"
        for row in ordered.to_dict("records")
    )


def _answer_depths(own: pd.DataFrame) -> str:
    rows = own[own["place"] == "depth"]
    lost = rows[rows["significant"] & (rows["difference"] < 0)]
    if lost.empty:
        return f"By depth, none of {len(rows)} cells is a significant loss."
    worst = lost.sort_values("difference").iloc[0]
    below, points = int((lost["depth"] <= 0.5).sum()), abs(100 * worst["difference"])
    return (
        f"By depth, {len(lost)} of {len(rows)} cells are significant losses, {below} of them in the lower half; the "
        f"largest is {title_of(worst['task'])} at depth {worst['depth']:.2f}, {points:z.1f} points."
    )


def _answer_moves(name: str, moves: pd.DataFrame) -> Iterator[str]:
    own = moves[moves["what"] == "contribution"]
    if own.empty:
        return
    known = own[own["verdict"] != ""]
    if known.empty:
        yield (
            f"How far the mixes of {name} moved has no interval: probe both with --measures weight_intervals. By the "
            f"contributions alone their centres of gravity moved by {_list_moves(own)}."
        )
        return
    moved = own[own["verdict"] == SIGNIFICANT]
    if moved.empty:
        yield f"Whether the mixes of {name} moved in depth is inconclusive on all {len(own)} tasks (contributions)."
        return
    rest = len(own) - len(moved)
    left = f"; {rest} of {len(own)} tasks inconclusive" if rest else ""
    yield f"The centre of gravity of {name}'s mix moved by {_list_moves(moved)} (contributions){left}."


def _list_moves(rows: pd.DataFrame) -> str:
    first, *others = (f"{row['moved']:+z.2f}{{}} on {row['title']}" for row in rows.to_dict("records"))
    return ", ".join([first.format(" of the depth"), *(other.format("") for other in others)])


def _explain(own: Lineage, teacher: Lineage) -> str:
    what = f"trained on {title_of(own.task)} by {own.recipe}, seed {own.seed}."
    if (own.run, own.seed) == (teacher.run, teacher.seed):
        if own.method and not teacher.sparsity:
            return (
                f"{what} This teacher is the twin, trained alike, from the same start and with the same seed, and "
                "nothing pruned: what is lost against it is lost by pruning alone."
            )
        return f"{what} This teacher comes of the same training and seed: they differ by what was varied there."
    if own.method and own.sparsity:
        return (
            f"{what} Against this teacher, what training on that task and what pruning cost are lost together. For "
            "pruning alone the right teacher is the twin, trained alike and not pruned (--sparsity 0, the same seed)."
        )
    return f"{what} Against this teacher, all that its making changed counts, training on that task included."


def _describe_zeros(own: Lineage) -> str:
    return f" ({100 * own.sparsity:z.0f} % zeros)" if own.method else ""


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
