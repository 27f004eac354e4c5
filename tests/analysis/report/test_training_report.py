import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from analysis.figures.training import plot_training
from analysis.report import __main__ as command
from analysis.report.build import write_report
from analysis.report.papers import OF_RECIPES, list_papers
from analysis.report.shell import keep_together
from analysis.report.training import build_training_report
from analysis.report.training_answer import answer_convergence, answer_difference, answer_run
from analysis.runs.frames import title_of
from analysis.runs.training_run import stack_logs
from analysis.stats.convergence import compare_convergence
from probing.records import InputError
from probing.registry import RECIPES

RUNS = Path(__file__).parents[1] / "runs"
EVIL = '</script><img src=x onerror="alert(1)">'
SPEC = re.compile(r'<script type="application/json" class="spec" data-chart="chart-([\w-]+)">(.*?)</script>', re.S)


@pytest.fixture(scope="module")
def pair(build_training):
    return [build_training("bert", rate=0.05), build_training("bermo", rate=0.1)]


@pytest.fixture(scope="module")
def pruned(build_training):
    return build_training("bermo", methods=("magnitude", "soft_movement"), sparsities=(0.5, 0.9))


@pytest.fixture(scope="module")
def page(pair):
    return build_training_report(pair)


def specs(page):
    return {key: json.loads(spec) for key, spec in SPEC.findall(page)}


def values(spec):
    return [row for rows in spec["datasets"].values() for row in rows]


def test_the_page_needs_no_network_and_is_small(page):
    assert len(page.encode()) < 5_000_000
    assert not re.search(r"<(img|link|script)[^>]+(src|href)=\"http", page)
    assert "default-src 'none'" in page


def test_a_fine_tuned_pair_has_its_curves_gradients_weights_and_convergence(page):
    found = specs(page)
    assert set(found) == {"dev-score", "loss", "gradient-norm-0", "gradient-norm-1", "weight-0"}
    assert all(spec["description"] for spec in found.values())
    assert '<section id="convergence">' in page
    assert '<section id="pruning">' not in page


def test_the_curve_of_the_page_is_that_of_the_figure(page, pair):
    drawn = {line.get_label(): line for line in plot_training(stack_logs(pair)).axes[0].lines}
    rows = values(specs(page)["dev-score"])
    for name in ("bert", "bermo"):
        assert [row["value"] for row in rows if row["line"] == name] == pytest.approx(drawn[name].get_ydata())


def test_two_heatmaps_of_one_quantity_share_their_colours(page):
    scales = [specs(page)[f"gradient-norm-{number}"]["encoding"]["color"]["scale"] for number in (0, 1)]
    assert scales[0] == scales[1]


def test_bert_is_the_baseline_of_bermo_whatever_the_order(page, pair):
    assert build_training_report(pair[::-1]) == page


def test_a_pruned_run_has_its_table_and_its_curve_and_no_convergence(pruned):
    page = build_training_report([pruned])
    assert "pruning" in specs(page)
    assert "penalty 900" in page
    assert '<section id="convergence">' not in page
    rows = values(specs(page)["pruning"])
    assert {row["line"] for row in rows} == {"bermo, magnitude", "bermo, soft movement"}


def test_the_answer_has_the_numbers_of_the_runs(pair, pruned):
    final = 100 * pair[0].models.query("split == 'dev'")["value"].mean()
    assert f"its dev accuracy is {final:.1f}" in answer_run(pair[0], "bert")
    assert "0 of 3 runs diverged" in answer_run(pair[0], "bert")
    assert "1 of 6 runs diverged" in answer_run(pruned, "bermo")
    table = compare_convergence(*pair)
    assert f"{table['ratio'].iloc[-1]:.2f} times as fast" in answer_convergence(table, ("bert", "bermo"))


def test_a_difference_within_the_seeds_noise_is_not_called_more(pair):
    def move(run, step):
        noise = 0.01 * run.models["seed"] + step
        return replace(run, models=run.models.assign(value=run.models["value"] + noise))

    near = [move(pair[0], 0), move(pair[0], 0.001)]
    far = [move(pair[0], 0), move(pair[0], 0.2)]
    assert "which is inconclusive" in answer_difference(*near, ("bert", "bermo"))
    assert "is more than the noise" in answer_difference(*far, ("bert", "bermo"))
    assert "20.0 points above" in answer_difference(*far, ("bert", "bermo"))


