"""The stages of NAS-BERT: latencies, rounds of supernet and shrinking, and a model of one architecture from scratch."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from probing.digests import digest_file, digest_json
from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.model_facts import compute_digest
from probing.encoders.nas_bert_model import NasBertConfig, NasBertModel
from probing.encoders.nas_bert_supernet import NasBertSupernet, NasBertSupernetConfig
from probing.encoders.operations import count_body, read_blocks, write_blocks
from probing.progress import Reporter
from probing.records import InputError
from probing.training.contracts import Objective
from probing.training.data.masking import Masking
from probing.training.data.running_text import HiddenTokens
from probing.training.evaluation.block_losses import BlockLosses
from probing.training.evaluation.by_block import split_rows
from probing.training.evaluation.costs import count_costs
from probing.training.evaluation.latency import measure_table, read_table
from probing.training.evaluation.paths import OnePath
from probing.training.evaluation.teacher_states import HeldOut, TeacherStates
from probing.training.objectives.block_distillation import BlockDistillation
from probing.training.objectives.layer_distillation import LayerDistillation, draw_projection
from probing.training.origins import SCRATCH
from probing.training.plan import Origin, Source, Stage, Start
from probing.training.recipes.nas_bert_budgets import check_latencies, check_sizes, list_budgets, read_hand_made
from probing.training.recipes.nas_bert_search import (
    RANDOM,
    SEARCHED,
    BlockSearch,
    LatencySearch,
    find_all_cells,
    read_findings,
    read_pools,
)
from probing.training.recipes.pretrain import PretrainSettings, prepare_text
from probing.training.recipes.pretrain_stages import choose_pace, choose_rates
from probing.training.transforms.block_space import Costs, Pools, list_choices, list_entries
from probing.training.transforms.shrinking import Amounts
from probing.training.transforms.supernet import PathSampling

if TYPE_CHECKING:  # which plans with what stands here
    from probing.training.recipes.nas_bert import NasBertSettings

LATENCY, SELECT, TRAIN = "latency", "select", "distil"
UNSHRUNK, HAND_MADE = "unshrunk", "hand_made"
"""Arms beside those that a search's findings have names for."""
SHRUNK, WHOLE = "shrunk", "whole"
"""Supernets: one whose blocks shrink while it learns, and one that is trained on all of them to its end."""


