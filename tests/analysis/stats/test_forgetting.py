"""What students forgot: planted losses are found where they were planted and nowhere else."""

import json
import re
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm

from analysis import forgetting as command
from analysis.figures.forgetting import plot_losses, plot_mixes
from analysis.report.forgetting import build_page
from analysis.report.forgetting_answer import answer_forgetting, answer_order, explain_teacher
from analysis.runs.lineage import trace_encoder
from analysis.stats.forgetting import match_layers, measure_losses
from analysis.stats.forgetting_order import order_groups
from analysis.stats.moved_mixes import measure_moves
from analysis.stats.of_students import hold_against
from analysis.tables.forgetting import tabulate_depths, tabulate_encoders, tabulate_losses
from probing.records import InputError

RUNS = Path(__file__).parents[1] / "runs"
TASKS = ["sentence_length", "tree_depth", "bigram_shift", "past_present", "subj_number"]
HALF = [0, 2, 4]
"""Layers of the teacher of five that a student of three has partners in."""


@pytest.fixture(scope="module")
def teacher(build_run):
    return name(build_run(tasks=TASKS, n_layers=5), "teacher")


def name(run, folder, **encoder):
    return replace(run, folder=Path(folder), manifest={"encoder": {"digest": folder, **encoder}})


def choose(frame, task, layer, representation="layer"):
    return (frame["task"] == task) & (frame["representation"] == representation) & (frame["layer"] == layer)


def rescore(run):
    """The same run with test scores counted from its predictions."""
    right = (run.predictions["label"] == run.predictions["predicted"]).astype(float)
    shares = right.groupby([run.predictions[key] for key in ("task", "representation", "layer")]).mean()
    scores = run.scores.copy()
    for (task, representation, layer), share in shares.items():
        scores.loc[choose(scores, task, layer, representation) & (scores["split"] == "test"), "value"] = share
    return replace(run, scores=scores)


def worsen(run, task, layer, share, representation="layer"):
    """A copy that is wrong on a share of the sentences that this readout had right."""
    predictions = run.predictions.copy()
    at = choose(predictions, task, layer, representation) & (predictions["label"] == predictions["predicted"])
    hit = predictions.index[at][: round(share * at.sum())]
    predictions.loc[hit, "predicted"] = predictions.loc[hit, "label"] + 1
    return rescore(replace(run, predictions=predictions))


def shuffle(run, n=20):
    """A copy with as many right answers in each readout, but on other sentences."""
    predictions, rng = run.predictions.copy(), np.random.default_rng(0)
    for _, own in predictions.groupby(["task", "representation", "layer"]):
        right = (own["label"] == own["predicted"]).to_numpy()
        worse, better = (rng.choice(own.index[side], n, replace=False) for side in (right, ~right))
        predictions.loc[worse, "predicted"] = predictions.loc[worse, "label"] + 1
        predictions.loc[better, "predicted"] = predictions.loc[better, "label"]
    return rescore(replace(run, predictions=predictions))


def keep_layers(run, layers):
    """A copy whose encoder has these layers alone, numbered from 0."""
    numbers = {layer: number for number, layer in enumerate(layers)} | {-1: -1}
    parts = {}
    for part in ("scores", "weights", "predictions"):
        frame = getattr(run, part)
        frame = frame[frame["layer"].isin(numbers)]
        parts[part] = frame.assign(layer=frame["layer"].map(numbers))
    return replace(run, **parts)


def layer_that_is_not_best(run, task):
    dev = run.scores[(run.scores["split"] == "dev") & (run.scores["representation"] == "layer")]
    own = dev[dev["task"] == task].sort_values("value")
    return int(own["layer"].iloc[-2])


