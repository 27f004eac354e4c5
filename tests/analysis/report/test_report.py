import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from statistics import NormalDist
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis.report import __main__ as command
from analysis.report.answer import answer
from analysis.report.build import build_report, write_report
from analysis.report.facts import explain_warning, list_warnings, rebuild_command
from analysis.report.shell import embed_json
from analysis.report.training import build_training_report
from analysis.runs.frames import mean_scores
from analysis.runs.probing_run import load_run
from analysis.runs.training_run import is_training, load_training
from analysis.stats.controls import judge_controls
from analysis.stats.depth import summarise_depth
from analysis.stats.of_a_run import RunNumbers
from analysis.stats.published import match_published, read_published
from analysis.stats.summary import summarise
from analysis.stats.within_run import compare_all
from probing.catalogue.tasks import explain_tasks
from probing.records import InputError

pytestmark = pytest.mark.slow


RUNS = Path(__file__).parents[1] / "runs"
EVIL = '</script><img src=x onerror="alert(1)">'


class Page(HTMLParser):
    """What a browser would make of the page: its elements, the text outside scripts, the charts' specifications."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.shown, self.specs, self._inside = [], [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = (tag, dict(attrs))

    def handle_endtag(self, tag):
        self._inside = None if tag in ("script", "style") else self._inside

    def handle_data(self, data):
        tag, attrs = self._inside or ("", {})
        if attrs.get("class") == "spec":
            self.specs[attrs["data-chart"]] = json.loads(data)
        elif tag not in ("script", "style"):
            self.shown.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def stored():
    return load_run(RUNS / "bermo")


@pytest.fixture(scope="module")
def page(stored):
    return build_report([stored])


def values(spec):
    return [row for rows in spec["datasets"].values() for row in rows]


def test_the_page_needs_no_network_and_is_small(page):
    parsed = Page(page)
    assert len(page.encode()) < 5_000_000
    assert not [attrs for _, attrs in parsed.tags if "src" in attrs]
    assert [attrs["href"] for attrs in parsed.all("link")] == ["data:,"]
    policy = next(attrs["content"] for attrs in parsed.all("meta") if "http-equiv" in attrs)
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_headings_go_down_one_level_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in Page(page).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1


def test_every_chart_has_a_caption_a_description_and_its_place(page):
    parsed = Page(page)
    places = {attrs["id"] for attrs in parsed.all("div") if attrs.get("class") == "chart"}
    assert places == set(parsed.specs)
    assert len(parsed.all("figcaption")) == len(places)
    assert all(spec["description"] for spec in parsed.specs.values())
    assert {"chart-scores-0", "chart-weight-0", "chart-contribution-0", "chart-curves", "chart-mix-0"} <= places


def test_charts_hold_the_scores_with_interval_and_number_of_sentences(page, stored):
    rows = values(Page(page).specs["chart-scores-0"])
    scores = mean_scores(stored.scores)
    assert len(rows) == len(scores)
    cell = next(row for row in rows if (row["task"], row["layer_name"]) == ("past_present", "3"))
    expected = scores[(scores["task"] == "past_present") & (scores["layer"] == 3)].iloc[0]
    assert cell["value"] == pytest.approx(100 * expected["value"])
    assert cell["interval"] == f"{100 * expected['ci_low']:.1f} to {100 * expected['ci_high']:.1f}"
    assert cell["n"] == expected["n"]


def test_the_page_is_named_after_checkpoint_corpus_and_day(stored):
    dated = replace(stored, manifest={**stored.manifest, "finished": "2026-11-26T10:00:00+00:00"})
    title = re.search("<title>(.*?)</title>", build_report([dated]))[1]
    assert title == "Probing bermo on all-MiniLM-L6-v2, english, 2026-11-26"
    assert "Finished" in "".join(Page(build_report([dated])).shown)


def test_files_of_the_run_can_be_downloaded_from_where_the_page_stands(tmp_path):
    folder = tmp_path / "a run"
    shutil.copytree(RUNS / "before_controls", folder)
    (folder / "figures").mkdir()
    for name in ("scores.csv", "figures/depth.pdf", "figures/depth.png"):
        (folder / name).write_text("x")
    for output in (None, tmp_path / "elsewhere" / "page.html"):
        page = write_report([folder], output)
        links = [attrs["href"] for attrs in Page(page.read_text()).all("a") if "download" in attrs]
        assert len(links) == 2
        assert all((page.parent / unquote(link)).read_text() == "x" for link in links)


def test_each_task_is_explained_once(page):
    shown = "".join(Page(page).shown)
    for title, question in explain_tasks(["bigram_shift", "past_present"]):
        assert shown.count(question) == 1
        assert title in shown
    assert "coordinate clauses" not in shown


def test_warnings_name_tasks_by_title_and_say_what_to_do():
    told = explain_warning("probes did not converge: bigram_shift (scalar mix), odd_man_out (3, control_task)")
    assert told.startswith("probes did not converge: BShift (scalar mix), SOMO (3, control_task): ")
    assert "--limit" in told
    assert explain_warning("another thing") == "another thing"
    assert explain_warning(told) == told


def test_the_heatmap_has_no_colour_where_the_interval_holds_the_majority(page, stored):
    rows = values(Page(page).specs["chart-scores-0"])
    expected = stored.scores.query("split == 'test' and metric == 'accuracy' and control == 'none'")
    expected = expected[expected["representation"] != "none"]
    noise = expected["ci_low"] <= expected["majority"]
    assert 0 < noise.sum() < len(expected)
    assert sum(row["noise"] for row in rows) == noise.sum()
    assert "grey: interval holds the majority" in json.dumps(Page(page).specs["chart-scores-0"])


def test_tables_hold_every_number_of_the_heatmap(page, stored):
    scores = mean_scores(stored.scores)
    shown = "".join(Page(page).shown)
    for row in scores.to_dict("records"):
        assert f"{100 * row['value']:.1f} [{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]" in shown


def test_controls_are_explained_and_told_with_their_intervals(page, stored):
    shown = "".join(Page(page).shown)
    for control in set(stored.scores["control"]) - {"none"}:
        assert control in shown
    rows = stored.scores[(stored.scores["metric"] == "selectivity") & (stored.scores["task"] == "past_present")]
    mix = rows[rows["representation"] == "scalar_mix"].iloc[0]
    assert f"{100 * mix['value']:+.1f} [{100 * mix['ci_low']:+.1f}, {100 * mix['ci_high']:+.1f}]" in shown


def cells_of(page, caption):
    """The table whose caption begins so, as head and rows of texts."""
    table = next(part for part in page.split("<table>")[1:] if f"<span>{caption}" in part)
    rows = re.findall("<tr.*?</tr>", table.split("</table>")[0])
    return [[re.sub("<.*?>", "", cell) for cell in re.findall("<t[hd].*?</t[hd]>", row)] for row in rows]


def test_selectivity_stands_there_for_every_task_and_layer(page, stored):
    rows = stored.scores[(stored.scores["metric"] == "selectivity") & (stored.scores["representation"] == "layer")]
    table = cells_of(page, "Selectivity: points above control_task")
    place = table[0].index("Tense")
    found = {row[0]: row[place] for row in table[1:]}
    for row in rows[rows["task"] == "past_present"].itertuples():
        expected = f"{100 * row.value:+.1f} [{100 * row.ci_low:+.1f}, {100 * row.ci_high:+.1f}]"
        assert found[row.layer_name] == expected
    assert cells_of(page, "Score x 100 under control_task")


def test_a_control_stands_with_its_own_score_majority_and_ceiling(stored):
    rows = stored.scores.query("control == 'control_task' and split == 'test' and metric == 'accuracy'")
    own = rows[(rows["task"] == "past_present") & (rows["layer"] == 3)].iloc[0]
    facts = {"metric": "ceiling", "representation": "none", "layer": -1, "layer_name": "", "value": 0.875}
    more = pd.DataFrame([{**own.to_dict(), **facts}])
    page = build_report([replace(stored, scores=pd.concat([stored.scores, more], ignore_index=True))])
    table = cells_of(page, "Points above each control")
    assert table[0][-3:] == ["Control&#39;s score", "Control&#39;s majority", "Control&#39;s ceiling"]
    [row] = [row for row in table if row[:2] == ["Tense", "control_task"]]
    assert row[-3:] == [f"{100 * own['value']:.1f}", f"{100 * own['majority']:.1f}", "87.5"]
    [row] = [row for row in table if row[:2] == ["SentLen", "control_task"]]
    assert row[-1] == "-"


def test_the_cost_of_the_controls_is_told_beside_that_of_the_probes(page, stored):
    stages = stored.manifest["stages"]
    rows = {row[0]: row[1:] for row in cells_of(page, "Cost of each stage")[1:]}
    assert set(rows) == set(stages)
    ratio = stages["control_task"]["seconds"] / stages["probing"]["seconds"]
    assert rows["control_task"][1] == f"{ratio:.2f}"
    assert rows["probing"][1] == "1.00"


def test_every_summary_of_depth_is_told(page, stored):
    depth = summarise_depth(stored)
    rows = {row[0]: row for row in cells_of(page, "Depth by task")[1:]}
    ranks = {row[0]: row for row in cells_of(page, "Spearman")[1:]}
    for row in depth.to_dict("records"):
        assert f"{row['gravity_weight']:.2f}" in rows[row["title"]][3]
        assert f"{row['kl_uniform_bits']:.2f}" in rows[row["title"]][-1]
        assert ranks[row["title"]][1] == f"{row['rank_weight_contribution']:.2f}"


def test_weights_and_contributions_that_disagree_are_warned_of(page, stored):
    reversed_order = stored.weights.groupby("task")["contribution"].transform(lambda shares: shares.to_numpy()[::-1])
    spoilt = replace(stored, weights=stored.weights.assign(contribution=reversed_order))
    reasons = [reason for reason in summarise_depth(spoilt)["disagreement"] if reason]
    warned = "".join(Page(build_report([spoilt])).shown)
    assert reasons
    assert all(f"disagree on the depth: {reason}" in warned for reason in reasons)
    assert "disagree on the depth" not in "".join(Page(page).shown)


def measured(run, metric, split="train", **changes):
    """One row of a measure for each layer of a task, as a run writes them."""
    rows = run.scores.query("task == 'tree_depth' and split == 'test' and representation == 'layer'")
    facts = {"metric": metric, "split": split, "value": 1.25, "ci_low": 1.125, "ci_high": 1.5} | changes
    return rows.assign(**facts)


@pytest.mark.slow
def test_measures_have_their_tables_where_the_run_has_them_and_only_there(run):
    names = {"compression": "Compression", "code_length_bits": "Online code", "conditional_information_bits": "Bits"}
    extra = [measured(run, name) for name in names]
    extra += [measured(run, "accuracy", "test", representation="cumulative_mix")]
    extra += [measured(run, "mix_weight", representation="scalar_mix")]
    page = build_report([replace(run, scores=pd.concat([run.scores, *extra]))])
    plain = build_report([run])
    assert cells_of(page, "Compression")[-1][1:] == ["1.25 [1.12, 1.50]"]
    assert cells_of(page, "Weight in percent of the mix")[-1][1:] == ["125.0 [112.5, 150.0]"]
    for caption in (*names.values(), "Score x 100 on test of all layers side by side"):
        assert f"<span>{caption}" in page
        assert f"<span>{caption}" not in plain


@pytest.mark.slow
def test_several_seeds_are_told_with_three_intervals(build_run):
    several = build_run(tasks=["tree_depth", "past_present"], seeds=(0, 1, 2))
    rows = cells_of(build_report([several]), "Accuracy x 100 on test, seeds averaged")
    assert rows[0][-3:] == ["Over sentences", "Over seeds", "Over both"]
    assert len(rows) == 1 + 2 * 8
    assert all(row[2] == "3" for row in rows[1:])
    assert "seeds averaged" not in build_report([build_run(tasks=["tree_depth"])])


def test_markup_in_names_comes_out_as_text_in_page_and_charts(page, stored):
    def spoil(frame):
        return frame.assign(task=frame["task"].replace("past_present", EVIL))

    spoilt = replace(
        stored,
        scores=spoil(stored.scores).assign(model=EVIL, checkpoint=EVIL),
        weights=spoil(stored.weights).assign(model=EVIL, checkpoint=EVIL),
        predictions=spoil(stored.predictions),
        gradients=spoil(stored.gradients),
        settings={**stored.settings, "data": EVIL},
        manifest={**stored.manifest, "warnings": [EVIL], "failures": [{"task": EVIL, "error": EVIL}]},
    )
    clean, dirty = Page(page), Page(build_report([spoilt]))
    assert "img" not in {tag for tag, _ in dirty.tags}
    assert not [attrs for _, attrs in dirty.tags if "onerror" in attrs]
    assert len(dirty.all("script")) == len(clean.all("script"))
    assert EVIL in "".join(dirty.shown)
    assert EVIL in {row["task"] for row in values(dirty.specs["chart-scores-0"])}


def test_json_in_a_script_cannot_end_it_and_reads_back_the_same():
    value = {"a": ["</script><!--", "\u2028 & > é"]}
    text = str(embed_json(value))
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028")


def test_the_answer_is_three_sentences_with_the_summarys_numbers(run):
    summary, comparisons = summarise(run), compare_all(run)
    sentences = answer(summary, comparisons)
    whole = comparisons[(comparisons["group"] == "all") & (comparisons["second"] == "last")]
    points = 100 * whole[whole["first"] == "mix"]["difference"].iloc[0]
    assert len(sentences) == 3
    assert f"{points:.1f} points above the last layer" in sentences[1]
    assert "which is significant" in sentences[1]


def test_a_difference_within_the_noise_is_not_called_one(run):
    comparisons = compare_all(run)
    comparisons["significant"] = False
    sentences = answer(summarise(run), comparisons)
    assert "is inconclusive" in sentences[1]
    assert "significantly better on none" in sentences[1]


def test_without_a_mix_the_answer_says_so(plain_run):
    sentences = answer(summarise(plain_run), compare_all(plain_run))
    assert len(sentences) == 3
    assert "learns no mix" in sentences[2]
    assert "the best layer" in sentences[1]


def test_the_first_sentences_say_what_the_controls_leave(stored):
    numbers = RunNumbers(stored)
    first = answer(numbers.summary, numbers.comparisons, numbers.standings)
    assert "above the majority on 3 of 5 tasks (SentLen, Tense, SubjNum)" in first[0]
    assert "above the untrained encoder on 1 of 5 tasks (Tense), significantly below on SentLen" in first[2]
    # By hand: p of a normal law from the interval that the run wrote down, times the number of tests, is small enough.
    gain = stored.scores.query("metric == 'gain' and control == 'untrained' and task == 'sentence_length'")
    row = gain[(gain["representation"] == "layer") & (gain["layer"] == 0)].iloc[0]
    z = row["value"] / ((row["ci_high"] - row["ci_low"]) / 3.92)
    assert z < 0
    assert 20 * 2 * NormalDist().cdf(z) < 0.05


@pytest.mark.parametrize(
    ("difference", "half", "above", "below"),
    [(0.2, 0.05, ("A", "B"), ()), (-0.2, 0.05, (), ("A", "B")), (0.05, 0.06, (), ()), (0.045, 0.04, (), ())],
)
def test_a_control_is_beaten_only_beyond_the_noise_of_all_tasks_and_controls(difference, half, above, below):
    rows = [
        {"contender": "best", "title": title, "n": 300, "value": 0.5, "low": 0.4, "high": 0.6, "majority": 0.5}
        | {"untrained_difference": difference, "untrained_low": difference - half}
        | {"untrained_high": difference + half}
        for title in ("A", "B")
    ]
    majority, untrained = judge_controls(pd.DataFrame(rows))
    assert (majority.above, majority.below) == ((), ())
    assert (untrained.above, untrained.below) == (above, below)


@pytest.mark.parametrize(
    ("right", "n", "majority", "sure"),
    [(0, 2, 1.0, False), (0, 2, 0.5, False), (5, 5, 0.6, False), (4, 4, 0.5, False), (40, 40, 0.5, True),
     (12, 12, 0.5, True), (0, 40, 0.5, True)],
)  # fmt: skip
def test_no_verdict_rests_on_a_few_sentences(right, n, majority, sure):
    """By hand: the exact binomial test says the same of each, where the majority's score is not certain itself."""
    low, high = binomtest(right, n).proportion_ci(method="wilson")
    facts = {"contender": "best", "title": "A", "n": n, "value": right / n, "low": low, "high": high}
    (standing,) = judge_controls(pd.DataFrame([facts | {"majority": majority}]))
    assert bool(standing.above or standing.below) == sure
    if majority < 1:
        assert (binomtest(right, n, majority).pvalue < 0.05) == sure


