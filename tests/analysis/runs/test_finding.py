import json
import os
import shutil
from pathlib import Path

import pytest

from analysis.runs.finding import find_beside_baselines, find_pair, find_runs
from probing.records import InputError

RUNS = Path(__file__).parent
STORED = "tests/analysis/runs/bermo"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with stored runs and no others; Jupyter was started at its root, the kernel runs in notebooks/."""
    for name in ("bermo", "untrained", "training_bert", "training_bermo"):
        shutil.copytree(RUNS / name, tmp_path / "tests/analysis/runs" / name)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("PWD", str(tmp_path))
    for name in ("PROBING_RUN", "PROBING_RUNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def make_own(project, source, name, age):
    """A run of one's own that ended `age` seconds ago."""
    folder = project / "data/results" / name
    shutil.copytree(RUNS / source, folder)
    ended = (folder / "manifest.json").stat().st_mtime - age
    os.utime(folder / "manifest.json", (ended, ended))
    return folder


def test_a_relative_path_is_looked_for_where_jupyter_was_started(project, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(RUNS / "untrained", elsewhere / "my run")
    monkeypatch.setenv("PWD", str(elsewhere))
    monkeypatch.setenv("PROBING_RUN", "my run")
    assert find_runs(STORED) == [elsewhere / "my run"]


def test_without_a_shell_a_path_from_the_root_of_the_project_is_found(project, monkeypatch):
    monkeypatch.delenv("PWD")
    monkeypatch.setenv("PROBING_RUN", "tests/analysis/runs/untrained")
    assert find_runs(STORED) == [project / "tests/analysis/runs/untrained"]


def test_several_runs_are_words_of_a_shell(project, monkeypatch):
    (project / "tests/analysis/runs/untrained").rename(project / "a run")
    monkeypatch.setenv("PROBING_RUNS", f"'a run' {STORED}")
    assert find_runs(STORED, least=2) == [project / "a run", project / STORED]


def test_runs_of_a_recipe_are_found_among_named_and_own_ones(project, monkeypatch):
    stored = "tests/analysis/runs/training_bermo"
    pruned = make_own(project, "training_bert", "pruned", 60)
    settings = json.loads((pruned / "settings.json").read_text()) | {"recipe": "prune"}
    (pruned / "settings.json").write_text(json.dumps(settings))
    assert find_runs(stored, training=True, recipe="c_bert") == [project / stored]
    make_own(project, "training_bert", "newest", 0)
    assert find_runs(stored, training=True, recipe="prune") == [pruned]
    monkeypatch.setenv("PROBING_RUNS", f"{stored} data/results/pruned")
    assert find_runs(stored, training=True, recipe="prune") == [pruned]
    assert find_runs(stored, training=True, recipe="finetune") == [project / stored]


def test_own_runs_come_before_stored_ones_the_newest_first(project):
    assert find_runs(STORED) == [project / STORED]
    older, newest = make_own(project, "untrained", "a/older", 60), make_own(project, "bermo", "newest", 0)
    assert find_runs(STORED) == [newest, older]


def test_a_named_run_comes_before_own_ones(project, monkeypatch):
    make_own(project, "bermo", "newest", 0)
    monkeypatch.setenv("PROBING_RUN", "tests/analysis/runs/untrained")
    assert find_runs(STORED) == [project / "tests/analysis/runs/untrained"]


def test_a_run_that_has_not_ended_is_not_opened_unless_it_is_named(project, monkeypatch):
    folder = make_own(project, "bermo", "half", 0)
    (folder / "manifest.json").unlink()
    assert find_runs(STORED) == [project / STORED]
    monkeypatch.setenv("PROBING_RUN", "data/results/half")
    assert find_runs(STORED) == [folder]  # to be refused, by name, when it is read


def test_one_run_is_too_few_where_two_are_compared(project, monkeypatch):
    make_own(project, "bermo", "newest", 0)
    both = [project / STORED, project / "tests/analysis/runs/untrained"]
    assert find_runs(STORED, "tests/analysis/runs/untrained", least=2) == both


def test_a_folder_that_is_nowhere_is_refused_with_the_places_looked_at(project, monkeypatch):
    monkeypatch.setenv("PROBING_RUN", "data/results/typo")
    with pytest.raises(InputError, match=rf"data/results/typo: no such run folder; looked for {project}"):
        find_runs(STORED)


def test_both_variables_at_once_are_refused(project, monkeypatch):
    monkeypatch.setenv("PROBING_RUN", STORED)
    monkeypatch.setenv("PROBING_RUNS", STORED)
    with pytest.raises(InputError, match="got both"):
        find_runs(STORED)


def test_probing_and_training_runs_are_told_apart(project, monkeypatch):
    training = [f"tests/analysis/runs/training_{model}" for model in ("bert", "bermo")]
    make_own(project, "training_bert", "trained", 0)
    assert find_runs(STORED) == [project / STORED]
    monkeypatch.setenv("PROBING_RUNS", " ".join([STORED, *training]))
    assert find_runs(STORED) == [project / STORED]
    assert find_pair(*training) == [project / path for path in training]


def test_a_pair_of_ones_own_differs_in_the_model_alone(project):
    stored = [f"tests/analysis/runs/training_{model}" for model in ("bert", "bermo")]
    bermo = make_own(project, "training_bermo", "b", 0)
    assert find_pair(*stored) == [project / path for path in stored]
    bert = make_own(project, "training_bert", "a", 60)
    assert find_pair(*stored) == [bert, bermo]
    settings = bert / "settings.json"
    settings.write_text(settings.read_text().replace('"max_steps": 200', '"max_steps": 100'))
    assert find_pair(*stored) == [project / path for path in stored]


def test_a_run_beside_baselines_is_a_named_one_else_the_newest_own_else_the_stored_one(project, monkeypatch):
    stored = "tests/analysis/runs/training_triples"
    shutil.copytree(RUNS / "training_triples", project / stored)
    make_own(project, "training_bert", "without", 0)
    assert find_beside_baselines(stored) == project / stored
    older, newer = (make_own(project, "training_triples", name, age) for name, age in (("a", 60), ("b", 30)))
    assert find_beside_baselines(stored) == newer
    monkeypatch.setenv("PROBING_RUNS", f"tests/analysis/runs/training_bert data/results/{older.name}")
    assert find_beside_baselines(stored) == older
