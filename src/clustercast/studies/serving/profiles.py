"""Published profiles of one phase of serving, each with its plan: what the physics says of them.

A row of a profile file is in the serving form of `bench/record/README.md`, with the columns that
`bench/profiles/README.md` adds: what the source states and the rows of the record leave open (drafts, balance, copies
of experts, dies).
"""

import csv
from pathlib import Path
from typing import NamedTuple

from clustercast import records
from clustercast.catalog import serving as serving_catalog
from clustercast.errors import WrongInput
from clustercast.physics.serving import (
    decode_parts,
    decode_pool,
    mean_cached_tokens,
    prefill_parts,
    prefill_pool,
)
from clustercast.studies.record import numbers
from clustercast.studies.record import serving as record
from clustercast.studies.record.outcome import figure

BALANCED = "balanced"
APART = "apart"  # the shared expert is one more routed one, that every token chooses, on ranks of its own
PHASES = {"prefill": prefill_pool, "decode": decode_pool}


class Profile(NamedTuple):
    """A published figure beside the modelled one, in the unit of the source."""

    name: str
    published: float
    modelled: float
    judged: bool
    load: records.Load

    @property
    def error(self) -> float:
        """Modelled over published, less one."""
        return self.modelled / self.published - 1.0


def case_of(row: dict[str, str]) -> record.Case:
    """A profile's row as the physics sees it, by the device. Raises WrongInput where it says what nobody knows."""
    if row.get("phase") not in PHASES:
        raise WrongInput(f"phase: expected {' or '.join(PHASES)}, got {row.get('phase')!r}")
    case = record.case_of(row)
    key = numbers.chip_key(row)
    attention = row.get("attention_dtype") or ""
    silicon = serving_catalog.silicon(
        numbers.chip(key), row["weight_dtype"], row["weight_dtype"], row["kv_dtype"], attention
    )
    engine = case.setting.engine
    if row.get("routing") == BALANCED:
        engine = engine._replace(expert_imbalance=0.0)
    overlap = figure(row, "exchange_overlap")
    engine = engine._replace(
        redundant_experts=figure(row, "redundant_experts") or 0.0,
        chunk_tokens=figure(row, "step_tokens") or engine.chunk_tokens,
        exchange_overlap=engine.exchange_overlap if overlap is None else overlap,
    )
    drafts = figure(row, "drafts") or 0.0
    model = case.setting.model
    if drafts > 0.0:
        model = model._replace(n_mtp_layers=record.model_of(row).n_mtp_layers)
    if row.get("shared_expert") == APART:
        model = model._replace(n_active_experts=model.n_active_experts + 1, n_experts=model.n_experts + 1, shared_ffn=0)
    setting = case.setting._replace(
        chip=silicon.chip, kernels=silicon.kernels, precision=silicon.precision, engine=engine, model=model
    )
    job = case.job._replace(
        n_drafts=drafts,
        accepted_tokens=figure(row, "accepted") or 1.0,
        hit_fraction=figure(row, "hit_fraction") or 0.0,
    )
    return case._replace(load=row["phase"], setting=setting, job=job)


def profile_of(row: dict[str, str]) -> Profile:
    """What the model says of a row, in the row's unit: the chips of the source may hold several devices."""
    case = case_of(row)
    done = PHASES[case.load](case.setting, case.job, case.plan)
    published = figure(row, "value")
    if published is None or published <= 0.0:
        raise WrongInput("value: expected a positive number")
    modelled = record.in_metric(case, done) * (figure(row, "devices_per_chip") or 1.0)
    return Profile(row["id"], published, modelled, row.get("judged") == "yes", done)


class Gain(NamedTuple):
    """What cutting a step in two gained somewhere, beside what the model says of it."""

    name: str
    low: float  # published
    high: float
    modelled: float
    judged: bool

    @property
    def off(self) -> float:
        """How far the modelled gain lies outside the published range; 0 inside."""
        return max(self.low - self.modelled, self.modelled - self.high, 0.0)


def gain_of(row: dict[str, str], profiles_by_name: dict[str, dict[str, str]]) -> Gain:
    """A row of a file of gains: its profile with `concurrency` and `step_tokens` of its own, in one part and in two.

    Nothing overlaps in the one part. Both are timed whether or not the engine would cut.
    """
    base = profiles_by_name[row["profile"]]
    case = case_of(base | {name: row[name] for name in ("concurrency", "step_tokens") if row[name]})
    job, plan = case.job, case.plan
    bare = case.setting._replace(engine=case.setting.engine._replace(exchange_overlap=0.0))
    if case.load == "decode":
        asked = (job.batch, 1.0 + job.n_drafts, mean_cached_tokens(job))
        whole, cut = (decode_parts(n, *asked, each, plan) for n, each in ((1.0, bare), (2.0, case.setting)))
    else:
        prompts = (bare.engine.chunk_tokens / job.input_len, float(job.input_len), float(plan.attention_dp))
        whole, cut = (prefill_parts(n, *prompts, each, plan) for n, each in ((1.0, bare), (2.0, case.setting)))
    low, high = float(row["low"]), float(row["high"])
    return Gain(row["id"], low, high, whole.total_s / cut.total_s - 1.0, row["judged"] == "yes")


def gains(path: Path, of: Path) -> list[Gain]:
    """Every row of a file of gains; `of` holds the profiles that it names."""
    named = {row["id"]: row for row in read(of)}
    return [gain_of(row, named) for row in read(path)]


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a profile file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def profiles(path: Path) -> list[Profile]:
    """Every row of a profile file, judged or context."""
    return [profile_of(row) for row in read(path)]
