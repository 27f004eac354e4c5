import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from probing import preparing
from probing.cells import chains, encoding, runner
from probing.cells.encoding import TaskEncoder, list_texts
from probing.encoders.opening import build_encoder
from probing.pipeline import run
from probing.preparing import choose_layers
from probing.probes.linear import LinearProbe
from probing.probes.majority import MajorityProbe
from probing.probes.scalar_mix import ScalarMixProbe
from probing.progress import Reporter
from probing.records import InputError
from probing.representations.extraction import extract_stack
from probing.representations.pooling import Pooling
from probing.settings.run import RunSettings
from probing.store.cache import StackCache
from probing.store.folder_lock import check_free, hold_folder
from probing.tables import Score, column_names
from tests.helpers import build_task, write_task

NAMES = ("past_present", "obj_number")


@pytest.fixture
def settings(tmp_path, tiny_folder):
    """A run on two tiny tasks, without controls."""
    return make_settings(tmp_path, tiny_folder)


def make_settings(folder, checkpoint):
    for seed, name in enumerate(NAMES):
        write_task(folder / "corpus", build_task(name, seed=seed))
    return RunSettings(
        model="bermo", checkpoint=str(checkpoint), data=str(folder / "corpus"), tasks=NAMES, controls=(),
        dtype="float32", device="cpu", output=folder / "run", cache_dir=folder / "cache", quiet=True, gradients=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory, tiny_folder):
    """Such a run, finished; it is not to be changed."""
    settings = make_settings(tmp_path_factory.mktemp("first"), tiny_folder)
    tell(settings)
    return settings


@pytest.fixture
def finished(first, tmp_path):
    """A copy of it, of the same corpus and cache, that a test may change."""
    return replace(first, output=shutil.copytree(first.output, tmp_path / "run"))


@pytest.fixture
def fits(monkeypatch):
    """How often each probe has been fitted, by its name."""
    counts = {}

    def count(probe):
        original = probe.fit

        def fit(self, *arguments):
            counts[probe.__name__] = counts.get(probe.__name__, 0) + 1
            return original(self, *arguments)

        monkeypatch.setattr(probe, "fit", fit)

    for probe in (LinearProbe, MajorityProbe, ScalarMixProbe):
        count(probe)
    return counts


def tell(settings):
    reporter = Reporter(quiet=True)
    return run(settings, reporter), reporter


def read(settings, name="scores"):
    return pd.read_parquet(settings.output / f"{name}.parquet")


def numbers(table):
    """What must come out again: all but the seconds."""
    return table.drop(columns=["seconds"])


def test_a_damaged_cell_is_computed_again_to_the_same_numbers_and_named(finished, fits):
    whole, path = read(finished), finished.output / "cells" / "obj_number.layer.none.0.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 4]))
    _, reporter = tell(finished)
    assert [line for line in reporter.warnings if str(path) in line and "damaged" in line]
    assert fits == {"LinearProbe": 1}
    pd.testing.assert_frame_equal(numbers(read(finished)), numbers(whole))


@pytest.mark.slow
def test_a_cell_made_with_other_settings_is_not_taken_though_the_folder_says_it_is(settings, fits):
    """As if a second run had written into the folder of the first."""
    tell(replace(settings, mix_embeddings=True, output=settings.output.with_name("other")))
    tell(settings)
    whole, name = read(settings), "cells/past_present.scalar_mix.none.0.safetensors"
    (settings.output / name).write_bytes((settings.output.with_name("other") / name).read_bytes())
    tell(settings)
    pd.testing.assert_frame_equal(numbers(read(settings)), numbers(whole))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_second_run_in_the_folder_is_refused_while_the_first_works(overwrite, finished):
    before = read(finished)
    with hold_folder(finished.output), pytest.raises(InputError, match=r"a run is working in it \(pid \d+\)"):
        tell(replace(finished, overwrite=overwrite, pooling="cls" if overwrite else "mean"))
    pd.testing.assert_frame_equal(read(finished), before)


