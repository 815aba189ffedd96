"""The dimensions of every formula, from the names alone.

Names end in their unit. So when the second, the byte, the FLOP, the watt, the dollar and the square millimetre are
made smaller, every argument and every field grows by what its name says, and the result must grow by what *its* name
says. The factors are powers of two: nothing is rounded, and a wrong dimension shows at once.

FLOPs are counted from shapes (2 m n k): the formulas that do so, and all that call them, cannot change that unit.
"""

import importlib
import math
import pkgutil
import random
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import strategies

from clustercast import physics, records
from clustercast.physics.collectives import spread
from clustercast.physics.formula import FORMULAS

for _module in pkgutil.iter_modules(physics.__path__):
    importlib.import_module(f"{physics.__name__}.{_module.name}")

N_DRAWS = 100

# How many of the new units make up one of the old.
FACTORS = {"s": 2.0**3, "bytes": 2.0**5, "flop": 2.0**7, "w": 2.0**11, "usd": 2.0**13, "mm2": 2.0**17, "kg": 2.0**19}

ALL = frozenset(FACTORS)

Unit = dict[str, int]
NUMBER: Unit = {}
UNITS: dict[str, Unit] = {
    "s": {"s": 1},
    "h": {"s": 1},  # an hour is a pure number of seconds
    "bytes": {"bytes": 1},
    "flop": {"flop": 1},
    "w": {"w": 1},
    "j": {"w": 1, "s": 1},
    "kw": {"w": 1},  # a thousand of the base unit: a pure number apart
    "kwh": {"w": 1, "s": 1},
    "kg": {"kg": 1},
    "usd": {"usd": 1},
    "mm2": {"mm2": 1},
}

# Last words of names that are pure numbers: counts, shares, ratios, codes.
PURE = {
    "axes": "a count",
    "batch": "sequences",
    "batches": "a count",
    "bits": "a count",
    "broken": "a count",
    "ceiling": "a share",
    "chip": "a count, in a denominator",
    "chips": "a count",
    "columns": "a count",
    "context": "tokens",
    "depth": "a count",
    "doubling": "a ratio, in a denominator",
    "dp": "a degree",
    "dim": "a count",
    "dims": "a count",
    "drafts": "a count",
    "experts": "a count",
    "exponent": "a power",
    "factor": "a ratio",
    "ffn": "a count",
    "fraction": "a share",
    "fragmentation": "a share",
    "gain": "a ratio",
    "goodput": "a share",
    "group": "chips",
    "heads": "a count",
    "hidden": "a count",
    "imbalance": "a ratio",
    "inside": "ranks",
    "join": "a weight",
    "layers": "a count",
    "month": "a count of months, in a denominator",
    "len": "tokens",
    "lora": "a count",
    "microbatches": "a count",
    "nodes": "a count",
    "overlap": "a share",
    "parallel": "a code",
    "params": "a count",
    "parts": "a count",
    "pue": "a ratio",
    "ramp": "a weight",
    "ranks": "a count",
    "recompute": "a code",
    "replicas": "a count",
    "requests": "a count",
    "rows": "a count",
    "schedule": "a code",
    "shape": "a code",
    "shards": "a count",
    "selective": "0 or 1",
    "share": "a share",
    "spares": "a count",
    "slowdown": "seconds lost per second",
    "stride": "chips",
    "straggler": "a share",
    "tokens": "a count",
    "vocab": "a count",
    "weight": "a weight",
    "window": "tokens",
    "year": "a count of years, in a denominator",
    "years": "a count",
    "zero": "a code",
}

# Whole names whose last word misleads or says nothing.
ODD: dict[str, tuple[Unit, str]] = {
    **dict.fromkeys(records.Plan._fields, (NUMBER, "a degree, a count or a code")),
    "rate": ({"flop": 1, "s": -1}, "of a matmul, after every loss"),
    "tpp": ({"flop": 1, "s": -1}, "the export rules' total processing performance"),
    "total_processing_performance": ({"flop": 1, "s": -1}, "TPP, in tera-operations per second times bits"),
    "performance_density": ({"flop": 1, "s": -1, "mm2": -1}, "TPP per area"),
    "goodput": (NUMBER, "shares"),
    "wall_over_chip": (NUMBER, "watts over watts"),
    "deduplicated": (NUMBER, "0 or 1"),
    "deduplicated_dispatch": (NUMBER, "0 or 1"),
    "rails_cross": (NUMBER, "0 or 1"),
    "tied": (NUMBER, "0 or 1"),
    "first": (NUMBER, "0 or 1"),
    "last": (NUMBER, "0 or 1"),
    "attention": (NUMBER, "a code"),
    "kv_lora": (NUMBER, "a count"),
    "index_topk": (NUMBER, "a count"),
    "expert_half_width": (NUMBER, "columns"),
    "width": (NUMBER, "columns"),
    "hops": (NUMBER, "a count"),
    "in_flight": (NUMBER, "micro-batches or sequences"),
    "in_flight_limit": (NUMBER, "sequences"),
    "queries": (NUMBER, "tokens"),
    "length": (NUMBER, "tokens"),
    "head": (NUMBER, "0 or 1"),
    "mixer_params_total": (NUMBER, "a count"),
    "routed_params_total": (NUMBER, "a count"),
    "layer_params_total": (NUMBER, "a count"),
}

