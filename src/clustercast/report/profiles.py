"""Chips, models and fabrics of the catalogue: tables for people, documents for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

from clustercast import units
from clustercast.catalog import ChipProfile, FabricProfile, ModelProfile, Quantity
from clustercast.physics.parameters import active_params, total_params
from clustercast.report.layout import Block, Line, Table, short, wrap

Profile = ChipProfile | ModelProfile | FabricProfile


def document(profile: Profile) -> dict[str, Any]:
    """Everything a profile holds; every number with its unit's dimension, source, kind and range."""
    if isinstance(profile, ChipProfile):
        return {"schema": "clustercast.chip/1"} | _plain(profile)
    if isinstance(profile, FabricProfile):
        tiers = {name: _tier(tier) for name, tier in _tiers(profile)}
        return {"schema": "clustercast.fabric/1"} | _plain(profile) | tiers
    counted = {"total_params": total_params(profile.record()), "active_params": active_params(profile.record())}
    return {"schema": "clustercast.model/1"} | _plain(profile) | counted | {"record": profile.record()._asdict()}


def _plain(profile: Profile) -> dict[str, Any]:
    fields = profile._asdict()
    for name in ("table", "published", "training", "package", "scale_up", "rail", "oversubscription"):
        fields.pop(name, None)
    quantities = {name: _quantity(each, profile.sources) for name, each in profile.quantities()}
    return fields | {"quantities": quantities}


def _quantity(each: Quantity, sources: dict[str, str]) -> dict[str, Any]:
    return each._asdict() | {"source": sources.get(each.source, each.source)}


def _tier(tier: Any) -> dict[str, Any]:
    return {name: value for name, value in tier._asdict().items() if name not in ("bandwidth", "size")}


def _tiers(profile: FabricProfile) -> Iterator[tuple[str, Any]]:
    for name in ("package", "scale_up", "rail"):
        tier = getattr(profile, name)
        if tier is not None:
            yield name, tier


def profile(profile: Profile) -> list[Block]:
    """One profile as text."""
    if isinstance(profile, ChipProfile):
        return _chip(profile)
    if isinstance(profile, ModelProfile):
        return _model(profile)
    return _fabric(profile)


def _chip(chip: ChipProfile) -> list[Block]:
    aliases = f" (also {', '.join(chip.aliases)})" if chip.aliases else ""
    blocks: list[Block] = [*wrap(chip.full_name, style="bold"), *wrap(f"{chip.name}{aliases}")]
    sold = "for data centres" if chip.data_centre else "not for data centres"
    blocks += wrap(
        f"{chip.vendor}, {chip.architecture} ({chip.family}), {chip.status} ({chip.released}), {sold}; "
        f"usual fabric {chip.fabric}"
        + (f"; {chip.n_cores} cores" if chip.n_cores else "")
        + (f"; links {chip.scale_up_name}, quoted for {_directions(chip)}" if chip.scale_up_name else "; no own links")
    )
    return [*blocks, *_numbers(chip.quantities()), *_origins(chip)]


def _directions(chip: ChipProfile) -> str:
    return "both directions" if chip.scale_up_direction == "both" else "one direction"


def _numbers(quantities: Iterator[tuple[str, Quantity]]) -> list[Block]:
    rows, notes = [], []
    for name, each in quantities:
        between = ""
        if each.low is not None and each.high is not None and each.low != each.high:
            between = _between(each.low, each.high, each)
        text = units.count(each.value, 4) if each.dimension == "count" and each.value >= 1e6 else each.text
        rows.append((name, text, between, each.kind, each.source))
        remark = each.note or each.why
        if remark:
            notes.append(f"{name}: {remark}")
    if not rows:
        return []
    blocks: list[Block] = ["", Table(("number", "value", "range", "kind", "source"), rows, frozenset((1,)), (4, 2))]
    if notes:
        blocks.append("")
        for note in notes:
            blocks += wrap(note, "", "  ")
    return blocks