def test_a_score_never_reached_is_said_to_be_so(pair, build_training):
    weak = build_training("bermo", rate=0.1, top=0.88)
    told = answer_convergence(compare_convergence(pair[0], weak), ("bert", "bermo"))
    assert "never reaches the final dev score of bert" in told
    assert "it reaches 98 % of it" in told


def test_runs_over_other_data_are_shown_and_not_compared(pair):
    other = replace(pair[1], models=pair[1].models.assign(task="qqp"))
    page = build_training_report([pair[0], other])
    assert "Not compared" in page
    assert '<section id="convergence">' not in page


def test_markup_in_names_comes_out_as_text(pair):
    spoilt = replace(
        pair[0],
        models=pair[0].models.assign(model=EVIL, task=EVIL, checkpoint=EVIL),
        log=pair[0].log.assign(model=EVIL, task=EVIL),
        settings={"data": EVIL},
        manifest={"warnings": [EVIL]},
    )
    page = build_training_report([spoilt])
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_a_number_keeps_its_percent_sign_on_its_line():
    assert keep_together("95 % of 3 % or 4%") == "95\u00a0% of 3\u00a0% or 4%"


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
    return command.main()


def test_the_command_takes_training_folders(monkeypatch, capsys, pair, write_training, tmp_path):
    folders = [write_training(run, tmp_path / run.model) for run in pair]
    assert call(monkeypatch, *folders, "--output", tmp_path / "page.html") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    assert call(monkeypatch, folders[0]) == 0
    assert (folders[0] / "report.html").is_file()


def test_training_and_probing_runs_have_no_page_in_common(pair, run, write_training, write_run, tmp_path):
    folders = [write_training(pair[0], tmp_path / "a"), write_run(run, tmp_path / "b")]
    with pytest.raises(InputError, match="a report of each kind"):
        write_report(folders, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def list_encodings(spec):
    return [spec.get("encoding", {}), *(found for layer in spec.get("layer", []) for found in list_encodings(layer))]


def test_lines_of_a_chart_differ_in_dashes_and_marks_too(page):
    encodings = list_encodings(specs(page)["dev-score"])
    for channel in ("strokeDash", "shape"):
        [looks] = [found[channel]["scale"]["range"] for found in encodings if channel in found]
        assert len({str(look) for look in looks}) == 2


def test_the_title_says_what_was_trained_from_what_on_what_and_when(pair):
    dated = [replace(run, manifest=dict(run.manifest) | {"finished": "2026-11-26T10:00:00+00:00"}) for run in pair]
    title = re.search("<title>(.*)</title>", build_training_report(dated))[1]
    origin, task = str(pair[0].models["checkpoint"].iloc[0]).rsplit("/", 1)[-1], title_of(pair[0].task)
    assert title == f"Training bert, bermo from {origin} on {task}, 2026-11-26"
    assert "<title>Training bert, bermo from" in build_training_report(pair)


def test_the_page_cites_what_was_trained_and_nothing_else(pair, pruned):
    bert, bermo = pair
    kdlsq = replace(bert, models=bert.models.assign(recipe="kdlsq_bert"))
    electra = replace(bert, settings={"objective": "replaced"})
    several = [[bert], [bert, bermo], [pruned], [kdlsq, kdlsq], [electra]]
    names = [[paper[0] for paper in list_papers(runs)] for runs in several]
    assert names == [[], ["BERMo"], ["BERMo", "Movement pruning"], ["KDLSQ-BERT", "LSQ"], ["ELECTRA"]]


def test_every_system_that_is_trained_is_cited_by_its_own_paper():
    own = {name for name, place in RECIPES.rows.items() if place.startswith("probing.")}
    assert set(OF_RECIPES) == own - {"finetune", "pretrain"}


def test_files_of_a_training_can_be_downloaded_from_where_the_page_stands(tmp_path):
    folder = tmp_path / "a run"
    shutil.copytree(RUNS / "training_bert", folder)
    (folder / "figures").mkdir()
    (folder / "trained_models.csv").write_text("x")
    (folder / "figures" / "training.pdf").write_text("x")
    for output in (None, tmp_path / "elsewhere" / "page.html"):
        page = write_report([folder], output)
        links = re.findall(r'<a href="([^"]+)" download>', page.read_text())
        assert [unquote(link).rsplit("/", 1)[-1] for link in links] == [
            *("trained_models.csv", "training_log.parquet", "training.pdf"),
        ]
        assert all((page.parent / unquote(link)).is_file() for link in links)