def test_a_loss_planted_at_one_layer_of_one_task_is_significant_there_and_nowhere_else(teacher):
    layer = layer_that_is_not_best(teacher, "tree_depth")
    student = name(worsen(shuffle(teacher, 5), "tree_depth", layer, 0.3), "student")
    losses = measure_losses(teacher, {"student": student})
    found = losses[losses["significant"]]
    assert found[["task", "place", "layer"]].values.tolist() == [["tree_depth", "depth", layer]]
    row = found.iloc[0]
    assert row["verdict"] == "significant"
    assert row["difference"] == pytest.approx(row["student_score"] - row["teacher_score"])
    assert row["ci_high"] < 0
    assert set(losses.loc[~losses["significant"], "verdict"]) <= {"inconclusive", "equivalent"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disturb", "verdict"),
    [(lambda run: run, "equivalent within a point"), (shuffle, "inconclusive")],
    ids=["same answers", "as many right answers"],
)
def test_without_a_loss_nothing_is_significant(teacher, disturb, verdict):
    found = hold_against(teacher, [name(disturb(teacher), "student")])
    assert set(found.losses["verdict"]) == {verdict.split()[0]}
    assert found.losses["difference"].abs().max() < 1e-12
    assert set(found.order["verdict"]) == {"inconclusive"}
    assert any(verdict in sentence and "5 tasks" in sentence for sentence in answer_forgetting(found))


def test_difference_interval_and_p_are_those_of_the_sentences(teacher):
    student = name(worsen(teacher, "past_present", -1, 0.2, "scalar_mix"), "student")
    row = measure_losses(teacher, {"s": student}).query("place == 'mix' and task == 'past_present'").iloc[0]
    ours, theirs = (
        run.predictions[choose(run.predictions, "past_present", -1, "scalar_mix")].sort_values("row")
        for run in (teacher, student)
    )
    d = (theirs["label"] == theirs["predicted"]).to_numpy(int) - (ours["label"] == ours["predicted"]).to_numpy(int)
    assert row["difference"] == pytest.approx(d.mean())
    assert row["p"] == pytest.approx(binomtest(int((d > 0).sum()), int((d != 0).sum())).pvalue)
    padded = np.append(d, [1, -1])  # Bonett and Price's two more
    half = norm.ppf(0.975) * padded.std() / np.sqrt(len(padded))
    assert [row["ci_low"], row["ci_high"]] == pytest.approx([padded.mean() - half, padded.mean() + half])


@pytest.mark.slow
def test_p_is_corrected_over_the_main_table_and_over_the_table_by_depth(teacher):
    student = name(worsen(worsen(teacher, "past_present", -1, 0.1, "scalar_mix"), "tree_depth", 3, 0.2), "student")
    losses = measure_losses(teacher, {"one": student, "two": student})
    for kind, n in (("depth", 2 * 5 * 5), ("other", 2 * 5 * 2)):
        rows = losses[(losses["place"] == "depth") == (kind == "depth")]
        assert len(rows) == n
        assert rows["p_holm"].min() == pytest.approx(min(1, rows["p"].min() * n))


@pytest.mark.parametrize(
    ("n_student", "n_teacher", "partners"),
    [
        (4, 12, [0, 3, 6, 9, 12]),
        (3, 6, [0, 2, 4, 6]),
        (6, 6, [0, 1, 2, 3, 4, 5, 6]),
        (3, 4, [0, 1, 3, 4]),  # 1/3 lies nearer to 1/4 than to 1/2
        (4, 2, [0, 0, 1, 1, 2]),  # 1/4 lies between 0 and 1/2, 3/4 between 1/2 and 1: the lower one
    ],
)
def test_layers_are_matched_by_relative_depth(n_student, n_teacher, partners):
    found = match_layers(range(n_student + 1), n_student, range(n_teacher + 1), n_teacher)
    assert list(found.values()) == partners


def test_a_shallower_student_is_held_against_the_layers_at_its_own_depth(teacher):
    student = name(keep_layers(teacher, HALF), "student")
    losses = measure_losses(teacher, {"s": student}, ["Tense"])
    depth = losses[losses["place"] == "depth"]
    assert depth["teacher_layer"].tolist() == HALF
    assert depth["depth"].tolist() == depth["teacher_depth"].tolist() == pytest.approx([0, 1 / 2, 1])
    assert (depth["difference"] == 0).all(), "equal layers, at equal depth"
    assert "~" not in str(tabulate_depths(losses, "s").rows)


