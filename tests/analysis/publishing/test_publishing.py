"""A published run is read back by the hub's own libraries; nothing is published of a run that has not ended."""

import json
import re
import shutil
import sys
from pathlib import Path

import datasets
import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import DatasetCard, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.repocard_data import model_index_to_eval_results

from analysis.publishing import hub
from analysis.publishing.__main__ import main
from analysis.publishing.folder import write_folder
from probing.records import InputError
from probing.sealed_json import seal_json

pytestmark = pytest.mark.slow


RUNS = Path(__file__).parents[1] / "runs"
PROBED, SMALL, TRAINED = RUNS / "bermo", RUNS / "bermo_cls", RUNS / "training_bermo"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The folders of a published probing run and of a published training run."""
    place = tmp_path_factory.mktemp("published")
    return {
        run.name: write_folder(run, place / f"my-{run.name}", license_name="cc-by-4.0") for run in (PROBED, TRAINED)
    }


@pytest.fixture
def call(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["publish", *map(str, arguments)])
        return main(), *capsys.readouterr()

    return call


@pytest.mark.parametrize("run", [PROBED, TRAINED])
def test_the_hubs_reader_gives_every_table_by_its_name_as_the_card_says(run, published, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    folder = published[run.name]
    for path in run.glob("*.parquet"):
        table = datasets.load_dataset(str(folder), path.stem, split="train", cache_dir=str(tmp_path)).to_pandas()
        expected = pd.read_parquet(path)
        assert list(table) == list(expected)
        assert len(table) == len(expected)
        for name in expected.select_dtypes("number"):
            np.testing.assert_array_equal(table[name], expected[name])


@pytest.mark.parametrize("run", [PROBED, TRAINED])
def test_tables_settings_and_manifest_are_byte_for_byte_those_of_the_run(run, published):
    names = {path.name for path in run.iterdir() if path.is_file()}
    assert names >= {"settings.json", "manifest.json"}
    for name in names:
        assert (published[run.name] / name).read_bytes() == (run / name).read_bytes()
    others = {path.name for path in published[run.name].iterdir()} - names
    assert others == {"README.md", "model-index.yml", "report.html"}


def test_the_page_is_of_the_folder_that_it_stands_in(published):
    page = (published["bermo"] / "report.html").read_text()
    assert "my-bermo" in page
    assert not re.search(r"\.my-bermo\.[0-9a-f]{32}", page)


def test_the_head_of_the_card_is_one_that_the_hub_takes(published):
    card = DatasetCard.load(published["bermo"] / "README.md")
    head = card.data.to_dict()
    assert head["license"] == "cc-by-4.0"
    assert head["configs"][0]["config_name"] == "scores"
    assert [config.get("default", False) for config in head["configs"]].count(True) == 1
    for config in head["configs"]:
        assert (published["bermo"] / config["data_files"]).is_file()


@pytest.mark.parametrize("run", [PROBED, TRAINED])
def test_every_column_is_explained(run, published):
    text = (published[run.name] / "README.md").read_text()
    columns = text.partition("## Columns")[2]
    for path in run.glob("*.parquet"):
        part = columns.partition(f"### {path.name} ")[2].partition("###")[0]
        assert part.startswith(f"({len(pd.read_parquet(path)):,} rows)")
        for name in pd.read_parquet(path):
            assert re.search(rf"^\| `{name}` \| \S.+ \|$", part, re.MULTILINE), (path.name, name)


def test_the_model_index_has_the_scores_that_the_tables_have(published):
    block = yaml.safe_load((published["bermo"] / "model-index.yml").read_text())
    name, results = model_index_to_eval_results(block["model-index"])
    assert name == "all-MiniLM-L6-v2"
    scores = pd.read_parquet(PROBED / "scores.parquet").query("control == 'none' and metric == 'accuracy'")
    tests = scores.query("split == 'test'").set_index(["task", "representation", "layer"])["value"]
    dev = scores.query("split == 'dev' and representation == 'layer'")
    assert len(results) == 3 * scores["task"].nunique()
    for result in results:
        own = dev[dev["task"] == result.dataset_type]
        if "last" in result.metric_name:
            expected = tests[result.dataset_type, "layer", 6]
        elif "best" in result.metric_name:
            layer = own.sort_values(["value", "layer"], ascending=[False, True])["layer"].iloc[0]
            expected = tests[result.dataset_type, "layer", layer]
        else:
            expected = tests[result.dataset_type, "scalar_mix", -1]
        assert result.metric_type == "accuracy"
        assert result.metric_value == pytest.approx(expected)


def test_every_trained_model_is_in_the_model_index(published):
    block = yaml.safe_load((published["training_bermo"] / "model-index.yml").read_text())
    _, results = model_index_to_eval_results(block["model-index"])
    models = pd.read_parquet(TRAINED / "trained_models.parquet")
    assert sorted(result.metric_value for result in results) == pytest.approx(sorted(models["value"]))
    assert {result.dataset_split for result in results} == set(models["split"])


def test_texts_from_data_cannot_break_a_table_or_be_a_tag(tmp_path):
    run = shutil.copytree(SMALL, tmp_path / "run")
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_bytes(seal_json(settings | {"data": "my | <script>\ncorpus"}))
    folder = write_folder(run, tmp_path / "published")
    text = (folder / "README.md").read_text()
    assert "| Data | my \\| &lt;script> corpus," in text
    assert DatasetCard.load(folder / "README.md").data.to_dict()["pretty_name"]


def test_a_run_that_has_not_ended_is_refused_and_nothing_written(tmp_path, call):
    run = shutil.copytree(PROBED, tmp_path / "run")
    (run / "manifest.json").unlink()
    code, out, err = call(run, "--to", tmp_path / "published")
    assert (code, out) == (2, "")
    assert "has not ended" in err
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_a_damaged_table_is_refused_and_nothing_written(tmp_path):
    run = shutil.copytree(PROBED, tmp_path / "run")
    (run / "predictions.parquet").write_bytes((run / "predictions.parquet").read_bytes()[:-9])
    with pytest.raises(InputError, match=r"predictions\.parquet"):
        write_folder(run, tmp_path / "published")
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_an_empty_folder_is_filled_and_any_other_left_alone(tmp_path, call):
    (tmp_path / "empty").mkdir()
    assert call(SMALL, "--to", tmp_path / "empty")[:2] == (0, f"{tmp_path / 'empty'}\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert "not empty" in call(PROBED, "--to", tmp_path / "full")[2]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_a_name_on_the_hub_without_its_prefix_is_never_uploaded_nor_made_a_folder(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = call(PROBED, "--to", "someone/numbers")
    assert code == 2
    assert "hub:OWNER/NAME" in err
    assert list(tmp_path.iterdir()) == []


class Hub:
    """The hub's two calls, in place of the network; `told` has what they were given, the files' names included."""

    def __init__(self, monkeypatch, error=None):
        self.told, self.error = [], error
        monkeypatch.setattr(HfApi, "create_repo", lambda api, *names, **options: self.create(*names, **options))
        monkeypatch.setattr(HfApi, "upload_folder", lambda api, **options: self.upload(**options))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub, "get_token", lambda: "hf_of_a_test")

    def create(self, name, **options):
        if self.error:
            raise self.error
        self.told.append((name, options))
        return type("Made", (), {"repo_id": name})

    def upload(self, folder_path, **options):
        self.told.append((options, sorted(path.name for path in Path(folder_path).iterdir())))
        self.text = (Path(folder_path) / "README.md").read_text()


def test_an_upload_is_one_commit_of_a_data_set_whose_card_names_it(monkeypatch, call):
    fake = Hub(monkeypatch)
    code, out, _ = call(SMALL, "--to", "hub:someone/numbers", "--private")
    assert (code, out) == (0, f"{constants.ENDPOINT}/datasets/someone/numbers\n")
    (name, options), (commit, files) = fake.told
    assert (name, options) == ("someone/numbers", {"repo_type": "dataset", "private": True, "exist_ok": True})
    assert (commit["repo_id"], commit["repo_type"]) == ("someone/numbers", "dataset")
    assert {"README.md", "scores.parquet", "report.html", "manifest.json", "model-index.yml"} <= set(files)
    assert 'load_dataset("someone/numbers", "scores"' in fake.text


def refuse(code):
    request = httpx.Request("POST", "https://huggingface.co/api/repos/create")
    return HfHubHTTPError("no\nrights", response=httpx.Response(code, request=request), server_message="no rights")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refuse(403), "the hub refuses (403: no rights)"),
        (httpx.ConnectError("no route to host"), "the hub cannot be reached (no route to host)"),
        (ConnectionError("offline"), "the hub cannot be reached (offline)"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_line(error, message, monkeypatch, call):
    Hub(monkeypatch, error)
    monkeypatch.setattr(hub, "write_folder", lambda run, folder, *names: folder)  # it takes seconds
    code, out, err = call(PROBED, "--to", "hub:someone/numbers")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("to", "patch", "message"),
    [
        ("hub:numbers", {}, "expected the name of a data set"),
        ("hub:a/b/c", {}, "expected the name of a data set"),
        ("hub:some one/numbers", {}, "expected the name of a data set"),
        ("hub:someone/numbers", {"token": None}, "no token of the Hugging Face hub here; give `hf auth login` once"),
        ("hub:someone/numbers", {"offline": True}, "HF_HUB_OFFLINE is set"),
        ("", {}, "--to: expected a new folder, or hub:OWNER/NAME"),
    ],
)
def test_what_cannot_be_is_refused_before_the_hub_is_asked(to, patch, message, monkeypatch, call):
    fake = Hub(monkeypatch)
    if "token" in patch:
        monkeypatch.setattr(hub, "get_token", lambda: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", patch.get("offline", False))
    code, _, err = call(PROBED, f"--to={to}")
    assert code == 2
    assert err.count("\n") == 1
    assert message in err
    assert fake.told == []
