"""The report in a real browser. Screenshots are left in tests/artefacts."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.report.build import build_report
from analysis.report.training import build_training_report
from analysis.runs.probing_run import load_run
from analysis.runs.training_run import load_training
from tests.chromium import open_browser

pytestmark = pytest.mark.browser

RUNS = Path(__file__).parents[1] / "runs"
ARTEFACTS = Path(__file__).parents[2] / "artefacts"
EVIL = '</script><img src=x onerror="alert(1)">'
DRAWN = "document.querySelectorAll('.chart').length === document.querySelectorAll('.chart[data-drawn] svg').length"
WIDTHS = (360, 800, 1400)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    runs = [load_run(RUNS / name) for name in ("bermo", "untrained")]
    (folder / "one.html").write_text(build_report(runs[:1]), encoding="utf-8")
    (folder / "two.html").write_text(build_report(runs), encoding="utf-8")
    trained = [load_training(RUNS / f"training_{model}") for model in ("bert", "bermo")]
    (folder / "training.html").write_text(build_training_report(trained), encoding="utf-8")
    return folder


@pytest.fixture
def page(browser):
    """A page that fails the test on any console message, error, or request to the network."""
    page, heard = browser.new_page(), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: None if is_local(request.url) else heard.append(request.url))
    page.route("**/*", lambda route: route.continue_() if is_local(route.request.url) else route.abort())
    yield page
    page.close()
    assert heard == []


def is_local(url):
    return url.startswith(("file:", "data:"))


def visit(page, path, width=1400, scheme="light"):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)


def curve(page):
    """What the line of the layer curve is drawn along, of the first run."""
    return page.locator("#chart-curves .mark-line path").first.get_attribute("d")


@pytest.mark.parametrize("name", ["one", "two", "training"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_at_any_width(page, folder, name, scheme):
    ARTEFACTS.mkdir(exist_ok=True)
    for width in WIDTHS:
        visit(page, folder / f"{name}.html", width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = "[...document.querySelectorAll('.chart svg')].filter(s => s.getBoundingClientRect().right > innerWidth)"
        assert page.evaluate(f"{wide}.length") == 0
        page.screenshot(path=ARTEFACTS / f"report-{name}-{scheme}-{width}.png", full_page=True)


def test_every_cell_of_the_heatmap_is_drawn(page, folder):
    visit(page, folder / "one.html")
    cells = page.locator("#chart-scores-0 .mark-rect.role-mark path")
    assert cells.count() == 5 * 8  # tasks x (layers and the mix)


def test_the_choice_moves_every_chart_of_one_task(page, folder):
    visit(page, folder / "one.html")
    before = curve(page)
    page.select_option("#choose-task", "past_present")
    page.wait_for_timeout(300)
    assert curve(page) != before
    assert "Tense" in page.locator("#chosen").text_content()


def test_the_choice_works_by_keyboard(page, folder):
    visit(page, folder / "one.html")
    before = curve(page)
    page.focus("#choose-task")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(300)
    assert page.input_value("#choose-task") == "tree_depth"
    assert curve(page) != before


def test_a_click_on_a_column_chooses_its_task(page, folder):
    visit(page, folder / "one.html")
    page.locator("#chart-scores-0 .mark-rect.role-mark path[aria-label*='SubjNum']").first.click()
    page.wait_for_timeout(300)
    assert page.input_value("#choose-task") == "subj_number"


def test_hovering_tells_score_interval_and_number_of_sentences(page, folder):
    visit(page, folder / "one.html")
    page.locator("#chart-scores-0 .mark-rect.role-mark path").nth(3).hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    told = page.locator("#vg-tooltip-element").text_content()
    assert all(word in told for word in ("score x 100", "95 % interval", "test sentences"))


def test_ink_stands_out_from_paper_in_both_schemes(page, folder):
    for scheme in ("light", "dark"):
        visit(page, folder / "one.html", scheme=scheme)
        label = page.locator("#chart-scores-0 .role-axis-label text").first
        colours = label.evaluate("t => [getComputedStyle(t).fill, getComputedStyle(document.body).backgroundColor]")
        light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 7


def luminance(colour):
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_markup_in_a_task_name_is_text_everywhere(page, tmp_path):
    run = load_run(RUNS / "bermo")
    spoilt = {
        name: getattr(run, name).assign(task=getattr(run, name)["task"].replace("sentence_length", EVIL))
        for name in ("scores", "weights", "predictions", "gradients")
    }
    (tmp_path / "evil.html").write_text(build_report([replace(run, **spoilt)]), encoding="utf-8")
    visit(page, tmp_path / "evil.html")
    page.select_option("#choose-task", EVIL)
    page.locator("#chart-scores-0 .mark-rect.role-mark path").first.hover()
    page.wait_for_timeout(300)
    assert page.locator("img").count() == 0
    assert EVIL in page.locator("#choose-task").text_content()


def test_on_paper_a_folded_table_takes_no_room_and_the_menu_is_gone(page, folder):
    visit(page, folder / "one.html", scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("document.querySelector('details').open = true")
    shown = page.evaluate("[...document.querySelectorAll('details')].map((part) => part.offsetHeight > 0)")
    assert shown == [True] + [False] * (len(shown) - 1)
    assert len(shown) > 1
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.pdf(path=ARTEFACTS / "report-one.pdf", format="A4")