# Where FLOPs are counted from shapes, twice a product of numbers.
FLOP_BORN = {
    "attention_flop",
    "ends",
    "experts_cost",
    "experts_work",
    "grouped_matmul_s",
    "linear_attention_cost",
    "linear_cost",
    "matmul_s",
    "matmul_work",
}

# Where bytes are: numbers of a fixed size that no recipe changes. {formula: fields of its result (all: the empty set)}
BYTES_BORN: dict[str, set[str]] = {
    "ends": {"logit_bytes"},  # a logit is kept in 32 bits too
    "training_step": {"activations_bytes", "workspace_bytes", "memory_bytes"},  # those logits
}

# Bytes of fixed size that some inputs have not: what calls these formulas is tried on the others.
SCORES_OF_5_BYTES = {"saved_bytes"}  # softmax and dropout of unfused attention
STATES_OF_32_BITS = {"kv_sequence_bytes", "decode_mixers"}  # of linear attention
# Formulas that hold for mixtures of experts only.
NEED_EXPERTS = {"routed_mlp_cost", "experts_work", "beside_s"}
KINDS = ("dense", "windowed", "mixture", "latent", "indexed", "hybrid")


def unit_of(name: str) -> Unit:
    """The unit that a name ends in. Raises KeyError for a name that says none."""
    if name in ODD:
        return ODD[name][0]
    top, per, below = name.rpartition("_per_")
    if per:
        # `of what` in the denominator is its last word: usd_per_chip_h is per hour (and chip, a count)
        unit = dict(unit_of(top))
        for base, power in unit_of(below).items():
            unit[base] = unit.get(base, 0) - power
        return unit
    if name.startswith("n_"):
        return NUMBER
    word = name.rpartition("_")[2]
    if word in UNITS:
        return UNITS[word]
    if word in PURE:
        return NUMBER
    raise KeyError(f"{name}: no unit in the name; see the tables of tests/test_dimensions.py")


@cache
def scale(name: str, bases: frozenset[str]) -> float:
    """How much a quantity of this name grows when the units in `bases` shrink."""
    return math.prod(FACTORS[base] ** power for base, power in unit_of(name).items() if base in bases)


def rescaled(name: str, value: Any, bases: frozenset[str]) -> Any:
    """The same quantity in the smaller units; records field by field."""
    if isinstance(value, tuple):
        grown = [rescaled(field, each, bases) for field, each in zip(value._fields, value, strict=True)]
        return type(value)(*grown)
    factor = scale(name, bases)
    return value if factor == 1.0 else value * factor


@cache
def calls(function: Callable[..., Any]) -> set[str]:
    """The names of a formula and of every formula that it calls, however deep."""
    found: set[str] = set()
    waiting = [function]
    while waiting:
        each = waiting.pop()
        if each.__name__ in found:
            continue
        found.add(each.__name__)
        assert isinstance(each, types.FunctionType)
        used = (each.__globals__.get(name) for name in each.__code__.co_names)
        waiting += [other for other in used if other in FORMULAS]
    return found


def number(rng: random.Random, name: str, kind: type, drawn: strategies.Problem) -> float | int:
    """A plausible number for an argument or a field of that name."""
    if kind is int:
        degree = getattr(drawn.plan, name, None)
        return degree if degree is not None else rng.choice((1, 2, 4, 8, 16))
    unit = unit_of(name)
    if unit:
        return strategies.log_uniform(rng, 1e-3, 1e3) * 10.0 ** (9 * unit.get("bytes", 0) + 12 * unit.get("flop", 0))
    if name in {"n_ranks", "n_groups", "n_experts", "tokens", "rows", "columns", "depth", "tile_rows"}:
        return float(rng.choice((8, 16, 64, 256)))
    return rng.uniform(0.0, 1.0) if is_share(name) else float(rng.choice((1, 2, 4)))


def is_share(name: str) -> bool:
    return name.rpartition("_")[2] in {"fraction", "share", "overlap", "goodput", "deduplicated", "weight"}


