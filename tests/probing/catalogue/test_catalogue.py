"""What is said once in the catalogue fits what is built from it."""

import dataclasses
import subprocess
import sys

import pytest

from probing.catalogue.controls import CONTROLS, DEFAULT_CONTROLS, DIFFERENCES
from probing.catalogue.measures import MEASURES, ON_REQUEST, QUANTITIES, name_quantities
from probing.catalogue.readouts import FURTHER, MAIN, REPRESENTATIONS
from probing.catalogue.tasks import NOTES, SENTEVAL_TASKS, TITLES, TRANSFER_TASKS, explain_tasks, find_specs
from probing.records import GROUPS, InputError
from probing.registry import ENCODERS, METRICS, PROBES
from probing.registry import MEASURES as COMPUTED
from probing.settings.run import RunSettings
from probing.tasks.files.transfer import TRANSFER_TASKS as FILES
from probing.tasks.relabelling import RELABELLINGS


def test_reading_the_catalogue_loads_neither_torch_nor_pandas():
    code = (
        "import sys\n"
        "import probing.catalogue.controls, probing.catalogue.measures, probing.catalogue.readouts\n"
        "import probing.catalogue.tasks, probing.tables\n"
        "print(sorted({'torch', 'transformers', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_what_a_control_names_is_there():
    for name, control in CONTROLS.items():
        assert not control.encoder or control.encoder in ENCODERS.names(), name
        assert not control.relabelling or control.relabelling in RELABELLINGS, name
        assert control.note, name
        assert control.takes_graded == (not control.relabelling), name
    assert {"gain", "selectivity"} == set(DIFFERENCES)
    assert set(DEFAULT_CONTROLS) < set(CONTROLS)


def test_a_measure_reads_what_there_is_needs_settings_that_there_are_and_is_computed():
    fields = {field.name for field in dataclasses.fields(RunSettings)}
    for name, measure in MEASURES.items():
        assert set(measure.representations) <= set(REPRESENTATIONS), name
        assert set(measure.needs) <= fields, name
        assert (measure.flag in fields) == bool(measure.flag), name
        assert measure.scores or not measure.flag or name in COMPUTED.names(), name
    assert {quantity.measure for quantity in QUANTITIES.values()} <= set(MEASURES)
    assert {quantity.kind for quantity in QUANTITIES.values()} == {"information", "share", "depth", "erasure"}
    assert sum(len(name_quantities(kind)) for kind in ("information", "share", "depth", "erasure")) == len(QUANTITIES)


def test_no_quantity_is_a_metric_of_answers():
    assert not {*QUANTITIES, *DIFFERENCES} & set(METRICS.names())


def test_every_representation_has_a_probe_that_there_is():
    named = {name: kind.probe for name, kind in REPRESENTATIONS.items() if kind.probe}
    assert set(named.values()) <= set(PROBES.names())
    assert set(REPRESENTATIONS) - set(named) == {"layer"}, "the settings name the probe of a layer"
    assert MAIN == ("layer", "scalar_mix")
    assert set(FURTHER) <= set(ON_REQUEST)
    assert not set(FURTHER) & set(MAIN)


@pytest.mark.parametrize(("field", "names"), [("controls", CONTROLS), ("measures", ON_REQUEST)])
def test_the_flags_help_names_all_there_are(field, names):
    source = RunSettings.__module__
    found = subprocess.run(
        [sys.executable, "-c", f"import inspect, {source} as m; print(inspect.getsource(m))"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    text = found.split(f"    {field}: tuple")[1].split('"""')[1]
    assert [name for name in names if name not in text] == []


def test_every_task_has_one_title_and_a_group_and_metrics_that_there_are():
    specs = [*SENTEVAL_TASKS, *TRANSFER_TASKS]
    assert len(TITLES) == len(specs) == len(set(TITLES.values())) == 23
    assert {spec.group for spec in specs} <= set(GROUPS)
    assert {metric for spec in specs for metric in spec.metrics} <= set(METRICS.names())
    assert [task.spec for task in FILES] == list(TRANSFER_TASKS)
    assert [task.spec.name for task in FILES if task.graded] == ["sts_b"]


def test_a_title_an_alias_and_a_group_find_their_tasks():
    assert [spec.name for spec in find_specs(["TreeDepth", "length"])] == ["sentence_length", "tree_depth"]
    assert {spec.group for spec in find_specs(["semantic"])} == {"semantic"}
    with pytest.raises(InputError, match="did you mean tree_depth"):
        find_specs(["tree_depht"])


def test_every_named_task_is_explained_in_a_line():
    assert set(NOTES) == set(TITLES)
    assert all(note.endswith("?") and "\n" not in note for note in NOTES.values())
    assert explain_tasks(["odd_man_out", "my_task", "odd_man_out"]) == [("SOMO", NOTES["odd_man_out"])]
