"""Chips and models that a row gives by its numbers: they work like those of the catalogue.

A row may carry more columns than its form has. `chip_bf16_tflops` and the like make a chip that the catalogue does not
know, or change one that it knows; the shape columns of the training form make a model.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast

from clustercast import catalog, records
from clustercast.catalog import ChipProfile, FabricProfile, Quantity
from clustercast.catalog.chips import FORMATS
from clustercast.errors import WrongInput


class Column(NamedTuple):
    """What a column of a chip's number means."""

    quantity: str  # of the profile
    setting: str  # what --set calls it
    unit: str  # as units.parse takes it
    dimension: str


# Peaks dense, memory as labelled (GB on the label are GiB), links in one direction.
COLUMNS: Final = {
    f"chip_{each}_tflops": Column(f"peaks.{each}", f"peak.{each}", "TFLOP/s", "flop/s") for each in FORMATS
} | {
    "chip_memory_gb": Column("memory.capacity", "hbm_capacity", "GiB", "bytes"),
    "chip_bandwidth_tb_per_s": Column("memory.bandwidth", "hbm_bandwidth", "TB/s", "bytes/s"),
    "chip_scale_up_gb_per_s": Column("scale_up.per_direction", "scale_up", "GB/s", "bytes/s"),
    "chip_nic_gbit_per_s": Column("nic", "scale_out", "Gbit/s", "bytes/s"),
    "chip_power_w": Column("power", "power", "W", "watts"),
}
NEEDED: Final = ("chip_memory_gb", "chip_bandwidth_tb_per_s")
WITH_LINKS: Final = "generic-8-mesh"
ROUNDING: Final = 0.005
WITHOUT_LINKS: Final = "pcie-gen5-tree"

# Names of the record that stand for a bin nobody stated: the one that is taken for them.
STANDS_FOR: Final = {"ascend-910b": "ascend-910b3"}


T = TypeVar("T")
P = ParamSpec("P")
_KEPT: list[Callable[[], None]] = []


def kept(function: Callable[P, T]) -> Callable[P, T]:
    """Keep what a function gives for the arguments that it had, until `forget`."""
    kept_of = cache(function)
    _KEPT.append(kept_of.cache_clear)
    return cast(Callable[P, T], kept_of)


def forget() -> None:
    """Read files and catalogue anew: what one run has kept may be out of date in the next one."""
    for clear in _KEPT:
        clear()


class ChipKey(NamedTuple):
    """What a row says of its chip: equal keys are equal chips."""

    name: str
    family: str
    fabric: str
    node_chips: str
    numbers: tuple[tuple[str, str], ...]  # column and text of every number that is given


def chip_key(row: dict[str, str]) -> ChipKey:
    """What a row says of its chip. Raises WrongInput where it names none."""
    name = row.get("chip") or ""
    if not name:
        raise WrongInput("chip is empty")
    numbers = tuple((column, text) for column in COLUMNS if (text := row.get(column) or ""))
    node_chips = row.get("chip_node_chips") or (row.get("gpus_per_node") or "" if numbers else "")
    family, fabric = row.get("chip_family") or "", row.get("chip_fabric") or ""
    return ChipKey(name, family, fabric, node_chips, numbers)


def chip_of(row: dict[str, str]) -> ChipProfile:
    """The chip of a row: of the catalogue, of a YAML file whose path the cell is, or made of the row's own numbers.

    Numbers in the row go before the catalogue's. Raises WrongInput where there is no chip.

    >>> numbers = {"chip": "mine", "chip_bf16_tflops": "500", "chip_memory_gb": "96", "chip_bandwidth_tb_per_s": "4"}
    >>> chip_of(numbers).value("memory.bandwidth")
    4000000000000.0
    >>> chip_of({"chip": "h20"}).name
    'h20-96gb'
    """
    return chip(chip_key(row))


