"""The site: pages that are made of code miss nothing, links lead somewhere, nothing comes from another server."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest

from docs import hooks, reference_pages
from docs.make_pictures import Screen, decode
from probing.command_line.entry_points import COMMANDS, PROGRAM
from probing.registry import REGISTRIES
from tests.chromium import open_browser

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / path for path in hooks.INCLUDED.values()] + sorted((ROOT / "docs").rglob("*.md"))
STORED = ROOT / "tests" / "analysis" / "runs" / "bermo"
USED = STORED.with_name("used")
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.fixture(scope="module")
def flags():
    return reference_pages.write_flags()


@pytest.fixture(scope="module")
def made():
    """Files that pages made of code would be."""
    return {ROOT / "docs" / page for page in hooks.make_pages()}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_that_a_command_shows_stands_on_the_page(command, flags, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{PROGRAM} {command}", "--help-all"])
    with pytest.raises(SystemExit):
        import_module(COMMANDS[command].module).main()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    shown = {found[1] for line in lines if (found := re.match(r"\W*?(--[a-z][a-z-]*)", line))} - {"--help"}
    part = flags.split(f"\n## {command}\n")[1].split("\n## ")[0]
    assert {flag for flag in shown if f"`{flag}`" not in part} == set()
    assert shown or command in ("tasks", "status"), "else this shows nothing"


@pytest.mark.parametrize("recipe", reference_pages.RECIPES.names())
def test_a_recipe_of_ours_has_its_own_flags_on_the_page(recipe, flags):
    part = flags.split(f"### train --recipe {recipe}\n")[1].split("\n#")[0]
    assert ("`--sparsity`" in part) == (recipe == "prune")


@pytest.mark.parametrize(
    "file", ["scores", "layer_weights", "gradient_norms", "predictions", "amnesia", "layer_similarity"]
)
def test_every_column_of_a_stored_run_stands_on_the_page_below_its_file(file):
    part = reference_pages.write_columns().split(f"## {file}.parquet\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
    stored = USED if (USED / f"{file}.parquet").is_file() else STORED
    assert listed == list(pd.read_parquet(stored / f"{file}.parquet").columns)
    assert "| |" not in part.replace("  ", " "), "each with its meaning"


def test_every_part_of_ours_stands_on_the_page():
    page = reference_pages.write_registries()
    for registry in REGISTRIES:
        part = page.split(f"## Registry `{registry.name}`\n")[1].split("\n## ")[0]
        listed = re.findall(r"^\| `(\w+)` \| `[\w.:]+` \| (.+) \|$", part, re.MULTILINE)
        assert [name for name, _ in listed] == sorted(registry.own)
        assert all(text.strip() for _, text in listed)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_of_a_document_leads_to_a_file_or_to_a_page_that_is_made(document, made):
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        target = Path(os.path.normpath(document.parent / link))
        assert target.exists() or target in made, link


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "docs/tutorial.md", "tutorial.md"),
        ("index.md", "data/README.md", "how-to/data.md"),
        ("index.md", "data/figures/scores_by_layer.png", "data/figures/scores_by_layer.png"),
        ("how-to/data.md", "../docs/how-to/hub.md", "hub.md"),
        ("how-to/hub.md", "../../data/README.md", "data.md"),
        ("results/english.md", "../../data/figures/a.png", "../data/figures/a.png"),
        ("method/mix.md", "../reference/flags.md", "../reference/flags.md"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(page, link, expected):
    assert hooks.translate_link(link, page) == expected


def test_a_pattern_of_the_navigation_takes_what_is_not_named_elsewhere():
    nav = [{"Home": "index.md"}, {"Results": ["results/b.md", "results/*.md"]}, "more/*.md"]
    found = hooks.expand_nav(nav, {"index.md", "results/a.md", "results/b.md", "results/c.md", "more/x.md"})
    assert found == [
        {"Home": "index.md"},
        {"Results": ["results/b.md", "results/a.md", "results/c.md"]},
        "more/x.md",
    ], "nothing twice"


def test_the_source_of_a_function_is_taken_from_its_file_and_an_unknown_one_is_refused(tmp_path):
    path = tmp_path / "some.py"
    path.write_text('X = 1\n\ndef one(a):\n    """Doc."""\n    return a\n\ndef two():\n    pass\n')
    assert hooks.read_function(path, "one") == 'def one(a):\n    """Doc."""\n    return a'
    with pytest.raises(LookupError, match="three"):
        hooks.read_function(path, "three")


def test_the_screen_of_the_pictures_shows_what_a_terminal_would():
    screen = Screen()
    screen.write("first\n\x1b[31mred\x1b[0m\nlast\r\x1b[2K\x1b[1A\x1b[2K\x1b[?25lgreen\n")
    assert screen.read() == "first\ngreen"
    assert decode("é".encode()[:1]) == ("", "é".encode()[:1])
    assert decode(b"a\x1b[3") == ("a", b"\x1b[3")
    assert decode(b"a\x1b[3m") == ("a\x1b[3m", b"")


class Links(HTMLParser):
    """Anchors of a page, and what it links to or loads."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded = {""}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        loaded = values.get("src") or (values.get("href") if tag == "link" and values.get("rel") != "canonical" else "")
        if loaded:
            self.loaded.append(loaded)


def find_broken(site):
    """Page and link of what leads nowhere; page and address of what is loaded from elsewhere."""
    pages = {path.resolve(): Links(path.read_text(encoding="utf-8")) for path in Path(site).rglob("*.html")}
    broken, foreign = [], []
    for path, page in pages.items():
        foreign += [(path.name, link) for link in page.loaded if urlsplit(link).netloc]
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {""}
            if path.name != "404.html" and not (target.is_file() and (unquote(parts.fragment) in anchors)):
                broken.append((path.name, link))
    return broken, foreign


def test_the_check_of_links_finds_what_is_broken_and_what_is_foreign(tmp_path):
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#here">x</a><a href="#top">y</a>')
    (tmp_path / "b.html").write_text(
        '<a href="c.html">x</a><a href="a.html#gone">y</a><script src="https://x.org/a.js"></script>'
    )
    broken, foreign = find_broken(tmp_path)
    assert sorted(broken) == [("a.html", "b.html#here"), ("b.html", "a.html#gone"), ("b.html", "c.html")]
    assert foreign == [("b.html", "https://x.org/a.js")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built strictly and without a network."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | NO_NETWORK | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_the_site_builds_strictly_and_every_link_and_anchor_is_there_and_nothing_is_loaded_from_elsewhere(site):
    assert len(list(site.rglob("*.html"))) > 25
    assert find_broken(site) == ([], [])


@pytest.mark.slow
def test_the_table_of_architectures_is_what_trying_them_gives():
    code = "from tests.architectures import PAGE, write_page; assert PAGE.read_text() == write_page()"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, "run `python -m tests.architectures`: " + done.stderr[-2000:]


@pytest.mark.browser
def test_a_page_that_is_opened_as_a_file_can_be_searched_and_asks_no_server(site, tmp_path):
    with open_browser(tmp_path) as browser:
        page = browser.new_page()
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((site / "index.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("selectivity")
        page.wait_for_selector(".md-search-result__item")
        assert not errors
        assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in asked)
