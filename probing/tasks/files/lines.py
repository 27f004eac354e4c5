"""Files of lines, decoded one by one, so that one bad byte costs one line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from probing.tasks.files.entries import Fault

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(path: Path, *, blank: bool = False) -> Iterator[tuple[int, str] | Fault]:
    """The lines of a UTF-8 file that are not blank, or all, each with its number, or what is wrong with it.

    The file may be gzipped. Lines end at a line feed alone, so that no character within a sentence can break it; a
    carriage return before it and a byte order mark are dropped.
    """
    try:
        content = _read_bytes(path).removeprefix(_BYTE_ORDER_MARK)
    except (OSError, EOFError, zlib.error) as error:
        yield Fault(path, 0, f"cannot be read ({getattr(error, 'strerror', None) or error})")
        return
    if b"\r" in content and b"\n" not in content:
        yield Fault(path, 0, "its lines end in carriage returns alone (old Macintosh); save it with line feeds")
        return
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            yield Fault(path, number, f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8")
            continue
        if blank or line.strip():
            yield number, line


def _read_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content