def test_depth_is_that_of_the_encoder_where_only_some_layers_were_probed(teacher):
    layers = ["embeddings", *map(str, range(1, 13))]
    student = name(keep_layers(teacher, [0, 4]), "student", layers=layers)
    depth = measure_losses(teacher, {"s": student}, ["Tense"]).query("place == 'depth'")
    assert depth["depth"].tolist() == pytest.approx([0, 1 / 12])
    assert depth["teacher_layer"].tolist() == [0, 0]
    assert "~" in str(tabulate_depths(depth, "s").rows)


def relative_losses(teacher, student, losses):
    rows = losses[losses["place"] == "best"]
    return {
        row["task"]: (row["teacher_score"] - row["student_score"]) / (row["teacher_score"] - row["majority"])
        for row in rows.to_dict("records")
    }


@pytest.fixture(scope="module")
def fair(teacher):
    """The teacher, its majorities counted from the labels."""
    rows = teacher.predictions[teacher.predictions["representation"] == "scalar_mix"]
    shares = rows.groupby("task")["label"].agg(lambda labels: labels.value_counts(normalize=True).iloc[0])
    return replace(teacher, scores=teacher.scores.assign(majority=teacher.scores["task"].map(shares)))


def worsen_tasks(run, shares):
    best = measure_losses(run, {"s": name(run, "s")}).query("place == 'best'").set_index("task")["layer"]
    for task, share in shares.items():
        run = worsen(run, task, best[task], share)
    return name(run, "student")


@pytest.mark.slow
def test_the_group_that_lost_most_goes_first_and_the_order_holds(fair):
    student = worsen_tasks(fair, {"tree_depth": 0.5, "bigram_shift": 0.25, "subj_number": 0.08})
    losses = measure_losses(fair, {"s": student})
    order = order_groups(fair, {"s": student}, losses, {}).query("place == 'best'")
    by_task = relative_losses(fair, student, losses)
    expected = {
        "syntactic": (by_task["tree_depth"] + by_task["bigram_shift"]) / 2,
        "semantic": (by_task["past_present"] + by_task["subj_number"]) / 2,
        "surface": by_task["sentence_length"],
    }
    assert dict(zip(order["group"], order["loss"], strict=True)) == pytest.approx(expected)
    assert order["group"].tolist() == ["syntactic", "semantic", "surface"]
    assert order["rank"].tolist() == [1, 2, 3]
    assert set(order["verdict"]) == {"significant"}
    assert (order["low"] <= order["loss"]).all()
    assert (order["loss"] <= order["high"]).all()


@pytest.mark.slow
def test_share_and_interval_are_those_of_drawing_sentences_one_by_one(fair):
    student = worsen_tasks(fair, {"bigram_shift": 0.06, "subj_number": 0.05})
    losses = measure_losses(fair, {"s": student}, ["BShift", "SubjNum"])
    order = order_groups(fair, {"s": student}, losses, {}).query("place == 'best'").set_index("group")
    rng, drawn = np.random.default_rng(1), {}
    for row in losses[losses["place"] == "best"].to_dict("records"):
        sides = [run.predictions[choose(run.predictions, row["task"], row["layer"])] for run in (fair, student)]
        right = [(side["label"] == side["predicted"]).to_numpy() for side in sides]
        right.append((sides[0]["label"] == sides[0]["label"].mode()[0]).to_numpy())
        picks = rng.integers(row["n"], size=(4000, row["n"]))
        t, s, m = (side[picks].mean(axis=1) for side in right)
        drawn[row["group"]] = (t - s) / (t - m)
    for group, losses_drawn in drawn.items():
        # 4,000 and 10,000 draws: the bounds' own noise is some hundredth of their distance.
        bounds = np.quantile(losses_drawn, [0.025, 0.975])
        assert [order.loc[group, "low"], order.loc[group, "high"]] == pytest.approx(bounds, abs=0.02)
    first, second = order.sort_values("rank").index
    # Three standard errors of a share of 4,000 draws.
    assert order["share"].iloc[0] == pytest.approx((drawn[first] > drawn[second]).mean(), abs=0.025)
    assert set(order["verdict"]) == {"inconclusive"}


