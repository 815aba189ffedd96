"""Laws of serving: prefill and decode of one replica."""

import math

from hypothesis import given
from hypothesis import strategies as st
from strategies import Served, questions

from clustercast.physics.parameters import matmul_active_params, total_params
from clustercast.physics.serving import (
    Work,
    decode_attention,
    decode_comm_s,
    decode_experts,
    decode_matmul,
    decode_mixers,
    decode_weights,
    kv_sequence_bytes,
    kv_token_bytes,
    prefill_plan,
    projection_params,
    serve,
    serving_weights_bytes,
    small_all_reduce_s,
    sum_of,
)
from clustercast.records import ServingPlan, Setting

SLACK = 1.0 + 1e-12
ALONE = ServingPlan(1, 1, 1, 1, 1)


def faster_chip(setting: Setting, memory: float, compute: float) -> Setting:
    chip = setting.chip
    return setting._replace(
        chip=chip._replace(
            hbm_bytes_per_s=memory * chip.hbm_bytes_per_s,
            matmul_flop_per_s=compute * chip.matmul_flop_per_s,
            expert_flop_per_s=compute * chip.expert_flop_per_s,
            attention_flop_per_s=compute * chip.attention_flop_per_s,
            head_flop_per_s=compute * chip.head_flop_per_s,
        )
    )


@given(question=questions())
def test_the_terms_add_up(question: Served) -> None:
    done = serve(*question)
    decode = (
        done.decode_compute_s,
        done.decode_weights_s,
        done.decode_kv_s,
        done.decode_comm_s,
        done.decode_host_s,
    )
    prefill = (done.prefill_compute_s, done.prefill_comm_s, done.prefill_host_s)
    assert math.isclose(math.fsum(decode), done.tpot_s, rel_tol=1e-12)
    assert math.isclose(math.fsum(prefill), done.ttft_s, rel_tol=1e-12)
    assert min(*decode, *prefill) >= 0.0
    assert math.isclose(done.weights_bytes + done.kv_bytes + done.workspace_bytes, done.memory_bytes, rel_tol=1e-12)


@given(question=questions(), more=st.integers(1, 512))
def test_a_larger_batch_never_decodes_a_token_sooner(question: Served, more: int) -> None:
    setting, job, plan, engine = question
    larger = job._replace(batch=job.batch + more)
    assert serve(setting, job, plan, engine).tpot_s <= serve(setting, larger, plan, engine).tpot_s * SLACK


@given(question=questions("dense", "windowed"))
def test_twice_the_batch_never_serves_fewer_tokens(question: Served) -> None:
    setting, job, plan, engine = question
    now = serve(setting, job, plan, engine)
    then = serve(setting, job._replace(batch=2.0 * job.batch), plan, engine)
    assert now.output_tokens_per_s <= then.output_tokens_per_s * SLACK


@given(question=questions(), more=st.integers(1, 4096))
def test_a_longer_context_is_never_faster(question: Served, more: int) -> None:
    setting, job, plan, engine = question
    now = serve(setting, job, plan, engine)
    longer = setting._replace(job=setting.job._replace(seq_len=job.input_len + more))
    then = serve(longer, job._replace(input_len=job.input_len + more), plan, engine)
    assert now.tpot_s <= then.tpot_s * SLACK
    assert now.ttft_s <= then.ttft_s * SLACK
    assert now.tpot_s <= serve(setting, job._replace(output_len=job.output_len + more), plan, engine).tpot_s * SLACK


@given(question=questions(), memory=st.sampled_from([1.0, 1.5, 4.0]), compute=st.sampled_from([1.0, 1.5, 4.0]))
def test_a_faster_chip_is_never_slower(question: Served, memory: float, compute: float) -> None:
    setting, job, plan, engine = question
    now, then = (serve(each, job, plan, engine) for each in (setting, faster_chip(setting, memory, compute)))
    assert then.tpot_s <= now.tpot_s * SLACK
    assert then.ttft_s <= now.ttft_s * SLACK


@given(question=questions(), tier=st.sampled_from(["package", "scale_up", "rail", "spine"]))
def test_a_faster_link_is_never_slower(question: Served, tier: str) -> None:
    setting, job, plan, engine = question
    slow = getattr(setting.cluster, tier)
    faster = setting.cluster._replace(**{tier: slow._replace(bytes_per_s=1.5 * slow.bytes_per_s)})
    now, then = (serve(each, job, plan, engine) for each in (setting, setting._replace(cluster=faster)))
    assert then.tpot_s <= now.tpot_s * SLACK
    assert then.ttft_s <= now.ttft_s * SLACK


@given(question=questions())
def test_one_chip_talks_to_nobody(question: Served) -> None:
    setting, job, _, engine = question
    assert decode_comm_s(job.batch, setting, ALONE, engine) == 0.0
    assert small_all_reduce_s(1e6, 1, engine, setting.cluster) == 0.0
    assert serve(setting, job, ALONE, engine).prefill_comm_s == 0.0


