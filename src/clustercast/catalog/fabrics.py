"""A fabric of the catalogue: the node around a chip and the network around the node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from clustercast.catalog.quantity import Quantity, quantity
from clustercast.errors import WrongInput


class TierProfile(NamedTuple):
    """Chips that reach one another at one level."""

    n_chips: int
    link: str  # an entry of the table of collectives
    shape: str  # switch, full-mesh, cube-mesh, torus, pcie-tree
    bandwidth: Quantity | None  # per chip, one direction; None: the chip's own links
    pair_fraction: float  # of the chip's bandwidth that one pair sees (cube mesh), else 1
    n_axes: int  # torus, else 0
    axis_chips: int  # torus: chips along one axis, else 0
    size: Quantity  # n_chips with its range and source
    note: str | None


class FabricProfile(NamedTuple):
    """Tiers inside out. Numbers also lie in `table` under dotted names such as rail.bandwidth."""

    name: str
    full_name: str
    aliases: tuple[str, ...]
    package: TierProfile | None
    scale_up: TierProfile
    rail: TierProfile | None
    spine_link: str
    oversubscription: Quantity
    rails_cross: bool  # traffic between different ranks is forwarded inside the node first
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


def fabric_profile(data: dict[str, Any], file: Path | str) -> FabricProfile:
    """A profile from the checked data of a fabric file."""
    tiers = {name: _tier(data[name]) for name in ("package", "scale_up", "rail") if name in data}
    table: dict[str, Quantity] = {}
    for name, tier in tiers.items():
        table[f"{name}.n_chips"] = tier.size
        if tier.bandwidth is not None:
            table[f"{name}.bandwidth"] = tier.bandwidth
    table["spine.oversubscription"] = quantity(data["spine"]["oversubscription"])
    return FabricProfile(
        name=data["name"],
        full_name=data["full_name"],
        aliases=tuple(data["aliases"]),
        package=tiers.get("package"),
        scale_up=tiers["scale_up"],
        rail=tiers.get("rail"),
        spine_link=data["spine"]["link"],
        oversubscription=table["spine.oversubscription"],
        rails_cross=data["rails_cross"],
        sources=data["sources"],
        table=table,
        notes=tuple(data["notes"]),
        file=str(file),
    )


def _tier(fields: dict[str, Any]) -> TierProfile:
    n_chips, low, high = fields["n_chips"], fields.get("low"), fields.get("high")
    origin = (fields["source"], fields["kind"], fields.get("note"), fields.get("why"))
    return TierProfile(
        n_chips=n_chips,
        link=fields["link"],
        shape=fields.get("shape", "switch"),
        bandwidth=quantity(fields["bandwidth"]) if "bandwidth" in fields else None,
        pair_fraction=float(fields.get("pair_fraction", 1.0)),
        n_axes=fields.get("n_axes", 0),
        axis_chips=fields.get("axis_chips", 0),
        size=Quantity(float(n_chips), low, high, str(n_chips), "count", *origin),
        note=fields.get("note"),
    )