def test_a_run_without_controls_is_warned_of(plain_run, stored):
    assert any("No control" in warning for warning in list_warnings(plain_run))
    assert not any("No control" in warning for warning in list_warnings(stored))
    assert any("300 sentences" in warning for warning in list_warnings(stored))


def test_the_command_makes_the_same_settings_again(stored):
    words = rebuild_command({**stored.settings, "data": "a folder; rm -rf x"})
    code = (
        "import sys, json, shlex, tyro; from dataclasses import asdict; from probing.settings.run import RunSettings;"
        "print(json.dumps(asdict(tyro.cli(RunSettings, args=shlex.split(sys.argv[1])[2:])), default=str))"
    )
    found = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True, check=True)
    again = json.loads(found.stdout)
    expected = {**stored.settings, "data": "a folder; rm -rf x"}
    assert {name: again[name] for name in expected} == expected


def official(run, checkpoint="bert-base-uncased", n=10_000, **changes):
    """A run as if it had been on the official data."""
    scores = run.scores.assign(n=n, model="bert", checkpoint=checkpoint)
    settings = {"model": "bert", "checkpoint": checkpoint, "data": "senteval", "pooling": "mean", "limit": 0}
    return replace(run, scores=scores, settings={**settings, **changes})


def test_published_figures_stand_beside_the_same_layers(run):
    one = official(run)
    both = match_published(one, mean_scores(one.scores))
    assert len(both) == 70
    row = both[(both["task"] == "past_present") & (both["layer"] == 5)].iloc[0]
    figures = read_published()
    known = figures.query("checkpoint == 'bert-base-uncased' and pooling == 'mean' and task == 'past_present'")
    assert row["published"] == known[known["layer"] == 5]["value"].iloc[0]
    assert row["difference"] == pytest.approx(row["value"] - row["published"])
    assert "jklj077/senteval-info" in build_report([one])


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "controlled"},
        {"limit": 500},
        {"pooling": "last"},
        {"checkpoint": "bert-base-cased"},
        {"model": "untrained"},
    ],
)
def test_published_figures_are_not_held_against_another_thing(run, changes):
    one = official(run, **changes)
    assert match_published(one, mean_scores(one.scores)).empty


