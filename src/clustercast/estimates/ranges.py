"""Numbers behind an answer that may lie elsewhere: what each is, its range, and which fields of the records it moves.

One description serves two uses: `moved` changes plain records, and a table of many records is changed column by column.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeVar

from clustercast import records
from clustercast.catalog import constants
from clustercast.catalog.constants import Constant
from clustercast.estimates.elasticity import improved, improved_serving
from clustercast.estimates.question import Question

# How a parameter moves a field: to its own value, or by its value over its usual one.
SET: Final = "set"
TIMES: Final = "times"
OVER: Final = "over"

HARDWARE: Final = "hardware"
EFFICIENCY: Final = "efficiency"

# Resources of a chip as `--set chip.<name>=` calls them, with their dimension and the profile's name for them.
RESOURCES: Final = {
    "flops": "flop/s",
    "hbm_bandwidth": "bytes/s",
    "hbm_capacity": "bytes",
    "scale_out": "bytes/s",
    "scale_up": "bytes/s",
}

Record = TypeVar("Record", bound=tuple[Any, ...])


class Place(NamedTuple):
    """One field of nested records, from the outside in, and how a parameter moves it."""

    path: tuple[str, ...]
    how: str  # SET, TIMES, OVER


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that an answer depends on."""

    name: str  # chip.flops, kernels.matmul_fraction
    label: str  # for people: hopper matmul_fraction
    group: str
    number: Constant  # value, low and high in base units, kind, source
    dimension: str  # as `clustercast.units` calls it
    places: tuple[Place, ...]
    multiple: int = 0  # takes whole multiples of this only; 0: any number

    def under(self, *prefix: str) -> "Parameter":
        """The same parameter of a record that lies in another one."""
        return replace(self, places=tuple(Place((*prefix, *place.path), place.how) for place in self.places))

    @property
    def ranges(self) -> bool:
        """Whether it can lie elsewhere at all."""
        return self.number.low < self.number.high


def moved(record: Record, parameter: Parameter, value: float) -> Record:
    """The same records with one parameter at `value`, in its base unit.

    >>> from clustercast.physics.examples import SETTING
    >>> usual = Constant(2e12, 1e12, 4e12, "assumed", "", "")
    >>> memory = Parameter("m", "m", HARDWARE, usual, "bytes/s", (Place(("chip", "hbm_bytes_per_s"), TIMES),))
    >>> moved(SETTING, memory, 4e12).chip.hbm_bytes_per_s / SETTING.chip.hbm_bytes_per_s
    2.0
    """
    for place in parameter.places:
        record = _placed(record, place.path, place.how, value, parameter.number.value)
    return record


def _placed(record: Any, path: tuple[str, ...], how: str, value: float, usual: float) -> Any:
    name, *rest = path
    old = getattr(record, name)
    if rest:
        return record._replace(**{name: _placed(old, tuple(rest), how, value, usual)})
    kind = type(old)
    if how == SET:
        return record._replace(**{name: kind(value)})
    ratio = value / usual
    return record._replace(**{name: kind(old * ratio if how == TIMES else old / ratio)})


