"""Make the tutorial's pictures: its first command is run in a terminal of its own, then terminal and report are drawn.

    rm -rf data/results/first-look data/cache && python docs/make_pictures.py
    python docs/make_pictures.py redraw      # from the screens of the last time

Needs chromium. A run that stands there already is gone on with, and then shows less of its work.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import BrowserContext, sync_playwright
from rich.console import Console
from rich.text import Text

from tests.chromium import CHROMIUM, FLAGS

PICTURES = ROOT / "docs" / "pictures"
RUN = Path("data/results/first-look")
SCREENS = ROOT / "data" / "results" / "first-look-screens"
"""What the terminal showed, for drawing it again."""
COMMAND = ("probing/run_senteval.py", "--model", "bermo", "--limit", "1000", "--output", str(RUN))
WIDTH, HEIGHT = 100, 48
WORKING = "SubjNum"
"""The picture of a run at work is of the moment when this task has a score of its mix."""
PARTS = {"screen_table": ("Best layers are", "SentLen: how long"), "screen_controls": ("Against controls", "")}
"""Picture -> the lines of the last screen that it shows: from one that holds the first text to before the second."""
SECTIONS = {"report_answer": 620, "report_scores": 610, "report_task": 1035, "report_controls": 888}
"""Picture -> height of the part of the report that it shows, from its heading on."""
FIGURES = ("mix_weights",)
_CODES = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #1e1e2e; }}
pre {{ display: inline-block; margin: 0; padding: 14px 18px; color: #e6e6ef; white-space: pre-wrap; width: 100ch;
      font: 13px/1.3 "DejaVu Sans Mono", monospace; }}
</style><pre>{text}</pre>"""


class Screen:
    """Lines that a terminal shows, for programs that write whole lines, go up and erase, as rich's progress does."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0

    def write(self, text: str) -> None:
        """Take what a program wrote; colours stay in the lines."""
        for part in _CODES.split(text):
            if part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part == "\x1b[2K":
                self.lines[self.row] = ""
            elif part.endswith("A") and part.startswith("\x1b["):
                self.row = max(0, self.row - int(part[2:-1] or 1))
            elif part != "\r" and (not part.startswith("\x1b") or part.endswith("m")):
                self.lines[self.row] += part

    def read(self) -> str:
        """All lines, without empty ones at the end."""
        return "\n".join(self.lines).rstrip()


def follow(command: list[str]) -> Iterator[str]:
    """What a program writes to a terminal, piece by piece.

    Raises:
        SystemExit: it ends badly.
    """
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": str(HEIGHT)}
    program = subprocess.Popen(command, cwd=ROOT, stdout=other, stderr=other, env=environment)
    os.close(other)
    left = b""
    while select.select([main], [], [], 600)[0]:
        try:
            left += os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        text, left = decode(left)
        yield text
    if program.wait() != 0:
        sys.exit(f"{' '.join(command)}: exit code {program.returncode}")


def decode(content: bytes) -> tuple[str, bytes]:
    """The text of some bytes, and those of a letter or an escape that is not whole yet."""
    cut = content.rfind(b"\x1b")
    whole = cut < 0 or re.match(rb"\x1b\[[0-9;?]*[A-Za-z]", content[cut:]) is not None
    for end in (len(content) if whole else cut, *(len(content) - n for n in (1, 2, 3))):
        try:
            return content[:end].decode(), content[end:]
        except UnicodeDecodeError:
            continue
    return content.decode(errors="replace"), b""


def watch_run() -> tuple[str, str]:
    """The screen while the run works, and at its end."""
    screen, working = Screen(), ""
    for text in follow([sys.executable, *COMMAND]):
        screen.write(text)
        shown = screen.read()
        row = next((line for line in reversed(shown.splitlines()) if WORKING in line and "│" in line), "")
        if not working and row and "·" not in row and shown.rstrip().endswith(("mix", "layer")):
            working = shown
    return working or screen.read(), screen.read()


def draw_terminal(browser: BrowserContext, text: str, path: Path) -> None:
    """A picture of a terminal that shows the text."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    console.print(Text.from_ansi(text), soft_wrap=True)
    body = console.export_html(inline_styles=True, code_format="{code}")
    page = browser.new_page()
    page.set_content(_PAGE.format(text=body))
    page.locator("pre").screenshot(path=path)
    page.close()


def take_part(screen: str, first: str, after: str) -> str:
    """Lines of a screen, from the one that holds a text to before the one that holds another; to the end for none."""
    lines = screen.splitlines()
    start = next(number for number, line in enumerate(lines) if first in line)
    end = next((number for number, line in enumerate(lines) if after and after in line), len(lines))
    return "\n".join(lines[start:end])


def draw_report(browser: BrowserContext) -> None:
    """Pictures of parts of the report."""
    page = browser.new_page()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto((ROOT / RUN / "report.html").as_uri())
    page.wait_for_timeout(2000)  # charts are drawn by a script
    for name, height in SECTIONS.items():
        box = page.locator(f"#{name.removeprefix('report_')}").bounding_box()
        if box is None:
            sys.exit(f"the report has no part for {name}")
        clip = {"x": box["x"] - 16, "y": box["y"] - 8, "width": box["width"] + 32, "height": height}
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True, clip=clip)
    page.close()


def main() -> None:
    """Run the command, and write the pictures."""
    PICTURES.mkdir(exist_ok=True)
    if sys.argv[1:] != ["redraw"]:
        SCREENS.mkdir(parents=True, exist_ok=True)
        for name, text in zip(("working", "end"), watch_run(), strict=True):
            (SCREENS / f"{name}.txt").write_text(text, encoding="utf-8")
    working, end = ((SCREENS / f"{name}.txt").read_text(encoding="utf-8") for name in ("working", "end"))
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, headless=True, color_scheme="light"
        )
        draw_terminal(browser, working, PICTURES / "screen_working.png")
        for name, (first, after) in PARTS.items():
            draw_terminal(browser, take_part(end, first, after), PICTURES / f"{name}.png")
        draw_report(browser)
        browser.close()
    for name in FIGURES:
        shutil.copy(ROOT / RUN / "figures" / f"{name}.png", PICTURES)


if __name__ == "__main__":
    main()
