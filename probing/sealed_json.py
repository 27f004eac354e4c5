"""JSON files with a checksum as their last member, so that damage is noticed; older files are read as they are."""

import json
from collections.abc import Mapping
from typing import Any
from zlib import crc32

_NAME = "crc32"
_END = b',\n  "crc32": "%b"\n}\n'
"""End of such a file; the sum is of the file with zeros in its place."""
_EMPTY = b"0" * 8
_LENGTH = len(_END % _EMPTY)


class DamageError(Exception):
    """A file is not as it was written."""


def seal_json(value: Mapping[str, Any]) -> bytes:
    """A JSON object that is not empty, as the content of a file."""
    # Names of files need not be text: what is none is written as an escape, which JSON reads back.
    text = json.dumps({**value, _NAME: _EMPTY.decode()}, indent=2, default=str, ensure_ascii=False) + "\n"
    content = text.encode(errors="backslashreplace")
    return content[:-_LENGTH] + _END % _sum(content)


def unseal_json(content: bytes) -> Any:
    """The JSON value in such a file, without its checksum; or in one that never had a checksum.

    Raises:
        DamageError: the checksum does not fit.
        ValueError: no JSON.
        RecursionError: likewise, nested too deeply.
    """
    end = content[-_LENGTH:]
    expected = _sum(content[:-_LENGTH] + _END % _EMPTY)
    # The right sum under another name: the name is what is damaged.
    sealed = _NAME.encode() in end or expected in end
    if sealed and end != _END % expected:
        raise DamageError
    value = json.loads(content)
    return {name: known for name, known in value.items() if name != _NAME} if sealed else value


def _sum(content: bytes) -> bytes:
    return b"%08x" % crc32(content)