@kept
def chip(key: ChipKey) -> ChipProfile:
    """The chip of a key, read or made once in a run.

    A number that is the catalogue's own, as the row rounds it, leaves the chip as it is.
    """
    try:
        found = catalog.find_chip(STANDS_FOR.get(key.name, key.name))
    except WrongInput:
        if not key.numbers:
            raise
        return _made(key)
    for column, text in key.numbers:
        said, known = _quantity(column, text), found.get(COLUMNS[column].quantity)
        if known is None or abs(said.value / known.value - 1.0) > ROUNDING:
            found = found.with_setting(COLUMNS[column].setting, _with_unit(column, text))
    return found._replace(fabric=key.fabric or found.fabric, family=_family(key.family or found.family))


@kept
def fabric(key: ChipKey) -> FabricProfile:
    """The fabric of a key's chip; `chip_node_chips` says how many chips reach one another by their own links."""
    found = catalog.find_fabric(chip(key).fabric)
    if not key.node_chips:
        return found
    try:
        return found.with_setting("scale_up_chips", key.node_chips)
    except WrongInput:
        raise WrongInput(f"chip_node_chips: expected a whole number, got {key.node_chips!r}") from None


MADE: Final = "the row"


def _made(key: ChipKey) -> ChipProfile:
    """A chip of a row's numbers alone: a datasheet, unless the row says of whose family it is."""
    given = dict(key.numbers)
    missing = [column for column in NEEDED if column not in given]
    if not any(column.endswith("_tflops") for column in given):
        missing.append("chip_bf16_tflops or another peak")
    if missing:
        raise WrongInput(f"chip {key.name!r} is not in the catalogue and its row gives no {', '.join(missing)}")
    table = {}
    for column, text in given.items():
        table[COLUMNS[column].quantity] = _quantity(column, text)
    links = "scale_up.per_direction" in table
    return ChipProfile(
        name=key.name,
        full_name=key.name,
        vendor="",
        aliases=(),
        family=_family(key.family or "other"),
        architecture="",
        released="",
        status="shipping",
        data_centre=True,
        fabric=key.fabric or (WITH_LINKS if links else WITHOUT_LINKS),
        memory_type="",
        scale_up_name="own links" if links else None,
        scale_up_direction="one" if links else None,
        pcie_generation=None,
        n_cores=None,
        n_cores_source=None,
        sources={"row": "the row's own columns"},
        table=table,
        notes=(),
        file=MADE,
    )


def _family(name: str) -> str:
    """A family of kernels that is known."""
    from clustercast.catalog import constants

    constants.named("chip_family", name, constants.table("kernels")["families"])
    return name


def _with_unit(column: str, text: str) -> str:
    return f"{text} {COLUMNS[column].unit}"


def _quantity(column: str, text: str) -> Quantity:
    from clustercast import units

    written, dimension = _with_unit(column, text), COLUMNS[column].dimension
    try:
        value = units.parse(written, dimension)
    except ValueError:
        value = 0.0
    if value <= 0.0:
        raise WrongInput(f"{column}: expected a number above 0, got {text!r}")
    return Quantity(value, None, None, written, dimension, "row", "reported")


@kept
def known_model(name: str) -> records.Model:
    """The architecture of the catalogue, of a YAML file or of a config.json."""
    return catalog.find_model(name).record()


def has_shape(row: dict[str, str]) -> bool:
    """Whether a row gives a model by its numbers."""
    return all(row.get(column) for column in ("layers", "hidden", "heads"))


def model_of(row: dict[str, str]) -> records.Model:
    """The model of a serving row: its shape columns, or what the name is: a model of the catalogue, a file.

    The shape columns are those of the training form: layers, hidden, heads, kv_heads, head_dim, ffn, vocab, experts,
    topk, moe_ffn, shared_experts, attention, mlp. Raises WrongInput where there is no model.
    """
    if has_shape(row):
        from clustercast.studies.record import training

        shape: dict[str, Any] = {"mlp": "gated"} | {column: text for column, text in row.items() if text}
        return training.model_of(shape)
    name = row.get("model") or ""
    if not name:
        raise WrongInput("model is empty")
    return known_model(name)