@pytest.mark.slow
def test_a_task_without_room_and_one_that_was_taught_are_left_out_of_the_order(fair):
    low = fair.scores["majority"].where(fair.scores["task"] != "past_present", 0.99)
    labels = fair.predictions["label"].where(fair.predictions["task"] != "past_present", 0)
    flat = replace(fair, scores=fair.scores.assign(majority=low), predictions=fair.predictions.assign(label=labels))
    student = name(flat, "student")
    losses = measure_losses(flat, {"s": student})
    order = order_groups(flat, {"s": student}, losses, {"s": {"tree_depth"}})
    assert set(order["tasks"]) == {"SentLen", "BShift", "SubjNum"}


def test_one_group_has_no_order(fair):
    found = hold_against(fair, [name(fair, "student")], ["Tense", "SubjNum"])
    assert set(found.order["verdict"]) == {""}
    assert "no order" in answer_order("student", "best", found.order[found.order["place"] == "best"])


@pytest.mark.slow
def test_centres_of_gravity_move_in_relative_depth_with_an_interval_where_both_have_one(teacher):
    shifted = teacher.weights.copy()
    shifted["contribution"] = shifted.groupby("task")["contribution"].shift(1, fill_value=0.0)
    shifted.loc[shifted["layer"] == 4, "contribution"] += 1 - shifted.groupby("task")["contribution"].sum().iloc[0]
    student = name(replace(teacher, weights=shifted), "student")
    moves = measure_moves(teacher, {"s": student}, ["past_present"])
    l = np.arange(5) / 4  # noqa: E741 - the formula's letter
    own = [run.weights.query("task == 'past_present'")["contribution"].to_numpy() for run in (teacher, student)]
    row = moves.set_index("what").loc["contribution"]
    assert row["moved"] == pytest.approx(own[1] @ l - own[0] @ l)
    assert np.isnan(row["low"])
    assert row["verdict"] == ""
    measured = []
    for run, half in ((teacher, 0.3), (student, 0.4)):
        base = run.scores[choose(run.scores, "past_present", -1, "scalar_mix")].iloc[:1]
        value = run.weights.query("task == 'past_present'").eval("layer * contribution").sum()
        new = base.assign(metric="contribution_gravity", value=value, ci_low=value - half, ci_high=value + half)
        measured.append(replace(run, scores=pd.concat([run.scores, new], ignore_index=True)))
    row = measure_moves(measured[0], {"s": measured[1]}, ["past_present"]).set_index("what").loc["contribution"]
    assert [row["low"], row["high"]] == pytest.approx([row["moved"] - 0.5 / 4, row["moved"] + 0.5 / 4])
    assert row["verdict"] == ("significant" if row["moved"] > 0.5 / 4 else "inconclusive")


def write_weights(folder, sizes, kind="F32"):
    folder.mkdir(parents=True)
    header = {f"w{n}": {"dtype": kind, "shape": shape, "data_offsets": [0, 0]} for n, shape in enumerate(sizes)}
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return folder


@pytest.fixture
def pruned(build_training, write_training, tmp_path):
    """Checkpoints of a training: nothing pruned, and half of the weights."""
    training = build_training("bert", methods=("magnitude",), sparsities=(0.0, 0.5), seeds=(0,))
    folders = training.models["sparsity"].map("models/magnitude-{:g}".format)
    write_training(
        replace(training, models=training.models.assign(folder=folders, parameters=0, weight_bytes=[0, 0, 99, 99])),
        tmp_path,
    )
    return [write_weights(tmp_path / f"models/magnitude-{aim}", [[3, 4], [5]]) for aim in ("0", "0.5")]