def arguments(rng: random.Random, function: Callable[..., Any]) -> dict[str, Any]:
    """Arguments for a formula, from its annotations: records that belong together, numbers by their names."""
    used = calls(function)
    first = KINDS.index("mixture") if function.__name__ in NEED_EXPERTS else 0
    kinds = KINDS[first : KINDS.index("hybrid") if used & STATES_OF_32_BITS else None]
    drawn = strategies.problem(rng, *kinds)
    setting = drawn.setting
    if used & SCORES_OF_5_BYTES:
        setting = setting._replace(stack=setting.stack._replace(score_bytes=0.0))
    served = strategies.served(rng, *kinds)
    whole: dict[Any, Any] = {
        records.Setting: setting,
        records.Plan: drawn.plan,
        records.Model: setting.model,
        records.Cluster: setting.cluster,
        records.Kernels: setting.kernels,
        records.Job: setting.job,
        records.Tier: setting.cluster.scale_up,
        records.Engine: served.setting.engine,
        records.ServingSetting: served.setting,
        records.ServingJob: served.job,
        records.ServingPlan: served.plan,
    }
    hints = typing.get_type_hints(function)
    if records.ServingSetting in hints.values() or records.ServingPlan in hints.values():
        whole[records.Model] = served.setting.model
    made: dict[str, Any] = {}
    for name, kind in hints.items():
        if name == "return":
            continue
        if kind in (int, float):
            made[name] = number(rng, name, kind, drawn)
        elif kind in whole:
            made[name] = whole[kind]
        elif kind.__name__ == "Spread":
            made[name] = spread(rng.choice((1, 2, 8, 64, 512)), rng.choice((1, 2, 8)), setting.cluster)
        else:
            made[name] = record(rng, kind, drawn)
    return made


def record(rng: random.Random, kind: Any, drawn: strategies.Problem) -> Any:
    """A record of plausible numbers, records within it too."""
    fields = typing.get_type_hints(kind)
    return kind(
        **{
            field: number(rng, field, each, drawn) if each in (int, float) else record(rng, each, drawn)
            for field, each in fields.items()
        }
    )


@cache
def fields_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of what a formula returns: the fields of its record, of records within it too, or its own."""
    return names_in(function.__name__, typing.get_type_hints(function)["return"])


def names_in(name: str, kind: Any) -> tuple[str, ...]:
    """A name, or those of a record's numbers."""
    if not hasattr(kind, "_fields"):
        return (name,)
    return tuple(each for field, inner in typing.get_type_hints(kind).items() for each in names_in(field, inner))


def numbers_in(value: Any) -> tuple[float, ...]:
    """A number, or those of a record and of records within it."""
    if not isinstance(value, tuple):
        return (value,)
    return tuple(number for each in value for number in numbers_in(each))


def wrong_fields(function: Callable[..., Any], bases: frozenset[str], n_draws: int = N_DRAWS) -> set[str]:
    """The fields of the result that do not grow as their names say when the units in `bases` shrink."""
    rng = random.Random(function.__name__)
    wrong: set[str] = set()
    for _ in range(n_draws):
        given = arguments(rng, function)
        before = function(**given)
        after = function(**{name: rescaled(name, value, bases) for name, value in given.items()})
        befores, afters = numbers_in(before), numbers_in(after)
        for name, old, new in zip(fields_of(function), befores, afters, strict=True):
            if not math.isclose(new, old * scale(name, bases), rel_tol=1e-9):
                wrong.add(name)
    return wrong


def names(function: Callable[..., Any]) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


@pytest.mark.parametrize("function", FORMULAS, ids=names)
def test_a_formula_has_the_dimensions_that_its_names_say(function: Callable[..., Any]) -> None:
    bases = ALL
    if calls(function) & FLOP_BORN:
        bases -= {"flop"}
    exempt = BYTES_BORN.get(function.__name__, set())
    assert wrong_fields(function, bases) <= exempt
    if exempt:
        assert not wrong_fields(function, bases - {"bytes"})


@pytest.mark.parametrize("name", sorted(FLOP_BORN))
def test_a_formula_said_to_count_flops_does(name: str) -> None:
    (function,) = (each for each in FORMULAS if each.__name__ == name)
    assert wrong_fields(function, frozenset({"flop"})), f"{name} need not be in FLOP_BORN"


@pytest.mark.parametrize("name", sorted(BYTES_BORN))
def test_a_field_said_to_hold_bytes_of_fixed_size_does(name: str) -> None:
    (function,) = (each for each in FORMULAS if each.__name__ == name)
    assert wrong_fields(function, frozenset({"bytes"})) == BYTES_BORN[name]


def test_every_field_of_every_record_says_its_unit() -> None:
    silent = []
    for record in vars(records).values():
        for field, kind in getattr(record, "__annotations__", {}).items():
            if kind in (int, float):
                try:
                    unit_of(field)
                except KeyError:
                    silent.append(f"{record.__name__}.{field}")
    assert not silent


def test_a_wrong_dimension_is_found() -> None:
    def slow_s(payload_bytes: float, latency_s: float, hbm_bytes_per_s: float) -> float:
        return latency_s + payload_bytes * hbm_bytes_per_s

    def right_s(payload_bytes: float, latency_s: float, hbm_bytes_per_s: float) -> float:
        return latency_s + payload_bytes / hbm_bytes_per_s

    assert wrong_fields(slow_s, ALL) == {"slow_s"}
    assert not wrong_fields(right_s, ALL)


def test_units_are_read_from_names() -> None:
    assert unit_of("hbm_bytes_per_s") == {"bytes": 1, "s": -1}
    assert unit_of("usd_per_chip_h") == {"usd": 1, "s": -1}
    assert unit_of("tokens_per_s") == {"s": -1}
    assert unit_of("energy_j") == {"w": 1, "s": 1}
    assert unit_of("overlap_fraction") == {}
    with pytest.raises(KeyError):
        unit_of("bandwidth")