def test_published_figures_are_whole():
    figures = read_published()
    counts = figures.groupby("checkpoint")["layer"].nunique()
    assert counts.to_dict() == {"bert-base-uncased": 13, "bert-large-uncased": 25}
    assert len(figures) == (13 + 25) * 10 * 3
    assert figures["value"].between(0, 1).all()


@pytest.mark.slow
def test_several_runs_are_compared_with_the_first_or_it_is_said_why_not():
    shown = "".join(Page(build_report([load_run(RUNS / name) for name in ("bermo", "untrained")])).shown)
    assert "untrained minus bermo" in shown
    shown = "".join(Page(build_report([load_run(RUNS / name) for name in ("bermo", "before_controls")])).shown)
    assert "Not compared" in shown
    assert "lacks sentence_length" in shown


@pytest.mark.slow
def test_every_stored_run_still_loads_and_has_a_report():
    for folder in sorted(path.parent for path in RUNS.glob("*/settings.json")):
        page = (
            build_training_report([load_training(folder)]) if is_training(folder) else build_report([load_run(folder)])
        )
        assert "<h1>" in page


def test_gradients_are_drawn_where_they_were_measured(page, stored, run):
    specs = Page(page).specs
    assert {"chart-gradients-hidden-0", "chart-gradients-parameters-0"} <= set(specs)
    rows = values(specs["chart-gradients-hidden-0"])
    assert {row["step"] for row in rows} == {stored.gradients["step"].max()}
    assert not [name for name in Page(build_report([run])).specs if "gradients" in name]


