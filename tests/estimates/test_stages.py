"""Memory of each stage: never more than the fullest chip of the estimate, and falling along a 1F1B pipeline."""

import pytest

from clustercast.estimates import stages, training
from clustercast.estimates.question import Asked, fill
from clustercast.physics.layer import ends, layer
from clustercast.physics.training import memory, n_microbatches, n_slots
from clustercast.plans import text


@pytest.mark.parametrize(
    ("model", "plan_text"),
    [
        ("llama-3.1-8b", "tp=1,pp=1,dp=8,zero=1"),
        ("llama-3.1-70b", "tp=8,pp=8,dp=1"),
        ("llama-3.1-70b", "tp=8,pp=4,vpp=2,dp=2"),
        ("llama-3.1-405b", "tp=8,pp=16,dp=1,recompute=full"),
        ("deepseek-v3", "tp=1,pp=16,dp=8,ep=8,zero=1,schedule=dualpipe"),
        ("llama-3.1-70b", "tp=8,pp=6,dp=2,schedule=gpipe"),
    ],
)
def test_no_stage_holds_more_than_the_fullest_chip(model: str, plan_text: str) -> None:
    question = fill(Asked("h100", model, 128))
    setting = question.setting()
    plan = training.given(setting, text.parse(plan_text))
    found = stages.stages("h100", setting, plan)
    whole = memory(setting, plan, layer(setting, plan), ends(setting, plan), n_microbatches(setting.job, plan))
    assert len(found.stages) == plan.pp
    assert sum(each.n_layers for each in found.stages) == n_slots(setting.model)
    assert max(each.total for each in found.stages) <= whole.total_bytes * (1 + 1e-12)
    assert max(each.total for each in found.stages) >= 0.75 * whole.total_bytes


def test_one_stage_is_the_estimate_itself() -> None:
    question = fill(Asked("h100", "llama-3.1-8b", 8))
    setting = question.setting()
    plan = training.given(setting, text.parse("tp=1,pp=1,dp=8,zero=1"))
    whole = memory(setting, plan, layer(setting, plan), ends(setting, plan), n_microbatches(setting.job, plan))
    assert stages.stages("h100", setting, plan).stages[0].total == whole.total_bytes


def test_later_stages_hold_fewer_micro_batches() -> None:
    question = fill(Asked("h100", "llama-3.1-70b", 64))
    setting = question.setting()
    plan = training.given(setting, text.parse("tp=8,pp=8,dp=1"))
    held = [each.activations / each.n_layers for each in stages.stages("h100", setting, plan).stages]
    assert held[:-1] == sorted(held[:-1], reverse=True)
    assert held[0] == pytest.approx(4 * held[6])  # 8 against 2 micro-batches
