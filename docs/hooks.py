"""Hooks of mkdocs: pages made from code, pages that are files elsewhere, and the links between them."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs import reference_pages

ROOT = Path(__file__).parents[1]
INCLUDED = {
    "index.md": "README.md",
    "how-to/data.md": "data/README.md",
    "method/kernels.md": "probing/kernels/README.md",
    "changelog.md": "CHANGELOG.md",
}
"""Page -> the file of the repository that it is."""
PICTURES = "data/figures"
"""Folder of pictures outside docs/ that the included files show; the site has it at the same place."""
CLAIMS_MARK = "{{ claims }}"
"""Mark of a page, which becomes the catalogue's table of claims."""
_LINK = re.compile(r"(!?\[[^\]]*\]\()(?!https?:|#|mailto:)([^)#\s]+)")
_SOURCE = re.compile(r"^\{\{ source (\S+) (\w+) \}\}$", re.MULTILINE)


def make_pages() -> dict[str, str]:
    """Pages that no file of docs/ holds: page -> Markdown."""
    included = {page: (ROOT / path).read_text(encoding="utf-8") for page, path in INCLUDED.items()}
    made = {
        "flags": reference_pages.write_flags(),
        "columns": reference_pages.write_columns(),
        "registries": reference_pages.write_registries(),
        **reference_pages.write_api(),
    }
    return included | {f"reference/{name}.md": text for name, text in made.items()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every page of a folder where the navigation says `folder/*.md`, but for those that it names."""
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} | set(make_pages())
    config.nav = expand_nav(config.nav or [], pages)
    return config


def expand_nav(nav: list[Any], pages: set[str]) -> list[Any]:
    """The navigation with, in place of each pattern, the pages of that folder that it does not name."""
    return _expand(nav, pages - set(_list_pages(nav)))


def _list_pages(entries: Iterable[Any]) -> list[str]:
    found: list[str] = []
    for entry in entries:
        values = list(entry.values()) if isinstance(entry, dict) else [entry]
        for value in values:
            found += _list_pages(value) if isinstance(value, list) else [value]
    return found


def _expand(entries: Iterable[Any], pages: set[str]) -> list[Any]:
    expanded: list[Any] = []
    for entry in entries:
        if isinstance(entry, dict):
            expanded.append({key: _expand(v, pages) if isinstance(v, list) else v for key, v in entry.items()})
        elif entry.endswith("/*.md"):
            expanded += sorted(page for page in pages if PurePosixPath(page).match(entry))
        else:
            expanded.append(entry)
    return expanded


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here, and the pictures that the included files show."""
    for page, text in make_pages().items():
        files.append(File.generated(config, page, content=text))
    for path in sorted((ROOT / PICTURES).glob("*.png")):
        files.append(File.generated(config, f"{PICTURES}/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write links as the site has them, and put functions where a page asks for their source."""
    own = page.file.src_uri
    text = _LINK.sub(lambda match: match[1] + translate_link(match[2], own), markdown)
    text = text.replace(CLAIMS_MARK, reference_pages.tabulate_claims())
    return _SOURCE.sub(lambda match: f"```python\n{read_function(ROOT / match[1], match[2])}\n```", text)


def translate_link(link: str, page: str) -> str:
    """The address that a link of a file of the repository has on the site, from the page that the file became."""
    folder = PurePosixPath(INCLUDED.get(page, f"docs/{page}")).parent
    target = normpath(str(folder / link))
    places = {path: place for place, path in INCLUDED.items()}
    place = places.get(target) or target.removeprefix("docs/")
    return relpath(place, str(PurePosixPath(page).parent))


def read_function(path: Path, name: str) -> str:
    """The source of a function of a file.

    Raises:
        LookupError: it has none of that name.
    """
    text = path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return ast.get_source_segment(text, node) or ""
    raise LookupError(f"{path}: there is no function {name}")