@pytest.mark.slow
def test_the_folder_is_held_while_a_run_works_in_it(settings, monkeypatch):
    seen = []

    def try_it(*arguments):
        with pytest.raises(InputError, match="a run is working"):
            check_free(settings.output)
        seen.append(arguments)
        return usual(*arguments)

    usual = chains.probe_tasks
    monkeypatch.setattr(chains, "probe_tasks", try_it)
    tell(settings)
    tell(replace(settings, overwrite=True))
    assert len(seen) == 2


def test_leaves_a_score_for_every_task_layer_mix_and_baseline(settings):
    outcome, _ = tell(settings)
    scores = read(settings)
    assert outcome.failures == ()
    assert list(scores.columns) == column_names(Score)
    accuracy = scores[scores["metric"] == "accuracy"]
    readouts = [("none", -1), ("layer", 0), ("layer", 1), ("layer", 2), ("scalar_mix", -1)]
    expected = {(task, split, *readout) for task in NAMES for split in ("dev", "test") for readout in readouts}
    keys = accuracy[["task", "split", "representation", "layer"]]
    assert set(keys.itertuples(index=False, name=None)) == expected
    assert len(accuracy) == len(expected)
    assert accuracy["value"].between(0, 1).all()
    assert (accuracy["ci_low"] <= accuracy["value"]).all()
    assert (accuracy["value"] <= accuracy["ci_high"]).all()
    assert set(scores.loc[scores["layer"] == 0, "layer_name"]) == {"embeddings"}
    assert (accuracy["n"] == 20).all()


def test_scores_are_counted_from_the_predictions_that_are_kept(first):
    scores, predictions = read(first), read(first, "predictions")
    tests = scores[(scores["split"] == "test") & (scores["metric"] == "accuracy")]
    for _, score in tests.iterrows():
        rows = predictions
        for name in ("task", "representation", "layer", "control", "seed"):
            rows = rows[rows[name] == score[name]]
        assert len(rows) == score["n"]
        assert (rows["label"] == rows["predicted"]).mean() == score["value"]
        task = build_task(score["task"], seed=NAMES.index(score["task"]))
        assert rows["label"].tolist() == task.splits["test"].labels.tolist()


@pytest.mark.slow
def test_scores_are_those_of_probes_fitted_by_hand_on_the_right_rows(settings):
    """Sentence by sentence through the encoder, one layer, one task: no row or label can have been mixed up."""
    from probing.encoders.bert import build
    from probing.representations.pooling import pool_mean

    tell(settings)
    scores = read(settings)
    encoder = build(settings.checkpoint, dtype="float32", device="cpu")
    for number, name in enumerate(NAMES):
        task = build_task(name, seed=number)
        vectors = {}
        for split, part in task.splits.items():
            rows = []
            for text in part.texts:
                states = encoder.encode(encoder.tokenize([text]), np.arange(1))
                rows.append(torch.stack([pool_mean(layer, states.mask)[0] for layer in states.layers]).numpy())
            vectors[split] = np.stack(rows, axis=1)
        labels = {split: part.labels for split, part in task.splits.items()}
        probe = LinearProbe().fit(vectors["train"], labels["train"], vectors["dev"], labels["dev"])
        expected = (probe.predict(vectors["test"]) == labels["test"]).mean(axis=1)
        chosen = scores[
            (scores["task"] == name) & (scores["split"] == "test")
            & (scores["metric"] == "accuracy") & (scores["representation"] == "layer")
        ]  # fmt: skip
        np.testing.assert_allclose(chosen.sort_values("layer")["value"], expected, atol=0.051)  # 1 of 20 on the border


def test_a_finished_run_is_resumed_without_a_single_fit(settings, fits):
    tell(settings)
    assert fits == {"MajorityProbe": 2, "LinearProbe": 2, "ScalarMixProbe": 2}
    before = read(settings)
    fits.clear()
    outcome, _ = tell(settings)
    assert fits == {}
    assert outcome.failures == ()
    pd.testing.assert_frame_equal(read(settings), before)  # seconds too: the cells are the same


