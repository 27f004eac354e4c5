"""Checks before a cluster of Ray is joined: whether something answers at its address, and a token to show."""

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from probing.records import InputError

_ANSWER_S = 10.0
"""Longest that a cluster may take to answer: Ray itself asks for a quarter of an hour."""


def check_answers(asked: str, address: str) -> None:
    """Check that something listens at an address.

    Args:
        asked: address as the user gave it.
        address: HOST:PORT that it stands for, as Ray writes it.

    Raises:
        InputError: nothing does.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except OSError as error:
        where = asked if asked == address else f"{asked} ({address})"
        raise InputError(
            f"--engine-address {where}: nothing answers ({error}); start Ray there by `ray start --head`"
        ) from None


def check_token(asked: str) -> None:
    """Check that there is a token to show to a cluster, where one is to be shown.

    Raises:
        InputError: there is none.
    """
    if os.environ.get("RAY_AUTH_MODE") == "token" and not _is_named() and not _find_place().exists():
        raise InputError(
            f"--engine-address {asked}: no token to show there; make one before Ray starts, by `ray get-auth-token "
            f"--generate`, have {_find_place()} on each host, or set RAY_AUTH_MODE=disabled where anyone may run code"
        )


def make_token() -> None:
    """Have a token where Ray looks for one: of two commands that start at a time, Ray would write each its own."""
    place = _find_place()
    if _is_named() or place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    own = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    own.touch(0o600)
    own.write_text(secrets.token_hex(32))
    with suppress(FileExistsError):
        os.link(own, place)
    own.unlink()


def _is_named() -> bool:
    return any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))


def _find_place() -> Path:
    return Path.home() / ".ray" / "auth_token"
