import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from probing.records import InputError
from probing.tasks.files.hub import name_task, read_hub, split_name
from probing.tasks.sources import load_tasks

CLASSES = ["contradiction", "entailment"]


def make(n, first=0, labels=None, pair=False):
    columns = {"sentence1": [f"the {number} cats" for number in range(first, first + n)]}
    columns |= {"sentence2": [f"sat {number} times" for number in range(n)]} if pair else {}
    features = {name: Value("string") for name in columns} | {"label": ClassLabel(names=CLASSES), "idx": Value("int32")}
    columns |= {"label": labels or [number % 2 for number in range(n)], "idx": list(range(n))}
    return Dataset.from_dict(columns, features=Features(features))


@pytest.fixture
def published(monkeypatch):
    """Function: what the hub gives, in place of the network."""

    def publish(**splits):
        monkeypatch.setattr(datasets, "load_dataset", lambda identity, configuration=None: DatasetDict(splits))

    return publish


def test_a_labelled_test_split_is_used_and_classes_have_their_names(published):
    published(train=make(20), validation=make(6, 20), test=make(8, 30))
    task = read_hub("hub:someone/pets")
    assert {name: len(split) for name, split in task.splits.items()} == {"train": 20, "dev": 6, "test": 8}
    assert task.classes == tuple(CLASSES)
    assert task.splits["test"].texts[0] == ("the 30 cats",)


def test_without_a_labelled_test_split_dev_is_test_and_a_part_of_train_is_dev(published):
    published(train=make(40), validation=make(6, 50), test=make(8, 60, labels=[-1] * 8))
    task = read_hub("hub:someone/pets")
    assert {text for (text,) in task.splits["test"].texts} == {f"the {number} cats" for number in range(50, 56)}
    assert len(task.splits["train"]) + len(task.splits["dev"]) == 40


def test_two_columns_of_text_are_a_pair(published):
    published(train=make(20, pair=True), validation=make(6, 20, pair=True), test=make(8, 30, pair=True))
    assert read_hub("hub:someone/pets").splits["train"].texts[1] == ("the 1 cats", "sat 1 times")


def test_a_known_name_is_the_known_task():
    assert name_task("sst2").name == "sst_2"
    assert name_task("nyu-mll/glue/qqp").metrics == ("accuracy", "f1")
    assert name_task("someone/my task").group == "own"


def test_a_name_has_an_identity_and_maybe_a_configuration(tmp_path):
    assert split_name("nyu-mll/glue/sst2") == ("nyu-mll/glue", "sst2")
    assert split_name("someone/pets") == ("someone/pets", "")
    assert split_name(str(tmp_path)) == (str(tmp_path), "")


def test_the_task_is_found_under_its_name_as_in_any_other_source(published):
    published(train=make(20), validation=make(6, 20), test=make(8, 30))
    [task], _ = load_tasks("hub:nyu-mll/glue/sst2", ("SST-2",))
    assert task.name == "sst_2"


def test_a_dataset_without_a_label_is_refused(published):
    published(train=make(20).remove_columns("label"))
    with pytest.raises(InputError, match="a column label, got the columns sentence1, idx"):
        read_hub("hub:someone/pets")


def test_what_cannot_be_reached_is_said_in_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be loaded") as error:
        read_hub(f"hub:{tmp_path}")
    assert "\n" not in str(error.value)
