"""What the source of the library consists of: modules, lines, imports and hooks.  Nothing of it is imported or run.

`components`, `static` and other links out of `htmx_live/` are counted as entries only.
"""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grimp

ROOT = Path(__file__).resolve().parents[2]
NOT_COUNTED = {"static", "templates", "locale", "py.typed", "__pycache__"}
SMALL = 80  # lines
CHANGES = {"add", "append", "extend", "insert", "remove", "setdefault", "update"}  # methods that change a collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    what: str
    now: str
    goal: str
    names: tuple[str, ...] = ()


class Module:
    def __init__(self, path: Path) -> None:
        text = path.read_text()
        self.name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        self.lines = len(text.splitlines())
        self.tree = ast.parse(text)

    @property
    def short(self) -> str:
        return self.name.removeprefix("htmx_live.")

    @property
    def has_code(self) -> bool:
        """Whether there is anything beside a docstring."""
        return not all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in self.tree.body)

    @cached_property
    def variables(self) -> dict[str, ast.expr | None]:
        """What the module's own variables are set to at first."""
        found: dict[str, ast.expr | None] = {}
        for one in self.tree.body:
            if isinstance(one, ast.Assign):
                found |= {target.id: one.value for target in one.targets if isinstance(target, ast.Name)}
            elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                found[one.target.id] = one.value
        return found

    @cached_property
    def imported(self) -> dict[str, str]:
        """Dotted names of what is imported from the library, by the names that they have here."""
        return {
            alias.asname or alias.name: f"{one.module}.{alias.name}"
            for one in ast.walk(self.tree)
            if isinstance(one, ast.ImportFrom) and (one.module or "").partition(".")[0] == "htmx_live"
            for alias in one.names
        }

    def full_name(self, expression: ast.expr) -> str:
        """The dotted name of something imported from the library; "" for anything else."""
        if isinstance(expression, ast.Name):
            return self.imported.get(expression.id, "")
        if isinstance(expression, ast.Attribute) and (owner := self.full_name(expression.value)):
            return f"{owner}.{expression.attr}"
        return ""

    def text_of(self, expression: ast.expr) -> str:
        """A constant text, written out or in a variable of the module."""
        if isinstance(expression, ast.Name):
            expression = self.variables.get(expression.id) or expression
        is_text = isinstance(expression, ast.Constant) and isinstance(expression.value, str)
        return expression.value if is_text else ""  # type: ignore[attr-defined]


def counts() -> list[Count]:
    """The rows of the table, without the journeys."""
    modules = [Module(path) for path in sorted((ROOT / "htmx_live").rglob("*.py"))]
    coded = [module for module in modules if module.has_code]
    entries = {path.name for path in (ROOT / "htmx_live").iterdir()} - NOT_COUNTED
    small, single = single_importer(modules)
    by_string, hooks = tuple(imports_by_string(modules)), tuple(upward_hooks(modules))
    upward = sum(name.endswith("(up)") for name in by_string)
    return [
        Count(what="modules with code", now=f"{len(coded)} of {len(modules)} files", goal="≤ 130"),
        Count(what="entries at the top level", now=str(len(entries)), goal="≤ 23"),
        Count(what="lines of Python", now=f"{sum(module.lines for module in modules):,}", goal="≤ 21,500"),
        Count(
            what=f"one importer and < {SMALL} lines",
            now=f"{len(small)}, {single} of any size",
            goal="≤ 10, each a port, a backend or a pure algorithm",
            names=small,
        ),
        Count(what="import-linter", now=contracts(), goal="packages, exhaustive = true"),
        Count(what="imports by string", now=f"{len(by_string)}, {upward} upward", goal="0 upward", names=by_string),
        Count(what="upward hooks", now=str(len(hooks)), goal="1 registry", names=hooks),
    ]


def single_importer(modules: list[Module]) -> tuple[tuple[str, ...], int]:
    """Small modules that one other module of the library imports, and how many of any size there are."""
    graph = grimp.build_graph("htmx_live", cache_dir=None)
    single = [one for one in modules if len(graph.find_modules_that_directly_import(one.name)) == 1]
    return tuple(one.short for one in single if one.lines < SMALL), len(single)


def contracts() -> str:
    """Layers and exceptions of each contract of layers."""
    found = []
    for one in _contracts():
        ignored = f", {len(one['ignore_imports'])} imports ignored" if "ignore_imports" in one else ""
        exhaustive = str(one.get("exhaustive", False)).lower()
        found.append(f"{len(one['layers'])} layers, exhaustive = {exhaustive}{ignored}")
    return "; ".join(found)


