"""The script holds from anywhere, answers at once, and leaves whole files or none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from probing.catalogue.tasks import SENTEVAL_TASKS, find_specs
from probing.records import SPLITS
from probing.tasks.builds import write_build
from probing.tasks.controlled.corpus import make_rows
from probing.tasks.files.senteval import format_rows, read_task
from tests.toy_treebank import write_treebank

SCRIPT = Path(__file__).parents[2] / "probing" / "build_tasks.py"


def run(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_treebank(tmp_path_factory.mktemp("UD_Toy"), "xx_toy")


@pytest.fixture(scope="module")
def built(treebank: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    result = run("--conllu", *treebank, "--output", "out", cwd=folder, PYTHONHASHSEED="1")
    assert result.returncode == 0, result.stderr
    return folder / "out"


def test_every_file_written_is_read_back_as_a_task(built: Path) -> None:
    report = json.loads((built / "tasks.json").read_text(encoding="utf-8"))
    assert {path.stem for path in built.glob("*.txt")} == set(report["tasks"])
    assert {"bigram_shift", "past_present", "subj_number", "obj_number", "odd_man_out"} <= set(report["tasks"])
    for spec in find_specs(report["tasks"]):
        task = read_task(built / f"{spec.name}.txt", spec)
        assert {split: len(task.splits[split]) for split in SPLITS} == report["tasks"][spec.name]["sentences"]


@pytest.mark.slow
def test_same_input_and_seed_give_the_same_bytes(built: Path, treebank: list[Path], tmp_path: Path) -> None:
    run("--conllu", *reversed(treebank), "--output", "again", cwd=tmp_path, PYTHONHASHSEED="2")
    files = {path.name: path.read_bytes() for path in built.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == files


@pytest.mark.slow
def test_the_controlled_corpus_is_written_with_what_is_switched_on(tmp_path: Path) -> None:
    flags = ("--controlled", "--sizes", 600, 24, 24, "--confounds", "length_depth", "uneven_classes")
    result = run(*flags, "--output", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "out" / "tasks.json").read_text(encoding="utf-8"))
    assert report["confounds"] == ["length_depth", "uneven_classes"]
    assert report["tasks"]["tree_depth"]["relaxed"] == ["length_depth is switched on", "uneven_classes is switched on"]
    assert report["tasks"]["past_present"]["relaxed"] == ["uneven_classes is switched on"]
    made = make_rows(["all"], 0, dict(zip(SPLITS, (600, 24, 24), strict=True)), report["confounds"])
    for spec in SENTEVAL_TASKS:
        path = tmp_path / "out" / f"{spec.name}.txt"
        assert path.read_text(encoding="utf-8") == format_rows(made[spec.name])
        assert len(read_task(path, spec).splits["train"]) == 600


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--controlled",), "expected --output FOLDER"),
        (("--output", "out"), "expected --output FOLDER with --conllu FILES or --controlled"),
        (("--controlled", "--output", "out", "--confounds", "lenght_depth"), "did you mean length_depth?"),
        (
            ("--controlled", "--output", "out", "--sizes", 9, 0, 9),
            "expected one sentence or more of each split, got 9 0 9",
        ),
        (("--controlled", "--output", "out", "--sizes", 10**24, 1, 1), "expected at most 200000 sentences of a split"),
        (("--controlled", "--output", "out", "--trees", "x"), "--trees: has no effect with --controlled"),
        (("--conllu", "x-train.conllu", "--output", "out", "--sizes", 9, 9, 9), "--sizes: has no effect with --conllu"),
        (("--controlled", "--output", "out", "--report", "x"), "--report: has no effect with --controlled"),
        (("--check", ".", "--controlled"), "--controlled: has no effect with --check"),
        (("--check", "~nouser/x"), "--check ~nouser/x: no such user has a home here"),
        (("--conllu", "x" * 300 + "/train.conllu", "--output", "out"), "cannot be looked at (File name too long)"),
        (
            ("--conllu", "train.conllu", "--trees", "x" * 300, "--output", "out"),
            "cannot be looked at (File name too long)",
        ),
        (("--check", "."), "holds no task files"),
        (("--check", "x" * 300), "is no path (File name too long)"),
        (("--conllu", "x-train.conllu", "--output", "out", "--confounds", "length_depth"), "add --controlled"),
    ],
)
def test_a_corpus_that_cannot_be_made_is_one_line(tmp_path: Path, flags: tuple[object, ...], expected: str) -> None:
    result = run(*flags, cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert expected in result.stderr
    assert not (tmp_path / "out").exists()


def test_help_is_answered_without_torch_and_trees(tmp_path: Path) -> None:
    code = f"""
import runpy, sys
sys.argv = ["build_tasks.py", "--help"]
try:
    runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
finally:
    print(sorted({{"torch", "transformers", "nltk"}} & set(sys.modules)))
"""
    command = [sys.executable, "-I", "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "--conllu" in result.stdout
    assert result.stdout.strip().endswith("[]")


def test_a_mistake_ends_in_one_line_and_leaves_nothing(treebank: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "train.conllu"
    broken.write_text("no treebank\n", encoding="utf-8")
    result = run("--conllu", broken, *treebank[1:], "--output", "out", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"{broken}:1: ")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_nothing_made_is_no_success_and_leaves_nothing(tmp_path: Path) -> None:
    row = "{0}\t_\t_\tX\t_\t_\t{1}\t{2}\t_\t_\n"
    block = "".join(row.format(n + 1, min(n, 1), "dep" if n else "root") for n in range(6)) + "\n"
    for split in SPLITS:
        (tmp_path / f"{split}.conllu").write_text(block * 30)
    result = run("--conllu", *(tmp_path / f"{split}.conllu" for split in SPLITS), "--output", "out", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("all 90 sentences have their words withheld")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_report_or_folder_that_has_no_name_to_be_written_under_is_one_line(built: Path, tmp_path: Path) -> None:
    for flags in (("--check", built, "--report", ""), ("--check", built, "--report", tmp_path / ("x" * 300))):
        result = run(*flags, cwd=tmp_path)
        assert result.returncode == 2
        assert ("got an empty one" if flags[-1] == "" else "a name is too long") in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_build_takes_no_other_ones_place_and_the_same_one_is_let_stand(tmp_path: Path) -> None:
    flags = ("--controlled", "--sizes", 60, 24, 24, "--output", "out")
    assert run(*flags, cwd=tmp_path).returncode == 0
    (tmp_path / "out" / "LICENSE.md").write_text("mine")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert run(*flags, cwd=tmp_path).returncode == 0
    result = run(*flags, "--seed", 1, cwd=tmp_path)
    assert result.returncode == 2
    assert "holds another build" in result.stderr.splitlines()[-1]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    (tmp_path / "out" / "tasks.json").unlink()
    assert "no finished build" in run(*flags, cwd=tmp_path).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_build_that_is_killed_leaves_no_folder_and_the_next_one_clears_up(tmp_path: Path) -> None:
    rows = {"tree_depth": [("train", "5", "one two")], "past_present": [("train", "PAST", "three")]}
    code = f"""
import os
from probing.tasks import builds
builds.write_tasks = lambda folder, rows: ((folder / "tree_depth.txt").write_text("half"), os._exit(9))
builds.write_build(builds.Path("out"), {rows}, {{}})
"""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, env=environment)
    assert killed.returncode == 9
    assert [path.name.startswith(".out.") for path in tmp_path.iterdir()] == [True]
    write_build(tmp_path / "out", rows, {})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tree_depth.txt", "past_present.txt", "tasks.json"}
