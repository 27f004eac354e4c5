from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from transformers import AutoModelForSequenceClassification

from probing.progress import Reporter
from probing.records import InputError
from probing.training.recipes.prune import PruneSettings, list_aims, plan
from probing.training.run import check_training, find_origin, train
from probing.training.transforms.pruning import Aim, count_zeros, find_linear_layers
from tests.helpers import build_task, write_task


def test_there_is_a_model_per_aim_and_seed_under_a_name_of_its_own(settings):
    settings = replace(
        settings, method=("magnitude", "soft_movement"), sparsity=(0.5, 0.9), penalty=(50.0, 50.5), seeds=(0, 1)
    )
    planned = plan(settings, find_origin(settings), Reporter(quiet=True)).models
    assert [model.name for model in planned] == [
        "magnitude-0.5-seed-0",
        "magnitude-0.5-seed-1",
        "magnitude-0.9-seed-0",
        "magnitude-0.9-seed-1",
        "soft_movement-penalty-50-seed-0",
        "soft_movement-penalty-50-seed-1",
        "soft_movement-penalty-50.5-seed-0",
        "soft_movement-penalty-50.5-seed-1",
    ]
    assert planned[0].variant == {"method": "magnitude", "sparsity": 0.5}
    assert planned[4].variant == {"method": "soft_movement", "penalty": 50.0}
    [stage] = planned[0].stages
    assert stage.transforms(None)[1] is not stage.transforms(None)[1]


def test_there_is_one_model_per_method_and_sparsity_and_for_soft_movement_per_penalty():
    settings = PruneSettings(method=("movement", "soft_movement"), sparsity=(0.5, 0.9), penalty=(100.0, 400.0))
    assert list_aims(settings) == [
        Aim("movement", 0.5),
        Aim("movement", 0.9),
        Aim("soft_movement", penalty=100.0),
        Aim("soft_movement", penalty=400.0),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparsity": (0.5, 1.0)}, r"--sparsity 1\.0: expected 0 or more and below 1"),
        ({"sparsity": (0.5, 0.5)}, r"--sparsity 0\.5 0\.5: expected one or more different ones"),
        ({"penalty": (50.0, 50.0000001)}, r"--penalty 50\.0 50\.0000001: .*also as they are printed"),
        ({"sparsity": (0.12341, 0.12342)}, r"--sparsity .*also as they are printed"),
        ({"method": ()}, "--method: expected one or more different ones"),
        ({"threshold": 0.5}, r"--threshold 0\.5: expected more than 0 and below 0\.5"),
        ({"penalty": (-1.0,)}, r"--penalty -1\.0: expected 0 or more"),
        ({"early_stopping": 3}, "--early-stopping 3: expected 0: what is pruned by a schedule"),
        ({"prune_warmup_share": 0.6, "prune_cooldown_share": 0.6}, "expected at most 1 together, got 1.2"),
        ({"temperature": 0.0}, r"--temperature 0\.0: expected more than 0"),
        ({"temperature": float("inf")}, r"--temperature inf: expected more than 0"),
        ({"penalty": (float("nan"),)}, r"--penalty nan: expected 0 or more"),
        ({"sparsity": (0.5,)}, "--sparsity: has no effect without --method magnitude or movement"),
        ({"penalty": (50.0,), "method": ("movement",)}, "--penalty: has no effect without --method soft_movement"),
        ({"temperature": 3.0}, "--temperature: has no effect without --distill-from"),
        ({"threshold": 0.2, "method": ("movement",)}, "--threshold: has no effect without --method soft_movement"),
        (
            {"score_learning_rate": 1.0, "method": ("magnitude",)},
            "--score-learning-rate: has no effect without --method",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    check_training(PruneSettings())
    with pytest.raises(InputError, match=message):
        check_training(replace(PruneSettings(), **changes))


@pytest.fixture(scope="module")
def settings(tiny_folder, tmp_path_factory):
    """Settings of a run that has ended."""
    folder = tmp_path_factory.mktemp("prune")
    write_task(folder / "data", build_task())
    chosen = PruneSettings(
        method=("movement", "soft_movement"), sparsity=(0.75,), penalty=(400.0,), score_learning_rate=0.5, max_steps=12,
        checkpoint=str(tiny_folder), task="past_present", data=str(folder / "data"), output=folder / "run",
        batch_size=8, evaluate_every=4, dtype="float32", device="cpu", quiet=True,
    )  # fmt: skip
    train(chosen, Reporter(quiet=True))
    return chosen


def test_a_run_leaves_pruned_models_that_load_and_says_how_sparse_they_are(settings):
    models = pd.read_parquet(settings.output / "trained_models.parquet").query("split == 'dev'")
    assert models["method"].tolist() == ["movement", "soft_movement"]
    for row in models.to_dict("records"):
        loaded = AutoModelForSequenceClassification.from_pretrained(settings.output / row["folder"])
        assert count_zeros(find_linear_layers(loaded))[-1] == pytest.approx(row["achieved_sparsity"])
    assert models["achieved_sparsity"].iloc[0] == pytest.approx(0.75)
    assert 0.1 < models["achieved_sparsity"].iloc[1] < 1
    log = pd.read_parquet(settings.output / "training_log.parquet").query("quantity == 'sparsity' and layer == -1")
    for _, own in log.groupby("method"):
        assert own["value"].iloc[0] == 0
        assert own["value"].is_monotonic_increasing


@pytest.mark.slow
def test_a_student_learns_from_the_model_that_a_run_left(settings):
    teacher = settings.output / "models" / "movement-0.75-seed-0"
    own = {"method": ("magnitude",), "score_learning_rate": PruneSettings().score_learning_rate}
    distilled = replace(settings, distill_from=str(teacher), output=settings.output.with_name("student"), **own)
    train(distilled, Reporter(quiet=True))
    log = pd.read_parquet(distilled.output / "training_log.parquet")
    whole, labels, taught = (
        log.loc[log["quantity"] == name, "value"].to_numpy() for name in ("loss", "loss_labels", "loss_teacher")
    )
    assert len(whole) > 0
    np.testing.assert_allclose(whole, 0.5 * labels + 0.5 * taught, rtol=1e-6)  # float32, summed apart
