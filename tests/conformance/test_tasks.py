"""What every task must be, wherever it comes from, installed packages included.

`PROBING_CORPORA` adds the published transfer corpora.
"""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.folds import describe_folds, plan_folds
from probing.records import GROUPS, SPLITS, Task
from probing.registry import METRICS, TASKS
from probing.tables import SplitRow, column_names
from probing.tasks.files.download import BLOB_IDS
from probing.tasks.files.senteval import write_tasks
from probing.tasks.files.transfer import TRANSFER_TASKS
from probing.tasks.sources import load_tasks
from probing.tasks.subset import limit_task

REPOSITORY = Path(__file__).parents[2]
CORPORA = os.environ.get("PROBING_CORPORA")


def write_transfer(folder: Path) -> None:
    """All transfer tasks in their layout, with made-up sentences."""
    rng = np.random.default_rng(0)
    for task in TRANSFER_TASKS:
        pair = task.spec.name in ("mrpc", "rte", "sts_b")
        header = ("sentence1", "sentence2", "label") if pair else ("sentence", "label")
        for number, file in enumerate(task.files.values()):
            texts = [f"{task.spec.name} {number} {row}" for row in range(60)]
            labels = [f"{value:.2f}" for value in rng.uniform(0, 5, size=60)] if task.graded else ["0", "1"] * 30
            rows = [(text, f"{text} too", label) if pair else (text, label) for text, label in zip(texts, labels)]  # noqa: B905
            path = folder / task.spec.title / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join("\t".join(row) + "\n" for row in [header, *rows]))


def load_transfer(folder: Path) -> list[Task]:
    write_transfer(folder)
    return load_tasks(str(folder), ["transfer"])[0]


def load_folder(folder: Path) -> list[Task]:
    rows = [(split, f"l{row % 3}", f"{split} {row}") for split in SPLITS for row in range(30)]
    write_tasks(folder, {"tree_depth": rows, "my_task": rows})
    lines = [json.dumps({"text": f"text {row}", "label": row % 2}) for row in range(100)]
    (folder / "own_table.jsonl").write_text("\n".join(lines))
    return load_tasks(str(folder), ["all"])[0]


def load_controlled(folder: Path) -> list[Task]:
    del folder
    sizes = {"train": 200, "dev": 50, "test": 50}
    return list(TASKS.load("controlled")(["semantic", "BShift"], 0, sizes).values())


def load_published(folder: Path) -> list[Task]:
    del folder
    if not CORPORA:
        pytest.skip("PROBING_CORPORA is not set to the folder of the corpora")
    return load_tasks(f"{CORPORA}/classification", ["transfer"])[0]


def load_installed(name: str, folder: Path) -> list[Task]:
    """The tasks of a source that an installed package brings, which must be quick to make."""
    del folder
    return load_tasks(name, ["all"])[0]


SOURCES: dict[str, Callable[[Path], list[Task]]] = {
    "transfer": load_transfer,
    "folder": load_folder,
    "controlled": load_controlled,
    "published": load_published,
} | {name: partial(load_installed, name) for name in TASKS.names() if name not in TASKS.own}


@pytest.fixture(scope="module", params=SOURCES)
def tasks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Task]:
    return SOURCES[request.param](tmp_path_factory.mktemp(request.param))


def test_a_task_says_what_it_is(tasks: list[Task]) -> None:
    for task in tasks:
        assert task.spec.group in GROUPS
        assert set(task.spec.metrics) <= set(METRICS.names())
        assert task.classes == tuple(sorted(set(task.classes)))
        assert task.origin
        assert len(task.classes) >= 2


def test_every_split_has_texts_and_labels_of_known_classes(tasks: list[Task]) -> None:
    for task in tasks:
        assert tuple(task.splits) == SPLITS
        for split in task.splits.values():
            assert len(split) == len(split.texts) == len(split.labels) > 0
            assert split.labels.dtype.kind == "i"
            assert 0 <= split.labels.min() <= split.labels.max() < len(task.classes)
            assert {len(text) for text in split.texts} in ({1}, {2})
            assert all(segment.strip() for text in split.texts for segment in text)


