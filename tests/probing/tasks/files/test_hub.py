import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from probing.records import InputError
from probing.tasks.files.hub import name_task, parse_address, read_hub, split_name
from probing.tasks.files.hub_columns import tells_label
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


def test_a_name_has_an_identity_and_maybe_a_configuration():
    assert split_name("nyu-mll/glue/sst2") == ("nyu-mll/glue", "sst2")
    assert split_name("someone/pets") == ("someone/pets", "")


def test_the_task_is_found_under_its_name_as_in_any_other_source(published):
    published(train=make(20), validation=make(6, 20), test=make(8, 30))
    [task], _ = load_tasks("hub:nyu-mll/glue/sst2", ("SST-2",))
    assert task.name == "sst_2"


def test_a_dataset_without_a_label_is_refused(published):
    published(train=make(20).remove_columns("label"))
    with pytest.raises(InputError, match="one of labels, got the columns sentence1, idx; name them"):
        read_hub("hub:someone/pets")


def test_what_cannot_be_reached_is_said_in_one_line(tmp_path):
    with pytest.raises(InputError, match="holds no data") as error:
        read_hub(f"hub:{tmp_path}")
    assert "\n" not in str(error.value)


def table(n, first=0, **more):
    """Rows with a text of their own, and further columns that are functions of the row."""
    rows = range(first, first + n)
    return Dataset.from_dict(
        {"label": [row % 2 for row in rows]} | {k: [f(row) for row in rows] for k, f in more.items()}
    )


def words(row):
    return f"the {row} cats"


def both(**more):
    return {"train": table(40, **more), "test": table(20, 100, **more)}


@pytest.mark.parametrize("before", [True, False])
def test_the_name_of_the_label_is_never_a_second_sentence(published, before):
    names = {"label_text": lambda row: ["negative", "positive"][row % 2]}
    columns = names | {"text": words} if before else {"text": words} | names
    published(**both(**columns))
    task = read_hub("hub:someone/sst2")
    assert task.splits["train"].texts[0] in {(words(row),) for row in range(40)}
    assert task.notes[0] == "text is column text, the label is column label"


def test_an_id_is_never_the_text(published):
    published(**both(id=lambda row: f"id{row}", text=words))
    assert read_hub("hub:someone/pets").splits["test"].texts[0] == ("the 100 cats",)


def test_the_only_column_of_text_is_taken_whatever_its_name(published):
    published(**both(uid=lambda row: f"x{row}", sentiment=lambda row: "ab"[row % 2], tweet=words))
    task = read_hub("hub:someone/pets")
    assert task.splits["test"].texts[0] == ("the 100 cats",)
    assert "text is column tweet" in task.notes[0]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"title": words, "body": words}, "the text could be title or body, got the columns label, title, body; name"),
        ({"mood": lambda row: "ab"[row % 2]}, "expected a column of text of a known name"),
        ({"text": lambda row: "ab"[row % 2]}, "column text tells label, each of its values has one label"),
        (
            {"sentence1": words, "sentence2": lambda row: "ab"[row % 2]},
            "column sentence2 tells label, each of its values has one label",
        ),
    ],
)
def test_where_the_text_is_not_clear_it_is_asked(published, columns, expected):
    published(**both(**columns))
    with pytest.raises(InputError, match=expected) as caught:
        read_hub("hub:someone/pets")
    assert "hub:someone/pets@text=COLUMN,COLUMN@label=COLUMN" in str(caught.value)


def test_columns_can_be_named(published):
    published(**both(title=words, body=lambda row: f"sat {row} times", mood=lambda row: "ab"[row % 2]))
    task = read_hub("hub:someone/pets@text=title,body@label=mood")
    assert task.splits["test"].texts[1] == ("the 101 cats", "sat 101 times")
    assert task.classes == ("a", "b")
    for wrong, expected in (("text=titel", "no column titel of text"), ("label=mod", "no column mod,")):
        with pytest.raises(InputError, match=expected):
            read_hub(f"hub:someone/pets@text=title@{wrong}")
    with pytest.raises(InputError, match="column mood tells label"):
        read_hub("hub:someone/pets@text=title,mood")


def test_a_column_tells_the_label_where_few_values_have_one_label_each():
    labels = [0, 1, 2] * 20
    assert tells_label([f"name{label}" for label in labels], labels, alone=False)
    assert tells_label([f"name{label}{number % 2}" for number, label in enumerate(labels)], labels, alone=False)
    assert not tells_label([f"text {number}" for number in range(60)], labels, alone=False)
    assert not tells_label([f"premise {number % 7}" for number in range(60)], labels, alone=False)
    # A text may be said many times with its label: that makes it no name of the label.
    assert not tells_label([f"text {number % 30}" for number in range(60)], [n % 30 % 2 for n in range(60)], alone=True)


