"""A chip of the catalogue: what its file says, in base units, with the origin of every number."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from clustercast import units
from clustercast.catalog.quantity import Quantity, assumed, quantity
from clustercast.errors import WrongInput

FORMATS: Final = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp6", "fp4", "int4")

# What `--set chip.<key>=` may change, beside flops and peak.<format>: key, quantity, dimension.
SETTINGS: Final = {
    "hbm_bandwidth": ("memory.bandwidth", "bytes/s"),
    "hbm_capacity": ("memory.capacity", "bytes"),
    "scale_up": ("scale_up.per_direction", "bytes/s"),
    "scale_out": ("nic", "bytes/s"),
    "power": ("power", "watts"),
    "die_area": ("die_area", "mm2"),
    "io_bandwidth": ("io_bandwidth", "bytes/s"),
    "price_buy": ("price.buy", "usd"),
    "price_rent": ("price.rent", "usd/h"),
}


class ChipProfile(NamedTuple):
    """One accelerator. Numbers lie in `table` under dotted names such as memory.bandwidth or peaks.bf16."""

    name: str
    full_name: str
    vendor: str
    aliases: tuple[str, ...]
    family: str
    architecture: str
    released: str  # 2023, 2023-11 or 2023-11-05
    status: str  # shipping, announced, rumoured
    data_centre: bool
    fabric: str  # the fabric it usually comes in
    memory_type: str
    scale_up_name: str | None  # None: the chip has no links of its own
    scale_up_direction: str | None  # both, one: what scale_up.quoted counts
    pcie_generation: int | None
    n_cores: int | None
    n_cores_source: str | None
    sources: dict[str, str]
    table: dict[str, Quantity]
    notes: tuple[str, ...]
    file: str

    def value(self, name: str) -> float:
        """The value of a quantity in base units; WrongInput where the file does not give it."""
        found = self.table.get(name)
        if found is None:
            raise WrongInput(f"{self.file}: {name} is missing", hint=f"{self.name} gives {', '.join(self.table)}")
        return found.value

    def get(self, name: str) -> Quantity | None:
        """A quantity, or None where the file does not give it."""
        return self.table.get(name)

    def quantities(self) -> Iterator[tuple[str, Quantity]]:
        """Every number of the file under its dotted name."""
        return iter(self.table.items())

    def peaks(self) -> dict[str, float]:
        """Dense matmul peaks by format, FLOP/s (OP/s of integers); a format the silicon lacks is absent."""
        return {name.removeprefix("peaks."): each.value for name, each in self.table.items() if name[:6] == "peaks."}

    def with_setting(self, key: str, text: str) -> "ChipProfile":
        """A copy with one quantity as the user assumes it: `--set chip.hbm_bandwidth=6TB/s`.

        flops          sets the bf16 peak (fp16 where there is no bf16) and scales every other peak with it
        peak.<format>  sets one peak, also of a format that the silicon lacks
        others         see SETTINGS; a new scale_up also moves what is quoted for it, and the chip's whole I/O
        """
        if key == "flops":
            return self._with_flops(text)
        if key.startswith("peak.") and key[5:] in FORMATS:
            name, dimension = f"peaks.{key[5:]}", "flop/s"
        elif key in SETTINGS:
            name, dimension = SETTINGS[key]
        else:
            keys = ", ".join((*SETTINGS, "flops", *(f"peak.{each}" for each in FORMATS)))
            raise WrongInput(f"--set chip.{key}: is not known, expected one of {keys}")
        value = _read(key, text, dimension)
        fresh = {name: assumed(value, text, dimension, "--set")}
        if key == "scale_up":
            fresh |= self._moved_links(value)
        return self._replace(table=self.table | fresh)

    def _with_flops(self, text: str) -> "ChipProfile":
        base = "peaks.bf16" if "peaks.bf16" in self.table else "peaks.fp16"
        if base not in self.table:
            raise WrongInput(f"--set chip.flops: {self.name} has neither bf16 nor fp16", hint="set chip.peak.<format>")
        value = _read("flops", text, "flop/s")
        ratio = value / self.value(base)
        fresh = {}
        for name, each in self.table.items():
            if name.startswith("peaks."):
                same = each.value == self.value(base)
                scaled = value if same else each.value * ratio
                shown = text if same else units.si(scaled, "FLOP/s")
                fresh[name] = assumed(scaled, shown, "flop/s", "--set")
        return self._replace(table=self.table | fresh)

    def _moved_links(self, per_direction: float) -> dict[str, Quantity]:
        """What follows from other links: the quoted figure and the I/O that export rules count."""
        old = self.table.get("scale_up.per_direction")
        fresh = {}
        quoted, total = self.table.get("scale_up.quoted"), self.table.get("io_bandwidth")
        if old is not None and quoted is not None:
            moved = quoted.value * per_direction / old.value
            fresh["scale_up.quoted"] = assumed(moved, units.si(moved, "B/s"), "bytes/s", "--set")
        if total is not None:
            moved = max(0.0, total.value + 2 * (per_direction - (old.value if old is not None else 0.0)))
            fresh["io_bandwidth"] = assumed(moved, units.si(moved, "B/s"), "bytes/s", "--set")
        return fresh


def _read(key: str, text: str, dimension: str) -> float:
    try:
        value = units.parse(text, dimension)
    except ValueError as error:
        raise WrongInput(f"--set chip.{key}: {error}") from None
    if value == 0:
        raise WrongInput(f"--set chip.{key}: {text!r} is not more than 0, expected {units.EXAMPLES[dimension]!r}")
    return value


def chip_profile(data: dict[str, Any], file: Path | str) -> ChipProfile:
    """A profile from the checked data of a chip file."""
    table: dict[str, Quantity] = {}
    for group in ("peaks", "vector", "memory", "scale_up", "price"):
        for name, fields in data.get(group, {}).items():
            if isinstance(fields, list):
                table[f"{group}.{name}"] = quantity(fields)
    for name in ("nic", "power", "boost_clock", "die_area", "io_bandwidth"):
        if name in data:
            table[name] = quantity(data[name])
    links = data.get("scale_up", {})
    return ChipProfile(
        name=data["name"],
        full_name=data["full_name"],
        vendor=data["vendor"],
        aliases=tuple(data["aliases"]),
        family=data["family"],
        architecture=data["architecture"],
        released=data["released"],
        status=data["status"],
        data_centre=data["data_centre"],
        fabric=data["fabric"],
        memory_type=data["memory"]["type"],
        scale_up_name=links.get("name"),
        scale_up_direction=links.get("direction"),
        pcie_generation=data.get("pcie_generation"),
        n_cores=data.get("n_cores"),
        n_cores_source=data.get("n_cores_source"),
        sources=data["sources"],
        table=table,
        notes=tuple(data["notes"]),
        file=str(file),
    )
