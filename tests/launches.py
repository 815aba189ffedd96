"""Questions and plans for launch files: models of the catalogue, legal plans, and what of a plan cannot matter."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import strategies

from clustercast import catalog, records
from clustercast.catalog import ModelProfile
from clustercast.errors import WrongInput
from clustercast.estimates.question import Asked, Question, fill
from clustercast.plans import rules
from clustercast.records import Job, Plan
from clustercast.studies.launch import shapes
from clustercast.studies.launch.launch import TrainingLaunch

N_PLANS = 100
HEADER = ("a header", "question: why")

Bend = Callable[[Plan], Plan]


@cache
def question(model: str, precision: str = "bf16", chip: str = "h100") -> Question:
    """A whole question; plans and jobs are put in by the caller."""
    return fill(Asked(chip, model, n_chips=4096, precision=precision))


def drawn(seed: int, models: tuple[str, ...], precisions: tuple[str, ...], bend: Bend, chip: str = "h100") -> Any:
    """A question and a legal plan, bent to what a tool has; None where the bent one breaks a rule."""
    rng = random.Random(seed)
    asked = question(rng.choice(models), rng.choice(precisions), chip)
    seq_len = rng.choice(strategies.SEQ_LENS)
    plan, batch = strategies.plan(rng, asked.record, seq_len)
    if plan.recompute == records.RECOMPUTE_BLOCK:
        plan = plan._replace(recompute_layers=plan.vpp)
    plan = bend(plan)
    job = Job(seq_len, batch)
    if rules.first_broken(plan, asked.record, job, 10**6):
        return None
    return replace(asked, job=job, tokens=float(seq_len * batch * rng.randint(1, 1000))), plan


def problems(
    models: tuple[str, ...], precisions: tuple[str, ...], bend: Bend, chip: str = "h100"
) -> Iterator[tuple[Question, Plan]]:
    """A hundred of them, the same ones every time."""
    found = (drawn(seed, models, precisions, bend, chip) for seed in range(100 * N_PLANS))
    legal = (each for each in found if each is not None)
    for _ in range(N_PLANS):
        yield next(legal)


def settled(plan: Plan) -> Plan:
    """The plan with what cannot matter at one value."""
    if plan.tp == 1:
        plan = plan._replace(sequence_parallel=0, tp_overlap=1)
    if plan.cp == 1:
        plan = plan._replace(cp_kind=0)
    if plan.dp * plan.cp == 1:
        plan = plan._replace(zero=0, shard=0, dp_overlap=1)
    if plan.shard == plan.dp * plan.cp:
        plan = plan._replace(shard=0)
    return plan


def agrees(found: TrainingLaunch, asked: Question, plan: Plan) -> None:
    """Assert that a launch says what a question and a plan are."""
    assert settled(Plan(**found.plan)) == settled(plan)
    assert (found.seq_len, found.global_batch) == (asked.job.seq_len, asked.job.global_batch)
    assert found.precision == asked.precision
    assert found.tokens == pytest.approx(asked.tokens, rel=1e-9)
    assert found.n_chips == plan.tp * plan.pp * plan.cp * plan.dp
    model = found.model if isinstance(found.model, ModelProfile) else catalog.find_model(found.model or "")
    assert shapes.differing(records.as_declared(model.record()), asked.record) == ""


def wrong(read: Callable[..., TrainingLaunch], text: str, name: str = "launch.sh") -> str:
    """The message about a text that cannot be read."""
    with pytest.raises(WrongInput) as raised:
        read(text, Path(name))
    return raised.value.message
