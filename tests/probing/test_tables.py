"""Claims about the tables that runs write."""

import pytest

from probing.command_line.docstrings import read_docs
from probing.tables import RECORDS, column_names


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_every_column_of_a_table_has_its_meaning(record):
    docs = read_docs(record)
    assert list(docs) == column_names(record)
    assert all(docs.values())
