"""What serving depends on, from profiles and data files: number formats by part, engines by name and date."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from clustercast import records, units
from clustercast.catalog import build, constants, overlay
from clustercast.catalog.chips import ChipProfile
from clustercast.catalog.constants import Constant, constant, named, table
from clustercast.errors import WrongInput

SIXTEEN_BITS: Final = ("bf16", "fp16")
LAST_YEAR: Final = "9999"
EIGHT_BITS: Final = 1.0  # bytes of a weight with its scales, at least: below it has four


class EngineProfile(NamedTuple):
    """A serving engine by name: its record and the origin of each number."""

    name: str
    title: str
    load: str  # how its published figures were taken: loop, static
    settled: bool  # false: nothing of it was fitted, or it scatters
    record: records.Engine
    constants: dict[str, Constant]


class ServingSilicon(NamedTuple):
    """A chip under the formats of a served model."""

    chip: records.Chip
    kernels: records.Kernels
    precision: records.ServingPrecision
    constants: dict[str, Constant]
    said: tuple[str, ...]  # what was taken instead of what was asked


def engine(name: str, family: str = "", chip: str = "") -> EngineProfile:
    """The serving engine of that name, over what it is like and what all engines share.

    family  what differs on an architecture goes before
    chip    what a calibration measured of the engine on this chip goes before all
    """
    data = table("engines")
    entry = named("engine", name, data["engines"])
    layers = [entry]
    while "like" in layers[-1]:
        layers.append(data["engines"][layers[-1]["like"]])
    fields = dict(data["base"])
    for layer in reversed(layers):
        fields.update({field: value for field, value in layer.items() if field in records.Engine._fields})
        fields.update(layer.get("families", {}).get(family, {}))
        fields.update(layer.get("chips", {}).get(chip, {}))
    fields.update(data["families"].get(family, {}))
    fields.update(overlay.fields("serving", chip, name))
    found = {field: constant(fields[field], field, data["sources"]) for field in records.Engine._fields}
    record = records.as_declared(records.Engine(**{field: number.value for field, number in found.items()}))
    return EngineProfile(name, entry["title"], entry["load"], entry.get("settled", True), record, found)


SHARES: Final = ("fraction", "share", "ceiling", "overlap")  # last words of what lies between 0 and 1
MAY_BE_NONE: Final = ("grouped_fraction", "imbalance", "experts", "overlap", "share", "core_fraction", "_s", "bytes")


def with_settings(profile: EngineProfile, settings: Sequence[str]) -> EngineProfile:
    """The engine with every setting like "engine.expert_imbalance=0.7" in place of its own number.

    Names are those of records.Engine, times with or without their "_s". Settings of anything else are passed over.
    Raises WrongInput for an unknown name, a wrong unit, a number that cannot be.
    """
    found = dict(profile.constants)
    known = {name: field for field in records.Engine._fields for name in (field, field.removesuffix("_s"))}
    for setting in settings:
        target, _, text = setting.partition("=")
        whose, _, key = target.strip().partition(".")
        if whose != "engine":
            continue
        field = known[key] if key in known else named("number of an engine", key, known)
        dimension = "seconds" if field.endswith("_s") else "bytes" if field.endswith("bytes") else "count"
        try:
            value = units.parse(text.strip(), dimension)
        except ValueError as error:
            raise WrongInput(f"--set {target.strip()}: {error}") from None
        if field.endswith(SHARES) and value > 1.0:
            raise WrongInput(f"--set {target.strip()}: expected a share of at most 1, got {text.strip()}")
        if value < 0.0 or (value == 0.0 and not field.endswith(MAY_BE_NONE)):
            raise WrongInput(f"--set {target.strip()}: expected more than 0, got {text.strip()}")
        found[field] = Constant(value, value, value, "given", "--set", "--set")
    record = records.Engine(**{field: number.value for field, number in found.items()})
    return profile._replace(record=records.as_declared(record), constants=found)


def engine_of_row(name: str, date: str, family: str, chip: str = "") -> tuple[EngineProfile, str]:
    """The engine that a published row means by its name, date and chip, and a remark if it is not known.

    date  a year first, like 2024-05; empty: today's engine
    """
    data = table("engines")
    for line in data["rows"]:
        if line["engine"] != name or line.get("family", family) != family:
            continue
        until = str(line.get("until", LAST_YEAR))
        if (date or LAST_YEAR)[: len(until)] <= until:
            return engine(line["use"], family, chip), ""
    if name in data["engines"]:
        return engine(name, family, chip), ""
    return engine("generic", family, chip), f"engine {name or 'not stated'}: a generic one is assumed"


def sixteen(chip: ChipProfile) -> str:
    """The 16-bit format of a chip: BF16 where it has it, else FP16."""
    peaks = chip.peaks()
    for name in SIXTEEN_BITS:
        if name in peaks:
            return name
    raise WrongInput(f"{chip.file}: {chip.name} states no 16-bit matmul peak", hint="--set chip.peak.bf16=...")


def part(name: str) -> dict[str, Any]:
    """What one part of a served model is kept and computed in. Raises WrongInput with the nearest name."""
    found: dict[str, Any] = named("format", name, table("precisions")["serving_parts"])
    return found


def computed_in(chip: ChipProfile, name: str) -> tuple[str, bool, str]:
    """The format that a part computes in on a chip, whether its weights are dequantised for it, and a remark if so."""
    wanted = part(name)["format"]
    half = sixteen(chip)
    if wanted in chip.peaks():
        return wanted, False, ""
    if wanted in SIXTEEN_BITS:
        return half, False, ""
    if wanted == "weight-only":
        return half, True, ""
    return half, True, f"{chip.name} has no {wanted}: {name} weights are computed in {half}"


def silicon(chip: ChipProfile, weight: str, expert: str, kv: str, attention: str = "") -> ServingSilicon:
    """A chip's records for dense weights, experts and a cache in these formats (kv: bytes' name; empty: default).

    attention  what attention computes in: a format of the chip; empty: 16 bits
    """
    data = table("precisions")
    sources = data["sources"]
    dense_format, dense_only, dense_said = computed_in(chip, weight)
    expert_format, expert_only, expert_said = computed_in(chip, expert)
    half = sixteen(chip)
    peaks = chip.peaks()
    scores = attention or half
    if scores not in peaks:
        raise WrongInput(f"{chip.name} has no {scores} to compute attention in", hint=f"it has {', '.join(peaks)}")
    formats = {"matmul": dense_format, "expert": expert_format, "attention": scores, "head": half}
    curves = constants.kernels(chip.family, chip.name, formats, float(chip.n_cores or 0))
    kv_bytes = float(data["serving_kv"][kv])

    def factor(group: str, name: str) -> float:
        of_family = data[group].get("families", {}).get(chip.family, {})
        return constant(of_family.get(name, data[group][name]), name, sources).value

    if kv_bytes < 2.0 and "fp8" in peaks:
        small = constants.kernels(chip.family, chip.name, formats | {"attention": "fp8"}, float(chip.n_cores or 0))
        curves["decode_attention_memory_fraction"] = small["decode_attention_memory_fraction"]
    values = {field: curves[field].value for field in records.Kernels._fields}
    if kv_bytes < 2.0 and "fp8" not in peaks:
        values["decode_attention_memory_fraction"] *= factor("kv_dequantised", "memory_factor")
    own = table("kernels").get("chips", {}).get(chip.name, {}).get("formats", {}).get(half, {})
    if "decode_attention_memory_fraction" in own and "matmul_memory_fraction" not in own:
        # no matmul of this chip was measured where bandwidth binds: what its attention reads is the bound
        read = constant(own["decode_attention_memory_fraction"], "fraction", table("kernels")["sources"]).value
        values["matmul_memory_fraction"] = min(values["matmul_memory_fraction"], read)
    dense, experts = part(weight), part(expert)
    if dense_only:
        values["matmul_fraction"] *= factor("weight_only", "rate_factor")
        eight = dense["weight"] >= EIGHT_BITS
        values["matmul_memory_fraction"] *= factor("weight_only", "memory_factor_8_bit" if eight else "memory_factor")
    if expert_only:
        values["expert_fraction"] *= factor("weight_only", "rate_factor")
        values["expert_memory_fraction"] *= factor("weight_only", "expert_memory_factor")
    elif experts.get("four_bit"):
        values["expert_fraction"] *= factor("four_bit", "expert_rate_factor")
        values["expert_memory_fraction"] *= factor("four_bit", "expert_memory_factor")
    tile = float(data["serving_tile_rows"]["value"])
    precision = records.ServingPrecision(
        weight_bytes=dense["weight"],
        expert_weight_bytes=experts["weight"],
        activation_bytes=2.0 if dense_only else dense["activation"],
        expert_activation_bytes=2.0 if expert_only else experts["activation"],
        element_bytes=2.0,
        kv_bytes=kv_bytes,
        wire_bytes=2.0,
        dispatch_wire_bytes=2.0 if expert_only else experts["dispatch"],
        combine_wire_bytes=2.0,
        tile_rows=dense.get("tile_rows", {}).get(chip.family, tile),
        expert_tile_rows=experts.get("tile_rows", {}).get(chip.family, tile),
    )
    power_w = chip.get("power")
    peak_w = power_w.value if power_w else 0.0
    record = records.Chip(
        matmul_flop_per_s=peaks[dense_format],
        expert_flop_per_s=peaks[expert_format],
        attention_flop_per_s=peaks[scores],
        head_flop_per_s=peaks[half],
        hbm_bytes=chip.value("memory.capacity"),
        hbm_bytes_per_s=chip.value("memory.bandwidth"),
        reserved_bytes=constants.default("chip", "reserved_bytes").value,
        clock_fraction=constants.clock_fraction(chip.family).value,
        idle_w=constants.default("power", "idle_fraction").value * peak_w,
        peak_w=peak_w,
        host_bytes_per_s=build.host_bytes_per_s(chip),
    )
    said = tuple(dict.fromkeys(text for text in (dense_said, expert_said) if text))
    kernels = records.as_declared(records.Kernels(**values))
    return ServingSilicon(records.as_declared(record), kernels, records.as_declared(precision), curves, said)