def leaves(record: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number of nested records with its path."""
    for name, value in zip(record._fields, record, strict=True):
        if isinstance(value, tuple):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def places_between(record: Record, doubled: Record) -> tuple[Place, ...]:
    """Where two records differ, the second with one resource twice as good: fields that it multiplies or divides.

    >>> from clustercast.physics.examples import SETTING
    >>> places_between(SETTING, improved(SETTING, "hbm_bandwidth", 2.0))
    (Place(path=('chip', 'hbm_bytes_per_s'), how='times'),)
    """
    both = zip(leaves(record), leaves(doubled), strict=True)
    return tuple(Place(path, TIMES if new > old else OVER) for (path, old), (_, new) in both if new != old)


def _known(value: float) -> Constant:
    return Constant(value, value, value, "datasheet", "the chip's profile", "")


def resources(question: Question, setting: Any, better: Callable[[Any, str, float], Any]) -> Iterator[Parameter]:
    """The datasheet's numbers, with the range that the catalogue gives (none: low and high are the value)."""
    usual = {
        "flops": (setting.chip.matmul_flop_per_s, f"peaks.{question.silicon.recipe.formats['matmul']}"),
        "hbm_bandwidth": (setting.chip.hbm_bytes_per_s, "memory.bandwidth"),
        "hbm_capacity": (setting.chip.hbm_bytes, "memory.capacity"),
        "scale_out": (setting.cluster.rail.bytes_per_s, "nic"),
        "scale_up": (setting.cluster.scale_up.bytes_per_s, "scale_up.per_direction"),
    }
    for name, dimension in RESOURCES.items():
        value, where = usual[name]
        number = _known(value)
        quantity = question.chip.get(where)
        if quantity is not None and quantity.value == value:
            source = question.chip.sources.get(quantity.source, quantity.source)
            low = value if quantity.low is None else quantity.low
            high = value if quantity.high is None else quantity.high
            number = Constant(value, low, high, quantity.kind, source, quantity.why or quantity.note or "")
        places = places_between(setting, better(setting, name, 2.0))
        yield Parameter(f"chip.{name}", f"{question.chip.name} {name}", HARDWARE, number, dimension, places)


def dimension_of(field: str) -> str:
    """The dimension of a constant of a data file, by its name.

    >>> dimension_of("host_step_s"), dimension_of("matmul_fraction"), dimension_of("kv_factor")
    ('seconds', 'fraction', 'count')
    """
    if field.endswith("_s"):
        return "seconds"
    if field.endswith(("_fraction", "_overlap", "_share", "_ceiling", "fragmentation")):
        return "fraction"
    return "bytes" if field in ("workspace_bytes", "reserved_bytes") else "count"


def of_constants(
    group: str, owner: str, found: dict[str, Constant], record: tuple[str, ...], how: str = SET
) -> Iterator[Parameter]:
    """The constants of one record that have a range."""
    for name, number in found.items():
        if number.low < number.high:
            place = Place((*record, name), how if number.value else SET)
            yield Parameter(
                f"{record[-1]}.{name}", f"{owner} {name}", group, number, dimension_of(name), (place,),
                1 if name == "micro_batches" else 0,
            )  # fmt: skip


def link_fractions(question: Question, setting: Any, better: Callable[[Any, str, float], Any]) -> Iterator[Parameter]:
    """What share of their bandwidth the links inside and between nodes reach."""
    for resource, tier in (("scale_up", question.fabric.scale_up), ("scale_out", question.fabric.rail)):
        if tier is None:
            continue
        number = constants.link(tier.link, question.chip.name)["fraction"]
        if number.low < number.high:
            places = places_between(setting, better(setting, resource, 2.0))
            name = f"link.{resource}.fraction"
            yield Parameter(name, f"{tier.link} fraction", EFFICIENCY, number, "fraction", places)


def training_parameters(question: Question, setting: records.Setting) -> Iterator[Parameter]:
    """What a training step depends on beside its plan and its job: constants with a range, the datasheet, links."""
    yield from of_constants(EFFICIENCY, question.chip.family, question.silicon.constants, ("kernels",))
    yield from of_constants(EFFICIENCY, question.stack.name, question.stack.constants, ("stack",))
    yield from resources(question, setting, improved)
    yield from link_fractions(question, setting, improved)


def serving_parameters(question: Question, setting: records.ServingSetting) -> Iterator[Parameter]:
    """The same of a serving step: kernels in the formats that are served, the engine, the datasheet, links."""
    from clustercast.catalog import serving

    found = serving.silicon(question.chip, *question.silicon.recipe.parts).constants
    yield from of_constants(EFFICIENCY, question.chip.family, found, ("kernels",), TIMES)
    yield from of_constants(EFFICIENCY, question.engine.name, question.engine.constants, ("engine",))
    yield from resources(question, setting, improved_serving)
    yield from link_fractions(question, setting, improved_serving)
