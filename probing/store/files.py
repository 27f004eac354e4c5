"""Files that are whole or absent, and names made of content."""

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from probing.records import Text
from probing.store.shards import KEY_BYTES


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no killed run, ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def text_key(text: Text) -> bytes:
    """What a text is filed under: a hash of its segments, whose borders count."""
    return sha256(json.dumps(text).encode()).digest()[:KEY_BYTES]


def digest_json(value: Any) -> str:
    """A short name for a JSON value: equal values have equal names."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
