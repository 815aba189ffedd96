"""Operations of the work: their times add up to the layers', their FLOP and bytes are what kernels do."""

import math
from typing import Any

import pytest

from clustercast import records
from clustercast.estimates import operations, serving, training
from clustercast.estimates.question import Asked, Question, fill
from clustercast.physics.layer import ends, layer
from clustercast.physics.serving import decode_parts, mean_cached_tokens, prompts_pass
from clustercast.plans import text

PLANS = {
    "llama-3.1-8b": "tp=2,pp=2,dp=4,zero=1,mb=1,recompute=none",
    "deepseek-v3": "tp=1,pp=16,dp=8,ep=8,zero=1,mb=1,recompute=none",
    "gpt-3": "tp=8,pp=8,dp=1,zero=1,mb=1,recompute=full",
}


def asked(chip: str, model: str) -> tuple[Question, records.Setting, records.Plan]:
    question = fill(Asked(chip, model, 128))
    setting = question.setting()
    return question, setting, training.given(setting, text.parse(PLANS[model]))


@pytest.mark.parametrize("model", PLANS)
@pytest.mark.parametrize("chip", ["h20", "h100"])
def test_training_operations_take_the_time_of_the_layers_and_the_head(chip: str, model: str) -> None:
    _, setting, plan = asked(chip, model)
    one, end = layer(setting, plan), ends(setting, plan)
    found = operations.of_training(setting, plan)
    heads = 1 + setting.model.n_mtp_layers
    n_layers = setting.model.n_layers + setting.model.n_mtp_layers
    whole_s = n_layers * (one.forward_s + one.backward_s) + heads * (end.head_forward_s + end.head_backward_s)
    assert sum(each.time_s for each in found) == pytest.approx(whole_s, rel=1e-9)
    assert sum(each.share for each in found) == pytest.approx(1.0)


def test_flop_and_bytes_of_a_matmul_are_counted_in_the_head() -> None:
    _, setting, plan = asked("h100", "llama-3.1-8b")
    head = next(each for each in operations.of_training(setting, plan) if each.kind == "head")
    model = setting.model
    tokens, columns = setting.job.seq_len, model.vocab / plan.tp
    assert head.flop == pytest.approx(6.0 * tokens * model.hidden * columns, rel=1e-6)
    once = 2.0 * (tokens * model.hidden + model.hidden * columns + tokens * columns)
    logits = tokens * columns * setting.stack.logit_bytes
    weights = model.hidden * columns * (setting.stack.gradient_pass_bytes + setting.stack.accumulation_bytes)
    assert head.hbm_bytes == pytest.approx(3.0 * once + logits + weights, rel=1e-6)


@pytest.mark.parametrize("model", PLANS)
def test_no_operation_is_above_its_roof(model: str) -> None:
    question, setting, plan = asked("h20", model)
    chip = setting.chip
    peaks = max(chip.matmul_flop_per_s, chip.expert_flop_per_s, chip.attention_flop_per_s, chip.head_flop_per_s)
    done, _ = serving.serve_estimate(question)
    layout = records.ServingPlan(*(int(done.plan[name]) for name in records.ServingPlan._fields))
    served = question.serving_setting()
    found = operations.of_training(setting, plan)
    found += operations.of_serving(served, layout, serving.job_of(question, done.batch_per_replica))
    assert {each.phase for each in found} == {"training", "prefill", "decode"}
    for each in found:
        assert each.flop <= peaks * each.time_s * 1.000001
        assert each.hbm_bytes <= chip.hbm_bytes_per_s * each.time_s * 1.000001


def test_serving_operations_take_the_time_of_the_kernels() -> None:
    question = fill(Asked("h100", "llama-3.1-70b", 8))
    setting = question.serving_setting()
    plan = records.ServingPlan(8, 1, 1, 1, 1)
    job = serving.job_of(question, 32.0)
    found = operations.of_serving(setting, plan, job)
    step = decode_parts(1.0, 32.0, 1.0, mean_cached_tokens(job), setting, plan)
    starts_s = setting.engine.host_step_s + setting.engine.host_sequence_s * 32.0
    decode_s = math.fsum(each.time_s for each in found if each.phase == "decode")
    assert decode_s == pytest.approx(step.total_s - step.comm_s - starts_s, rel=1e-9)
    prompt = prompts_pass(1.0, 1.0, job, setting, plan)
    prefill_s = math.fsum(each.time_s for each in found if each.phase == "prefill")
    assert prefill_s == pytest.approx(
        prompt.total_s - prompt.comm_s - setting.engine.prefill_step_s, rel=1e-3
    )  # head's start


def test_a_faster_chip_moves_no_other_bytes() -> None:
    _, setting, plan = asked("h100", "llama-3.1-8b")
    faster = setting._replace(chip=setting.chip._replace(matmul_flop_per_s=2e15, hbm_bytes_per_s=9e12))

    def counted(one: records.Setting) -> list[tuple[Any, ...]]:
        return [(each.kind, each.flop, each.hbm_bytes) for each in operations.of_training(one, plan)]

    assert counted(faster) == counted(setting)
