"""Claims about the parts of a run: what each takes, and that together they leave what one process does."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing import pipeline
from probing.cells import encoding
from probing.cells.parts import assign
from probing.progress import Reporter
from probing.records import InputError
from probing.representations import shard_encoding
from probing.settings.parts import Part, parse_part
from probing.settings.run import RunSettings
from probing.store.folder_lock import check_free, hold_folder
from tests.helpers import build_task, read_cells, save_encoder, write_task

NAMES = ("past_present", "obj_number")
pytestmark = pytest.mark.usefixtures("one_thread")


@given(costs=st.lists(st.floats(0.01, 100), max_size=30), count=st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_parts_differ_by_no_more_than_the_costliest_cell(costs, count):
    loads = [0.0] * count
    numbers = assign(costs, loads)
    expected = np.bincount(numbers, costs, count) if costs else np.zeros(count)
    np.testing.assert_allclose(loads, expected)
    assert max(loads) - min(loads) <= max(costs, default=0) + 1e-9


def test_cells_of_the_next_stage_go_to_the_parts_that_have_less():
    loads = [5.0, 0.0]
    assert assign([1.0, 3.0, 2.0], loads) == [0, 1, 1]
    assert loads == [6.0, 5.0]


@pytest.mark.parametrize(
    "text", ["cells:0/2", "cells:3/2", "cells", "cells:1", "cell:1/2", "merge:1/1 ", "1/2", ":1/2"]
)
def test_what_names_no_part_is_refused(text):
    with pytest.raises(InputError, match="--part"):
        parse_part(text)
    assert str(parse_part("cells:2/16")) == str(Part("cells", 2, 16)) == "cells:2/16"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Settings of a run with a control that has an encoder of its own; files of the cache are small."""
    folder = tmp_path_factory.mktemp("parts")
    for seed, name in enumerate(NAMES):
        write_task(folder / "corpus", build_task(name, seed=seed))
    checkpoint = save_encoder(folder / "encoder")
    with pytest.MonkeyPatch.context() as patch:
        # Three layers of width 8: ten sentences a file.
        patch.setattr(shard_encoding, "_SHARD_BYTES", 10 * 4 * 3 * 8)
        patch.setattr(encoding, "_AHEAD", 6)
        yield RunSettings(
            model="bermo", checkpoint=str(checkpoint), data=str(folder / "corpus"), tasks=NAMES, threads=1,
            controls=("control_task", "untrained"), device="cpu", output=folder / "whole",
            cache_dir=folder / "cache", quiet=True, gradients=2, gradient_steps=2,
        )  # fmt: skip


def tell(asked):
    return pipeline.run(asked, Reporter(quiet=True))


@pytest.fixture(scope="module")
def whole(base):
    """That run, by one process."""
    return tell(base)


@pytest.fixture(scope="module")
def parts(base, whole):
    """The same by parts, each kind from the last to the first; the cells of every part."""
    own = replace(base, output=base.output.with_name("parts"), cache_dir=base.cache_dir.with_name("other"))
    found = {}
    for kind, count in (("encode", 2), ("cells", 3)):
        for number in range(count, 0, -1):
            before = set(own.output.glob("cells/*")) | set(own.cache_dir.rglob("*.safetensors"))
            tell(replace(own, part=f"{kind}:{number}/{count}"))
            after = set(own.output.glob("cells/*")) | set(own.cache_dir.rglob("*.safetensors"))
            found[f"{kind}:{number}/{count}"] = after - before
    return own, found


def test_parts_of_encoding_leave_the_files_that_one_process_does(base, parts):
    own, found = parts
    names = {path.relative_to(base.cache_dir) for path in base.cache_dir.rglob("*.safetensors")}
    assert {path.relative_to(own.cache_dir) for path in own.cache_dir.rglob("*.safetensors")} == names
    for name in names:
        assert (own.cache_dir / name).read_bytes() == (base.cache_dir / name).read_bytes()
    sizes = [len(found[f"encode:{number}/2"]) for number in (1, 2)]
    assert sum(sizes) == len(names)
    assert max(sizes) - min(sizes) <= 2  # one of each encoder


def test_parts_of_cells_leave_each_cell_once_and_equal_in_bytes(base, whole, parts):
    own, found = parts
    expected, cells = read_cells(whole.folder), read_cells(own.output)
    assert cells.keys() == expected.keys()
    assert [name for name in expected if cells[name] != expected[name]] == []
    counts = Counter(path for number in (1, 2, 3) for path in found[f"cells:{number}/3"])
    assert set(counts.values()) == {1}
    assert all(found[f"cells:{number}/3"] for number in (1, 2, 3))


def test_the_part_that_merges_computes_nothing_and_writes_the_same_tables(base, whole, parts, monkeypatch):
    own, _ = parts
    assert not (own.output / "scores.parquet").exists()
    with monkeypatch.context() as patch:
        patch.setattr("probing.cells.runner.compute_cell", lambda *unit: pytest.fail("computed"))
        tell(replace(own, part="merge:1/1"))
    for table in ("scores", "layer_weights", "gradient_norms", "predictions"):
        one, other = (pd.read_parquet(folder / f"{table}.parquet") for folder in (whole.folder, own.output))
        pd.testing.assert_frame_equal(
            one.drop(columns="seconds", errors="ignore"), other.drop(columns="seconds", errors="ignore")
        )


def test_a_part_that_is_done_again_computes_what_is_missing_and_the_merge_what_a_lost_part_left(base, parts):
    own, found = parts
    expected = read_cells(own.output)
    lost, cut = found["cells:2/3"], sorted(found["cells:1/3"])[0]
    for path in (*lost, cut):
        path.unlink()
    tell(replace(own, part="cells:1/3"))
    assert cut.exists()
    assert not any(path.exists() for path in lost)
    tell(replace(own, part="merge:1/1"))
    assert read_cells(own.output) == expected


def test_parts_share_a_folder_that_a_whole_run_must_have_alone(base, parts):
    own, _ = parts
    with hold_folder(own.output, shared=True):
        check_free(own.output, shared=True)
        with pytest.raises(InputError, match="a run is working in it"):
            tell(replace(own, part=""))
    with hold_folder(own.output), pytest.raises(InputError, match="a run is working in it"):
        tell(replace(own, part="cells:1/3"))


def test_a_machine_of_another_kind_is_refused_and_noted_unless_mixed_hardware_is_taken(base, parts):
    own, _ = parts
    kind = own.output / "parts" / "kind.json"
    before = kind.read_text()
    try:
        kind.write_text(json.dumps(json.loads(before) | {"instruction_set": "other", "host": "elsewhere"}))
        with pytest.raises(InputError, match=r"instruction set \S+, where elsewhere has other.*--slurm-constraint"):
            tell(replace(own, part="cells:3/3"))
        note = json.loads((own.output / "parts" / "cells-3-of-3.json").read_text())
        assert "instruction set" in note["error"]
        tell(replace(own, part="cells:3/3", mixed_hardware=True))
    finally:
        kind.write_text(before)
    note = json.loads((own.output / "parts" / "cells-3-of-3.json").read_text())
    assert "ended" in note
    assert "error" not in note


def test_a_part_deletes_nothing_of_the_cache_though_it_is_above_its_limit(base, parts):
    own, _ = parts
    files = set(own.cache_dir.rglob("*.safetensors"))
    tell(replace(own, part="cells:1/3", cache_limit=1e-9))
    assert set(own.cache_dir.rglob("*.safetensors")) == files
