import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from probing.run_senteval import main
from probing.settings.run import EMBEDDED
from tests.helpers import build_task, run_script, write_task

SCRIPT = Path(__file__).parents[2] / "probing" / "run_senteval.py"


@pytest.fixture
def corpus(tmp_path):
    for name in ("past_present", "obj_number"):
        write_task(tmp_path / "corpus", build_task(name))
    return tmp_path / "corpus"


@pytest.fixture
def start(tmp_path, tiny_folder, corpus, monkeypatch, capsys):
    """Function: run the script in an empty folder, on a tiny encoder and tiny tasks unless told otherwise."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*flags, shown=False, bare=()):
        usual = {
            "--checkpoint": [str(tiny_folder)],
            "--data": [str(corpus)],
            "--tasks": ["past_present", "obj_number"],
            "--device": ["cpu"],
            "--dtype": ["float32"],
            "--controls": [],
            "--no-report": [],  # the tests of the analysis make reports
        }
        kept = [part for flag, values in usual.items() if flag not in (*flags, *bare) for part in (flag, *values)]
        if not shown:  # the figures of a run take seconds
            monkeypatch.setattr("analysis.terminal.run.show_run", lambda folder: None)
        return run_script(main, "run_senteval.py", [*kept, *flags], monkeypatch, capsys)

    return run


def mistakes_in(err):
    """What was said beside the line that ends the loading of the tasks."""
    return [line for line in err.splitlines() if not line.startswith("tasks: ")]


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_run_ends_well_and_leaves_its_tables_and_figures(start):
    code, out, err = start("--output", "run", "--quiet", shown=True)
    assert (code, err) == (0, "")
    assert "past_present" in out or "Tense" in out
    left = files_under(Path("run"))
    for name in ("scores.parquet", "scores.csv", "layer_weights.parquet", "predictions.parquet", "settings.json"):
        assert name in left
    assert "manifest.json" in left
    assert any(name.startswith("figures") and name.endswith(".png") for name in left)
    assert any(name.startswith("figures") and name.endswith(".pdf") for name in left)


@pytest.mark.slow
def test_hyphens_and_underscores_are_the_same(start):
    for number, flag in enumerate(("--cache-dir", "--cache_dir")):
        assert start(flag, f"cache{number}", "--output", f"run{number}", "--max-length", "9", "--quiet")[0] == 0
        assert files_under(Path(f"cache{number}"))
    assert start("--mix_embeddings", "--special-tokens", "--output", "run2", "--quiet")[0] == 0


@pytest.mark.slow
def test_every_alias_of_a_task_is_the_task(start):
    for number, name in enumerate(("Tense", "past-present", "PASTPRESENT", "past_present")):
        assert start("--tasks", name, "--output", f"run{number}", "--quiet")[0] == 0
        scores = pd.read_parquet(Path(f"run{number}") / "scores.parquet")
        assert set(scores["task"]) == {"past_present"}


@pytest.mark.slow
def test_tasks_that_only_a_group_asks_for_may_be_missing_and_are_told_in_a_line(start):
    code, _, err = start("--tasks", "semantic", "--output", "run", "--quiet")
    assert code == 0
    assert len(mistakes_in(err)) == 1
    assert "odd_man_out" in err
    assert start("--tasks", "Tense", "--output", "run2", "--quiet")[2] == ""


BAD = {
    "model": (["--model", "brt"], "did you mean bert"),
    "pooling": (["--pooling", "sum"], "mean"),
    "probe": (["--probe", "liner"], "linear"),
    "task": (["--tasks", "past_presents"], "past_present"),
    "a task that the corpus lacks": (["--tasks", "tree_depth"], "tree_depth.txt"),
    "control": (["--controls", "nothing"], "control"),
    "layer beyond the last": (["--layers", "3"], "0 (embeddings) to 2"),
    "layer before the first": (["--layers", "-4"], "0 (embeddings) to 2"),
    "folder of data": (["--data", "nowhere"], "nowhere"),
    "hub id, offline": (["--checkpoint", "bert-base-uncased"], EMBEDDED),
    "hub id with revision, offline": (["--checkpoint", "some/model@v1"], EMBEDDED),
    "folder without a checkpoint": (["--checkpoint", "."], "config.json"),
    "negative limit": (["--limit", "-1"], "--limit -1"),
    "negative threads": (["--threads", "-2"], "--threads -2"),
    "negative length": (["--max-length", "-2"], "--max-length -2"),
    "length without room": (["--max-length", "2"], "--max-length 2"),
    "no seed": (["--seeds"], "--seeds"),
    "negative seed": (["--seeds", "-1"], "--seeds -1"),
    "the same seed twice": (["--seeds", "0", "0"], "--seeds"),
    "device": (["--device", "abacus"], "abacus"),
    "file as output": (["--output", "../corpus/past_present.txt"], "past_present.txt"),
    "folder of something else as output": (["--output", "../corpus"], "corpus"),
    "file as cache": (["--cache-dir", "../corpus/past_present.txt"], "past_present.txt"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_ends_in_one_line_and_code_2_and_writes_nothing(case, start, tmp_path):
    flags, named = BAD[case]
    before = files_under(tmp_path)
    code, out, err = start(*flags)
    assert code == 2, err
    assert len(mistakes_in(err)) == 1, err
    assert named in err
    assert out == ""
    assert files_under(tmp_path) == before


LINES = {
    "split": ("xx\tPAST\tada saw dogs .\n", "unknown split 'xx'"),
    "fields": ("tr\tPAST\n", "got 2 field(s)"),
    "label": ("te\tFUTURE\tada saw dogs .\n", "FUTURE"),
    "empty sentence": ("tr\tPAST\t \n", "empty"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_bad_line_of_data_is_named_by_file_and_number(case, start, corpus, tmp_path):
    line, named = LINES[case]
    path = corpus / "past_present.txt"
    path.write_text(path.read_text() + line)
    number = path.read_text().count("\n")
    before = files_under(tmp_path)
    code, _, err = start()
    assert code == 2
    assert len(mistakes_in(err)) == 1
    assert f"{path}:{number}: " in err
    assert named in err
    assert files_under(tmp_path) == before


@pytest.mark.parametrize("flags", [["--limit", "many"], ["--no-such-flag", "1"], ["--dtype", "int8"], ["extra"]])
def test_a_flag_that_cannot_be_read_ends_in_code_2_and_writes_nothing(flags, start, tmp_path):
    before = files_under(tmp_path)
    code, out, err = start(*flags)
    assert code == 2
    assert "Traceback" not in out + err
    assert files_under(tmp_path) == before


@pytest.mark.slow
def test_the_folder_of_another_run_is_refused_and_named_field_by_field(start):
    assert start("--output", "run", "--quiet")[0] == 0
    before = {name: (Path("run") / name).read_bytes() for name in files_under(Path("run"))}
    code, _, err = start("--output", "run", "--pooling", "cls")
    assert code == 2
    assert len(mistakes_in(err)) == 1
    assert "pooling 'mean' -> 'cls'" in err
    assert {name: (Path("run") / name).read_bytes() for name in files_under(Path("run"))} == before
    assert start("--output", "run", "--pooling", "cls", "--overwrite", "--quiet")[0] == 0


@pytest.mark.slow
def test_a_cell_that_fails_makes_the_exit_code_1_and_the_table_is_shown(start, monkeypatch):
    from probing.probes.scalar_mix import ScalarMixProbe

    def fail(*args):
        raise RuntimeError("no luck")

    monkeypatch.setattr(ScalarMixProbe, "fit", fail)
    code, out, err = start("--output", "run", shown=True)
    assert code == 1, err
    assert "no luck" in err
    assert out


@pytest.mark.slow
def test_where_every_cell_fails_the_exit_code_is_1(start, monkeypatch):
    from probing.probes.linear import LinearProbe
    from probing.probes.majority import MajorityProbe
    from probing.probes.scalar_mix import ScalarMixProbe

    def fail(*args):
        raise RuntimeError("no luck")

    for probe in (LinearProbe, MajorityProbe, ScalarMixProbe):
        monkeypatch.setattr(probe, "fit", fail)
    code, _, err = start("--output", "run", shown=True)
    assert code == 1, err
    assert "no luck" in err
    assert (Path("run") / "manifest.json").is_file()


@pytest.mark.slow
def test_an_interruption_says_that_the_run_can_go_on(start, monkeypatch):
    from probing.probes.linear import LinearProbe

    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LinearProbe, "fit", interrupt)
        code, _, err = start("--output", "run", "--quiet")
    assert code == 130
    assert "goes on" in err
    assert start("--output", "run", "--quiet")[0] == 0


def in_fresh_interpreter(folder, *arguments):
    environment = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_help_loads_neither_torch_nor_transformers_nor_pandas(tmp_path):
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['run_senteval.py', '--help']\n"
        f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))\n"
    )
    done = in_fresh_interpreter(tmp_path, "-I", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("heavy: []\n")


def test_the_script_runs_isolated_from_an_empty_folder(tmp_path):
    done = in_fresh_interpreter(tmp_path, "-I", str(SCRIPT), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for flag in (
        "model", "checkpoint", "data", "tasks", "layers", "pooling", "probe", "seeds", "limit", "dtype", "device",
        "threads", "output", "cache-dir", "overwrite",
    ):  # fmt: skip
        assert f"--{flag}" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_script_as_file_and_the_package_are_one(tmp_path):
    """Run as a file, `probing/` itself is not on the path, where its modules would have two names."""
    code = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(SCRIPT.parent)!r}); sys.argv = ['run_senteval.py', '--help']\n"
        f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"assert {str(SCRIPT.parent)!r} not in sys.path\n"
        "import probing; print(probing.__file__)\n"
    )
    done = in_fresh_interpreter(tmp_path, "-I", "-c", code)
    assert done.stdout.endswith(f"{SCRIPT.parent / '__init__.py'}\n"), done.stderr


@pytest.mark.slow
def test_the_settings_that_a_run_left_make_its_numbers_again(start):
    start(
        "--output",
        "one",
        "--limit",
        "40",
        "--layers",
        "-1",
        "1",
        "--mix-embeddings",
        "--seeds",
        "3",
        "--gradients",
        "0",
    )
    # None of the usual flags but the folder: all others come from the file.
    usual = ("--checkpoint", "--data", "--tasks", "--device", "--dtype", "--controls")
    code, _, _ = start("--config", "one/settings.json", "--output", "two", "--quiet", bare=usual)
    assert code == 0
    assert Path("one/settings.json").read_bytes() == Path("two/settings.json").read_bytes()
    one, two = (pd.read_parquet(f"{name}/scores.parquet").drop(columns="seconds") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)
    assert set(one.loc[one["representation"] == "scalar_mix", "seed"]) == {3}
