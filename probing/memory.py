"""Memory that the program may still take.

Libraries that lack it die in their native code, where no Python error can be caught: it is asked for beforehand.
"""

import errno
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GIB = 2**30
_THREAD_BYTES = 72 * 2**20
"""Address space of a thread: its stack, and what the C library sets aside for what it allocates."""
_NEAR_BYTES = 256 * 2**20
"""Margin: where less than this is left of a limit, what fails fails for want of memory."""
_WORDS = ("allocate memory", "can't start new thread", "bad_alloc", "out of memory", "failed to map segment")
"""Words of libraries that throw a RuntimeError or an ImportError for want of memory."""
LIKELY_ERRORS = (MemoryError, RuntimeError, SystemError, ImportError, OSError)
"""Errors that are thrown for want of memory, and at other times."""


@dataclass(frozen=True)
class Need:
    """Memory that a command takes on small data."""

    address_space: int
    """Bytes that are mapped, touched or not, without those of threads."""
    resident: int
    """Bytes that are held."""
    threads_per_core: int = 0
    threads: int = 0
    """Threads that no processor core more or less changes."""


LIGHT = Need(int(0.75 * _GIB), int(0.25 * _GIB))
"""Reading tables and drawing figures: measured 0.5 to 0.7 GiB of address space, 0.17 to 0.25 resident."""
HEAVY = Need(int(2.4 * _GIB), int(0.85 * _GIB), threads_per_core=3, threads=7)
"""torch, kernels and figures: measured 3.2 to 3.3 GiB of address space with 13 threads on two cores, 0.77 to 0.87."""


def find_shortage(need: Need) -> str:
    """A line that says what is too small for a command, and how to raise it; empty where all suffices or is unknown."""
    threads = need.threads_per_core * _count_threads() + need.threads
    for what, limit, used in _list_limits():
        wanted = need.address_space if what == "-v" else need.resident
        advice = f"are left of ulimit {what}; raise it" + ", or give OMP_NUM_THREADS=1" * (threads > 0)
        short = _name(limit - used, wanted + threads * _THREAD_BYTES, advice)
        if short:
            return short
    return _name(find_free(), need.resident, "are free; free some, or use a larger machine")


def find_free() -> int:
    """Bytes that may still be held: of the machine, or of the control group (container, job) that is nearest to full.

    What is swapped out counts as free. A system that does not say has no end.
    """
    machine = _read_facts(Path("/proc/meminfo"))
    swap = machine.get("SwapFree", 0)
    free = [machine["MemAvailable"]] if "MemAvailable" in machine else []
    return int(min([*free, *_list_group_rests()], default=float("inf")) + swap) if free else 2**62


def find_room() -> int:
    """Bytes that may still be held or mapped: `find_free`, or what is left of a limit of the program's own."""
    return min([find_free(), *(limit - used for _, limit, used in _list_limits())])


def lacks_memory(error: BaseException) -> bool:
    """True where an error of any library comes from too little memory."""
    said = str(error).casefold()
    if isinstance(error, MemoryError) or any(words in said for words in _WORDS):
        return True
    if isinstance(error, OSError) and error.errno:
        return error.errno == errno.ENOMEM
    return isinstance(error, LIKELY_ERRORS) and is_near_limit()


def is_near_limit() -> bool:
    """True where the program has come near to a limit of its own since it began."""
    facts = _read_facts(Path("/proc/self/status"))
    peaks = {"-v": facts.get("VmPeak", 0), "-d": facts.get("VmData", 0)}
    return any(limit - peaks[what] < _NEAR_BYTES for what, limit, _ in _list_limits())


def _list_limits() -> Iterator[tuple[str, int, int]]:
    """Flags of ulimit that are set for this program: the limit, and what is used of it, in bytes."""
    facts = _read_facts(Path("/proc/self/status"))
    for what, name, used in (("-v", resource.RLIMIT_AS, "VmSize"), ("-d", resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(name)[0]
        if limit != resource.RLIM_INFINITY and used in facts:
            yield what, limit, facts[used]


def _list_group_rests() -> Iterator[int]:
    """Bytes left of each control group that this program is in and that has a limit; both versions of the interface."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, kinds, place = line.split(":", 2)
        names = ("memory.max", "memory.current", "inactive_file")
        root = Path("/sys/fs/cgroup")
        if kinds == "memory":
            root, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        elif kinds:
            continue
        inner = root / place.strip("/")
        # Within a container, its own group may be mounted as the root.
        for folder in (inner, *inner.parents):
            if not folder.is_relative_to(root):
                break
            limit, used = _read(folder / names[0]).strip(), _read(folder / names[1]).strip()
            if limit.isdecimal() and used.isdecimal():
                cached = _read_facts(folder / "memory.stat").get(names[2], 0)
                yield int(limit) - int(used) + cached


def _name(left: int, needed: int, advice: str) -> str:
    if left >= needed:
        return ""
    wanted, there = (f"{max(size, 0) / _GIB:.2f} GiB" for size in (needed, left))
    return f"not enough memory here: {wanted} are needed to begin, {there} {advice}"


def _count_threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() else os.cpu_count() or 1


def _read_facts(path: Path) -> dict[str, int]:
    """Numbers of a file with a name and a number on each line, in bytes."""
    rows = [line.replace(":", " ").split() for line in _read(path).splitlines()]
    numbers = (row for row in rows if len(row) > 1 and row[1].isdecimal())
    return {row[0]: int(row[1]) * (1024 if row[-1] == "kB" else 1) for row in numbers}


def _read(path: Path) -> str:
    """The text of a file of the system; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
