"""What every page loads stays light, and the small style sheet is made of the readable one."""

import gzip
import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "static/htmx_live"


def test_script_and_style_together_weigh_at_most_thirteen_kilobytes() -> None:
    sizes = [
        len(gzip.compress((STATIC / name).read_bytes(), mtime=0)) for name in ("htmx-live.js", "htmx-live.min.css")
    ]
    assert sum(sizes) <= 13 * 1024


def test_the_small_style_sheet_is_made_of_the_readable_one() -> None:
    small = runpy.run_path(str(ROOT / ".ci/small_style.py"))["small"]
    made = small((STATIC / "htmx-live.css").read_text())
    assert (STATIC / "htmx-live.min.css").read_text() == made, "Run `make style` after a change of htmx-live.css."


def test_making_it_small_changes_no_meaning() -> None:
    small = runpy.run_path(str(ROOT / ".ci/small_style.py"))["small"]
    css = 'a :hover { /* one */\n  content: "{ x ; }" ;\n  margin: 0 auto;\n}\n'
    css += "b > c, d:not(.e, .f) { inset: 0 calc(1px + 2px); }\n"
    kept = re.sub(r"^/\*\w+\*/", "", small(css))
    assert kept == 'a :hover{content:"{ x ; }";margin:0 auto}b > c,d:not(.e,.f){inset:0 calc(1px + 2px)}'


def test_no_template_has_an_inline_style_or_handler() -> None:
    templates = list((ROOT / "htmx_live/templates").rglob("*.html"))
    assert [path.name for path in templates if re.search(r'\s(style|on\w+)="', path.read_text())] == []