UNITS = {
    "flop/s": "FLOP/s",
    "bytes/s": "B/s",
    "watts": "W",
    "hertz": "Hz",
    "usd": "USD",
    "usd/h": "USD/h",
    "mm2": "mm2",
}


def _between(low: float, high: float, each: Quantity) -> str:
    """A range with its unit said once."""
    shown, space, unit = _in_unit(high, each).partition(" ")
    if not space:
        return f"{_in_unit(low, each)}–{shown}"
    scaled = low / high * float(shown.replace(",", "")) if high else 0.0
    return f"{short(scaled)}–{shown} {unit}"


def _in_unit(value: float, each: Quantity) -> str:
    """A number of the same dimension, short."""
    if each.dimension == "bytes":
        return units.gib(value)
    if each.dimension in ("flop/s", "bytes/s", "hertz"):
        return units.si(value, UNITS[each.dimension])
    if each.dimension == "count":
        return units.count(value)
    return f"{short(value)} {UNITS.get(each.dimension, '')}".rstrip()


def _origins(profile: Profile) -> list[Block]:
    blocks: list[Block] = ["", Line("Sources", "bold")]
    for key, text in profile.sources.items():
        blocks += wrap(f"{key}: {text}", "  ", "    ")
    if profile.notes:
        blocks += ["", Line("Notes", "bold")]
        for note in profile.notes:
            blocks += wrap(note, "  ", "    ")
    return [*blocks, "", *wrap(f"file: {profile.file}")]


def _model(model: ModelProfile) -> list[Block]:
    record = model.record()
    aliases = f" (also {', '.join(model.aliases)})" if model.aliases else ""
    blocks: list[Block] = [*wrap(model.full_name, style="bold"), *wrap(f"{model.name}{aliases}; {model.resolved_as}")]
    blocks += wrap(f"status: {model.status}; architecture: {model.architecture_kind}, {model.architecture_source}")
    rows = []
    for name, counted in (("total", total_params(record)), ("active", active_params(record))):
        printed = model.published.get(name)
        said = units.count(printed.value, 4) if printed else "-"
        rows.append((name, units.count(counted, 4), said, model.exceptions.get(name, "")))
    blocks += ["", Table(("parameters", "counted", "published", "exception"), rows, frozenset((1, 2)), (3,))]
    blocks += [
        "",
        Line("Architecture", "bold"),
        *wrap(", ".join(f"{name} {value}" for name, value in model.architecture.items()), "  "),
    ]
    if model.unverified:
        blocks += wrap(f"nobody could check: {', '.join(model.unverified)}", "  ")
    blocks += ["", Line("Defaults", "bold"), f"  precision {model.precision}"]
    if model.serving:
        blocks += wrap(", ".join(f"{name} {value:,}" for name, value in model.serving.items()), "  ")
    return [*blocks, *_numbers(model.quantities()), *_origins(model)]


def _fabric(fabric: FabricProfile) -> list[Block]:
    aliases = f" (also {', '.join(fabric.aliases)})" if fabric.aliases else ""
    blocks: list[Block] = [*wrap(fabric.full_name, style="bold"), *wrap(f"{fabric.name}{aliases}"), ""]
    rows = [(name, str(tier.n_chips), tier.shape, tier.link, tier.note or "") for name, tier in _tiers(fabric)]
    blocks.append(Table(("tier", "chips", "shape", "link", "note"), rows, frozenset((1,)), (4,)))
    return [*blocks, *_numbers(fabric.quantities()), *_origins(fabric)]


