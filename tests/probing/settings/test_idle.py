"""Settings that have no effect beside others are told, each in one line, and others are not."""

from dataclasses import dataclass

import pytest

from probing.cells.plan import mixes_layers
from probing.preparing import list_without_effect
from probing.registry import RECIPES
from probing.settings.idle import OF_TRAINING, list_idle
from probing.settings.run import RunSettings
from tests.helpers import build_task


@dataclass
class Encoder:
    mixes_layers: bool
    checkpoint: str = ""
    revision: str = ""
    digest: str = ""
    layer_names: tuple[str, ...] = ("embeddings", "1")
    hidden_sizes: tuple[int, ...] = (8, 8)
    hidden_size: int = 8
    max_length: int = 16
    dtype: str = "float32"
    device: str = "cpu"
    backend: str = "torch"


def tell_run(mixes=True, **changes):
    settings, encoder = RunSettings(**changes), Encoder(mixes)
    assert mixes_layers(settings, encoder) == (mixes or settings.mix == "on")
    return list_without_effect(settings, settings, encoder, [build_task()])


@pytest.mark.parametrize(
    ("idle", "effective"),
    [
        ({"special_tokens": False, "pooling": "cls"}, {"special_tokens": False}),
        ({"gradient_steps": 9, "gradients": 0}, {"gradient_steps": 9}),
        ({"baseline_layer": 1}, {"baseline_layer": 1, "measures": ("conditional_information",)}),
        ({"amnesia_limit": 9}, {"amnesia_limit": 9, "measures": ("amnesia",)}),
        ({"mix_norm": True, "gradients": 0, "mixes": False}, {"mix_norm": True, "gradients": 0}),
        ({"mix_embeddings": True, "gradients": 0, "mixes": False}, {"mix_embeddings": True, "mixes": False}),
        ({"mix_dropout": 0.1, "mixes": False}, {"mix_dropout": 0.1, "mixes": False, "mix": "on"}),
        ({"control_mix": True, "mixes": False}, {"control_mix": True}),
        ({"control_mix": True, "controls": ("word_count",)}, {"control_mix": True, "controls": ("shuffled_labels",)}),
        ({"seeds": (0, 1), "mixes": False}, {"seeds": (0, 1)}),
        ({"seeds": (0, 1), "mixes": False}, {"seeds": (0, 1), "mixes": False, "probe": "mlp"}),
        ({"retries": 1}, {"retries": 1, "engine": "ray"}),
        ({"slurm_time": 9, "engine": "ray"}, {"slurm_time": 9, "engine": "slurm"}),
        ({"senteval_url": "x"}, {"senteval_url": "x", "data": "senteval"}),
    ],
)
def test_a_run_is_told_of_a_flag_without_effect_and_of_no_other(idle, effective):
    [line] = tell_run(**idle)
    assert "no effect" in line
    assert tell_run(**effective) == []


@pytest.mark.parametrize(
    ("recipe", "idle", "effective"),
    [
        ("finetune", {"model": "bert", "mix_learning_rate": 0.1}, {"model": "bermo", "mix_learning_rate": 0.1}),
        ("finetune", {"epochs": 9.0, "max_steps": 5}, {"epochs": 9.0}),
        ("kg_bert", {"baseline_steps": 9, "baselines": ("frequency",)}, {"baseline_steps": 9}),
        ("kg_bert", {"rank_budget": 9.0}, {"rank_budget": 9.0, "task": "links"}),
        ("c_bert", {"temperature": 0.5, "arms": ("none", "synonyms")}, {"temperature": 0.5, "arms": ("pretrained",)}),
        ("c_bert", {"lm_epochs": 1.0, "arms": ("pretrained",)}, {"lm_epochs": 1.0, "arms": ("unconditional",)}),
        ("c_bert", {"word_epochs": 1.0}, {"word_epochs": 1.0, "classifiers": ("cnn",)}),
        ("kdlsq_bert", {"teacher_steps": 9, "distill_from": "x"}, {"teacher_steps": 9}),
        ("kdlsq_bert", {"temperature": 2.0, "arms": ("lsq",)}, {"temperature": 2.0, "arms": ("kdlsq",)}),
        ("kdlsq_bert", {"learning_rate": 1.0, "arms": ("minmax", "initial")}, {"learning_rate": 1.0, "arms": ("lsq",)}),
        ("tiny_bert", {"copies": 2}, {"copies": 2, "arms": ("augmented",)}),
        ("tiny_bert", {"general_steps": 2, "arms": ("task",)}, {"general_steps": 2}),
        ("tiny_bert", {"layer_map": (1,), "arms": ("labels",)}, {"layer_map": (1,), "arms": ("general",)}),
        ("pretrain", {"generator_size": 0.5}, {"generator_size": 0.5, "objective": "replaced"}),
    ],
)
def test_a_training_is_told_of_a_flag_without_effect_and_of_no_other(recipe, idle, effective):
    found = RECIPES.load(recipe)
    needs = (*OF_TRAINING, *found.needs)
    [line] = list_idle(found.settings(**idle), needs)
    assert "no effect" in line
    assert list_idle(found.settings(**effective), needs) == []
    assert list_idle(found.settings(), needs) == []
