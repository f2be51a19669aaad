"""Mutants of a module: one changed expression or statement each."""

import ast
import gc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Pow: ast.Mult,
}  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
CHANGED_THEMSELVES = (ast.Compare, ast.UnaryOp)  # conditions that are mutated where they stand


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """``old``, a node of a module's tree, replaced with ``new``; ``statement`` is the one around it."""

    module: str
    function: str
    statement: ast.stmt
    old: ast.AST
    new: ast.AST
    before: str
    after: str
    twin: int = 1  # 2 for the second one with these texts in the function

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        return self.module, self.function, self.before, self.after, self.twin

    @property
    def lines(self) -> range:
        """Lines of the statement; of a compound statement, those of its head."""
        body = getattr(self.statement, "body", None)
        if isinstance(self.statement, FUNCTIONS):  # a default: every call may use it
            return range(self.statement.body[0].lineno, (self.statement.end_lineno or 0) + 1)
        end = body[0].lineno - 1 if isinstance(body, list) else self.statement.end_lineno or 0
        return range(self.statement.lineno, max(end, self.statement.lineno) + 1)

    def __str__(self) -> str:
        return f"{self.module}:{self.statement.lineno} {self.function}\n    {self.before}\n    {self.after}"


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


class Module:
    """The tree of one file, and its mutants."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.tree = ast.parse(path.read_text(), str(path))
        self.functions: list[tuple[FunctionType, tuple[str, int, int]]] = []

    def mutants(self) -> list[Mutant]:
        seen: Counter[tuple[Any, ...]] = Counter()
        found = []
        for mutant in self._functions(self.tree, ""):
            if mutant.before != mutant.after:
                seen[mutant.key] += 1
                found.append(replace(mutant, twin=seen[mutant.key]))
        return found

    def find_functions(self) -> None:
        """Note the live functions of the module, and which of its code each has."""
        keys = {_identity(code): key for key, code in _codes(self._compiled()).items()}
        for function in [found for found in gc.get_objects() if type(found) is FunctionType]:
            if function.__code__.co_filename == str(self.path):
                self.functions.append((function, keys[_identity(function.__code__)]))

    def swap(self, mutant: Mutant) -> None:
        """Put ``mutant`` into the live functions of this process."""
        _Replace(mutant.old, mutant.new).visit(self.tree)
        codes = _codes(self._compiled())
        for function, key in self.functions:
            if key in codes:
                function.__code__ = codes[key]
                if function.__code__.co_qualname == mutant.function:
                    _swap_default(function, mutant)

    def _compiled(self) -> CodeType:
        return compile(ast.fix_missing_locations(self.tree), str(self.path), "exec", dont_inherit=True)

    def _functions(self, parent: ast.AST, prefix: str) -> Iterator[Mutant]:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, FUNCTIONS):
                yield from self._defaults(node, prefix + node.name)
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                for statement in body:
                    yield from self._statements(statement, prefix + node.name)
                yield from self._functions(node, f"{prefix}{node.name}.")
            elif isinstance(node, ast.ClassDef):
                yield from self._functions(node, f"{prefix}{node.name}.")
            else:
                yield from self._functions(node, prefix)

    def _defaults(self, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[Mutant]:
        for default in [*function.args.defaults, *function.args.kw_defaults]:
            if isinstance(default, ast.Constant):
                for new in _constants(default):
                    yield self._mutant(function, default, new, name)

    def _statements(self, statement: ast.stmt, function: str) -> Iterator[Mutant]:
        if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            return
        for new in _statements(statement):
            yield self._mutant(statement, statement, new, function)
        if not isinstance(statement, ast.Raise):
            for node in ast.iter_child_nodes(statement):
                yield from self._nodes(statement, node, function)

    def _nodes(self, statement: ast.stmt, node: ast.AST, function: str) -> Iterator[Mutant]:
        if isinstance(node, ast.stmt):
            yield from self._statements(node, function)
            return
        if isinstance(node, ast.JoinedStr) or (isinstance(statement, ast.AnnAssign) and node is statement.annotation):
            return
        for new in _expressions(node):
            yield self._mutant(statement, node, new, function)
        for child in ast.iter_child_nodes(node):
            yield from self._nodes(statement, child, function)

    def _mutant(self, statement: ast.stmt, old: ast.AST, new: ast.AST, function: str) -> Mutant:
        before = _head(statement)
        if old is statement:
            after = _head(new)
        else:
            _Replace(old, new).visit(statement)
            after = _head(statement)
            _Replace(new, old).visit(statement)
        ast.copy_location(new, old)
        return Mutant(
            module=self.name, function=function, statement=statement, old=old, new=new, before=before, after=after
        )


def _head(node: ast.AST) -> str:
    """The node's text; of a compound statement, its first line."""
    match node:
        case ast.If(test=ast.Constant(value=False)):
            return "pass"
        case ast.Return(value=ast.IfExp(test=ast.Constant(value=True))):
            return "return None"
    lines = ast.unparse(ast.fix_missing_locations(node)).splitlines()
    return next(line for line in lines if not line.startswith("@"))