def chips(profiles: Sequence[ChipProfile]) -> list[Block]:
    """One row per chip."""
    rows = []
    for chip in profiles:
        peaks = chip.peaks()
        link = chip.get("scale_up.per_direction")
        cells = (
            chip.name,
            chip.aliases[0] if chip.aliases else "",
            chip.vendor,
            _tera(peaks.get("bf16", peaks.get("fp16"))),
            _tera(peaks.get("fp8")),
            f"{chip.value('memory.capacity') / 2**30:.0f}",
            f"{chip.value('memory.bandwidth') / 1e12:.2f}",
            f"{link.value / 1e9:.0f}" if link else "-",
            "" if chip.status == "shipping" else chip.status,
        )
        rows.append(cells)
    columns = ("name", "alias", "vendor", "16-bit", "FP8", "GiB", "TB/s", "link", "status")
    return [
        Table(columns, rows, frozenset((3, 4, 5, 6, 7)), (2, 8, 1)),
        "",
        *wrap("16-bit (BF16, else FP16) and FP8: dense TFLOP/s. link: own links, GB/s in one direction."),
    ]


def _tera(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e12:.0f}"


def chips_document(profiles: Sequence[ChipProfile]) -> dict[str, Any]:
    """All chips with their main figures in base units."""
    rows = []
    for chip in profiles:
        link = chip.get("scale_up.per_direction")
        rows.append(
            {
                "name": chip.name,
                "full_name": chip.full_name,
                "aliases": chip.aliases,
                "vendor": chip.vendor,
                "family": chip.family,
                "status": chip.status,
                "released": chip.released,
                "data_centre": chip.data_centre,
                "fabric": chip.fabric,
                "peaks_flop_per_s": chip.peaks(),
                "hbm_bytes": chip.value("memory.capacity"),
                "hbm_bytes_per_s": chip.value("memory.bandwidth"),
                "scale_up_bytes_per_s": link.value if link else None,
            }
        )
    return {"schema": "clustercast.chips/1", "chips": rows}


def models(profiles: Sequence[ModelProfile]) -> list[Block]:
    """One row per model."""
    rows = []
    for model in profiles:
        record = model.record()
        total, active = total_params(record), active_params(record)
        tokens = model.training.get("tokens")
        rows.append(
            (
                model.name,
                model.aliases[0] if model.aliases else "",
                units.count(total),
                units.count(active) if active < 0.999 * total else "",
                str(record.n_layers),
                units.count(tokens.value) if tokens else "-",
                model.status,
            )
        )
    columns = ("name", "alias", "params", "active", "layers", "tokens", "status")
    return [Table(columns, rows, frozenset((2, 3, 4, 5)), (1, 6))]


def models_document(profiles: Sequence[ModelProfile]) -> dict[str, Any]:
    """All models with their counted and published parameters."""
    rows = []
    for model in profiles:
        record = model.record()
        rows.append(
            {
                "name": model.name,
                "full_name": model.full_name,
                "aliases": model.aliases,
                "status": model.status,
                "total_params": total_params(record),
                "active_params": active_params(record),
                "published": {name: each.value for name, each in model.published.items()},
                "training": {name: each.value for name, each in model.training.items()},
                "precision": model.precision,
            }
        )
    return {"schema": "clustercast.models/1", "models": rows}


def fabrics(profiles: Sequence[FabricProfile]) -> list[Block]:
    """One row per fabric."""
    rows = [
        (
            fabric.name,
            str(fabric.scale_up.n_chips),
            fabric.scale_up.shape,
            fabric.scale_up.link,
            str(fabric.rail.n_chips) if fabric.rail else "-",
            fabric.rail.link if fabric.rail else "-",
            fabric.spine_link,
        )
        for fabric in profiles
    ]
    columns = ("name", "chips", "scale-up", "link", "rail", "link", "spine")
    return [Table(columns, rows, frozenset((1, 4)), (2, 3, 5, 6))]


def fabrics_document(profiles: Sequence[FabricProfile]) -> dict[str, Any]:
    """All fabrics with their tiers."""
    rows = [
        {
            "name": fabric.name,
            "full_name": fabric.full_name,
            "aliases": fabric.aliases,
            "tiers": {name: _tier(tier) for name, tier in _tiers(fabric)},
            "oversubscription": fabric.oversubscription.value,
        }
        for fabric in profiles
    ]
    return {"schema": "clustercast.fabrics/1", "fabrics": rows}
