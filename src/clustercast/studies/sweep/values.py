"""What a study file writes for an axis, to the values that the engine reads: base units, codes, names in full."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clustercast import catalog, units
from clustercast.catalog import constants
from clustercast.errors import WrongInput
from clustercast.estimates.question import MOST_BATCH, MOST_CHIPS, MOST_SEQ_LEN, MOST_TOKENS
from clustercast.plans.text import ANY, FREED, MAY_BE_ZERO, NAMED
from clustercast.studies.sweep import groups, names
from clustercast.studies.sweep.space import NAME, NUMBER, PLAN, TRAINING, WHOLE, Axis, Range, between

if TYPE_CHECKING:
    from clustercast.estimates.ranges import Parameter

Written = str | bool | int | float
Spec = Sequence[Written] | dict[str, Any]

MOST_VALUES: Final = 10**6  # of one axis
DIGITS: Final = 12  # of the values inside a range: 0.3 and not 0.30000000000000004
FILL: Final = "fill"
MOST: Final = {
    "count": MOST_CHIPS, "tokens": MOST_TOKENS, "global_batch": MOST_BATCH, "batch": MOST_BATCH,
    "seq_len": MOST_SEQ_LEN, "input_len": MOST_SEQ_LEN, "output_len": MOST_SEQ_LEN,
}  # fmt: skip
MAY_BE_NONE: Final = ("overlap", "imbalance", "per_doubling", "fragmentation")  # last words of what may be 0
MOST_DEGREE: Final = 10**6
MOST_ZERO: Final = 3


class UnfitValue(Exception):
    """A value that does not fit: where below the axis, what is wrong, and a guess if there is one."""

    def __init__(self, message: str, place: tuple[str | int, ...] = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.hint = hint


@dataclass(slots=True)
class Reader:
    """What the values of one study are read against."""

    about: str
    parameters: Callable[[], "dict[str, Parameter]"]  # every number, found when the first one is named
    searched: bool  # the plan is searched
    _numbers: "dict[str, Parameter] | None" = field(default=None, init=False)

    def number(self, name: str) -> "Parameter":
        """The number of that name. Raises UnfitValue."""
        if self._numbers is None:
            self._numbers = self.parameters()
        found = self._numbers.get(name)
        if found is None:
            raise UnfitValue("is not known", hint=names.near(name, self.about, self._numbers))
        return found

    def kind(self, name: str) -> str:
        """The kind of an axis. Raises UnfitValue for a name that none can have."""
        try:
            kind = names.kind_of(name, self.about)
        except WrongInput as error:
            raise UnfitValue(error.message, hint=error.hint) from None
        if kind == NUMBER:
            self.number(name)
        return kind

    def axis(self, name: str, spec: Spec) -> Axis:
        """An axis from a list, a range or a group. Raises UnfitValue."""
        kind = self.kind(name)
        dimension = self.number(name).dimension if kind == NUMBER else "count" if kind == WHOLE else ""
        relative = False
        if not isinstance(spec, dict):
            written = list(spec)
            relative = kind == NUMBER and is_relative(written[0])
            found: list[Any] = []
            for at, each in enumerate(written):
                try:
                    found.append(self.value(name, kind, each, relative=relative if at else None)[0])
                except UnfitValue as error:
                    raise UnfitValue(error.message, (at,), error.hint) from None
            _distinct(written, found)
        elif "group" in spec:
            found = self._group(name, str(spec["group"]))
        else:
            found, relative = self._range(name, kind, spec)
        return Axis(name, kind, tuple(found), relative, dimension)

    def value(self, name: str, kind: str, written: Any, relative: bool | None = None) -> tuple[Any, bool]:
        """One value, and whether it is a multiple of the usual one. Raises UnfitValue.

        relative  what the values before it were; None: it is the first
        """
        if kind == NAME:
            return self._name(name, written), False
        if kind == WHOLE:
            return _whole(name, written), False
        if kind == PLAN:
            return self._code(name, written), False
        is_multiple = is_relative(written)
        if relative is not None and relative != is_multiple:
            raise UnfitValue(f"{shown(written)} mixes multiples such as 0.5x with values", hint="give only one kind")
        return self._number(self.number(name), written), is_multiple

    def fixed(self, name: str, written: Any) -> tuple[Any, bool] | None:
        """One value that holds in every point; None where it says what holds anyway. Raises UnfitValue."""
        kind = self.kind(name)
        if name == "dp" and self.about == TRAINING and written == FILL:
            return None
        if kind == PLAN and written == "any":
            if not self.searched:
                raise UnfitValue("'any' needs a plan that is searched", hint="optimise: plan")
            return (ANY, False) if name in FREED else None
        return self.value(name, kind, written)

    def drawn(self, name: str, spec: dict[str, Any]) -> Range:
        """The ends of a sampled number. Raises UnfitValue."""
        if self.kind(name) != NUMBER:
            raise UnfitValue("is no number that can be sampled", hint="make it an axis")
        parameter = self.number(name)
        if parameter.multiple:
            raise UnfitValue("takes whole numbers and cannot be sampled", hint="make it an axis")
        low, high, relative = self._ends(name, NUMBER, spec)
        if not low < high:
            raise UnfitValue(f"from ({shown(spec['from'])}) is not below to ({shown(spec['to'])})")
        log = spec.get("scale") == "log"
        _positive_in_log(low, spec, log)
        return Range(name, low, high, log, relative, parameter.dimension)

    # names

    def _name(self, name: str, written: Any) -> str:
        if not isinstance(written, str):
            raise UnfitValue(f"is {shown(written)}, expected text")
        try:
            found = resolved(name, written)
            serving_only = name == "precision" and constants.recipe(found).serving_only
        except WrongInput as error:
            raise UnfitValue(error.message, hint=error.hint) from None
        if serving_only and self.about == TRAINING:
            raise UnfitValue(f"precision {found} is for serving only")
        return found

    def _group(self, name: str, group: str) -> list[str]:
        known = groups.groups(name, self.about)
        if not known:
            raise UnfitValue("has no groups, expected a list or a range", ("group",))
        if group not in known:
            raise UnfitValue(f"{shown(group)} is no group", ("group",), f"there are {', '.join(known)}")
        return list(known[group])

    # plans

    def _code(self, name: str, written: Any) -> int:
        words = NAMED.get(name)
        if words is not None:
            said = {True: "yes", False: "no"}[written] if isinstance(written, bool) else written
            if said not in words:
                raise UnfitValue(f"{shown(written)} is not one of {', '.join(words)}")
            return words.index(said)
        least, most = (0 if name in MAY_BE_ZERO else 1), (MOST_ZERO if name == "zero" else MOST_DEGREE)
        if written == FILL and name == "dp":
            raise UnfitValue("'fill' is no value of an axis, but what holds where dp is left out")
        return _integer(written, least, most)

    # numbers

    def _number(self, parameter: "Parameter", written: Any) -> float:
        if is_relative(written):
            return _multiple(parameter, written)
        try:
            value = units.number(written, parameter.dimension)
        except ValueError as error:
            raise UnfitValue(str(error)) from None
        return _sensible(parameter, value, written)

    # ranges

    def _ends(self, name: str, kind: str, spec: dict[str, Any]) -> tuple[Any, Any, bool]:
        found: list[Any] = []
        relative: bool | None = None
        for end in ("from", "to"):
            try:
                value, relative = self.value(name, kind, spec[end], relative)
            except UnfitValue as error:
                raise UnfitValue(error.message, (end,), error.hint) from None
            found.append(value)
        return found[0], found[1], bool(relative)

    def _range(self, name: str, kind: str, spec: dict[str, Any]) -> tuple[list[Any], bool]:
        if kind == NAME or name in NAMED:
            raise UnfitValue("has no order, expected a list" + (" or a group" if kind == NAME else ""))
        low, high, relative = self._ends(name, kind, spec)
        whole = kind != NUMBER
        if low > high or (low == high and not whole):
            raise UnfitValue(f"from ({shown(spec['from'])}) is not below to ({shown(spec['to'])})")
        given = [each for each in ("steps", "step", "factor") if spec.get(each) is not None]
        if len(given) > 1:
            raise UnfitValue(f"has {' and '.join(given)}, expected one of them")
        log = spec.get("scale") == "log"
        if log and given != ["steps"]:
            raise UnfitValue("is log, expected steps", hint="factor: 2 doubles from one value to the next")
        _positive_in_log(low, spec, log or given == ["factor"])
        if given == ["steps"]:
            found = _steps(low, high, spec["steps"], log)
        elif given == ["factor"]:
            found = _factors(low, high, float(spec["factor"]))
        elif given == ["step"] or (whole and name != names.TOKENS):
            found = _by_step(low, high, self._step(name, kind, spec.get("step", 1), relative))
        else:
            raise UnfitValue("has neither steps nor step, expected one of them")
        if kind == NUMBER:
            parameter = self.number(name)
            return [each if relative else _sensible(parameter, each, each) for each in found], relative
        as_kind = float if name == names.TOKENS else int
        return list(dict.fromkeys(as_kind(round(each)) for each in found)), relative

    def _step(self, name: str, kind: str, written: Any, relative: bool) -> float:
        if kind != NUMBER:
            most = MOST.get(name, MOST_DEGREE)
            try:
                return float(_integer(written, 1, most))
            except UnfitValue as error:
                raise UnfitValue(error.message, ("step",), error.hint) from None
        if is_relative(written) != relative:
            raise UnfitValue(f"{shown(written)} is not in the unit of from and to", ("step",))
        dimension = "count" if relative else self.number(name).dimension
        try:
            step = units.number(written[:-1].strip() if relative else written, dimension)
        except ValueError as error:
            raise UnfitValue(str(error), ("step",)) from None
        if step <= 0.0:
            raise UnfitValue(f"{shown(written)} is not more than 0", ("step",))
        return step


def resolved(name: str, written: str) -> str:
    """The catalogue's own name; a file and a bare size stay as they are written. Raises WrongInput.

    >>> resolved("chip", "h20"), resolved("model", "70b"), resolved("precision", "BF16")
    ('h20-96gb', '70B', 'bf16')
    """
    from clustercast.catalog import serving, sizes

    if name == "stack":
        return constants.stack(written).name
    if name == "engine":
        return serving.engine(written).name
    if name == "precision":
        return constants.recipe(written).name
    if name == "chip":
        found = catalog.find_chip(written).name
    elif name == "fabric":
        found = catalog.find_fabric(written).name
    else:
        found = catalog.find_model(written).name
        if found.startswith("dense-") and sizes.is_size(written):
            return written.upper()
    is_file = "/" in written or "\\" in written or written.lower().endswith((".yaml", ".yml", ".json"))
    return written if is_file else found


def is_relative(written: Any) -> bool:
    """Whether a value is a multiple of the usual one.

    >>> is_relative("0.5x"), is_relative("5 TB/s"), is_relative(2)
    (True, False, False)
    """
    return isinstance(written, str) and written.rstrip().endswith(("x", "×"))


def shown(written: Any) -> str:
    """A value as messages quote it: no longer than a line, no control characters."""
    text = repr(written) if isinstance(written, str) else str(written)
    return text if len(text) <= 40 else text[:40] + "..."


def _distinct(written: Sequence[Any], found: Iterable[Any]) -> None:
    seen: dict[Any, Any] = {}
    for at, each in enumerate(found):
        if each in seen:
            same = seen[each]
            message = f"{shown(written[at])} is there twice"
            if same != written[at]:
                message = f"{shown(written[at])} is the same as {shown(same)}"
            raise UnfitValue(message, (at,))
        seen[each] = written[at]


def _whole(name: str, written: Any) -> int | float:
    value = _integer(written, 1, MOST[name])
    return float(value) if name == names.TOKENS else value


def _integer(written: Any, least: int, most: int) -> int:
    expected = f"expected a whole number from {least} to {most:,}"
    try:
        value = units.number(written, "count")
    except ValueError:
        raise UnfitValue(f"is {shown(written)}, {expected}") from None
    if value != int(value) or not least <= value <= most:
        raise UnfitValue(f"is {shown(written)}, {expected}")
    return int(value)


def _multiple(parameter: "Parameter", written: str) -> float:
    text = written.rstrip()[:-1].strip()
    try:
        value = units.parse(text, "count")
    except ValueError:
        raise UnfitValue(f"is {shown(written)}, expected a multiple such as 0.5x") from None
    if value <= 0.0:
        raise UnfitValue(f"{shown(written)} is not more than 0")
    if parameter.multiple:
        raise UnfitValue("takes whole numbers and has no multiples")
    return value


def _sensible(parameter: "Parameter", value: float, written: Any) -> float:
    """A value in base units that the number can have."""
    from clustercast.studies.sensitivity.parameters import may_be_none

    field_name = parameter.name.partition(".")[2]
    if value <= 0.0 and not may_be_none(parameter) and not parameter.name.endswith(MAY_BE_NONE):
        raise UnfitValue(f"{shown(written)} is not more than 0")
    if parameter.dimension == "fraction" and parameter.number.high <= 1.0 < value:
        raise UnfitValue(f"{shown(written)} is more than 1, expected a share")
    if parameter.name.startswith("job.") and field_name in constants.AT_LEAST_ONE and value < 1.0:
        raise UnfitValue(f"{shown(written)} is less than 1")
    if parameter.multiple and value % parameter.multiple:
        raise UnfitValue(f"{shown(written)} is no whole multiple of {parameter.multiple}")
    return value


def _positive_in_log(low: float, spec: dict[str, Any], log: bool) -> None:
    if log and low <= 0.0:
        raise UnfitValue(f"{shown(spec['from'])} is not more than 0, which a logarithm needs", ("from",))


def _few(n: float) -> int:
    """The number of values, where an axis may have so many."""
    if not n <= MOST_VALUES:
        raise UnfitValue(f"has {n:.3g} values, expected at most {MOST_VALUES:,}")
    return int(n)


def _steps(low: float, high: float, n: int, log: bool) -> list[float]:
    """So many values from one end to the other.

    >>> _steps(1.0, 1000.0, 4, True), _steps(0.0, 1.0, 5, False)
    ([1.0, 10.0, 100.0, 1000.0], [0.0, 0.25, 0.5, 0.75, 1.0])
    """
    inside = between(low, high, [i / (n - 1) for i in range(1, n - 1)], log=log)
    return [low, *map(rounded, inside.tolist()), high]


def _factors(low: float, high: float, factor: float) -> list[float]:
    """Each value so many times the one before.

    >>> _factors(1.0, 10.0, 2.0)
    [1.0, 2.0, 4.0, 8.0]
    """
    _few(1.0 + (math.log(high / low) / math.log(factor) if low < high else 0.0))
    found, value = [low], low * factor
    while rounded(value) <= high:
        found.append(rounded(value))
        value *= factor
    return found


def _by_step(low: float, high: float, step: float) -> list[float]:
    """Each value so much more than the one before.

    >>> _by_step(0.1, 0.5, 0.2)
    [0.1, 0.3, 0.5]
    """
    n = _few(1.0 + math.floor(rounded((high - low) / step)))
    return [low, *(rounded(low + i * step) for i in range(1, n))]


def rounded(value: float) -> float:
    """The value to as many digits as a range gives.

    >>> rounded(0.1 + 0.2)
    0.3
    """
    return float(f"{value:.{DIGITS}g}")
