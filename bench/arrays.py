"""The same formulas over whole NumPy arrays of plans: the baseline that the compiled driver is held against.

Nobody writes the formulas twice: each plain scalar function is rewritten by machine, the way one would write NumPy by
hand. Where a branch hangs on the plan, both sides are computed for every plan and `np.where` selects; a side that no
plan takes is skipped, and one that all take needs no selection. A loop runs until no plan needs it. `min`, `max` and
`math` become NumPy's; what hangs on the setting alone stays a number. bench/plan_rate.py times it, and checks it
against the plain formulas on 1,000 legal plans.
"""

import ast
import copy
import functools
import inspect
import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any, Final

import numpy as np

RETURNED, OPEN = "_returned", "_open"  # what was returned so far, and which plans still wait for it


# What rewritten code calls. A mask is True, False or an array of bool; it is never an array that is all the same.


def both(*conditions: Any) -> Any:
    """Where all conditions hold."""
    held: Any = True
    for condition in conditions:
        if isinstance(condition, np.ndarray):
            mask = condition if condition.dtype == bool else condition != 0
            held = mask if held is True else held & mask
        elif not condition:
            return False
    if held is True:
        return True
    n_held = int(np.count_nonzero(held))
    return held if 0 < n_held < held.size else n_held > 0


def otherwise(condition: Any) -> Any:
    """Where it does not hold."""
    return condition == 0 if isinstance(condition, np.ndarray) else not condition


def either(*conditions: Callable[[], Any]) -> Any:
    """Where one of them holds; the later ones are only asked where they may matter."""
    held: Any = False
    for condition in conditions:
        held = otherwise(both(otherwise(held), otherwise(condition())))
        if held is True:
            return True
    return held


def every(*conditions: Callable[[], Any]) -> Any:
    """Where all of them hold; the later ones are only asked where they may matter."""
    held: Any = True
    for condition in conditions:
        held = both(held, condition())
        if held is False:
            return False
    return held


def pick(mask: Any, new: Any, old: Any) -> Any:
    """The new value where the mask holds and the old one elsewhere, field by field in a record."""
    if mask is True or old is None or new is old:
        return new
    if isinstance(new, tuple):
        return type(new)(*[pick(mask, one, other) for one, other in zip(new, old, strict=True)])
    return np.where(mask, new, old)


