"""An engine for tests: outcomes in any order, twice, or not at all, and everything by way of bytes."""

import pickle
from pathlib import Path

from probing.engines.worker import Parcel, Setup, compute_parcel
from probing.work import Done, Lost


class UnsteadyEngine:
    """Sends everything through bytes, as a cluster does; computes all that it is asked for in an order of its own."""

    workers = 2

    def __init__(self, random, loses=lambda unit: False):
        self.random, self.loses, self.n_computed = random, loses, {}

    def share(self, value):
        return pickle.dumps(value)

    def run(self, function, units):
        waiting = list(units)
        self.random.shuffle(waiting)
        for unit in waiting:
            if self.loses(unit):
                yield Lost(unit, "lost its worker: killed, perhaps for memory", 4)
                continue
            for _ in range(self.random.choice((1, 1, 2))):
                self.n_computed[unit.name] = self.n_computed.get(unit.name, 0) + 1
                result = compute_parcel(
                    Parcel(Setup(1, (), str(Path.cwd())), pickle.dumps((function, unit.payload)), str(id(unit.shared))),
                    unit.shared,
                )
                yield Done(unit, pickle.loads(result[0]), result[1])

    def close(self):
        pass
