"""Altair, imported in a quarter of its time.

It brings jsonschema, which makes parsers for internet addresses in all scripts as soon as it finds the package for
them, as beside JupyterLab: 1.2 of 1.5 seconds, for a check of texts that no chart has.
"""

import sys

_UNUSED = "rfc3987_syntax"
_found = sys.modules.get(_UNUSED)
sys.modules[_UNUSED] = None  # pyright: ignore[reportArgumentType] - to Python, a module that is not installed
try:
    import altair as alt
finally:
    if _found:
        sys.modules[_UNUSED] = _found
    else:
        del sys.modules[_UNUSED]

__all__ = ["alt"]
