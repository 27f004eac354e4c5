"""Terminals that are closed, full or of few letters: what they cannot show is left out, and never costs a result."""

import codecs
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_PLAIN = {"\N{PLUS-MINUS SIGN}": "+-", "\N{MULTIPLICATION SIGN}": "x", "\N{HORIZONTAL ELLIPSIS}": "..."}
_PLAIN |= dict.fromkeys("\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}", "-")
"""Stand-ins for signs that the terminal's encoding does not have."""


@contextmanager
def forgive_terminals() -> Iterator[None]:
    """While this lasts, stdout and stderr raise nothing: a broken pipe or a full disk swallows what is written."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream if stream is None else _Forgiving(stream) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Forgiving):
                stream.flush()
        sys.stdout, sys.stderr = before


class _Forgiving:
    """A text stream that raises nothing when it is written to."""

    def __init__(self, stream: Any):
        self._stream = stream
        with suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="probing.plain")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._forgive():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._forgive():
            self._stream.flush()

    @contextmanager
    def _forgive(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):
            # What waits in its buffer would fail again when the program ends.
            with suppress(AttributeError, OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


def _write_plainly(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: signs that look much the same, else question marks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign) or _strip(sign) or "?" for sign in signs), error.end


def _strip(sign: str) -> str:
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()


codecs.register_error("probing.plain", _write_plainly)
