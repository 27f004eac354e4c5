"""The parts that plug in, by name: where each one lives, loaded when it is asked for and checked against its contract.

One registry per kind. A row maps a name to `"module:attribute"`, or to a module. Installed packages add rows through
entry points in the group `probing.<registry>`, such as `probing.encoders`.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from probing.contracts.checking import find_breach
from probing.records import InputError
from probing.suggestions import suggest

if TYPE_CHECKING:  # The contracts themselves load torch, which `--help` has no need of.
    from probing.contracts.classifier import BuildClassifier
    from probing.contracts.encoder import EncoderModule
    from probing.contracts.measure import Measure
    from probing.contracts.metric import Metric
    from probing.contracts.pooling import Pool
    from probing.contracts.probe import Probe
    from probing.contracts.recipe import Recipe
    from probing.contracts.task import LoadTasks
    from probing.work import OpenEngine, OpenQueue

Part = TypeVar("Part")
_OURS = "this project"


class Registry(Generic[Part]):
    """Parts of one kind, by name.

    Args:
        name: of the registry, in the plural, such as `encoders`: the entry points' group is `probing.<name>`.
        contract: `"module:protocol"` that every part must keep; empty for none.
        rows: name -> `"module:attribute"` of our own parts.
    """

    def __init__(self, name: str, contract: str, rows: Mapping[str, str]):
        self.name, self.contract, self.own = name, contract, dict(rows)
        self._kept: dict[str, Part] = {}
        """Name -> the part that was found to keep the contract."""

    @property
    def kind(self) -> str:
        """Name of one part in a sentence, the singular of the registry's."""
        return self.name.removesuffix("s")

    @cached_property
    def rows(self) -> dict[str, str]:
        """Name -> `"module:attribute"`, installed packages included, which are looked through once.

        Raises:
            InputError: two parts have one name.
        """
        rows, owners = dict(self.own), dict.fromkeys(self.own, _OURS)
        for point in entry_points(group=f"probing.{self.name}"):
            owner = f"package {point.dist.name}" if point.dist else point.value
            if point.name in rows:
                raise InputError(
                    f"{self.kind} {point.name!r}: given by {owners[point.name]} and by {owner}; expected names that "
                    f"differ: rename the entry point of one, or uninstall it"
                )
            rows[point.name], owners[point.name] = point.value, owner
        return rows

    def names(self) -> list[str]:
        """Every known name, sorted."""
        return sorted(self.rows)

    def check(self, name: str) -> str:
        """The name itself, if it is known.

        Raises:
            InputError: it is not; the message offers the nearest ones.
        """
        if name not in self.rows:
            raise InputError(f"unknown {self.kind} {name!r}: {suggest(name, self.names())}")
        return name

    def load(self, name: str) -> Part:
        """The part of that name.

        Raises:
            InputError: the name is unknown, or an installed package's part cannot be loaded or breaks the contract.
        """
        place = self.rows[self.check(name)]
        try:
            part = import_part(place)
        except (ImportError, AttributeError) as error:
            if name in self.own:
                raise
            raise InputError(f"{self.kind} {name!r}: {place} cannot be loaded ({error}); mend its package") from None
        if self._kept.get(name) is not part:
            breach = find_breach(part, import_part(self.contract)) if self.contract else ""
            if breach:
                raise InputError(f"{self.kind} {name!r} ({place}): {breach}; expected what {self.contract} asks for")
            self._kept[name] = part
        return part


def import_part(place: str) -> Any:
    """Import what `"module:attribute"` names, or the module itself where there is no attribute."""
    module, _, attribute = place.partition(":")
    part = import_module(module)
    return getattr(part, attribute) if attribute else part


