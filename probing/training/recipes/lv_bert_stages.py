"""The stages of LV-BERT's search: a supernet, the search on its paths, and a model of one order from scratch."""

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel

from probing.encoders.classifiers import set_dropout
from probing.encoders.layer_patterns import NAMED, build_pattern
from probing.encoders.masked_lm import load_masked_lm
from probing.randomness import stream
from probing.records import InputError
from probing.training.data.masking import Masking
from probing.training.data.running_text import Text
from probing.training.evaluation.masked import MaskedTokens
from probing.training.evaluation.paired import PairedTokens
from probing.training.evaluation.paths import OnePath, PathAccuracy
from probing.training.evolution import Candidate, EvolutionSearch
from probing.training.objectives.masked import Masked
from probing.training.plan import ARCHITECTURE, Origin, Stage, Start
from probing.training.recipes.pretrain_stages import choose_pace, choose_rates
from probing.training.transforms.pattern_space import PatternSpace, Sizes, fit_intermediate
from probing.training.transforms.supernet import PathSampling

if TYPE_CHECKING:  # which plans with what stands here
    from probing.training.recipes.lv_bert import LvBertSettings

SUPERNET, SEARCH = "supernet", "search"
FOUND = ("searched", "best_random")
"""Orders that the search finds: the best of the evolution, and of as many random ones."""
_DRAWS = 1000
"""Draws in a row that bring nothing new, after which a space counts as used up."""


class Lab:
    """All that the stages of one run share.

    Args:
        settings: of the run.
        origin: the outline of its encoder.
        text: what is learned.

    Raises:
        InputError: fewer random orders than are asked for.
    """

    def __init__(self, settings: "LvBertSettings", origin: Origin, text: Text):
        config: Any = origin.config
        self.settings, self.config, self.text = settings, config, text
        self.masking = Masking(settings.mask_share, settings.whole_words)
        self.pace = choose_pace(settings, origin.limit)
        interleaved = build_pattern("interleaved", settings.layers)
        sizes = Sizes(config.hidden_size, config.num_attention_heads, config.intermediate_size, config.conv_kernel_size)
        self.aim = PatternSpace(interleaved, "parameters", sizes)
        """Its reference has the weights that every model trained by itself is given."""
        by_counts = settings.constraint == "counts"
        reference = (0, 1, 2) * (settings.layers // 3) if by_counts else interleaved
        sizes = replace(sizes, intermediate_size=fit_intermediate(reference, self.aim))
        self.space = PatternSpace(reference, settings.constraint, sizes)
        self.patterns = {name: build_pattern(name, settings.layers) for name in settings.orders if name in NAMED}
        self.patterns |= self._draw_orders(settings.random_orders + settings.extra_orders)

    def plan_supernet(self, seed: int) -> Stage:
        """A stage that trains the supernet, one path a step."""
        share = self.settings.supernet_share
        pace = replace(self.pace, max_steps=round(share * self.pace.max_steps), epochs=share * self.pace.epochs)
        # Its loss is of one path of many: it trains to the end.
        pace = replace(pace, until_dev_loss=0.0)
        path = self.space.reference
        return replace(
            self._plan_learning(seed),
            name=SUPERNET,
            build=self._build_supernet,
            pace=pace,
            transforms=lambda start: (PathSampling(self.space, seed, path),),
            evaluation=lambda start: OnePath(MaskedTokens(self._hold_all(), self.text.counts, seed), path),
            weighed=True,
        )

    def plan_search(self) -> Stage:
        """A stage that searches among the supernet's paths, and scores the orders that are trained beside."""
        named = {name: pattern for name, pattern in self.patterns.items() if self.space.allows(pattern)}

        def search(start: Start, model: PreTrainedModel, accelerator: Any) -> EvolutionSearch:
            score = self._score_paths(start, model, accelerator)
            return EvolutionSearch(self.space, self.settings.evolution, score, named)

        stage = replace(self._plan_learning(0), name=SEARCH, kind=SEARCH, start=SUPERNET, search=search)
        return replace(stage, build=lambda start, generator: load_masked_lm(start.checkpoint)[0])

    def plan_training(self, order: str, seed: int) -> Stage:
        """A stage that trains a model of one order from scratch."""
        return replace(self._plan_learning(seed), build=partial(self._build_order, order))

    def describe(self, order: str) -> dict[str, Any]:
        """Variant of the models of an order: its name and, where that is known already, its codes."""
        return {"order": order} | (
            {"pattern": "".join(map(str, self.patterns[order]))} if order in self.patterns else {}
        )

    def _plan_learning(self, seed: int) -> Stage:
        """Stage that supernet and orders have in common: text, its order and masks, rates and evaluation."""
        return Stage(
            "pretrain",
            build=self._build_supernet,
            data=lambda start: self.text.data(self.masking, self.settings.batch_size, seed),
            objective=lambda start, model: Masked(),
            evaluation=lambda start: PairedTokens(self._hold_all(), self.text.counts, seed),
            rates=choose_rates(self.settings),
            pace=self.pace,
        )

    def _hold_all(self) -> dict[str, Any]:
        splits = [split for split in self.text.splits if split != "train"]
        return {split: self.text.hold(split, self.masking, self.settings.limit_dev) for split in splits}

    def _score_paths(self, start: Start, model: PreTrainedModel, accelerator: Any) -> PathAccuracy:
        del start
        return PathAccuracy(model, self.text.hold("dev", self.masking, self.settings.search_blocks), accelerator)

    def _build_supernet(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        del start, generator
        return self._build(self.space.reference, self.space.sizes.intermediate_size, supernet=True)

    def _build_order(self, order: str, start: Start, generator: torch.Generator) -> PreTrainedModel:
        """A model of an order; its inner width is what gives it the interleaved order's weights."""
        del generator
        pattern = self.patterns[order] if order in self.patterns else read_found(start, order)
        free = self.settings.constraint == "none"
        inner = self.space.sizes.intermediate_size if free else fit_intermediate(pattern, self.aim)
        return self._build(pattern, inner, supernet=False)

    def _build(self, pattern: Candidate, inner: int, *, supernet: bool) -> PreTrainedModel:
        values = self.config.to_dict() | {"layer_pattern": list(pattern), "intermediate_size": inner}
        config = type(self.config).from_dict(values | {"supernet": supernet})
        set_dropout(config, self.settings.dropout)
        return AutoModelForMaskedLM.from_config(config)

    def _draw_orders(self, n: int) -> dict[str, Candidate]:
        """Different random orders, which are none of the named ones."""
        rng, known = stream(self.settings.seeds[0], "orders"), set(self.patterns.values())
        drawn: list[Candidate] = []
        misses = 0
        while len(drawn) < n and misses < _DRAWS:
            pattern = self.space.draw(rng)
            misses = misses + 1 if pattern in known else 0
            if not misses:
                drawn.append(pattern)
                known.add(pattern)
        if len(drawn) < n:
            raise InputError(
                f"--random-orders and --extra-orders: {n} wanted, and beside the named ones there are {len(drawn)}; "
                "ask for fewer, or for more --layers"
            )
        return {f"random-{number}": pattern for number, pattern in enumerate(drawn, 1)}


def read_found(start: Start, order: str) -> Candidate:
    """The pattern that the search left under a name."""
    content = json.loads((start.artifacts[SEARCH] / ARCHITECTURE).read_text(encoding="utf-8"))
    return tuple(content[order]["pattern"])
