"""Configurations written in Python, read as data: keyword arguments and assignments of literals. Nothing is executed.

A file may hold several configurations: one per function, and one per name at the top that a call is assigned to.
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from clustercast.catalog import read
from clustercast.studies.launch import layout

MOST_DEPTH: Final = 32
MOST_BASES: Final = 16  # configurations that one builds on
MOST_ITEMS: Final = 10_000
LARGEST: Final = 10**18

Value = int | float | str | bool | None | list["Value"]


class Setting(NamedTuple):
    """One value with the line that it is written on."""

    value: Value
    line: int


@dataclass(slots=True)
class Config:
    """One configuration: its settings by dotted path, without the name of the variable that holds it.

    A call that is not a literal leaves its name under "<path>()" and its first argument, if it is a literal, under
    "<path>(0)".
    """

    name: str
    line: int
    settings: dict[str, Setting] = field(default_factory=dict)


def read_python(text: str, path: Path) -> dict[str, Config]:
    """The configurations of a file by name; that of bare assignments at the top is called "". Raises WrongInput."""
    tree = parsed(text, path)
    reader = _Reader(path)
    try:
        reader.module(tree)
    except RecursionError:
        raise read.wrong(path, "", f"is nested deeper than {MOST_DEPTH} levels") from None
    return reader.found


def parsed(text: str, path: Path) -> ast.Module:
    """The syntax tree of a file. Raises WrongInput with the line of what is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise read.wrong(path, "", "is not Python that can be read", line=error.lineno) from None
    except (ValueError, RecursionError, MemoryError):
        raise read.wrong(path, "", "is not Python that can be read") from None