def test_nothing_is_written_for_a_broken_run(tmp_path):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "settings.json").write_text("{}")
    for folders, message in (([tmp_path / "half"], "is missing"), ([], "--output"), ([tmp_path] * 2, "--output")):
        with pytest.raises(InputError, match=message):
            write_report(folders)
    assert not list(tmp_path.rglob("report.html"))


def test_a_missing_layer_writes_nothing(run, write_run, tmp_path):
    lacking = run.scores[(run.scores["task"] != "tree_depth") | (run.scores["layer"] != 3)]
    folder = write_run(replace(run, scores=lacking), tmp_path / "lacking")
    with pytest.raises(InputError, match="lacks layer 3"):
        write_report([folder])
    assert not (folder / "report.html").exists()


@pytest.mark.slow
def test_the_commands_load_no_torch_and_the_package_alone_loads_nothing():
    code = (
        "import sys, analysis.report; light = sorted({'torch', 'altair', 'pandas', 'matplotlib'} & set(sys.modules));"
        "import analysis.compare, analysis.convergence, analysis.replication, analysis.terminal.run;"
        "import analysis.report.__main__, analysis.tables.__main__;"
        "print(light, sorted({'torch', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] []"


@pytest.mark.slow
def test_charts_are_made_without_the_parsers_that_none_needs():
    """They take four fifths of the import's time; whoever else wants them still finds them."""
    code = (
        "import sys, lark; made = []; usual = lark.Lark.__init__\n"
        "def note(*given, **named): made.append(1); usual(*given, **named)\n"
        "lark.Lark.__init__ = note\n"
        "from analysis.report.vega import alt; print(len(made), 'rfc3987_syntax' in sys.modules, alt.Chart.__name__)\n"
        "import rfc3987_syntax; print(len(made) > 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["0", "False", "Chart", "True"]


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
    return command.main()


def test_the_command_writes_the_page_and_says_where(monkeypatch, capsys, tmp_path):
    assert call(monkeypatch, RUNS / "before_controls", "--output", tmp_path / "page.html") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 500_000


def test_a_mistake_ends_in_one_line_and_2(monkeypatch, capsys, tmp_path):
    assert call(monkeypatch, tmp_path) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_command_helps(monkeypatch, capsys):
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, "--help")
    assert caught.value.code == 0
    assert "--output" in capsys.readouterr().out


def test_the_report_of_a_run_stands_in_its_folder(plain_run, write_run, tmp_path):
    folder = write_run(plain_run, tmp_path / "one")
    assert write_report([folder]) == folder / "report.html"
    assert not list(folder.glob(".*.part"))
    assert pd.read_parquet(folder / "scores.parquet").shape == plain_run.scores.shape