ENCODERS: "Registry[EncoderModule]" = Registry(
    "encoders",
    "probing.contracts.encoder:EncoderModule",
    {
        "bert": "probing.encoders.bert",
        "bermo": "probing.encoders.bermo",
        "c_bert": "probing.encoders.c_bert",
        "kdlsq_bert": "probing.encoders.kdlsq_bert",
        "lv_bert": "probing.encoders.lv_bert",
        "nas_bert": "probing.encoders.nas_bert",
        "untrained": "probing.encoders.untrained",
    },
)
CLASSIFIERS: "Registry[BuildClassifier]" = Registry(
    "classifiers",  # encoders with a head, to be trained
    "probing.contracts.classifier:BuildClassifier",
    {
        "bert": "probing.encoders.classifiers:build_bert",
        "bermo": "probing.encoders.classifiers:build_bermo",
    },
)
RECIPES: "Registry[Recipe]" = Registry(
    "recipes",  # ways of training
    "probing.contracts.recipe:Recipe",
    {
        "c_bert": "probing.training.recipes.c_bert:RECIPE",
        "finetune": "probing.training.recipes.finetune:RECIPE",
        "kdlsq_bert": "probing.training.recipes.kdlsq_bert:RECIPE",
        "kg_bert": "probing.training.recipes.kg_bert:RECIPE",
        "lv_bert": "probing.training.recipes.lv_bert:RECIPE",
        "tiny_bert": "probing.training.recipes.tiny_bert:RECIPE",
        "nas_bert": "probing.training.recipes.nas_bert:RECIPE",
        "pretrain": "probing.training.recipes.pretrain:RECIPE",
        "prune": "probing.training.recipes.prune:RECIPE",
    },
)
TASKS: "Registry[LoadTasks]" = Registry(
    "tasks",  # corpora that are made or fetched; task files need no row
    "probing.contracts.task:LoadTasks",
    {
        "controlled": "probing.tasks.controlled.corpus:load",
        "senteval": "probing.tasks.files.download:load",
    },
)
PROBES: "Registry[type[Probe]]" = Registry(
    "probes",
    "probing.contracts.probe:Probe",
    {
        "concat": "probing.probes.concat:ConcatProbe",
        "cumulative_mix": "probing.probes.several_layers:CumulativeMixProbe",
        "knn": "probing.probes.knn:KNNProbe",
        "linear": "probing.probes.linear:LinearProbe",
        "majority": "probing.probes.majority:MajorityProbe",
        "mlp": "probing.probes.mlp:MLPProbe",
        "scalar_mix": "probing.probes.scalar_mix:ScalarMixProbe",
        "senteval": "probing.probes.senteval:SentEvalProbe",
    },
)
POOLINGS: "Registry[Pool]" = Registry(
    "poolings",
    "probing.contracts.pooling:Pool",
    {
        "mean": "probing.representations.pooling:pool_mean",
        "cls": "probing.representations.pooling:pool_cls",
        "max": "probing.representations.pooling:pool_max",
    },
)
METRICS: "Registry[Metric]" = Registry(
    "metrics",
    "probing.contracts.metric:Metric",
    {
        "accuracy": "probing.scores.metrics:accuracy",
        "f1": "probing.scores.metrics:f1",
        "matthews": "probing.scores.metrics:matthews",
        "pearson": "probing.scores.metrics:pearson",
        "spearman": "probing.scores.metrics:spearman",
    },
)
MEASURES: "Registry[Measure]" = Registry(
    "measures",  # what a cell can be asked for
    "probing.contracts.measure:Measure",
    {
        "scores": "probing.cells.scoring:compute_cell",
        "amnesia": "probing.cells.amnesia:measure_amnesia",
        "code_length": "probing.cells.code_length:measure_code_length",
        "conditional_information": "probing.cells.conditional_information:measure_conditional_information",
        "weight_intervals": "probing.cells.weight_intervals:measure_weight_intervals",
        "erasure": "probing.cells.erasure:measure_erasure",
        "similarity": "probing.cells.similarity:measure_similarity",
        "knockouts": "probing.cells.knockouts:measure_knockouts",
        "geometry": "probing.cells.geometry:measure_geometry",
        "intrinsic_dimension": "probing.cells.intrinsic_dimension:measure_intrinsic_dimension",
        "gradients": "probing.cells.gradients:measure_gradients",
    },
)
ENGINES: "Registry[OpenEngine]" = Registry(
    "engines",  # where cells are computed
    "probing.work:OpenEngine",
    {
        "local": "probing.engines.local:open_engine",
        "ray": "probing.engines.ray:open_engine",
    },
)
QUEUES: "Registry[OpenQueue]" = Registry(
    "queues",  # what takes whole commands for later: further values of --engine
    "probing.work:OpenQueue",
    {"slurm": "probing.engines.slurm:open_queue"},
)
REGISTRIES: tuple[Registry[Any], ...] = (
    ENCODERS, CLASSIFIERS, RECIPES, TASKS, PROBES, POOLINGS, METRICS, MEASURES, ENGINES, QUEUES,
)  # fmt: skip