def test_an_encoder_is_traced_to_its_training_and_its_weights(teacher, pruned):
    found = trace_encoder(name(teacher, "student", checkpoint=str(pruned[1])))
    assert (found.recipe, found.task, found.method, found.seed) == ("prune", "sst_2", "magnitude", 0)
    assert found.sparsity == pytest.approx(0.99 * 0.5)
    assert found.parameters == 17
    assert found.bytes == 99
    plain = trace_encoder(name(teacher, "student", checkpoint=str(pruned[0])))
    assert plain.bytes == (pruned[0] / "model.safetensors").stat().st_size, "which the training did not measure"


def test_a_second_copy_of_the_weights_in_parts_is_not_counted(teacher, tmp_path):
    checkpoint = write_weights(tmp_path / "twice", [[3, 4], [5]])
    for part in "12":
        write_weights(tmp_path / part, [[3, 4]])
        (tmp_path / part / "model.safetensors").rename(checkpoint / f"model-0000{part}-of-00002.safetensors")
    student = name(teacher, "student", checkpoint=str(checkpoint))
    assert trace_encoder(student).parameters == 17
    assert trace_encoder(student).bytes == (checkpoint / "model.safetensors").stat().st_size
    (checkpoint / "model.safetensors").unlink()
    assert trace_encoder(student).parameters == 24


def test_packed_weights_are_not_counted_as_parameters_and_bits_come_from_the_configuration(teacher, tmp_path):
    checkpoint = write_weights(tmp_path / "packed", [[3, 4]], "U8")
    (checkpoint / "config.json").write_text('{"bits": 2}')
    found = trace_encoder(name(teacher, "student", checkpoint=str(checkpoint)))
    assert np.isnan(found.parameters)
    assert found.bits == "2"
    assert found.recipe == ""


def test_of_an_encoder_from_elsewhere_nothing_is_known(teacher):
    found = hold_against(teacher, [name(teacher, "student")], ["Tense"])
    assert explain_teacher(found.lineages) == []
    assert [row[3:] for row in tabulate_encoders(found.encoders).rows] == [["-"] * 5] * 2


@pytest.mark.slow
def test_the_page_says_whether_the_teacher_is_the_twin_that_was_not_pruned(teacher, pruned):
    twin, student = (name(teacher, folder.name, checkpoint=str(folder)) for folder in pruned)
    against_twin = explain_teacher(hold_against(twin, [student], ["Tense"]).lineages)
    assert len(against_twin) == 1
    assert against_twin[0].startswith(
        "magnitude-0.5 (50 % zeros): trained on SST-2 by prune, seed 0. This teacher is the twin"
    )
    assert "by pruning alone" in against_twin[0]
    against_start = explain_teacher(hold_against(teacher, [student], ["Tense"]).lineages)
    assert "the right teacher is the twin" in against_start[0]
    assert "(50 % zeros)" in against_start[0]


def otherwise(run, **settings):
    return replace(run, settings={**run.settings, **settings})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: name(run, "teacher"), "probes the teacher's own encoder"),
        (lambda run: replace(run, manifest={"encoder": {"digest": "teacher"}}), "probes the teacher's own encoder"),
        (lambda run: replace(run, predictions=run.predictions.iloc[:0]), "holds no predictions"),
        (lambda run: replace(run, scores=run.scores.assign(task="other")), "no task in common"),
        (lambda run: replace(run, scores=run.scores.assign(pooling="cls")), "probed differently: pooling mean and cls"),
        (lambda run: replace(run, scores=run.scores.assign(probe="mlp")), "probed differently: probe linear and mlp"),
        (
            lambda run: replace(run, scores=run.scores.assign(protocol="senteval")),
            "probed differently: protocol modern and senteval",
        ),
        (lambda run: otherwise(run, mix_norm=True), "probed differently: mix_norm False and True"),
        (
            lambda run: replace(run, manifest={"encoder": {"max_length": 8}, "stages": {"encoding": {"truncated": 3}}}),
            "probed differently: max_length None and 8",
        ),
        (
            lambda run: replace(run, predictions=run.predictions.assign(label=run.predictions["label"] + 1)),
            "same test sentences and labels",
        ),
        (
            lambda run: replace(run, predictions=run.predictions[run.predictions["layer"] != 3]),
            "has scores, but no predictions to pair",
        ),
        (
            lambda run: replace(run, manifest={"tasks": {"tree_depth": {"digest": "x"}}}),
            "over different data: tree_depth has other sentences or labels",
        ),
    ],
)
def test_a_run_that_cannot_be_held_against_the_teacher_is_refused(teacher, change, message):
    student = change(name(teacher, "student"))
    with pytest.raises(InputError, match=re.escape(message)) as error:
        measure_losses(otherwise(teacher, mix_norm=False), {"s": student})
    assert "\n" not in str(error.value)


