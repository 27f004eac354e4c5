"""Contract of a way of training."""

from collections.abc import Mapping
from typing import Any, Protocol


class Recipe(Protocol):
    """A way of training: a row of the registry `RECIPES`. `probing.training.plan.Recipe` makes one."""

    settings: type
    """Its flags: a dataclass that inherits from `probing.settings.training.RecipeSettings`."""
    ranges: Mapping[str, Any]
    """A `probing.settings.checks.Range` for each of the settings that has one, by its name."""
    needs: Any
    """A `probing.settings.idle.Need` for each of its settings that have an effect beside some others alone."""
    gentle: Mapping[str, Any]
    """Settings under which any model learns an easy task in 120 steps: the conformance tests try that."""
    rounds: bool
    """True where values are rounded to few levels, so that sums in another order move gradients visibly."""
    origin: Any
    """Settings and a taker of warnings -> a `probing.training.plan.Origin`; None for an encoder with a classifier."""
    tiny: Any
    """A folder -> settings for trying the recipe on a little data there; None for those of a labelled task."""

    def check(self, settings: Any, /) -> None:
        """Refuse, by an InputError, settings in range that do not go together; nothing has been loaded yet."""
        ...

    def plan(self, settings: Any, origin: Any, reporter: Any, /) -> Any:
        """Plan what is to be made, as a `probing.training.plan.RunPlan`.

        Args:
            settings: of the run.
            origin: a `probing.training.plan.Origin`: the encoder that the run starts from.
            reporter: who tells of what takes long.

        Raises:
            InputError: data that cannot be used.
        """
        ...
