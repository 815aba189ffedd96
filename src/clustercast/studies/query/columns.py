"""What a sweep's columns are: axes or outputs, their units, and which way is better.

A part holds the point's number, then the axes and the plan, then its status, then the outputs.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clustercast.errors import WrongInput
from clustercast.records import Plan, ServingPlan

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    import pyarrow as pa

POINT: Final = "point"
STATUS: Final = "status"
OK: Final = "ok"

AXIS: Final = "axis"
OUTPUT: Final = "output"

TEXT: Final = "text"
WHOLE: Final = "whole"
NUMBER: Final = "number"

TIMES: Final = "x"  # the unit of a multiple of the usual value

PLAN: Final = frozenset({*Plan._fields, *ServingPlan._fields})
NAMES: Final = ("chip", "model", "fabric", "stack", "engine", "precision")

# The longest ending that matches names the unit.
UNIT_OF_ENDING: Final = {
    "_flop_per_s": "FLOP/s",
    "_bytes_per_s": "B/s",
    "tokens_per_s": "tokens/s",
    "tokens_per_s_per_chip": "tokens/s",
    "_s_low": "s",
    "_usd_per_mtok": "USD/Mtok",
    "_bytes": "B",
    "_usd": "USD",
    "_mwh": "MWh",
    "_ms": "ms",
    "_s": "s",
    "_j": "J",
    "_t": "t",
    "_w": "W",
    "_fraction": "share",
    "_s_high": "s",
    "days": "days",
    "days_low": "days",
    "days_high": "days",
}
UNIT_OF_AXIS: Final = {
    "chip.flops": "FLOP/s", "chip.hbm_bandwidth": "B/s", "chip.hbm_capacity": "B", "chip.scale_out": "B/s",
    "chip.scale_up": "B/s", "chip.power": "W", "count": "chips", "tokens": "tokens", "seq_len": "tokens",
    "input_len": "tokens", "output_len": "tokens", "global_batch": "sequences", "batch": "sequences",
    "chip.price_rent": "USD/h", "chip.price_buy": "USD", "job.chip_mtbf": "s", "job.checkpoint_save": "s",
    "job.checkpoint_every": "s", "job.restart": "s",
}  # fmt: skip
MORE_IS_BETTER: Final = (
    "tokens_per_s",
    "_per_s",
    "_per_s_per_chip",
    "mfu_fraction",
    "hfu_fraction",
    "goodput_fraction",
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the points."""

    name: str
    role: str  # AXIS, OUTPUT, or the name itself for the point's number and its status
    kind: str  # TEXT, WHOLE, NUMBER
    unit: str  # "": none

    @property
    def quoted(self) -> str:
        """The name as SQL takes it."""
        return quoted(self.name)

    @property
    def more_is_better(self) -> bool:
        """Which end of an output is the good one."""
        return self.role == OUTPUT and self.name.endswith(MORE_IS_BETTER)


def columns_of(schema: "pa.Schema", multiples: "Set[str]" = frozenset()) -> tuple[Column, ...]:
    """The columns of a part by its schema.

    multiples  axes whose values are multiples of the usual one
    """
    import pyarrow as pa

    found: list[Column] = []
    role = AXIS
    for each in schema:
        kind = WHOLE if pa.types.is_integer(each.type) else NUMBER if pa.types.is_floating(each.type) else TEXT
        if each.name in (POINT, STATUS):
            found.append(Column(each.name, each.name, kind, ""))
            role = OUTPUT if each.name == STATUS else role
        else:
            unit = TIMES if role == AXIS and each.name in multiples else unit_of(each.name)
            found.append(Column(each.name, role, kind, unit))
    return tuple(found)


def unit_of(name: str) -> str:
    """The unit of a column by its name; "" where it has none.

    >>> unit_of("rent_usd"), unit_of("chip.hbm_bandwidth"), unit_of("tp"), unit_of("days")
    ('USD', 'B/s', '', 'days')
    """
    if name in UNIT_OF_AXIS:
        return UNIT_OF_AXIS[name]
    endings = sorted(UNIT_OF_ENDING, key=len, reverse=True)
    return next((UNIT_OF_ENDING[each] for each in endings if name.endswith(each)), "")


def quoted(name: str) -> str:
    """A name as SQL takes it, in quotes where it needs them.

    >>> quoted("days"), quoted("chip.flops")
    ('days', '"chip.flops"')
    """
    plain = name.isascii() and name.isidentifier() and name == name.lower() and name not in RESERVED
    return name if plain else '"' + name.replace('"', '""') + '"'


RESERVED: Final = frozenset({"table", "group", "order", "select", "from", "where", "limit", "offset", "end", "case"})


def text(value: Any) -> str:
    """A value as SQL writes it.

    >>> text("it's"), text(1e6), text(64)
    ("'it''s'", '1000000.0', '64')
    """
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def find(option: str, name: str, among: "Sequence[Column]") -> Column:
    """A column by its name, in any case and with - for _. Raises WrongInput with those that there are."""
    import difflib

    wanted = name.strip().lower().replace("-", "_")
    for each in among:
        if each.name.lower() in (wanted, name.strip().lower()):
            return each
    names = [each.name for each in among]
    near = difflib.get_close_matches(wanted, names, 1, 0.6)
    there = f"there are {', '.join(names)}" if names else "there is none"
    raise WrongInput(
        f"{option}: the study has no column {name.strip()!r} for this; {there}",
        hint=f"did you mean {near[0]}?" if near else None,
    )
