"""The notebooks in JupyterLab in a real browser, as a user has them. Screenshots are left in tests/artefacts."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.chromium import open_browser

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[1]
ARTEFACTS = ROOT / "tests" / "artefacts"
FIGURE = ".jp-OutputArea-output img"
# The runs, relative to where Jupyter is started: the notebooks lie in another folder.
OPENED = "tests/analysis/runs/bermo tests/analysis/runs/untrained tests/analysis/runs/bermo_cls"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Function: the address of a notebook in a JupyterLab of its own, on loopback, that writes to temporary folders."""
    folder, token = tmp_path_factory.mktemp("lab"), secrets.token_hex(16)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", str(folder / "notebooks"), "--no-browser", "--allow-root"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}"]
    no_news = folder / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    no_news.mkdir(parents=True)
    (no_news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    names += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PROBING_RUN", "JUPYTER"))}
    environment |= {name: str(folder / name.lower()) for name in names}
    # The shell sets PWD: where the user is.
    environment |= {"PROBING_RUNS": OPENED, "PWD": str(ROOT), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for_server(f"http://127.0.0.1:{port}/api/status?token={token}", server, folder / "log.txt")
        yield lambda name: f"http://127.0.0.1:{port}/lab/tree/{name}.ipynb?token={token}&reset"
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.set_viewport_size({"width": 1500, "height": 1300})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def wait_for_server(address, server, log):
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def run_all(page, address):
    """Open a notebook and run all of it, by the menu."""
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    page.wait_for_function("document.querySelectorAll('.jp-OutputArea-output select').length > 0")


def find_cell(page, code):
    """The cell that holds some code, brought into view."""
    cell = page.locator(".jp-CodeCell", has_text=code).first
    cell.scroll_into_view_if_needed()
    return cell


def choose(cell, name, beginning):
    """Choose an option in a dropdown, and wait for another picture than before."""
    before = picture(cell)
    select = cell.locator(".widget-dropdown", has=cell.page.get_by_text(name, exact=True)).locator("select")
    # ipywidgets writes options with spaces that do not break.
    labels = [label.replace("\xa0", " ") for label in select.locator("option").all_text_contents()]
    [number] = [number for number, label in enumerate(labels) if label.startswith(beginning)]
    select.select_option(index=number)
    for _ in range(150):
        time.sleep(0.1)
        if picture(cell) != before:
            return picture(cell)
    raise AssertionError(f"choosing {beginning} as {name} drew nothing new")


def picture(cell):
    """What the figure below the dropdowns holds."""
    cell.locator(FIGURE).first.wait_for()
    return cell.locator(FIGURE).first.get_attribute("src")


def keep(cell, name):
    ARTEFACTS.mkdir(exist_ok=True)
    cell.screenshot(path=ARTEFACTS / f"lab-{name}.png")


def make_choices(cell, book, choices):
    """Make choices one after the other; the figures of all, the one before any choice first."""
    drawn = [picture(cell)]
    keep(cell, f"{book}-0-first")
    for number, (name, beginning) in enumerate(choices, start=1):
        drawn.append(choose(cell, name, beginning))
        keep(cell, f"{book}-{number}-{name}-{beginning}")
    return drawn


def test_choosing_a_task_a_model_or_a_pooling_redraws_scores_mix_and_gradients(page, lab):
    run_all(page, lab("01_quick_look"))
    cell = find_cell(page, "def show_task")
    choices = [("task", "Tense"), ("pooling", "cls"), ("pooling", "mean"), ("model", "untrained")]
    drawn = make_choices(cell, "01", choices)
    # Back at mean pooling the figure is that of before; each other choice has one of its own.
    assert drawn[3] == drawn[1]
    assert len(set(drawn)) == 4
    # No open run is of this model with this pooling: said in words, with the command that makes one.
    cell.locator(".widget-dropdown select").nth(2).select_option(index=1)
    cell.get_by_text("--model untrained --pooling cls makes one").wait_for()
    assert cell.locator(FIGURE).count() == 0


@pytest.mark.parametrize(
    ("book", "cells"),
    [
        ("02_layer_weights", {"show_weights": [("pooling", "cls")], "show_depth": [("pooling", "cls")]}),
        ("03_gradient_flow", {"show_gradients": [("quantity", "parameters"), ("pooling", "cls")]}),
        ("04_compare_models", {"show_differences": [("first", "untrained")], "show_layers": [("tasks", "semantic")]}),
        ("06_training", {"show_layers": [("quantity", "weight")]}),
    ],
)
def test_a_choice_redraws(page, lab, book, cells):
    run_all(page, lab(book))
    for name, choices in cells.items():
        drawn = make_choices(find_cell(page, f"def {name}"), f"{book[:2]}-{name}", choices)
        assert len(set(drawn)) == 1 + len(choices)