def imports_by_string(modules: list[Module]) -> Iterator[str]:
    """Calls of `import_module` and `import_string` with a text that names a module of the library."""
    for module in modules:
        for one in ast.walk(module.tree):
            if isinstance(one, ast.Call) and one.args and isinstance(one.func, ast.Name | ast.Attribute):
                called = one.func.id if isinstance(one.func, ast.Name) else one.func.attr
                text = module.text_of(one.args[0])
                if called in ("import_module", "import_string", "__import__") and text.startswith("htmx_live."):
                    target = text.removeprefix("htmx_live.")
                    yield f"{module.short} → {target} ({direction(module.short, target)})"


def direction(importer: str, target: str) -> str:
    """Whether an import goes up or down the layers of `pyproject.toml`; "no layer" where it does not name them."""
    heights = {
        name.strip(" ()").removeprefix("htmx_live."): -depth
        for contract in _contracts()
        for depth, layer in enumerate(contract["layers"])
        for name in layer.replace(":", "|").split("|")
    }
    here, there = (heights.get(name.partition(".")[0]) for name in (importer, target))
    if here is None or there is None:
        return "no layer"
    return "up" if there > here else "down"


def _contracts() -> list[dict[str, Any]]:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return [one for one in linter["contracts"] if one["type"] == "layers"]


def upward_hooks(modules: list[Module]) -> Iterator[str]:
    """Places where a module is given something to call by another module of the library.

    1. A public function (`give_…`, `on_…`, `register_…`) that another module of the library uses, and that puts an
       argument into a variable of its module.  The argument is a callable or the implementation of a protocol.
       Context managers do not count: what they set is set for a while, as in tests.
    2. A collection of one module that another module changes.

    Methods are not looked at, and neither are Django's signals.
    """
    callables = {"Callable", *(name for module in modules for name in _callable_types(module))}
    used = {full for module in modules for one in ast.walk(module.tree) if (full := _used_name(module, one))}
    for module in modules:
        for function in module.tree.body:
            if isinstance(function, ast.FunctionDef) and not _is_left_out(function):
                given = {one.arg for one in function.args.args if _names(one.annotation) & callables}
                if _keeps(function, given, module) and f"{module.name}.{function.name}" in used:
                    yield f"{module.short}.{function.name}"
    known = {module.name: module for module in modules}
    yield from sorted({hook for module in modules for hook in _changed_elsewhere(module, known)})


def _callable_types(module: Module) -> Iterator[str]:
    """Names of protocols, of types of functions, and of classes that hold functions."""
    for one in module.tree.body:
        if isinstance(one, ast.ClassDef):
            fields = [each.annotation for each in one.body if isinstance(each, ast.AnnAssign)]
            if "Protocol" in _names(*one.bases) or "Callable" in _names(*fields):
                yield one.name
        elif isinstance(one, ast.Assign | ast.AnnAssign) and _is_subscript_of(one.value, "Callable"):
            yield from _names(*(one.targets if isinstance(one, ast.Assign) else [one.target]))


def _is_subscript_of(expression: ast.expr | None, name: str) -> bool:
    return isinstance(expression, ast.Subscript) and _names(expression.value) == {name}


def _is_left_out(function: ast.FunctionDef) -> bool:
    return function.name.startswith("_") or "contextmanager" in _names(*function.decorator_list)


def _used_name(module: Module, node: ast.AST) -> str:
    return module.full_name(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _names(*expressions: ast.AST | None) -> set[str]:
    return {one.id for each in expressions if each for one in ast.walk(each) if isinstance(one, ast.Name)}


def _keeps(function: ast.FunctionDef, given: set[str], module: Module) -> bool:
    """Whether one of these arguments goes into a variable of the module."""
    variables = set(module.variables)
    for one in ast.walk(function):
        passed = [one.value] if isinstance(one, ast.Assign) else one.args if isinstance(one, ast.Call) else []
        if _names(*passed) & given and _names(*_set_by(one, function), *_changed(one)) & variables:
            return True
    return False


def _set_by(node: ast.AST, function: ast.FunctionDef) -> list[ast.expr]:
    """The module's variables that a statement in this function sets."""
    shared = {name for one in ast.walk(function) if isinstance(one, ast.Global) for name in one.names}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target for target in targets if isinstance(target, ast.Name) and target.id in shared]


def _changed(node: ast.AST) -> list[ast.expr]:
    """The collections that a statement or a call changes."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
        return [node.func.value]
    targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
    return [target.value for target in targets if isinstance(target, ast.Subscript)]


def _changed_elsewhere(module: Module, known: dict[str, Module]) -> Iterator[str]:
    """Collections of other modules that this one changes."""
    for full in [module.full_name(changed) for one in ast.walk(module.tree) for changed in _changed(one)]:
        owner, _, name = full.rpartition(".")
        if owner in known and owner != module.name and name in known[owner].variables:
            yield f"{known[owner].short}.{name}"
