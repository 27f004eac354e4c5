import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing.sealed_json import DamageError, seal_json, unseal_json

VALUE = {"model": "bermo", "limit": 60, "tasks": ["Tense"], "nested": {"a": 0.5, "crc32": "mine"}, "none": None}


def test_every_flipped_bit_of_a_file_is_noticed():
    content = seal_json(VALUE)
    assert unseal_json(content) == VALUE
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((DamageError, ValueError)):
            unseal_json(bytes(flipped))


def test_a_file_cut_anywhere_or_lengthened_is_noticed():
    content = seal_json(VALUE)
    for damaged in [*(content[:length] for length in range(len(content))), content + b"\n", content * 2]:
        with pytest.raises((DamageError, ValueError)):
            unseal_json(damaged)


def test_a_changed_value_is_noticed_however_the_file_is_written_anew():
    changed = json.loads(seal_json(VALUE)) | {"limit": 61}
    with pytest.raises(DamageError):
        unseal_json((json.dumps(changed, indent=2) + "\n").encode())


@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_of_before_there_were_checksums_is_read_as_it_is(indent):
    assert unseal_json(json.dumps(VALUE, indent=indent).encode()) == VALUE


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.lists(st.text()), min_size=1))
def test_what_is_sealed_comes_back(value):
    value.pop("crc32", None)
    assert unseal_json(seal_json(value)) == value


def test_a_file_is_plain_json_to_others():
    assert json.loads(seal_json(VALUE))["model"] == "bermo"
