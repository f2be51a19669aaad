"""Make the small style sheet from the readable one: `make style`, after a change of it."""

import gzip
import hashlib
import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "static/htmx_live"


def small(css: str) -> str:
    """``css`` without comments and without the white space that says nothing; strings keep theirs.

    The first line tells which readable sheet it was made of.
    """
    text = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    pieces = re.split(r'("[^"]*")', text)
    pieces[::2] = [_squeezed(piece) for piece in pieces[::2]]
    return f"/*{hashlib.sha256(css.encode()).hexdigest()[:12]}*/{''.join(pieces).strip()}"


def _squeezed(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" ?([{};,]) ?", r"\1", text)
    # After a property's name only: "a :hover" is not "a:hover".
    text = re.sub(r"([{;][\w-]+): ", r"\1:", text)
    return text.replace(";}", "}")


if __name__ == "__main__":
    made = small((FOLDER / "htmx-live.css").read_text(encoding="utf-8"))
    (FOLDER / "htmx-live.min.css").write_text(made, encoding="utf-8")
    print(f"{len(made)} characters, {len(gzip.compress(made.encode(), 9))} bytes gzipped")
