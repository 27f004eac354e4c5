"""Shell of every page: the template's environment, the charts' JavaScript, and charts with their tables."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.report.chart_parts import Spec
from analysis.tables.table import Table

_PAGE = Path(__file__).with_name("page")

# So that no text from data can end the script element that the JSON stands in.
_UNSAFE = {sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Chart:
    """One interactive chart and the tables with the same numbers."""

    key: str
    """Unique on the page; letters, digits and hyphens."""
    caption: str
    spec: Spec
    tables: Sequence[Table] = ()
    wide: bool = False


def render_page(template: str, **values: Any) -> str:
    """One self-contained page.

    Args:
        template: file name in `page/`.
        values: what the template names, all of which is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"json": embed_json, "unbroken": keep_together}
    return environment.get_template(template).render(
        library=bundle_library(), script=_read("report.js"), style=_read("report.css"), **values
    )


def embed_json(value: Any) -> Markup:
    """JSON that can stand in a script element, whatever the texts in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Markup("".join(_UNSAFE.get(sign, sign) for sign in text))


def keep_together(text: str) -> str:
    """The text with a number and its percent sign on one line."""
    return re.sub(r"(\d) %", "\\1\u00a0%", text)


@cache
def bundle_library() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script, from the installed package; no network."""
    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script"))


def _read(name: str) -> Markup:
    return Markup((_PAGE / name).read_text(encoding="utf-8"))