@dataclass(slots=True)
class _Reader:
    """A walk over a file; values that are known so far, and what is found."""

    path: Path
    names: dict[str, Value] = field(default_factory=dict)
    found: dict[str, Config] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)

    def module(self, tree: ast.Module) -> None:
        top = Config("", 1)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self.at_top(node, top)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                self.call(node.value, "", top, 0)
        for name, function in self.functions.items():
            if name not in self.found:
                self.function(name, function, 0)
        if top.settings:
            self.found[""] = top

    def at_top(self, node: ast.Assign | ast.AnnAssign, top: Config) -> None:
        """A constant, a configuration, another name for one, or a setting of one that is imported."""
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            value = node.value
            if isinstance(target, ast.Name) and value is not None:
                known = self.literal(value)
                if not isinstance(known, _Unknown):
                    self.names[target.id] = known
                    top.settings[target.id.lower()] = Setting(known, node.lineno)
                elif isinstance(value, ast.Name) and value.id in self.found:
                    self.found[target.id] = Config(target.id, node.lineno, dict(self.found[value.id].settings))
                elif isinstance(value, ast.Call):
                    made = Config(target.id, node.lineno)
                    self.call(value, "", made, 0)
                    self.found[target.id] = made
            elif isinstance(target, ast.Attribute) and value is not None:
                self.attribute(target, value, top, 0)

    def function(self, name: str, function: ast.FunctionDef, depth: int) -> Config:
        """The settings of a function, on top of those of the one that it begins with."""
        made = Config(name, function.lineno)
        self.found[name] = made
        outer = dict(self.names)
        self.names |= self.defaults(function)
        for node in _statements(function.body):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        known = self.literal(node.value)
                        if not isinstance(known, _Unknown):
                            self.names[target.id] = known
                        elif isinstance(node.value, ast.Call):
                            self.call(node.value, "", made, depth)
                    elif isinstance(target, ast.Attribute):
                        self.attribute(target, node.value, made, depth)
            elif isinstance(node, ast.Return | ast.Expr) and isinstance(node.value, ast.Call):
                self.call(node.value, "", made, depth)
        self.names = outer
        return made

    def defaults(self, function: ast.FunctionDef) -> dict[str, Value]:
        """What the parameters of a function stand for where nobody says otherwise."""
        given = function.args
        pairs = [*zip(given.args[len(given.args) - len(given.defaults) :], given.defaults, strict=True)]
        pairs += [(name, value) for name, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value]
        known = ((name.arg, self.literal(value)) for name, value in pairs)
        return {name: value for name, value in known if not isinstance(value, _Unknown)}

    def attribute(self, target: ast.Attribute, value: ast.expr, into: Config, depth: int) -> None:
        """`config.a.b = value`."""
        parts: list[str] = []
        node: ast.expr = target
        while isinstance(node, ast.Attribute) and len(parts) < MOST_DEPTH:
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            self.put(".".join(reversed(parts)), value, into, depth)

    def put(self, path: str, value: ast.expr, into: Config, depth: int) -> None:
        """One setting: a literal, or a call whose arguments are settings of their own."""
        if len(into.settings) > MOST_ITEMS:
            raise read.wrong(self.path, "", "holds too many settings, expected one configuration")
        for old in [each for each in into.settings if each.startswith((f"{path}.", f"{path}("))]:
            del into.settings[old]
        known = self.literal(value)
        if not isinstance(known, _Unknown):
            into.settings[path] = Setting(known, value.lineno)
        elif isinstance(value, ast.Call):
            self.call(value, path, into, depth + 1)
        elif isinstance(value, ast.List | ast.Tuple):
            for place, each in enumerate(value.elts[:64]):
                self.put(f"{path}.{place}", each, into, depth + 1)
        elif isinstance(value, ast.Attribute):
            into.settings[path] = Setting(value.attr, value.lineno)

    def call(self, call: ast.Call, path: str, into: Config, depth: int) -> None:
        """The keyword arguments of a call, under the path; the settings that it begins with, before."""
        if depth > MOST_DEPTH:
            raise read.wrong(self.path, "", f"is nested deeper than {MOST_DEPTH} levels", line=call.lineno)
        name = _dotted(call.func)
        if name and path:
            into.settings[f"{path}()"] = Setting(name, call.lineno)
        self.base(call, name, into, depth)
        if isinstance(call.func, ast.Attribute):  # AutoBridge.from_hf_pretrained("...").to_provider()
            inner = call.func.value
            if isinstance(inner, ast.Call):
                self.call(inner, path, into, depth + 1)
        first = self.literal(call.args[0]) if call.args else None
        if path and isinstance(first, str | int | float):
            into.settings[f"{path}(0)"] = Setting(first, call.lineno)
        for keyword in call.keywords:
            if keyword.arg is not None:
                self.put(f"{path}.{keyword.arg}" if path else keyword.arg, keyword.value, into, depth)

    def base(self, call: ast.Call, name: str, into: Config, depth: int) -> None:
        """`replace(other, ...)`, `deepcopy(other)` and `other_config()` begin with the other's settings."""
        known: Config | None = None
        argument = call.args[0] if call.args else None
        if name.rpartition(".")[2] in ("replace", "deepcopy", "copy") and isinstance(argument, ast.Name):
            known = self.found.get(argument.id)
        elif name in self.functions and depth < MOST_BASES:
            known = self.found.get(name) or self.function(name, self.functions[name], depth + 1)
        if known is not None and known is not into:
            into.settings |= known.settings

    def literal(self, node: ast.expr) -> "Value | _Unknown":
        """The value of a literal, of a name that stands for one, or of whole numbers multiplied."""
        if isinstance(node, ast.Constant):
            plain = isinstance(node.value, str | int | float | bool) or node.value is None
            if isinstance(node.value, int) and abs(node.value) > LARGEST:
                return UNKNOWN
            return node.value if plain and not isinstance(node.value, bytes | complex) else UNKNOWN  # type: ignore[return-value]
        if isinstance(node, ast.Name):
            return self.names.get(node.id, UNKNOWN)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.literal(node.operand)
            return -value if isinstance(value, int | float) and not isinstance(value, bool) else UNKNOWN
        if isinstance(node, ast.BinOp):
            return self.product(node)
        if isinstance(node, ast.List | ast.Tuple) and len(node.elts) <= MOST_ITEMS:
            values = [self.literal(each) for each in node.elts]
            return UNKNOWN if any(isinstance(each, _Unknown) for each in values) else values  # type: ignore[return-value]
        return UNKNOWN

    def product(self, node: ast.BinOp) -> "Value | _Unknown":
        if isinstance(node.left, ast.List | ast.BinOp):  # [0] * 3 + [1] * 58
            layers = layout.layers_of(ast.unparse(node)) if isinstance(node.op, ast.Add | ast.Mult) else None
            if layers is not None:
                return list(layers)
        left, right = self.literal(node.left), self.literal(node.right)
        if type(left) is not int or type(right) is not int or abs(left) > LARGEST or abs(right) > LARGEST:
            return UNKNOWN
        if isinstance(node.op, ast.Mult):
            return left * right if abs(left * right) <= LARGEST else UNKNOWN
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.FloorDiv) and right:
            return left // right
        return UNKNOWN


class _Unknown:
    """What is not a literal."""


UNKNOWN: Final = _Unknown()


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a function in order; of an `if` only what holds first, of loops and blocks their body."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.With | ast.For | ast.Try):
            yield from _statements(node.body)


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < MOST_DEPTH:
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))
