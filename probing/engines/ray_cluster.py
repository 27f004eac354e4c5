"""A cluster of Ray (docs.ray.io): one that works already, or one of this machine that is begun here and ends here."""

# Where the package is not installed, pyright takes `ray.py` of this folder for it.
# pyright: reportAttributeAccessIssue=false, reportMissingImports=false

import os
import sys
from typing import Any

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it reports to its makers otherwise
    "RAY_AUTH_MODE": "token",  # anyone on the network could run code otherwise
    "RAY_task_oom_retries": "0",  # retries are ours
    "RAY_worker_num_grpc_internal_threads": "1",  # clusters cap the threads of a user
    # A host that vanishes without a word keeps what was asked of it: Ray would notice after seven minutes. Where it was
    # started without these settings, it cuts off whoever asks more than once a minute, and ends the worker in question.
    "RAY_grpc_client_keepalive_time_ms": "75000",
    "RAY_grpc_client_keepalive_timeout_ms": "20000",
}
_IMPORTED = "ray" in sys.modules
"""True where a notebook, say, has imported Ray before."""
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)  # Ray reads them when it is imported, and not again

import ray

from probing.engines.access import check_answers, check_token, make_token
from probing.engines.session_folder import SessionFolder, make_session_folder
from probing.records import InputError
from probing.work import EngineOptions

_OBJECTS_BYTES = 512 * 2**20
"""Room for tasks and indices: the default, 30 % of memory in /dev/shm, is more than a container has."""
_STARTS = 4
"""Attempts to start, or to join: Ray gives a node half a minute, which a busy machine may exceed."""


class Cluster:
    """The cluster that units are computed by.

    Args:
        options: wishes of the user.

    Raises:
        InputError: no cluster answers, or none can be started.
    """

    def __init__(self, options: EngineOptions):
        self._joined = ray.is_initialized()
        self._folder: SessionFolder | None = None
        if not self._joined:
            self._start(options)
        self.cpus, self.gpus = (ray.cluster_resources().get(name, 0) for name in ("CPU", "GPU"))

    def close(self) -> None:
        """End the cluster, if it was begun here."""
        if not self._joined:
            ray.shutdown()
        if self._folder:
            self._folder.remove()
            self._folder = None

    def _start(self, options: EngineOptions) -> None:
        if _IMPORTED:
            ray._raylet.Config.initialize("")  # what it has read it reads anew
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if options.address:
            where: dict[str, Any] = {"address": _find_cluster(options.address)}
        else:
            make_token()
            # /tmp/ray may be another user's.
            self._folder = make_session_folder()
            cpus = options.workers * options.threads or len(os.sched_getaffinity(0))
            where = {"address": "local", "num_cpus": cpus, "include_dashboard": False}
            where |= {"object_store_memory": _OBJECTS_BYTES, "_temp_dir": str(self._folder.path)}
        for left in reversed(range(_STARTS)):
            try:
                ray.init(**where, **quiet)
                return
            except Exception as error:  # noqa: BLE001 - it throws plain ones, such as of a node that was slow to start
                ray.shutdown()
                if not left:
                    self.close()
                    raise InputError(_explain(options.address, error)) from None


def _find_cluster(asked: str) -> str:
    """The address of the cluster that a user means.

    Raises:
        InputError: there is none, or there is nothing to show to it.
    """
    try:
        # `auto` may stand for one that has ended: Ray notes addresses, and takes none back.
        if not (address := ray._private.services.canonicalize_bootstrap_address(asked)):
            raise ValueError("expected HOST:PORT, or auto")
    except Exception as error:  # noqa: BLE001 - it throws plain ones
        raise InputError(_explain(asked, error)) from None
    check_answers(asked, address)
    check_token(asked)
    return address


def _explain(address: str, error: Exception) -> str:
    """One line; the last one of several is the one that says what is wrong."""
    reason = " ".join((str(error).strip().splitlines() or [type(error).__name__])[-1].split())[:300]
    if address:
        other = "Ray there may be of another version, or have another token (~/.ray/auth_token)"
        return f"--engine-address {address}: cannot be joined ({reason}); {other}"
    return f"--engine ray: cannot be started here ({reason}); take --engine local, or a cluster by --engine-address"
