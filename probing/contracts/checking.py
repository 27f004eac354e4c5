"""Check of a part against its contract: the members and signatures of a protocol, looked for in the part."""

from collections.abc import Callable
from inspect import Parameter, getattr_static, signature
from types import FunctionType
from typing import Any, Protocol, get_type_hints

_PLAIN = (bool, int, str)
"""Types of traits that are compared; shapes and the like are the conformance tests' to look at."""


def find_breach(part: Any, contract: type) -> str:
    """Describe in a few words what a part lacks that its contract asks for; empty where it lacks nothing.

    A protocol with `__call__` is that of a function. Any other is that of an object or, with the part being a class, of
    what that class makes.
    """
    members, hints = list_members(contract), get_type_hints(contract)
    for name in members:
        if not hasattr(part, name):
            return f"no `{name}`"
        promised, found = getattr(contract, name, None), getattr(part, name)
        if callable(promised):
            function = part if name == "__call__" else found
            misfit = find_misfit(function, promised, unbound=_is_unbound(part, name))
            if misfit:
                return f"`{name}` takes other arguments: {misfit}" if name != "__call__" else misfit
        elif hints.get(name) in _PLAIN and not isinstance(found, hints[name]):
            return f"`{name}` is {found!r}, no {hints[name].__name__}"
    return ""


def list_members(contract: type) -> list[str]:
    """The public members that a protocol declares, those of its bases first, and `__call__`."""
    protocols = [base for base in contract.__mro__ if getattr(base, "_is_protocol", False) and base is not Protocol]
    names = dict.fromkeys(
        name for base in reversed(protocols) for name in (*vars(base).get("__annotations__", ()), *vars(base))
    )
    return [name for name in names if name == "__call__" or not name.startswith("_")]


def find_misfit(function: Callable[..., Any], promised: Callable[..., Any], *, unbound: bool = False) -> str:
    """Why a function cannot be called as promised; empty where it can.

    Args:
        function: of the part.
        promised: the protocol's method.
        unbound: whether the function takes `self` too, as the promised one does.
    """
    try:
        found = signature(function)
    except (TypeError, ValueError):  # some functions written in C do not say
        return "" if callable(function) else f"{function!r} is no function"
    wanted = list(signature(promised).parameters.values())[0 if unbound else 1 :]
    places = [one.name for one in wanted if one.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    keywords = {one.name: None for one in wanted if one.kind is Parameter.KEYWORD_ONLY}
    try:
        found.bind(*places, **keywords)
    except TypeError as error:
        return str(error)
    return ""


def _is_unbound(part: Any, name: str) -> bool:
    """True where a class holds a plain method of that name; calling a class itself makes one of its objects."""
    return name != "__call__" and isinstance(part, type) and isinstance(getattr_static(part, name), FunctionType)