@given(question=questions("dense", "mixture", "latent"), context=st.integers(1, 10**5))
def test_the_cache_of_full_attention_is_linear_in_tokens(question: Served, context: int) -> None:
    model, tp = question.setting.model, question.plan.tp
    once = kv_sequence_bytes(model, tp, 2.0, float(context))
    assert once == model.n_full_layers * context * kv_token_bytes(model, tp, 2.0)
    assert kv_sequence_bytes(model, tp, 2.0, 2.0 * context) == 2.0 * once
    assert kv_sequence_bytes(model, tp, 1.0, float(context)) == 0.5 * once


@given(question=questions(), context=st.integers(1, 10**5))
def test_no_layer_keeps_more_than_full_attention(question: Served, context: int) -> None:
    model, tp = question.setting.model, question.plan.tp
    full = model._replace(n_full_layers=model.n_full_layers + model.n_window_layers, n_window_layers=0)
    assert kv_sequence_bytes(model, tp, 2.0, float(context)) <= kv_sequence_bytes(full, tp, 2.0, float(context))


@given(question=questions())
def test_the_cache_is_linear_in_sequences(question: Served) -> None:
    setting, job, plan, engine = question
    rank = plan._replace(attention_dp=1, ep=1, etp=1)
    one = serve(setting, job._replace(batch=1.0), rank, engine)
    many = serve(setting, job._replace(batch=7.0), rank, engine)
    assert math.isclose(many.kv_bytes, 7.0 * one.kv_bytes, rel_tol=1e-12)
    assert many.weights_bytes == one.weights_bytes


@given(question=questions())
def test_the_largest_batch_fits_and_one_more_does_not(question: Served) -> None:
    setting, job, plan, engine = question
    most = serve(setting, job, plan, engine).max_batch
    if most >= 1.0:
        done = serve(setting, job._replace(batch=most), plan, engine)
        assert done.memory_bytes <= done.capacity_bytes * SLACK
    beyond = serve(setting, job._replace(batch=most + plan.attention_dp), plan, engine)
    assert beyond.memory_bytes * SLACK >= beyond.capacity_bytes


@given(question=questions("dense", "mixture", "windowed"))
def test_one_chip_holds_every_parameter(question: Served) -> None:
    model = question.setting.model._replace(tied=0, other_params=0.0)
    setting = question.setting._replace(model=model)
    expected = total_params(model) * setting.precision.weight_bytes
    ends_bytes = 2.0 * model.vocab * model.hidden * (setting.precision.element_bytes - setting.precision.weight_bytes)
    assert math.isclose(serving_weights_bytes(setting, ALONE), expected + ends_bytes, rel_tol=1e-12)


@given(question=questions("dense", "windowed"))
def test_a_decode_step_reads_every_active_weight_once(question: Served) -> None:
    setting = question.setting
    read_s = decode_weights(1.0, 1.0, setting, ALONE).memory_s
    slowest = setting.kernels.matmul_memory_fraction * setting.chip.hbm_bytes_per_s
    assert math.isclose(read_s * slowest, 2.0 * matmul_active_params(setting.model), rel_tol=1e-9)


@given(question=questions("mixture", "latent", "hybrid"), tokens=st.integers(1, 4096))
def test_experts_read_no_more_than_all_of_them(question: Served, tokens: int) -> None:
    setting = question.setting
    model = setting.model
    every = model.n_experts * model.n_mlp_matrices * float(model.hidden) * model.expert_ffn
    most_bytes = every * setting.precision.weight_bytes
    rate = setting.kernels.expert_memory_fraction * setting.chip.hbm_bytes_per_s
    assert decode_experts(float(tokens), setting, ALONE).memory_s <= most_bytes / rate * SLACK


@given(question=questions())
def test_no_part_of_a_decode_step_is_negative(question: Served) -> None:
    setting, job, plan, _ = question
    works = [
        decode_matmul(job.batch, 1e9, setting.chip.matmul_flop_per_s, 2.0, setting),
        decode_attention(job.batch, 1000.0, setting, plan.tp),
        decode_mixers(job.batch, 1000.0, setting, plan.tp),
    ]
    assert all(min(work) >= 0.0 for work in works)
    assert sum_of(works[0], works[1], 0.0) == works[0]
    assert sum_of(Work(0.0, 0.0, 0.0), works[1], 1.0) == works[1]


@given(question=questions())
def test_tensor_parallelism_never_adds_weights_to_a_chip(question: Served) -> None:
    setting, _, plan, _ = question
    assert projection_params(setting.model, plan.tp) <= projection_params(setting.model, 1)
    layout = prefill_plan(plan)
    assert (layout.tp, layout.ep, layout.etp) == (plan.tp, plan.ep, plan.etp)
    assert layout.tp * layout.dp % (layout.ep * layout.etp) == 0
