"""Laws of serving: a step, prefill and decode of one replica, and a replica under load."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Served, questions

from clustercast.physics import grid
from clustercast.physics.loop import closed_loop
from clustercast.physics.parameters import matmul_active_params, mtp_params, total_params
from clustercast.physics.roofline import touched_experts
from clustercast.physics.serving import (
    Work,
    beside_s,
    decode_attention,
    decode_mixers,
    decode_parts,
    decode_pass,
    decode_pool,
    experts_work,
    exposed_exchange_s,
    free_bytes,
    head_work,
    kv_sequence_bytes,
    kv_token_bytes,
    layers_work,
    matmul_work,
    most_parts,
    once_exchange_s,
    prefill_attention,
    prefill_mixers,
    prefill_parts,
    prefill_pass,
    prefill_pool,
    projection_params,
    rank_sequence_bytes,
    reached_fraction,
    serve,
    serving_weights_bytes,
    small_all_reduce_s,
    static_batch,
    step_comm_s,
    step_exchange_s,
    step_reduce_s,
    sum_of,
    unequal_factor,
)
from clustercast.records import Load, Serving, ServingJob, ServingPlan, ServingSetting
from clustercast.studies.serving.search import KEPT, KEPT_TPOT

SLACK = 1.0 + 1e-12
ALONE = ServingPlan(1, 1, 1, 1, 1)
LOADS = (closed_loop, static_batch, decode_pool, prefill_pool)


def faster_chip(setting: ServingSetting, memory: float, compute: float) -> ServingSetting:
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


def neutral(setting: ServingSetting) -> ServingSetting:
    """The same setting under an engine that adds nothing to the kernels."""
    engine = setting.engine._replace(
        matmul_memory_factor=1.0,
        expert_memory_factor=1.0,
        expert_traffic_factor=0.0,
        distinct_exponent=1.0,
        redundant_experts=0.0,
        grouped_fraction=0.0,
        compute_ceiling=1.0,
        memory_ceiling=1.0,
    )
    return setting._replace(engine=engine)


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
    assert min(*decode, *prefill) >= -1e-15
    assert math.isclose(done.weights_bytes + done.kv_bytes + done.workspace_bytes, done.memory_bytes, rel_tol=1e-12)


@given(question=questions())
def test_a_token_under_load_is_its_terms(question: Served) -> None:
    for load in (closed_loop, static_batch, decode_pool):
        done = load(*question)
        terms = (
            done.decode_compute_s,
            done.decode_weights_s,
            done.decode_kv_s,
            done.decode_comm_s,
            done.decode_host_s,
            done.interference_s,
        )
        assert math.isclose(math.fsum(terms), done.tpot_s, rel_tol=1e-12)


@given(question=questions(), more=st.integers(1, 512))
def test_a_larger_batch_never_decodes_a_token_sooner(question: Served, more: int) -> None:
    setting, job, plan = question
    larger = job._replace(batch=job.batch + more)
    assert serve(setting, job, plan).tpot_s <= serve(setting, larger, plan).tpot_s * SLACK


@given(question=questions("dense", "windowed"))
def test_twice_the_batch_never_serves_fewer_tokens(question: Served) -> None:
    setting, job, plan = question
    now = serve(setting, job, plan)
    then = serve(setting, job._replace(batch=2.0 * job.batch), plan)
    assert now.output_tokens_per_s <= then.output_tokens_per_s * SLACK


@given(question=questions(), more=st.integers(1, 4096))
def test_a_longer_context_is_never_faster(question: Served, more: int) -> None:
    setting, job, plan = question
    longer = job._replace(input_len=job.input_len + more)
    now, then = serve(setting, job, plan), serve(setting, longer, plan)
    assert now.tpot_s <= then.tpot_s * SLACK
    assert now.tpot_s <= serve(setting, job._replace(output_len=job.output_len + more), plan).tpot_s * SLACK


@given(question=questions(), memory=st.sampled_from([1.0, 1.5, 4.0]), compute=st.sampled_from([1.0, 1.5, 4.0]))
def test_a_faster_chip_is_never_slower(question: Served, memory: float, compute: float) -> None:
    setting, job, plan = question
    now, then = (serve(each, job, plan) for each in (setting, faster_chip(setting, memory, compute)))
    assert then.tpot_s <= now.tpot_s * SLACK
    assert then.ttft_s <= now.ttft_s * SLACK


@given(question=questions(), tier=st.sampled_from(["package", "scale_up", "rail", "spine"]))
def test_a_faster_link_is_never_slower(question: Served, tier: str) -> None:
    setting, job, plan = question
    slow = getattr(setting.cluster, tier)
    faster = setting.cluster._replace(**{tier: slow._replace(bytes_per_s=1.5 * slow.bytes_per_s)})
    now, then = (serve(each, job, plan) for each in (setting, setting._replace(cluster=faster)))
    assert then.tpot_s <= now.tpot_s * SLACK
    assert then.ttft_s <= now.ttft_s * SLACK


@given(question=questions())
def test_one_chip_talks_to_nobody(question: Served) -> None:
    setting, job, _ = question
    assert step_comm_s(job.batch, setting, ALONE) == 0.0
    assert small_all_reduce_s(1e6, 1, setting.engine, setting.cluster) == 0.0
    assert serve(setting, job, ALONE).prefill_comm_s == 0.0


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
    setting, job, plan = question
    rank = plan._replace(attention_dp=1, ep=1, etp=1)
    one = serve(setting, job._replace(batch=1.0), rank)
    many = serve(setting, job._replace(batch=7.0), rank)
    assert math.isclose(many.kv_bytes, 7.0 * one.kv_bytes, rel_tol=1e-12)
    assert one.kv_bytes == rank_sequence_bytes(float(job.input_len + job.output_len), setting, rank)
    assert many.weights_bytes == one.weights_bytes


@given(question=questions())
def test_the_largest_batch_fits_and_one_more_does_not(question: Served) -> None:
    setting, job, plan = question
    most = serve(setting, job, plan).max_batch
    if most >= 1.0:
        done = serve(setting, job._replace(batch=most), plan)
        assert done.memory_bytes <= done.capacity_bytes * SLACK
    beyond = serve(setting, job._replace(batch=most + plan.attention_dp), plan)
    assert beyond.memory_bytes * SLACK >= beyond.capacity_bytes


@given(question=questions("dense", "mixture", "windowed"))
def test_one_chip_holds_every_parameter(question: Served) -> None:
    model = question.setting.model._replace(tied=0, other_params=0.0)
    precision = question.setting.precision
    setting = neutral(question.setting)._replace(
        model=model, precision=precision._replace(expert_weight_bytes=precision.weight_bytes)
    )
    expected = total_params(model) * precision.weight_bytes
    ends_bytes = 2.0 * model.vocab * model.hidden * (precision.element_bytes - precision.weight_bytes)
    assert math.isclose(serving_weights_bytes(setting, ALONE), expected + ends_bytes, rel_tol=1e-12)
    assert free_bytes(setting, ALONE) <= setting.chip.hbm_bytes


@given(question=questions("dense", "windowed"))
def test_a_decode_step_reads_every_active_weight_once(question: Served) -> None:
    setting = neutral(question.setting)
    setting = setting._replace(precision=setting.precision._replace(weight_bytes=2.0), model=setting.model)
    least = matmul_active_params(setting.model) * 2.0
    slowest = setting.kernels.matmul_memory_fraction * setting.chip.hbm_bytes_per_s
    read_s = layers_work(0.0, 0.0, setting, ALONE).memory_s + head_work(0.0, setting, ALONE).memory_s
    assert math.isclose(read_s * slowest, least, rel_tol=1e-9)


@given(question=questions("mixture", "latent", "hybrid"), tokens=st.integers(1, 4096))
def test_experts_read_no_more_than_all_of_them(question: Served, tokens: int) -> None:
    setting = neutral(question.setting)
    model = setting.model
    one = model.n_mlp_matrices * float(model.hidden) * model.expert_ffn * setting.precision.expert_weight_bytes
    rate = setting.kernels.expert_memory_fraction * setting.chip.hbm_bytes_per_s
    touched = touched_experts(float(model.n_experts), float(model.n_active_experts), float(tokens))
    read_s = experts_work(float(tokens), setting, ALONE).memory_s
    assert math.isclose(read_s * rate, touched * one, rel_tol=1e-9)
    skewed = setting._replace(engine=setting.engine._replace(distinct_exponent=0.8))
    assert experts_work(float(tokens), skewed, ALONE).memory_s <= read_s * SLACK


@given(question=questions())
def test_no_part_of_a_step_is_negative(question: Served) -> None:
    setting, job, plan = question
    works = [
        matmul_work(job.batch, 1e9, 1e4, 2.0, 0.0, setting),
        decode_attention(job.batch, 1.0, 1000.0, setting, plan.tp),
        decode_mixers(job.batch, 1.0, 1000.0, setting, plan.tp),
        prefill_attention(1000.0, 500.0, setting, plan.tp),
        prefill_mixers(1000.0, 1000.0, setting, plan.tp),
    ]
    assert all(min(work) >= -1e-15 for work in works)
    assert sum_of(works[0], works[1], 0.0) == works[0]
    assert sum_of(Work(0.0, 0.0, 0.0), works[1], 1.0) == works[1]


@given(question=questions())
def test_tensor_parallelism_never_adds_weights_to_a_chip(question: Served) -> None:
    setting, _, plan = question
    assert projection_params(setting.model, plan.tp) <= projection_params(setting.model, 1)


def wide(question: Served) -> tuple[ServingSetting, ServingPlan]:
    """The same mixture over 8 attention ranks and as many ranks of experts."""
    return question.setting, ServingPlan(1, 1, 8, 8, 1)


@given(rows=st.floats(1.0, 1e6), n_experts=st.integers(8, 512), ep=st.integers(1, 512), imbalance=st.floats(0.0, 2.0))
def test_the_busiest_rank_has_the_mean_at_least_and_everything_at_most(
    rows: float, n_experts: int, ep: int, imbalance: float
) -> None:
    factor = unequal_factor(rows, float(n_experts), float(ep), imbalance)
    assert 1.0 <= factor <= ep
    assert factor <= unequal_factor(rows, float(n_experts), float(ep), 1.1 * imbalance) * SLACK
    assert rows * factor <= 1.1 * rows * unequal_factor(1.1 * rows, float(n_experts), float(ep), imbalance) * SLACK


@given(question=questions("mixture", "latent"), tokens=st.integers(1, 4096))
def test_overlap_hides_no_more_than_the_exchange(question: Served, tokens: int) -> None:
    setting, plan = wide(question)
    engine = setting.engine._replace(forward_core_fraction=0.0)
    raw_s = step_exchange_s(float(tokens), setting, plan)
    for parts in (1.0, 2.0):
        for overlap in (0.0, 0.6, 1.0):
            now = setting._replace(engine=engine._replace(exchange_overlap=overlap))
            late_s = exposed_exchange_s(parts, float(tokens), 8.0 * tokens, 1e-3, now, plan)
            whole_s = parts * step_exchange_s(tokens / parts, now, plan)
            assert (1.0 - overlap) * whole_s <= late_s * SLACK
            assert late_s <= whole_s * SLACK
    bare = setting._replace(engine=engine._replace(exchange_overlap=0.0))
    assert exposed_exchange_s(1.0, float(tokens), 8.0 * tokens, 1e-3, bare, plan) == raw_s


@given(question=questions("mixture", "latent"), tokens=st.integers(2, 4096))
def test_cores_that_an_exchange_takes_are_missed(question: Served, tokens: int) -> None:
    setting, plan = wide(question)
    engine = setting.engine._replace(exchange_overlap=1.0, direct_tokens=1.0)
    free, busy = (setting._replace(engine=engine._replace(forward_core_fraction=share)) for share in (0.0, 0.2))
    asked = (2.0, float(tokens), 8.0 * tokens, 1.0)
    assert exposed_exchange_s(*asked, free, plan) <= exposed_exchange_s(*asked, busy, plan)


@given(question=questions("mixture"), tokens=st.integers(1, 512))
def test_the_faster_kernel_exchanges(question: Served, tokens: int) -> None:
    setting, plan = wide(question)
    slow = setting._replace(engine=setting.engine._replace(forward_s=10.0))
    assert once_exchange_s(float(tokens), 2.0, setting, plan) <= once_exchange_s(float(tokens), 2.0, slow, plan)
    assert step_comm_s(float(tokens), setting, plan) == (
        step_reduce_s(float(tokens), setting, plan) + step_exchange_s(float(tokens), setting, plan)
    )


@given(question=questions("mixture"), tokens=st.integers(1, 512))
def test_one_batch_hides_an_exchange_behind_part_of_its_experts(question: Served, tokens: int) -> None:
    setting, _, _ = question
    model = setting.model._replace(shared_ffn=0)
    setting = setting._replace(model=model)
    beside = beside_s(float(tokens), float(tokens), setting, ALONE)
    experts = experts_work(float(tokens), setting, ALONE)
    assert 0.0 < beside <= (experts.compute_s + experts.memory_s) * model.n_moe_layers * SLACK


@given(question=questions())
def test_pools_apart_disturb_nobody(question: Served) -> None:
    setting, job, plan = question
    done = closed_loop(setting, job, plan)
    as_many = job._replace(batch=max(done.in_flight, 1.0))
    assert decode_pool(setting, as_many, plan).tpot_s <= done.tpot_s * SLACK
    alone = prefill_pool(setting, job._replace(batch=1.0), plan)
    assert alone.ttft_s <= prefill_pool(setting, job, plan).ttft_s * SLACK


@given(question=questions())
def test_a_static_batch_is_one_prefill_and_the_other_tokens(question: Served) -> None:
    setting, job, plan = question
    done = static_batch(setting, job, plan)
    waves = job.batch / done.in_flight
    assert waves >= 1.0
    assert math.isclose(done.latency_s, waves * (done.ttft_s + (job.output_len - 1) * done.tpot_s), rel_tol=1e-12)
    assert math.isclose(done.requests_per_s * done.latency_s, job.batch, rel_tol=1e-12)


@given(question=questions())
def test_guessed_tokens_that_are_all_right_are_worth_the_step(question: Served) -> None:
    setting, job, plan = question
    plain = job._replace(n_drafts=0.0, accepted_tokens=1.0)
    guessed = decode_pool(setting, job._replace(n_drafts=1.0, accepted_tokens=1.0), plan)
    accepted = decode_pool(setting, job._replace(n_drafts=1.0, accepted_tokens=2.0), plan)
    assert decode_pool(setting, plain, plan).tpot_s <= guessed.tpot_s * SLACK
    assert math.isclose(2.0 * accepted.tpot_s, guessed.tpot_s, rel_tol=1e-12)


RATES = ("hbm_bytes_per_s", "matmul_flop_per_s", "expert_flop_per_s", "attention_flop_per_s", "head_flop_per_s")
TIERS = ("package", "scale_up", "rail", "spine")


def step_s(setting: ServingSetting, batch: float, queries: float, context: float, plan: ServingPlan) -> float:
    return decode_pass(batch, queries, context, setting, plan).total_s


@given(
    question=questions(),
    context=st.integers(1, 10**5),
    more=st.sampled_from([1.0, 1.02, 1.5, 2.0, 17.0]),
    sequences=st.integers(1, 64),
)
def test_no_step_is_faster_with_more_to_do(question: Served, context: int, more: float, sequences: int) -> None:
    setting, job, plan = question
    asked = (job.batch, 1.0 + job.n_drafts, float(context))
    now = step_s(setting, *asked, plan)
    assert now <= step_s(setting, job.batch + sequences, asked[1], asked[2], plan) * SLACK
    assert now <= step_s(setting, more * job.batch, asked[1], asked[2], plan) * SLACK
    assert now <= step_s(setting, job.batch, asked[1], more * context, plan) * SLACK
    assert now <= step_s(setting, job.batch, asked[1] + 1.0, asked[2], plan) * SLACK


@given(
    question=questions(),
    rate=st.sampled_from([*RATES, *TIERS]),
    factor=st.sampled_from([1.01, 1.3, 2.0, 30.0]),
)
def test_no_rate_slows_a_step_or_a_prompt(question: Served, rate: str, factor: float) -> None:
    setting, job, plan = question
    if rate in RATES:
        better = setting._replace(chip=setting.chip._replace(**{rate: factor * getattr(setting.chip, rate)}))
    else:
        tier = getattr(setting.cluster, rate)
        faster = {rate: tier._replace(bytes_per_s=factor * tier.bytes_per_s)}
        better = setting._replace(cluster=setting.cluster._replace(**faster))
    asked = (job.batch, 1.0 + job.n_drafts, float(job.input_len), plan)
    assert step_s(better, *asked) <= step_s(setting, *asked) * SLACK
    prompts = (2.0, float(job.input_len), float(plan.attention_dp))
    then, now = (prefill_pass(*prompts, each, plan).total_s for each in (better, setting))
    assert then <= now * SLACK


@given(question=questions("mixture", "latent"), batch=st.integers(1, 2048))
def test_a_step_is_cut_only_where_that_is_faster(question: Served, batch: int) -> None:
    setting, job, plan = question
    engine = setting.engine._replace(micro_batches=2.0, exchange_overlap=0.9)
    setting = setting._replace(engine=engine)
    for run, parts in ((decode_pass, decode_parts), (prefill_pass, prefill_parts)):
        asked = (float(batch), 1.0, float(job.input_len)) if run is decode_pass else (1.0, float(batch), 1.0)
        done = run(*asked, setting, plan)
        each = [parts(n, *asked, setting, plan) for n in (1.0, 2.0)]
        if plan.attention_dp > 1:
            assert done in each
            assert done.total_s == min(one.total_s for one in each)
        else:
            assert most_parts(setting, plan) == 1.0
            assert done == each[0]


@given(question=questions("mixture", "latent"), batch=st.integers(1, 1024))
def test_what_rides_on_a_step_saves_one_reading_of_the_weights(question: Served, batch: int) -> None:
    setting, job, plan = question
    asked = (float(batch), 1.0, float(job.input_len), setting, plan)
    whole, cut = decode_parts(1.0, *asked), decode_parts(2.0, *asked)
    assert whole.once_s == pytest.approx(whole.weights_s + whole.host_s)
    assert cut.once_s <= whole.once_s * SLACK or batch < 2 * plan.pp * plan.attention_dp
    assert 0.0 < cut.once_s < cut.weights_s + cut.host_s


@given(question=questions("mixture", "latent"), overlap=st.floats(0.5, 1.0), least=st.integers(1, 400))
def test_a_cut_step_makes_no_request_faster(question: Served, overlap: float, least: int) -> None:
    setting, job, plan = question
    setting = setting._replace(
        engine=setting.engine._replace(micro_batches=2.0, mixed_share=1.0, exchange_overlap=overlap)
    )
    now, then = (closed_loop(setting, job._replace(batch=float(n)), plan) for n in (least, least + 1))
    assert KEPT_TPOT * now.tpot_s <= then.tpot_s
    assert KEPT * now.latency_s <= then.latency_s


@given(fraction=st.floats(0.05, 1.0), factor=st.floats(0.3, 3.0), ceiling=st.floats(0.8, 1.0))
def test_no_factor_carries_a_kernel_beyond_its_ceiling(fraction: float, factor: float, ceiling: float) -> None:
    share = reached_fraction(fraction, factor, ceiling)
    assert share == ceiling or share * factor == pytest.approx(fraction)
    assert share <= ceiling


@given(question=questions("latent", "dense"))
def test_layers_that_guess_are_held_and_cached(question: Served) -> None:
    setting, _, _ = question
    without, with_one = (setting._replace(model=setting.model._replace(n_mtp_layers=n)) for n in (0, 1))
    held = serving_weights_bytes(with_one, ALONE) - serving_weights_bytes(without, ALONE)
    precision = setting.precision
    params = mtp_params(with_one.model)
    routed = 0.0
    if setting.model.n_moe_layers:
        copies = 1.0 + setting.engine.redundant_experts / setting.model.n_experts
        routed = setting.model.n_mlp_matrices * float(setting.model.hidden) * setting.model.expert_ffn
        routed *= setting.model.n_experts
        expected = (params - routed) * precision.weight_bytes + routed * copies * precision.expert_weight_bytes
    else:
        expected = params * precision.weight_bytes
    assert held == pytest.approx(expected)
    cached = [rank_sequence_bytes(100.0, each, ALONE) for each in (without, with_one)]
    assert cached[1] - cached[0] == pytest.approx(100.0 * kv_token_bytes(setting.model, 1, precision.kv_bytes))


@given(question=questions())
def test_a_pass_is_the_sum_of_its_parts(question: Served) -> None:
    setting, job, plan = question
    for done in (
        decode_pass(job.batch, 1.0, 1000.0, setting, plan),
        prefill_pass(1.0, 1000.0, 1.0, setting, plan),
    ):
        parts = (done.compute_s, done.weights_s, done.kv_s, done.comm_s, done.host_s)
        assert math.isclose(math.fsum(parts), done.total_s, rel_tol=1e-12)


def run_serving(setting: ServingSetting, job: ServingJob, plan: ServingPlan, out: np.ndarray) -> None:
    """One question through every formula of a replica, for the compiler."""
    for j, value in enumerate(serve(setting, job, plan)):
        out[0, j] = value
    for j, value in enumerate(closed_loop(setting, job, plan)):
        out[1, j] = value
    for j, value in enumerate(static_batch(setting, job, plan)):
        out[2, j] = value
    for j, value in enumerate(decode_pool(setting, job, plan)):
        out[3, j] = value
    for j, value in enumerate(prefill_pool(setting, job, plan)):
        out[4, j] = value


@pytest.mark.slow
def test_compiled_equals_plain_bit_for_bit() -> None:
    import random

    from strategies import KINDS, served

    rng = random.Random(0)
    driver = grid.compiled(run_serving)
    for kind in KINDS:
        for _ in range(150):
            setting, job, plan = served(rng, kind)
            out = np.zeros((5, len(Serving._fields)))
            driver(setting, job, plan, out)
            assert tuple(out[0]) == tuple(serve(setting, job, plan))
            for row, load in zip(out[1:], LOADS, strict=True):
                assert tuple(row[: len(Load._fields)]) == tuple(load(setting, job, plan)), (load, plan)