def test_no_student_or_the_same_one_twice_is_refused(teacher):
    student = name(teacher, "student")
    for students in ([], [student, student]):
        with pytest.raises(InputError, match="one or more different students"):
            hold_against(teacher, students)


@pytest.mark.parametrize("second", ["bermo", "bermo_cls"])
def test_the_command_refuses_in_one_line(second, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["analysis.forgetting", str(RUNS / "bermo"), str(RUNS / second)])
    assert command.main() == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_command_prints_sentences_first_and_writes_nothing_unasked(monkeypatch, capsys, tmp_path):
    arguments = [str(RUNS / "bermo"), str(RUNS / "untrained"), "--tasks", "Tense"]
    monkeypatch.setattr(sys, "argv", ["analysis.forgetting", *arguments])
    monkeypatch.chdir(tmp_path)
    assert command.main() == 0
    assert capsys.readouterr().out.startswith("* untrained: At the best layers lost 27.7 points of Tense")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_leaves_page_tables_and_figures(monkeypatch, capsys, tmp_path):
    arguments = [str(RUNS / "bermo"), str(RUNS / "untrained"), "--tasks", "Tense", "SentLen", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["analysis.forgetting", *arguments])
    assert command.main() == 0
    shown = capsys.readouterr().out
    assert shown.startswith("* untrained: ")
    stems = {"losses", "order", "encoders", "mixes", "moves"}
    figures = {"losses_by_depth", "mix_weights", "mix_contributions"}
    expected = {f"{stem}.{end}" for stem in stems for end in ("csv", "parquet")}
    expected |= {f"{stem}.{end}" for stem in figures for end in ("png", "pdf")} | {"forgetting.html"}
    assert {path.name for path in tmp_path.iterdir()} == expected
    losses = pd.read_parquet(tmp_path / "losses.parquet")
    row = losses.query("task == 'past_present' and place == 'best'").iloc[0]
    assert row["verdict"] == "significant"
    page = (tmp_path / "forgetting.html").read_text(encoding="utf-8")
    for text in (shown, page):
        assert f"{100 * row['difference']:+.1f}*" in text
    assert page.count('class="spec"') == 1 + 2, "a student's losses, and a mix for each task"


def test_a_page_escapes_names(teacher):
    student = name(teacher, '<img src=x onerror="alert(1)">')
    page = build_page(hold_against(teacher, [student], ["Tense"]))
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


@pytest.mark.slow
def test_a_figure_has_a_panel_for_each_student_and_hatches_what_holds_0(teacher):
    student = name(worsen(teacher, "tree_depth", 3, 0.6), "student")
    losses = measure_losses(teacher, {"one": student, "two": name(teacher, "two")})
    figure = plot_losses(losses, "teacher")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["one", "two"]
    hatched = [len(axes.patches) for axes in panels]
    noise = (losses["ci_low"] <= 0) & (losses["ci_high"] >= 0)
    assert hatched == noise.groupby(losses["student"], sort=False).sum().tolist()
    assert [text.get_text() for text in panels[0].get_yticklabels()][:3] == ["mix", "best", "1.00"]
    assert figure.get_figwidth() == pytest.approx(3.3)
    assert len(tabulate_losses(losses).rows) == 2 * 5 * 2


def test_mixes_are_drawn_side_by_side(teacher):
    found = hold_against(teacher, [name(keep_layers(teacher, HALF), "student")])
    figure = plot_mixes(found.mixes)
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [5, 3]