def _codes(code: CodeType) -> dict[tuple[str, int, int], CodeType]:
    """All code in ``code``, by qualified name, first line, and number among those of one line."""
    found: dict[tuple[str, int, int], CodeType] = {}
    waiting = [code]
    while waiting:
        for inner in [constant for constant in waiting.pop().co_consts if isinstance(constant, CodeType)]:
            number = 0
            while (key := (inner.co_qualname, inner.co_firstlineno, number)) in found:
                number += 1
            found[key] = inner
            waiting.append(inner)
    return found


def _identity(code: CodeType) -> tuple[object, ...]:
    """Codes that have run compare as different in Python 3.11, as their caches differ."""
    return code.co_qualname, code.co_firstlineno, code.co_code, code.co_names, list(code.co_positions())[1]


def _swap_default(function: FunctionType, mutant: Mutant) -> None:
    if isinstance(mutant.statement, FUNCTIONS):
        arguments = mutant.statement.args
        values = list(function.__defaults__ or ())
        for index, default in enumerate(arguments.defaults):
            if default is mutant.new:
                values[index] = mutant.new.value
        function.__defaults__ = tuple(values) or None
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if default is mutant.new:
                function.__kwdefaults__[argument.arg] = mutant.new.value


def _negated(condition: ast.expr) -> ast.UnaryOp:
    return ast.UnaryOp(op=ast.Not(), operand=condition)


def _statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.If(test=condition) if not isinstance(condition, CHANGED_THEMSELVES):
            yield ast.If(test=_negated(condition), body=node.body, orelse=node.orelse)
        case ast.While(test=condition) if not isinstance(condition, (*CHANGED_THEMSELVES, ast.Constant)):
            yield ast.While(test=_negated(condition), body=node.body, orelse=node.orelse)
        case ast.Expr(value=ast.Constant()):  # the body of a protocol's method
            return
        # What is dropped stays in the tree, unreached: live functions take only code with the same free variables.
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise():
            yield ast.If(test=ast.Constant(value=False), body=[node], orelse=[])
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.If(test=ast.Constant(value=False), body=[node], orelse=[])
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            nothing = ast.IfExp(test=ast.Constant(value=True), body=ast.Constant(value=None), orelse=value)
            yield ast.Return(value=nothing)
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[operator, *more]):
            yield ast.Compare(left=node.left, ops=[COMPARISONS[type(operator)](), *more], comparators=node.comparators)
        case ast.BoolOp(op=ast.And()):
            yield ast.BoolOp(op=ast.Or(), values=node.values)
        case ast.BoolOp(op=ast.Or()):
            yield ast.BoolOp(op=ast.And(), values=node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            yield ast.BinOp(left=node.left, op=OPERATORS[type(operator)](), right=node.right)
        case ast.IfExp() if not isinstance(node.test, CHANGED_THEMSELVES):
            yield ast.IfExp(test=_negated(node.test), body=node.body, orelse=node.orelse)
        case ast.comprehension(ifs=[condition, *more]) if not isinstance(condition, CHANGED_THEMSELVES):
            ifs = [_negated(condition), *more]
            yield ast.comprehension(target=node.target, iter=node.iter, ifs=ifs, is_async=node.is_async)
        case ast.Constant():
            yield from _constants(node)


def _constants(node: ast.Constant) -> Iterator[ast.Constant]:
    match node.value:
        case bool():
            yield ast.Constant(value=not node.value)
        case int() | float():
            yield ast.Constant(value=node.value + 1)
        case str() | bytes():
            yield ast.Constant(value=("XX" if isinstance(node.value, str) else b"XX") + node.value)