def choose(condition: Any, one: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """A conditional expression."""
    mask = both(condition)
    if isinstance(mask, bool):
        return one() if mask else other()
    return pick(mask, one(), other())


def _any_array(values: Iterable[Any]) -> bool:
    return any(isinstance(value, np.ndarray) for value in values)


def _least(*values: Any) -> Any:
    return functools.reduce(np.minimum, values) if _any_array(values) else min(values)


def _most(*values: Any) -> Any:
    return functools.reduce(np.maximum, values) if _any_array(values) else max(values)


def _float(value: Any) -> Any:
    return value.astype(np.float64) if isinstance(value, np.ndarray) else float(value)


def _int(value: Any) -> Any:
    return value.astype(np.int64) if isinstance(value, np.ndarray) else int(value)


def _mathematics(name: str) -> Callable[[Any], Any]:
    scalar, whole = getattr(math, name), getattr(np, name, None)
    if whole is None:
        whole = np.vectorize(scalar, otypes=[np.float64])
    return lambda value: whole(value) if isinstance(value, np.ndarray) else scalar(value)


BUILTINS: Final = {"min": _least, "max": _most, "float": _float, "int": _int, "abs": np.abs}
MATHEMATICS: Final = ("ceil", "floor", "sqrt", "log2", "log", "log1p", "exp", "expm1", "isfinite", "erfc")
HELPERS: Final = {  # none of our own names begins with an underscore, so none hides these
    **{f"_{helper.__name__}": helper for helper in (both, otherwise, either, every, pick, choose)},
    **{f"_{name}": helper for name, helper in BUILTINS.items()},
    **{f"_{name}": _mathematics(name) for name in MATHEMATICS},
}


def _call(name: str, *arguments: ast.expr | str) -> ast.expr:
    given = [ast.Name(one, ast.Load()) if isinstance(one, str) else one for one in arguments]
    return ast.Call(ast.Name(f"_{name}", ast.Load()), given, [])


def _later(value: ast.expr) -> ast.expr:
    """The value as a lambda without arguments."""
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(nothing, value)


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


class _Expressions(ast.NodeTransformer):
    """Rewrites what an expression may not say of arrays."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        return _call("every" if isinstance(node.op, ast.And) else "either", *map(_later, node.values))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return _call("otherwise", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        sides = itertools.pairwise([node.left, *node.comparators])
        pairs: list[ast.expr] = [
            ast.Compare(left, [is_], [right]) for is_, (left, right) in zip(node.ops, sides, strict=True)
        ]
        return pairs[0] if len(pairs) == 1 else _call("both", *pairs)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        return _call("choose", node.test, _later(node.body), _later(node.orelse))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in BUILTINS:
            node.func.id = f"_{node.func.id}"
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "math":
            if node.func.attr not in MATHEMATICS:
                raise NotImplementedError(f"math.{node.func.attr}")
            node.func = ast.Name(f"_{node.func.attr}", ast.Load())
        return node


class _Statements:
    """Rewrites a function's body under masks."""

    def __init__(self) -> None:
        self.number = itertools.count()

    def block(self, body: Sequence[ast.stmt], mask: str | None) -> list[ast.stmt]:
        """`mask` names the plans that come by here; None: all of them."""
        return [new for old in body for new in self.statement(old, mask)]

    def statement(self, node: ast.stmt, mask: str | None) -> list[ast.stmt]:
        if isinstance(node, ast.Expr):  # a docstring
            return []
        if isinstance(node, ast.Return) and node.value is not None:
            return self.returned(_expression(node.value), mask)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            return self.assigned(node.targets[0].id, _expression(node.value), mask)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            return self.assigned(node.target.id, _expression(node.value), mask)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            total = ast.BinOp(ast.Name(name, ast.Load()), node.op, _expression(node.value))
            return self.assigned(name, total, mask)
        if isinstance(node, ast.If):
            return self.branch(node, mask)
        if isinstance(node, ast.While) and not node.orelse:
            return self.loop(node, mask)
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and not node.orelse:
            again = ast.For(node.target, _expression(node.iter), self.block(node.body, mask), [])
            return [again]  # over a range that is the same for all plans: another one raises a TypeError
        raise NotImplementedError(f"line {node.lineno}: {ast.unparse(node)}")

    def assigned(self, name: str, value: ast.expr, mask: str | None) -> list[ast.stmt]:
        return [_assign(name, _call("pick", mask, value, name) if mask else value)]

    def returned(self, value: ast.expr, mask: str | None) -> list[ast.stmt]:
        if mask is None:
            return [ast.Return(_call("pick", OPEN, value, RETURNED))]
        leaving = _call("both", mask, OPEN)
        staying = _call("both", OPEN, _call("otherwise", mask))
        return [_assign(RETURNED, _call("pick", leaving, value, RETURNED)), _assign(OPEN, staying)]

    def _here(self, mask: str | None, test: ast.expr) -> ast.expr:
        return _call("both", *([mask] if mask else []), OPEN, test)

    def branch(self, node: ast.If, mask: str | None) -> list[ast.stmt]:
        at = next(self.number)
        test, yes, no = f"_test{at}", f"_yes{at}", f"_no{at}"
        done = [_assign(test, _expression(node.test)), _assign(yes, self._here(mask, ast.Name(test, ast.Load())))]
        if node.orelse:
            done.append(_assign(no, self._here(mask, _call("otherwise", test))))
        done.append(_unless_false(yes, self.block(node.body, yes)))
        if node.orelse:
            done.append(_unless_false(no, self.block(node.orelse, no)))
        if any(isinstance(inner, ast.Return) for inner in ast.walk(node)):
            done.append(ast.parse(f"if {OPEN} is False: return {RETURNED}").body[0])
        return done

    def loop(self, node: ast.While, mask: str | None) -> list[ast.stmt]:
        still = f"_still{next(self.number)}"
        body = self.block(node.body, still)
        body.append(_assign(still, _call("both", still, OPEN, _expression(node.test))))
        going = ast.parse(f"{still} is not False", mode="eval").body
        return [_assign(still, self._here(mask, _expression(node.test))), ast.While(going, body, [])]


def _unless_false(mask: str, body: list[ast.stmt]) -> ast.stmt:
    return ast.If(ast.parse(f"{mask} is not False", mode="eval").body, body or [ast.Pass()], [])


def _expression(node: ast.expr) -> ast.expr:
    new: ast.expr = _Expressions().visit(copy.deepcopy(node))
    return new


def rewritten(function: Callable[..., Any]) -> ast.FunctionDef:
    """The definition of `function` over arrays, still without the functions that it calls."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise NotImplementedError(f"{function.__qualname__}: not a plain function")
    stored = {
        node.id for node in ast.walk(definition) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    arguments = definition.args
    for argument in arguments.args:
        argument.annotation = None
    start = [_assign(name, ast.Constant(None)) for name in sorted(stored - {one.arg for one in arguments.args})]
    start += [_assign(RETURNED, ast.Constant(None)), _assign(OPEN, ast.Constant(True))]
    body = [*start, *_Statements().block(definition.body, None)]
    definition.body, definition.decorator_list, definition.returns = body, [], None
    return ast.fix_missing_locations(definition)


def package(function: Callable[..., Any]) -> str:
    """The outermost package that a function lives in."""
    return function.__module__.partition(".")[0]


@functools.cache
def whole_array(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` over arrays, and every function of ours that it calls."""
    definition = rewritten(function)
    own = getattr(function, "__globals__")  # noqa: B009 (not every callable has them)
    names = {**own, **HELPERS}
    for node in ast.walk(definition):
        known = own.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(known, FunctionType) and package(known) == package(function):
            names[known.__name__] = whole_array(known)
    code = compile(ast.Module([definition], []), f"<{function.__qualname__} over arrays>", "exec")
    exec(code, names)  # noqa: S102 (our own source, rewritten above; nothing else can get here)
    new: Callable[..., Any] = names[function.__name__]
    return new


def steps(setting: Any, plans: np.ndarray) -> np.ndarray:
    """Every step field [n, fields] for `plans` [n, plan fields], as `grid.steps`, in whole-array NumPy."""
    from clustercast.physics.training import training_step
    from clustercast.records import Plan, Step

    columns = np.ascontiguousarray(plans.T)
    with np.errstate(all="ignore"):
        step = whole_array(training_step)(setting, Plan(*columns))
    out = np.empty((len(Step._fields), len(plans)))
    for column, value in zip(out, step, strict=True):
        column[:] = value
    return out.T
