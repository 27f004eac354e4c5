"""Units that wait to be computed, the costliest first, and units of several chains together."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread

from probing.work import Unit


class Feed(Thread):
    """Asks for units in a thread of its own, for making one may take long, and has the costliest ready first.

    Args:
        units: that are asked for, one after the other.
    """

    def __init__(self, units: Iterable[Unit]):
        super().__init__(daemon=True)
        self._units, self._lock, self._count = units, Lock(), count()
        self._waiting: list[tuple[float, int, Unit, int]] = []
        self.ended = self.stopped = False
        self.error: BaseException | None = None
        """Error that asking for a unit ended in."""

    def run(self) -> None:
        """Ask for one unit after the other, until there is none or nobody wants more."""
        try:
            for unit in self._units:
                self.put(unit, 1)
                if self.stopped:
                    break
        except BaseException as error:  # noqa: BLE001 - raised where the outcomes are asked for
            self.error = error
        self.ended = True

    def put(self, unit: Unit, attempt: int) -> None:
        """Have a unit wait."""
        with self._lock:
            heappush(self._waiting, (-unit.cost, next(self._count), unit, attempt))

    def take(self) -> tuple[Unit, int] | None:
        """The costliest unit that waits, and the number of the attempt; none where none waits."""
        with self._lock:
            return heappop(self._waiting)[2:] if self._waiting else None

    @property
    def is_empty(self) -> bool:
        """True where no unit waits."""
        return not self._waiting


def interleave(chains: Sequence[Iterable[Unit]]) -> Iterator[Unit]:
    """The units of several chains as they come, each chain in a thread of its own: none waits for another.

    Raises:
        Exception: that asking a chain for a unit ended in.
    """
    found: SimpleQueue[Unit | BaseException | None] = SimpleQueue()

    def ask(chain: Iterable[Unit]) -> None:
        try:
            for unit in chain:
                found.put(unit)
        except BaseException as error:  # noqa: BLE001 - raised where the units are asked for
            found.put(error)
        found.put(None)

    for chain in chains:
        Thread(target=ask, args=(chain,), daemon=True).start()
    left = len(chains)
    while left:
        unit = found.get()
        if isinstance(unit, BaseException):
            raise unit
        if unit is None:
            left -= 1
        else:
            yield unit
