"""Orders of sub-layers that pre-training is asked for: what they are called, and how their encoders are made alike."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from probing.encoders.layer_patterns import KINDS, NAMED, build_pattern
from probing.records import InputError
from probing.training.plan import Origin
from probing.training.recipes.pretrain_settings import PretrainSettings
from probing.training.transforms.pattern_space import PatternSpace, Sizes, fit_intermediate

_FLAG = "--layer-pattern"
_USUAL = 4
"""Layers of a new encoder where nothing says how many."""


def read_orders(settings: PretrainSettings) -> Mapping[str, tuple[int, ...]]:
    """The orders that the settings name, as codes; none where they name none.

    Raises:
        InputError: one of them is no order, has another number of sub-layers, or is there under two names.
    """
    orders: dict[str, tuple[int, ...]] = {}
    n_places = settings.layers
    for name in settings.layer_pattern:
        order = _read_order(name, n_places)
        known = next((other for other, codes in orders.items() if codes == order), None)
        if known is not None:
            raise InputError(f"{_FLAG} {name}: is the same order as {known}; name it once")
        orders[name], n_places = order, len(order)
    return orders


def _read_order(name: str, n_places: int) -> tuple[int, ...]:
    if name in NAMED:
        try:
            return build_pattern(name, n_places or _USUAL)
        except InputError as error:
            raise InputError(f"{_FLAG} {name}: {error}; see --layers") from None
    if not name or set(name) - set("012"):
        codes = ", ".join(f"{code} ({kind})" for code, kind in enumerate(KINDS))
        raise InputError(f"{_FLAG} {name}: expected codes of sub-layers, {codes}, or one of {', '.join(NAMED)}")
    if n_places and len(name) != n_places:
        raise InputError(f"{_FLAG} {name}: has {len(name)} sub-layers; expected {n_places}, as --layers or the first")
    return tuple(map(int, name))


def order_sublayers(origin: Origin, order: tuple[int, ...]) -> Origin:
    """The outline of an encoder of another order with as many weights, by the inner width of feed-forward.

    Args:
        origin: outline of the first order's encoder.
        order: codes of the other's sub-layers.

    Raises:
        InputError: no inner width gives it as many.
    """
    config: Any = deepcopy(origin.config)
    if list(order) == config.layer_pattern:
        return origin
    sizes = Sizes(config.hidden_size, config.num_attention_heads, config.intermediate_size, config.conv_kernel_size)
    try:
        inner = fit_intermediate(order, PatternSpace(tuple(config.layer_pattern), "parameters", sizes))
    except InputError as error:
        raise InputError(f"{_FLAG}: {error}, the first; train it in a run of its own") from None
    values = config.to_dict() | {"layer_pattern": list(order), "intermediate_size": inner}
    other = type(config).from_dict(values)
    return replace(origin, config=other, layer_names=other.layer_names)
