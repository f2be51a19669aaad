"""What the sources say, and how the catalogs in htmx_live/locale put it: read without GNU gettext."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from django.utils.translation.template import templatize

__all__ = ["LANGUAGES", "LOCALE", "ROOT", "entries", "texts_of_sources"]

ROOT = Path(__file__).parents[1]
LOCALE = ROOT / "htmx_live" / "locale"
LANGUAGES = ["de", "es"]

_FUNCTIONS = {"gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}
_ENTRY = re.compile(r'^(msgid|msgid_plural|msgstr(?:\[\d\])?) (".*"(?:\n".*")*)$', re.MULTILINE)


@cache
def entries(language: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The catalog's texts by what the sources say: one each, or two where there is a plural."""
    source = (LOCALE / language / "LC_MESSAGES" / "django.po").read_text()
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for block in source.split("\n\n"):
        lines = [(key, "".join(map(ast.literal_eval, text.split("\n")))) for key, text in _ENTRY.findall(block)]
        said = tuple(text for key, text in lines if key.startswith("msgid"))
        if said != ("",):
            found[said] = tuple(text for key, text in lines if key.startswith("msgstr"))
    return found


@cache
def texts_of_sources() -> set[tuple[str, ...]]:
    """Every text that is translated, in Python and in templates."""
    found = set()
    for top in (ROOT / "htmx_live", ROOT / "components"):
        for path in top.rglob("*.py"):
            module = ast.parse(path.read_text())
            found |= set(_calls(module, dict(_imported(module))))
        for path in top.rglob("*.html"):
            marked = templatize(path.read_text(), origin=str(path))
            for call in re.findall(r"\bn?gettext\(.*?\)(?= |$)", marked, re.MULTILINE):
                found |= set(_calls(ast.parse(call), {name: name for name in _FUNCTIONS}))
    return found


def _imported(module: ast.Module) -> Iterator[tuple[str, str]]:
    """What the module calls them, and Django's own name."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
            yield from ((one.asname or one.name, one.name) for one in node.names if one.name in _FUNCTIONS)


def _calls(tree: ast.AST, names: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            count = 2 if names[node.func.id].startswith("n") else 1
            said = [one.value for one in node.args[:count] if isinstance(one, ast.Constant)]
            assert len(said) == count, f"A text must be written out where it is translated: {ast.unparse(node)}"
            yield tuple(said)