class Workshop:
    """All that the stages of one run share.

    Args:
        settings: of the run.
        origin: the outline of a student.
        reporter: who hears of the text.

    Raises:
        InputError: text, a teacher or a table that cannot be used, or a size that no candidate meets.
    """

    def __init__(self, settings: "NasBertSettings", origin: Origin, reporter: Reporter):
        self.settings, self.origin = settings, origin
        self.teacher: Any = find_backbone(load_model(find_checkpoint(settings.teacher))).eval().requires_grad_(False)
        self.borders = choose_borders(len(find_blocks(self.teacher)) - 1, settings.blocks)
        self.pools = Pools((tuple(list_choices(settings.widths, settings.places)),) * settings.blocks)
        self.amounts = Amounts(settings.bins, settings.latency_bins, settings.sampled, settings.kept)
        self.hand_made = {name: read_hand_made(name) for name in settings.hand_made}
        codes = [place % 2 for place in range(settings.places)]
        self.final = ((max(settings.widths), *codes),) * settings.blocks
        """Path that supernets are measured on and left on: a BERT of the widest blocks."""
        self.entries = list_entries(settings.widths)
        """Of the table of latencies: all that candidates are made of."""
        sizes = settings.sizes or sorted({count_body(path) for path in map(read_blocks, self.hand_made.values())})
        self.budgets = list_budgets(sizes, settings.latencies)
        check_sizes(self.budgets, self.pools, Costs(dict.fromkeys(self.entries, 1.0)))
        table = settings.latency_table
        self.shape = (settings.latency_batch, origin.limit)
        facts = {"texts": self.shape[0], "tokens": self.shape[1], "head_size": settings.head_size}
        self.table = read_table(Path(table), self.entries, facts) if table else None
        self.facts = {name: value for name, value in facts.items() if self.table is None or name in self.table}
        """Facts of what was timed, as far as is known."""
        self.running = _as_pretraining(settings)
        self.text = prepare_text(self.running, origin, reporter)
        self.masking, self.pace = Masking(), choose_pace(self.running, origin.limit)
        self.source = self._describe_source()

    def plan_latency(self) -> Stage:
        """A stage that measures, or reads, the latency of everything that candidates are made of."""

        def search(start: Start, model: PreTrainedModel, accelerator: Accelerator) -> LatencySearch:
            del start, model

            def measure() -> Mapping[str, float]:
                return self.table or measure_table(self._config(), self.entries, self.shape, accelerator.device)

            return LatencySearch(self.entries, measure, partial(check_latencies, self.budgets, self.pools), self.facts)

        first = write_blocks((self.pools.blocks[0][0],))
        return replace(self._plan_learning(LATENCY, 0, first), kind="search", search=search)

    def plan_round(self, number: int, n_rounds: int, seed: int) -> tuple[Stage, Stage]:
        """Stages that train a supernet on what is left, and shrink it; the last of so many rounds selects models."""
        steps = round(self.settings.supernet_share * self.pace.max_steps / n_rounds)
        epochs = self.settings.supernet_share * self.pace.epochs / n_rounds
        before, own = _name_round(number - 1), _name_round(number)
        supernet = replace(
            self._plan_supernet(own, seed),
            build=self._build_supernet,
            start=before if number else "",
            pace=replace(self.pace, max_steps=max(1, steps) if self.pace.max_steps else 0, epochs=epochs),
            # Clipped together, one block's gradients would shorten another's.
            rates=replace(choose_rates(self.running), max_grad_norm=0.0),
            transforms=lambda start: (PathSampling(self._find_pools(start, number), seed, self.final),),
        )
        last = number == n_rounds - 1

        def search(start: Start, model: Any, accelerator: Accelerator) -> BlockSearch:
            costs, pools = Costs(read_findings(start.artifacts[LATENCY])), self._find_pools(start, number)
            losses = BlockLosses(model, self._move_teacher(model), self.borders, self._hold_few(model), accelerator)
            return BlockSearch(
                pools,
                costs,
                self.amounts
                if n_rounds > 1
                else replace(self.amounts, sampled=self.amounts.sampled * self.settings.rounds),
                losses,
                number,
                self.budgets if last else (),
                self.settings.evaluated,
                with_random=last and n_rounds == 1 and RANDOM in self.settings.arms,
                cells=find_all_cells(self.pools, costs, self.amounts),
            )

        name = SELECT if last else _name_shrinking(number)
        shrinking = replace(supernet, name=name, kind="search", start=own, search=search)
        return supernet, replace(
            shrinking, build=lambda start, generator: NasBertSupernet.from_pretrained(start.checkpoint.folder)
        )

    def plan_training(self, arm: str, budget: str, seed: int) -> Stage:
        """A stage that trains one model from scratch beside the teacher: one that was found, or one made by hand."""
        if budget in self.hand_made:
            return self._plan_learning(TRAIN, seed, self.hand_made[budget])
        key = RANDOM if arm == RANDOM else SEARCHED
        return self._plan_learning(
            TRAIN, seed, lambda start: read_findings(start.artifacts[SELECT])[key][budget]["blocks"]
        )

    def _plan_learning(self, name: str, seed: int, blocks: list[list[str]] | Callable[[Start], Any]) -> Stage:
        """A stage of a student that learns the teacher's last states, by way of a map of widths."""

        def build(start: Start, generator: torch.Generator) -> PreTrainedModel:
            del generator
            return NasBertModel(self._config(blocks(start) if callable(blocks) else blocks))

        learn, evaluate = self._plan_teaching(lambda model: self._learn_states(model, seed), seed)
        return Stage(
            name,
            build=build,
            data=lambda start: self.text.data(self.masking, self.settings.batch_size, seed),
            objective=learn,
            evaluation=lambda start: evaluate(),
            rates=choose_rates(self.running),
            pace=self.pace,
            costs=lambda model, accelerator: count_costs(model),
        )

    def _plan_supernet(self, name: str, seed: int) -> Stage:
        """A stage of blocks that learn their parts of the teacher."""
        teach = lambda model: BlockDistillation(self._move_teacher(model), self.borders)  # noqa: E731
        learn, evaluate = self._plan_teaching(teach, seed)
        return replace(
            self._plan_learning(name, seed, []),
            objective=learn,
            evaluation=lambda start: OnePath(evaluate(), self.final),
            costs=None,
        )

    def _plan_teaching(
        self, teach: Callable[[PreTrainedModel], Any], seed: int
    ) -> tuple[Callable[[Start, PreTrainedModel], Objective], Callable[[], TeacherStates]]:
        """Makers of an objective, and of the evaluation that reads its losses on held-out text."""
        made: list[Any] = []

        def learn(start: Start, model: PreTrainedModel) -> Objective:
            del start
            made[:] = [teach(model)]
            return made[0]

        def compare(model: PreTrainedModel, examples: Any) -> Mapping[str, torch.Tensor]:
            return made[0].compute(model, examples)

        return learn, lambda: TeacherStates(self._hold_all(), compare, seed)

    def _learn_states(self, model: Any, seed: int) -> LayerDistillation:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            projection = draw_projection(model.config.hidden_size, self.teacher.config.hidden_size, model.device)
        layers = {model.config.num_hidden_layers: self.borders[-1]}
        return LayerDistillation(self._move_teacher(model), layers, {"hidden": 1.0}, projection)

    def _build_supernet(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        del generator
        if start.checkpoint.name != SCRATCH:
            return NasBertSupernet.from_pretrained(start.checkpoint.folder)
        kept = self._config(write_blocks(self.final)).to_dict()
        kept |= {"n_places": self.settings.places, "border_size": int(self.teacher.config.hidden_size)}
        return NasBertSupernet(NasBertSupernetConfig.from_dict(kept | {"widths": list(self.settings.widths)}))

    def _config(self, blocks: Any = None) -> NasBertConfig:
        """The configuration of a student, of other blocks than the outline's where some are given."""
        settings, kept = self.settings, self.origin.config.to_dict()
        drops = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), settings.dropout)
        kept |= drops | ({} if blocks is None else {"blocks": blocks})
        return NasBertConfig.from_dict(kept)

    def _find_pools(self, start: Start, number: int) -> Pools:
        """Architectures that the round before this one has left."""
        return read_pools(start.artifacts[_name_shrinking(number - 1)]) if number else self.pools

    def _move_teacher(self, model: PreTrainedModel) -> Any:
        return self.teacher.to(model.device)

    def _hold_all(self) -> dict[str, HeldOut]:
        return {
            split: _hold(self._hide(split, self.settings.limit_dev)) for split in self.text.splits if split != "train"
        }

    def _hold_few(self, model: PreTrainedModel) -> list[Any]:
        """The blocks of dev that candidates are scored on."""
        held = _hold(self._hide("dev", self.settings.search_blocks))
        return [held.collate(rows, str(model.device)) for rows in held.batches]

    def _hide(self, split: str, limit: int) -> HiddenTokens:
        return self.text.hold(split, self.masking, limit)

    def _describe_source(self) -> Source:
        """The text, with the identity of teacher and table."""
        source, table = self.text.source, self.settings.latency_table
        known = [
            source.digest,
            compute_digest(self.teacher, self.origin.tokenizer),
            digest_file(Path(table)) if table else "",
        ]
        facts = dict(source.facts) | {"teacher": self.settings.teacher, "borders": self.borders}
        return replace(source, digest=digest_json(known), facts=facts)


def choose_borders(n_layers: int, n_blocks: int) -> list[int]:
    """The teacher's layers that blocks begin and end at, as evenly spaced as can be.

    Raises:
        InputError: the teacher has fewer layers than there are blocks.
    """
    if n_layers < n_blocks:
        raise InputError(f"--blocks {n_blocks}: the teacher has {n_layers} layers; expected no more blocks than that")
    return [-(-number * n_layers // n_blocks) for number in range(n_blocks + 1)]


def _name_round(number: int) -> str:
    return f"supernet-{number + 1}"


def _name_shrinking(number: int) -> str:
    return f"shrink-{number + 1}"


def _hold(blocks: HiddenTokens) -> HeldOut:
    return HeldOut(split_rows(len(blocks), blocks.n_tokens // len(blocks)), blocks.collate)


def _as_pretraining(settings: "NasBertSettings") -> PretrainSettings:
    """The settings of a training on running text, as `pretrain` has them."""
    names = {field.name for field in fields(PretrainSettings)} & {field.name for field in fields(settings)}
    return PretrainSettings(**{name: getattr(settings, name) for name in names})