@pytest.mark.parametrize("kind", ["large_string", "string_view"])
def test_every_kind_of_string_is_text(published, kind):
    if kind == "string_view" and "string_view" not in Value.__doc__:
        pytest.skip("this release of datasets knows no string_view")
    features = Features({"text": Value(kind), "label": Value("int64")})
    published(
        **{name: rows.select_columns(["text", "label"]).cast(features) for name, rows in both(text=words).items()}
    )
    assert read_hub("hub:someone/pets").splits["test"].texts[0] == ("the 100 cats",)


def test_a_text_that_is_missing_is_named_by_split_and_row(published):
    published(**both(text=lambda row: None if row == 3 else words(row)))
    with pytest.raises(InputError, match=r"--data hub:someone/pets, train:4: column text is empty"):
        read_hub("hub:someone/pets")


def test_scores_are_scores(published):
    rows = {name: rows.remove_columns("label") for name, rows in both(text=words).items()}
    scored = {name: part.add_column("label", [row % 26 / 5 for row in range(len(part))]) for name, part in rows.items()}
    published(**scored)
    task = read_hub("hub:someone/likeness")
    assert task.graded
    assert task.spec.metrics == ("pearson", "spearman")
    assert read_hub("hub:nyu-mll/glue/stsb").graded


def test_minus_one_is_a_class_where_others_are_too_and_no_label_where_it_is_everywhere(published):
    def label(rows, value):
        return rows.remove_columns("label").add_column("label", [value(row) for row in range(len(rows))])

    parts = both(text=words)
    published(**{name: label(rows, lambda row: row % 3 - 1) for name, rows in parts.items()})
    task = read_hub("hub:someone/moods")
    assert task.classes == ("-1", "0", "1")
    assert len(task.splits["test"]) == 20
    published(train=parts["train"], validation=table(10, 200, text=words), test=label(parts["test"], lambda _: -1))
    task = read_hub("hub:someone/moods")
    assert len(task.splits["test"]) == 10
    assert "splits that were not read: test" in task.notes


def test_rows_without_a_label_are_left_out_and_counted(published):
    published(train=make(20, labels=[-1, -1, *[0, 1] * 9]), validation=make(6, 20), test=make(8, 30))
    task = read_hub("hub:someone/pets")
    assert len(task.splits["train"]) == 18
    assert "2 rows without a label left out" in task.notes


def test_train_alone_is_split_here(published):
    published(train=table(60, text=words))
    assert [len(part) for part in read_hub("hub:someone/pets").splits.values()] == [48, 6, 6]


@pytest.mark.parametrize("name", ["", "../../nowhere", "/tmp/nowhere", "a/b/../c", "x" * 300, "~nouser/x", "a b", "."])
def test_what_looks_like_a_path_and_is_none_is_refused_before_anything_is_looked_for(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: pytest.fail("was looked for"))
    with pytest.raises(InputError, match=r"expected hub:OWNER/NAME|holds no data") as caught:
        read_hub(f"hub:{name}")
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_dataset_is_not_walked_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("probing.tasks.files.hub._MOST_PATHS", 20)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: pytest.fail("was walked"))
    for number in range(30):
        (tmp_path / f"{number}.csv").touch()
    with pytest.raises(InputError, match="holds more than 20 files and folders"):
        read_hub(f"hub:{tmp_path}")
    with pytest.raises(InputError, match="is a file; take --data"):
        read_hub(f"hub:{tmp_path}/1.csv")


def test_a_local_folder_is_an_identity_without_configuration(tmp_path):
    (tmp_path / "train.csv").touch()
    assert parse_address(f"hub:{tmp_path}@label=y")[:2] == (str(tmp_path), "")


def test_what_datasets_throws_is_one_line(monkeypatch):
    def fail(*_):
        raise ExceptionGroup("two\nlines", [KeyError("x")])

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(InputError, match="cannot be loaded from the Hugging Face hub"):
        read_hub("hub:someone/pets")


def test_a_real_folder_of_csv_files_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "pets"
    folder.mkdir()
    for split in ("train", "test"):
        rows = "".join(f"{split} {row},{'ab'[row % 2]}\n" for row in range(40))
        (folder / f"{split}.csv").write_text("text,label\n" + rows)
    task = read_hub(f"hub:{folder}")
    assert [len(part) for part in task.splits.values()] == [36, 4, 40]
