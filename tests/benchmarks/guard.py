"""Work in a process of its own that is ended when its time is up: so a comparison cannot take longer than it may."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any


class OutOfTimeError(Exception):
    """The work was ended before it was done."""


def run_within(limit_s: float, work: Callable[..., Any], *arguments: Any) -> Any:
    """What some work gives, from a fresh process.

    Args:
        limit_s: seconds after which the process is ended, and those that it started.
        work: a function of a module; what it gives must be fit for pickling.
        arguments: what it is called with.

    Raises:
        OutOfTimeError: the limit was reached.
        RuntimeError: the process ended by itself and gave nothing; its traceback is on the screen.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work_and_send, args=(sender, work, arguments))
    process.start()
    sender.close()
    try:
        if not receiver.poll(max(0.0, limit_s)):
            raise OutOfTimeError(
                f"ended after {limit_s:.0f} s, before it was done: the machine is slower than its rate"
            )
        return receiver.recv()
    except EOFError:
        raise RuntimeError(f"{work.__name__} ended without a result") from None
    finally:
        _end(process.pid)
        # It may have been too young to lead a group of its own.
        process.kill()
        process.join()


def _end(group: int | None) -> None:
    """End all processes of a group that is led by one of ours."""
    with suppress(ProcessLookupError, PermissionError):  # where all of them have ended
        if group:
            os.killpg(group, signal.SIGKILL)


def _work_and_send(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.setsid()
    sender.send(work(*arguments))
    sender.close()
