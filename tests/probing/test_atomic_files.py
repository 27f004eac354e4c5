import csv
import io

import pandas as pd
import pytest

from probing.atomic_files import disarm, to_csv


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd|'x'!A0", "-x", "\t=1", "+A1"])
def test_a_text_that_a_spreadsheet_would_run_has_an_apostrophe_before_it(text):
    assert disarm(text) == f"'{text}"


@pytest.mark.parametrize(
    "cell", ["tense", "-", "+3.4", "-0.9 [-1.6, -0.2]", "+9.1*", "± 3.2", "-1e-05", "", 3, -1.5, None]
)
def test_numbers_dashes_and_plain_texts_stay_as_they_are(cell):
    assert disarm(cell) is cell


def test_a_written_table_reads_back_with_its_numbers_and_without_formulas():
    frame = pd.DataFrame(
        {"task": ["=evil()", "fine"], "layer": [-1, 2], "value": [-0.25, 0.5], "converged": [True, False]}
    )
    rows = list(csv.DictReader(io.StringIO(to_csv(frame).decode())))
    assert [row["task"] for row in rows] == ["'=evil()", "fine"]
    assert [(int(row["layer"]), float(row["value"]), row["converged"]) for row in rows] == [
        (-1, -0.25, "True"),
        (2, 0.5, "False"),
    ]
    assert frame["task"].tolist() == ["=evil()", "fine"]
