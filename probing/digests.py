"""Names made of content: equal content has equal names, on every machine."""

import json
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

KEY_BYTES = 16


def text_key(text: tuple[str, ...]) -> bytes:
    """Key of a text in the cache: a hash of its segments, whose borders count."""
    return sha256(json.dumps(text).encode()).digest()[:KEY_BYTES]


def digest_json(value: Any) -> str:
    """A short name for a JSON value: equal values have equal names."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def digest_file(path: Path) -> str:
    """Key of a file: a hash of its content."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