@pytest.mark.slow
def test_a_killed_run_computes_only_what_is_missing(settings, fits, monkeypatch):
    with monkeypatch.context() as patch:
        original, done = ScalarMixProbe.fit, []

        def die_at_the_second(self, *arguments):
            done.append(1)
            if len(done) == 2:
                raise KeyboardInterrupt
            return original(self, *arguments)

        patch.setattr(ScalarMixProbe, "fit", die_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            tell(settings)
    assert not (settings.output / "scores.parquet").exists()
    fits.clear()
    tell(settings)
    assert fits == {"ScalarMixProbe": 1}
    whole = replace(settings, output=settings.output.with_name("whole"))
    tell(whole)
    pd.testing.assert_frame_equal(numbers(read(settings)), numbers(read(whole)))


def test_changed_data_costs_the_cells_of_its_own_task_only(settings, fits):
    tell(settings)
    before = read(settings)
    write_task(Path(settings.data), build_task("obj_number", seed=7))
    fits.clear()
    tell(settings)
    assert fits == {"MajorityProbe": 1, "LinearProbe": 1, "ScalarMixProbe": 1}
    after = read(settings)
    same = [table[table["task"] == "past_present"].reset_index(drop=True) for table in (before, after)]
    pd.testing.assert_frame_equal(*same)


def test_another_order_of_the_sentences_is_other_data(settings, fits):
    tell(settings)
    path = Path(settings.data) / "obj_number.txt"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    fits.clear()
    tell(settings)
    assert fits["LinearProbe"] == 1


@pytest.mark.slow
def test_other_weights_under_the_same_name_cost_every_cell(settings, fits, tmp_path):
    from tests.helpers import save_encoder

    moving = replace(settings, checkpoint=str(save_encoder(tmp_path / "moving", seed=1)))
    tell(moving)
    fits.clear()
    save_encoder(tmp_path / "moving", seed=2)
    tell(moving)
    assert fits["LinearProbe"] == 2


def test_a_cell_that_fails_is_recorded_and_the_rest_goes_on(settings, monkeypatch):
    original = LinearProbe.fit
    doomed = build_task("obj_number", seed=1).splits["train"].labels

    def fail_on_one_task(self, X, y, *rest):
        if np.array_equal(y, doomed):
            raise RuntimeError("no luck")
        return original(self, X, y, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(LinearProbe, "fit", fail_on_one_task)
        outcome, reporter = tell(settings)
    (failure,) = outcome.failures
    assert (failure.task, failure.representation) == ("obj_number", "layer")
    assert "no luck" in failure.error
    assert any("no luck" in line for line in reporter.warnings)
    manifest = json.loads((settings.output / "manifest.json").read_text())
    assert [each["task"] for each in manifest["failures"]] == ["obj_number"]
    scores = read(settings)
    assert set(scores["task"]) == set(NAMES)
    assert set(scores.loc[scores["task"] == "obj_number", "representation"]) == {"none", "scalar_mix"}
    assert tell(settings)[0].failures == ()  # and it is tried again the next time


@pytest.mark.slow
def test_every_sentence_of_all_tasks_is_encoded_once(settings):
    _, reporter = tell(settings)
    texts = {
        text
        for seed, name in enumerate(NAMES)
        for split in build_task(name, seed=seed).splits.values()
        for text in split.texts
    }
    assert reporter.stages["encoding"]["encoded"] == len(texts)
    again = replace(settings, tasks=NAMES[:1], output=settings.output.with_name("other"))
    assert tell(again)[1].stages["encoding"]["encoded"] == 0


@pytest.mark.slow
def test_another_task_moves_no_number_of_the_first(settings):
    tell(settings)
    alone = replace(settings, tasks=NAMES[:1], output=settings.output.with_name("alone"))
    tell(alone)
    both = read(settings)
    both = both[both["task"] == NAMES[0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(numbers(both), numbers(read(alone)))


@pytest.mark.slow
def test_two_runs_give_the_same_numbers(settings):
    other = replace(settings, output=settings.output.with_name("other"), cache_dir=settings.cache_dir / "other")
    tell(settings), tell(other)
    pd.testing.assert_frame_equal(numbers(read(settings)), numbers(read(other)))
    pd.testing.assert_frame_equal(read(settings, "layer_weights"), read(other, "layer_weights"))


def test_bert_has_no_mix_and_the_layers_of_bermo(first, tmp_path):
    plain = replace(first, model="bert", output=tmp_path / "bert")
    tell(plain)
    assert set(read(plain)["representation"]) == {"none", "layer"}
    assert len(read(plain, "layer_weights")) == 0
    mixed = read(first)
    mixed = mixed[mixed["representation"] != "scalar_mix"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        numbers(read(plain)).drop(columns="model"), numbers(mixed).drop(columns="model"), check_dtype=False
    )


@pytest.mark.slow
def test_layer_weights_sum_to_one_and_leave_the_embeddings_out_unless_asked(settings):
    tell(settings)
    whole = replace(settings, mix_embeddings=True, output=settings.output.with_name("whole"))
    tell(whole)
    for table, layers in ((read(settings, "layer_weights"), {1, 2}), (read(whole, "layer_weights"), {0, 1, 2})):
        assert set(table["layer"]) == layers
        for _, one in table.groupby("task"):
            assert one["weight"].sum() == pytest.approx(1, abs=1e-6)
            assert one["contribution"].sum() == pytest.approx(1, abs=1e-6)
            raised = np.exp(one["weight_raw"] - one["weight_raw"].max())
            np.testing.assert_allclose(one["weight"], raised / raised.sum(), rtol=1e-5)


@pytest.mark.slow
def test_chosen_layers_are_probed_and_no_others_and_no_number_moves(settings):
    chosen = replace(settings, layers=(-1, 0), output=settings.output.with_name("chosen"))
    tell(settings), tell(chosen)
    scores, whole = read(chosen), read(settings)
    found = scores[(scores["representation"] == "layer") & (scores["metric"] == "accuracy")]
    assert set(found["layer"]) == {0, 2}
    keys = ["task", "split", "layer"]
    expected = whole[(whole["representation"] == "layer") & (whole["metric"] == "accuracy")]
    both = found.merge(expected, on=keys, suffixes=("", "_whole"))
    assert len(both) == 8
    assert (both["value"] == both["value_whole"]).all()


@pytest.mark.slow
def test_one_mix_per_seed(settings):
    tell(replace(settings, seeds=(0, 5)))
    scores = read(settings)
    assert set(scores.loc[scores["representation"] == "scalar_mix", "seed"]) == {0, 5}
    assert set(scores.loc[scores["representation"] == "layer", "seed"]) == {0}


def test_sentences_that_were_cut_are_counted_and_told_once(settings):
    short = replace(settings, max_length=6)
    _, reporter = tell(short)
    told = [line for line in reporter.warnings if "were cut" in line]
    assert len(told) == 1
    manifest = json.loads((settings.output / "manifest.json").read_text())
    assert manifest["stages"]["encoding"]["truncated"] > 0
    assert told[0] in manifest["warnings"]


def test_the_manifest_says_what_the_numbers_depend_on(first):
    manifest = json.loads((first.output / "manifest.json").read_text())
    assert manifest["encoder"]["checkpoint"] == first.checkpoint
    assert len(manifest["encoder"]["digest"]) == 64
    assert manifest["dtype"] == "float32"
    assert manifest["kernels"].keys() == {"encoding", "probes"}
    assert manifest["kernels"]["encoding"].startswith("torch: its sizes (8, 4, 16, 8)")
    assert manifest["tasks"]["past_present"]["train"] == 60
    assert {"torch", "transformers", "python"} <= manifest["versions"].keys()
    for stage in ("encoding", "probing"):
        assert manifest["stages"][stage]["seconds"] > 0
        assert manifest["stages"][stage]["peak_rss_bytes"] > 0


def test_settings_that_move_no_number_may_change_on_the_way(finished, fits, tmp_path):
    tell(replace(finished, threads=1, cache_dir=tmp_path / "other"))
    assert fits == {}


@pytest.mark.parametrize(
    ("field", "value"), [("pooling", "cls"), ("limit", 10), ("seeds", (1,)), ("dtype", "bfloat16")]
)
def test_settings_that_move_numbers_may_not(field, value, finished):
    with pytest.raises(InputError, match=rf"{field} .* -> "):
        tell(replace(finished, **{field: value}))


def test_layers_are_chosen_by_index_from_either_end():
    names = ("embeddings", "1", "2", "3")
    assert choose_layers((), names) == [0, 1, 2, 3]
    assert choose_layers((0,), names) == [0]  # 0 is a layer, not nothing
    assert choose_layers((-1, 1, 3), names) == [1, 3]
    for wrong in (4, -5):
        with pytest.raises(InputError, match=r"0 \(embeddings\) to 3"):
            choose_layers((wrong,), names)


@pytest.mark.slow
def test_whether_the_mix_is_probed_is_a_setting_and_the_same_of_every_encoder(settings, tmp_path):
    """What does mixing add to BERT? What BERMo's mix of the same layers has."""
    run(settings, Reporter(quiet=True))
    bert = replace(settings, model="bert", mix="on", output=tmp_path / "bert")
    run(bert, Reporter(quiet=True))
    drop = ["model", "seconds"]
    pd.testing.assert_frame_equal(read(bert).drop(columns=drop), read(settings).drop(columns=drop))
    for changes in ({"model": "bert"}, {"mix": "off"}):
        plain = replace(settings, output=tmp_path / f"plain-{len(changes)}-{settings.model}", overwrite=True, **changes)
        run(plain, Reporter(quiet=True))
        assert set(read(plain)["representation"]) == {"none", "layer"}


def test_an_encoder_that_breaks_its_contract_is_refused_in_one_line(settings, monkeypatch):
    monkeypatch.setattr("probing.encoders.bermo.build", lambda checkpoint, **options: object())
    with pytest.raises(InputError, match=r"--model bermo: object has no `checkpoint`; expected") as error:
        run(settings, Reporter(quiet=True))
    assert "\n" not in str(error.value)
    assert not settings.output.exists()


@pytest.mark.slow
def test_tasks_encoded_one_after_the_other_leave_the_tables_of_all_encoded_first(settings):
    tell(settings)
    # The same with every sentence in the cache before the first cell, encoded all at once.
    encoder = build_encoder(settings.model, settings)
    texts = {text for seed, name in enumerate(NAMES) for text in list_texts(build_task(name, seed=seed))}
    cache = settings.cache_dir.with_name("filled")
    extract_stack(encoder, sorted(texts), Pooling(), StackCache(cache))
    at_once = replace(settings, output=settings.output.with_name("at_once"), cache_dir=cache)
    _, reporter = tell(at_once)
    assert reporter.stages["encoding"]["encoded"] == 0
    for name in ("scores", "layer_weights", "predictions"):
        one, other = (read(each, name).drop(columns="seconds", errors="ignore") for each in (settings, at_once))
        # Vectors of float32 that went through in other company: some units in the last place.
        pd.testing.assert_frame_equal(one, other, rtol=1e-4, atol=1e-4)


def test_a_task_is_probed_before_the_next_is_encoded(settings, monkeypatch):
    events = []
    for cls, method in ((TaskEncoder, "extend"), (ScalarMixProbe, "fit")):
        original = getattr(cls, method)

        def note(self, *arguments, name=method, original=original):
            events.append(name)
            return original(self, *arguments)

        monkeypatch.setattr(cls, method, note)
    tell(settings)
    assert events == ["extend", "fit", "extend", "fit"]


def listen(settings, monkeypatch, **constants):
    """A run's lines where the output is no terminal, its manifest, with some constants of the runner changed."""
    for name, value in constants.items():
        monkeypatch.setattr(runner, name, value)
    reporter = Reporter()
    reporter.console = Console(file=io.StringIO(), width=200)
    run(replace(settings, quiet=False), reporter)
    manifest = json.loads((settings.output / "manifest.json").read_text())
    return reporter.console.file.getvalue().splitlines(), manifest


def test_every_finished_task_has_a_line_with_its_scores(settings, monkeypatch):
    lines, manifest = listen(settings, monkeypatch)
    scores = read(settings).query("split == 'test' and metric == 'accuracy' and task == 'past_present'")
    mix, last = (scores.query(f"layer == {layer}")["value"].iloc[-1] for layer in (-1, 2))
    (line,) = [line for line in lines if line.startswith("Tense: best layer")]
    assert f"last layer {100 * last:.1f} (2)" in line
    assert line.endswith(f"mix {100 * mix:.1f}")
    assert 0 < manifest["first_score_s"] <= sum(stage["seconds"] for stage in manifest["stages"].values()) + 60
    assert not manifest["first_score_preliminary"]


def test_a_terminal_sees_a_table_fill_and_the_cell_that_is_worked_at(settings):
    reporter = Reporter()
    reporter.console = Console(file=io.StringIO(), force_terminal=True, width=160)
    original, screens = ScalarMixProbe.fit, []

    def look(self, *arguments):
        # What the table shows while the first mix is fitted: its task has scores of layers, the other has none.
        paper = Console(file=io.StringIO(), width=160)
        paper.print(reporter._screen())
        screens.append(paper.file.getvalue())
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScalarMixProbe, "fit", look)
        run(replace(settings, quiet=False), reporter)
    first = [line for line in screens[0].splitlines() if "Tense" in line or "ObjNum" in line]
    assert re.search(r"Tense .* \d+\.\d \(\d\) .* \d+\.\d \(2\) .*·", first[0])
    assert first[1].count("·") == 3
    assert "Tense, scalar mix" in screens[0]
    assert "best layer" in reporter.console.file.getvalue()


@pytest.mark.slow
def test_who_would_wait_long_sees_a_preliminary_score_that_is_kept_nowhere(settings, monkeypatch):
    monkeypatch.setattr(encoding, "_AHEAD", 15)
    lines, manifest = listen(settings, monkeypatch, _PATIENCE_S=0.0)
    first = next(line for line in lines if "best layer" in line)
    assert "preliminary (from 15 training sentences)" in first
    assert "~" in first
    assert manifest["first_score_preliminary"]
    plain = replace(settings, output=settings.output.with_name("plain"), cache_dir=settings.cache_dir / "plain")
    tell(plain)
    pd.testing.assert_frame_equal(numbers(read(settings)), numbers(read(plain)), rtol=1e-4, atol=1e-4)
    assert {path.name for path in (settings.output / "cells").iterdir()} == {
        path.name for path in (plain.output / "cells").iterdir()
    }


@pytest.mark.parametrize(
    "changes",
    [{"checkpoint": "no/where"}, {"layers": (9,)}, {"tasks": ("past_presnt",)}, {"output": Path("/dev/null/x")}],
)
def test_what_is_cheap_to_check_is_checked_before_a_task_is_read(settings, monkeypatch, changes):
    def read_none(*arguments):
        raise AssertionError("a task was read")

    monkeypatch.setattr(preparing, "load_tasks", read_none)
    with pytest.raises(InputError):
        tell(replace(settings, **changes))
    assert not settings.output.exists()


def test_the_metrics_asked_for_are_the_ones_written(settings):
    tell(replace(settings, metrics=("matthews", "accuracy")))
    scores = read(settings)
    asked = scores[(scores["control"] == "none") & (scores["split"] == "test") & (scores["n_classes"] == 2)]
    assert {"matthews", "accuracy"} <= set(asked["metric"])
    assert set(scores.drop_duplicates("task")["metric"]) == {"matthews"}, "the first one heads tables"
