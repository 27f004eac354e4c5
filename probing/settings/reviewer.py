"""One setting that stands for many: `--reviewer` turns on whatever a claim of the catalogue asks for."""

from dataclasses import replace
from itertools import count

from probing.catalogue.claims import count_seeds, list_controls, list_measures
from probing.catalogue.measures import MEASURES
from probing.settings.run import RunSettings


def expand_reviewer(settings: RunSettings) -> RunSettings:
    """The settings with `reviewer` written out: controls, the mix held against them, measures and seeds.

    What was asked for stays, in its place. A measure that the other settings do not allow is left out. The result is
    what the same flags one by one would give, so that the run is resumed and made again without `--reviewer` too.
    """
    if not settings.reviewer:
        return settings
    controls = dict.fromkeys((*settings.controls, *list_controls()))
    measures = dict.fromkeys((*settings.measures, *(name for name in list_measures() if allows(settings, name))))
    seeds = list(settings.seeds)
    new = (seed for seed in count(settings.seeds[0] if settings.seeds else 0) if seed not in settings.seeds)
    seeds += [next(new) for _ in range(count_seeds() - len(seeds))]
    asked = {"controls": tuple(controls), "measures": tuple(measures), "seeds": tuple(seeds)}
    return replace(settings, reviewer=False, control_mix=True, **asked)


def allows(settings: RunSettings, measure: str) -> bool:
    """True where a measure can be had with the other settings."""
    return all(getattr(settings, field) == value for field, value in MEASURES[measure].needs.items())


def describe_reviewer(settings: RunSettings) -> str:
    """The flags that `--reviewer` was written out as, and what it left out."""
    flags = {name: getattr(settings, name) for name in ("controls", "measures", "seeds")}
    text = " ".join(f"--{name} {' '.join(map(str, values))}" for name, values in flags.items())
    left = [name for name in list_measures() if name not in settings.measures]
    return f"--reviewer: {text} --control-mix" + (
        f" (left out, for other settings or the encoder do not allow them: {', '.join(left)})" if left else ""
    )
