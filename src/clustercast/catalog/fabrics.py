"""A fabric of the catalogue: the node around a chip and the network around the node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from clustercast import units
from clustercast.catalog.quantity import Quantity, assumed, quantity
from clustercast.errors import WrongInput

# What `--set fabric.<key>=` may change, beside rails_cross.
SETTINGS: Final = ("oversubscription", "scale_up_chips", "rail_chips")


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

    def with_setting(self, key: str, text: str) -> "FabricProfile":
        """A copy with one parameter as the user assumes it: `--set fabric.oversubscription=7`.

        oversubscription   of the spine, 1 or more
        scale_up_chips, rail_chips   chips that reach one another at that level
        rails_cross        yes: traffic between different ranks is forwarded inside the node first; no
        """
        if key == "rails_cross":
            if text.lower() not in ("yes", "no"):
                raise WrongInput(f"--set fabric.rails_cross: expected yes or no, got {text!r}")
            return self._replace(rails_cross=text.lower() == "yes")
        if key not in SETTINGS:
            raise WrongInput(f"--set fabric.{key}: is not known, expected one of rails_cross, {', '.join(SETTINGS)}")
        try:
            value = units.parse(text, "count")
        except ValueError as error:
            raise WrongInput(f"--set fabric.{key}: {error}") from None
        if value < 1:
            raise WrongInput(f"--set fabric.{key}: {text!r} is less than 1")
        fresh = assumed(value, text, "count", "--set")
        if key == "oversubscription":
            return self._replace(oversubscription=fresh, table=self.table | {"spine.oversubscription": fresh})
        name = key.removesuffix("_chips")
        tier = self.rail if name == "rail" else self.scale_up
        if value != int(value) or tier is None:
            raise WrongInput(f"--set fabric.{key}: expected a whole number, and a fabric that has this level")
        moved = tier._replace(n_chips=int(value), size=fresh)
        table = self.table | {f"{name}.n_chips": fresh}
        return self._replace(rail=moved, table=table) if name == "rail" else self._replace(scale_up=moved, table=table)


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