def test_scores_of_graded_tasks_are_near_their_classes(tasks: list[Task]) -> None:
    for task in tasks:
        for split in task.splits.values():
            assert (split.targets is not None) == task.graded
            if split.targets is not None:
                assert np.abs(split.targets - split.labels).max() <= 0.5
                assert split.targets.max() <= len(task.classes) - 1


def test_rounds_test_every_sentence_once_and_never_with_a_probe_that_knew_it(tasks: list[Task]) -> None:
    for task in tasks:
        rounds = plan_folds(task)
        assert len(rounds) == (task.folds or 1)
        for split in ("dev", "test"):
            rows = np.concatenate([one[split] for one in rounds])
            assert np.array_equal(np.sort(rows), np.arange(len(task.splits[split])))
        if task.folds:
            for one in rounds:
                texts = {split: {task.splits[split].texts[row] for row in one[split].tolist()} for split in SPLITS}
                assert not texts["test"] & (texts["train"] | texts["dev"])
                assert not texts["train"] & texts["dev"]
                assert set(task.splits["train"].labels[one["train"]].tolist()) == set(range(len(task.classes)))


def test_what_was_divided_here_is_written_down(tasks: list[Task]) -> None:
    for task in tasks:
        rows = describe_folds(task)
        n = len(task.splits["test"]) if task.folds else sum(map(len, task.splits.values()))
        assert len(rows) == (n if task.split_rule else 0)
        assert all(list(row) == column_names(SplitRow) for row in rows)
        assert not task.folds or {row["fold"] for row in rows} == set(range(task.folds))


def test_a_limit_gives_a_part_of_the_same_task(tasks: list[Task]) -> None:
    for task in tasks:
        part, less = limit_task(task, 40), limit_task(task, 20)
        for split in SPLITS:
            assert len(part.splits[split]) == min(40, len(task.splits[split]))
            assert set(less.splits[split].texts) <= set(part.splits[split].texts) <= set(task.splits[split].texts)
        assert (part.spec, part.classes, part.folds, part.graded) == (task.spec, task.classes, task.folds, task.graded)


def test_names_titles_and_aliases_are_told_apart() -> None:
    specs = [*SENTEVAL_TASKS, *(task.spec for task in TRANSFER_TASKS)]
    spoken = [
        {name.lower().replace("-", "").replace("_", "") for name in (spec.name, spec.title, *spec.aliases)}
        for spec in specs
    ]
    assert sum(map(len, spoken)) == len(set.union(*spoken))
    assert not set.union(*spoken) & {*GROUPS, "all"}


def test_the_manifest_of_corpora_says_what_the_code_says() -> None:
    manifest = json.loads((REPOSITORY / "data" / "manifest.json").read_text(encoding="utf-8"))
    corpora = {corpus["name"]: corpus for corpus in manifest["corpora"]}
    assert {"controlled", "senteval", "english", "transfer"} <= set(corpora)
    for corpus in corpora.values():
        assert {"name", "title", "origin", "licence", "command", "files"} <= set(corpus)
        assert corpus["command"].startswith("python probing/")
    official = {Path(file["path"]).stem: file["git_blob"] for file in corpora["senteval"]["files"]}
    assert official == BLOB_IDS
    listed = {file["path"] for file in corpora["transfer"]["files"]}
    assert listed == {f"{task.spec.title}/{file}" for task in TRANSFER_TASKS for file in task.files.values()}
    readme = (REPOSITORY / "data" / "README.md").read_text(encoding="utf-8")
    for corpus in corpora.values():
        assert corpus["command"] in readme


@pytest.mark.skipif(not CORPORA, reason="PROBING_CORPORA is not set to the folder of the corpora")
def test_the_manifest_has_the_published_files_as_they_are() -> None:
    manifest = json.loads((REPOSITORY / "data" / "manifest.json").read_text(encoding="utf-8"))
    transfer = next(corpus for corpus in manifest["corpora"] if corpus["name"] == "transfer")
    for file in transfer["files"]:
        assert (Path(str(CORPORA)) / "classification" / file["path"]).stat().st_size == file["bytes"]
