"""Published runs: what their rows become, and how far the model is from eight of them."""

import pytest

from clustercast.errors import WrongInput
from clustercast.records import MLA, Step
from clustercast.studies.record.training import (
    estimated,
    model_of,
    plan_of,
    recompute_of,
    setting_of,
    stack_of,
    time_error,
    usual_vocab,
)

# Korthikanti et al. 2022 (arXiv 2205.05198), Table 5: seconds per step on A100 80GB, full recompute against
# selective recompute with sequence parallelism.
SHARED = {
    "source": "arXiv 2205.05198 Table 5",
    "framework": "Megatron-LM",
    "date": "2022-05",
    "chip": "a100-sxm4-80gb",
    "precision": "fp16",
    "seq_len": "2048",
    "vocab": "51200",
    "TP": "8",
    "DP": "1",
    "mlp": "plain",
    "metric": "iteration_s",
}
SHAPES = {
    "22b": {"n_chips": "8", "layers": "48", "hidden": "6144", "heads": "64", "ffn": "24576", "PP": "1"}
    | {"global_batch": "4", "micro_batch": "4"},
    "175b": {"n_chips": "64", "layers": "96", "hidden": "12288", "heads": "96", "ffn": "49152", "PP": "8"}
    | {"global_batch": "64", "micro_batch": "1", "virtual_pp": "3"},
    "530b": {"n_chips": "280", "layers": "105", "hidden": "20480", "heads": "128", "ffn": "81920", "PP": "35"}
    | {"global_batch": "280", "micro_batch": "1", "virtual_pp": "3"},
    "1t": {"n_chips": "512", "layers": "128", "hidden": "25600", "heads": "160", "ffn": "102400", "PP": "64"}
    | {"global_batch": "512", "micro_batch": "1", "virtual_pp": "1"},
}
SECONDS = {
    "22b": {"full": "1.42", "selective": "1.10"},
    "175b": {"full": "18.13", "selective": "13.75"},
    "530b": {"full": "49.05", "selective": "37.83"},
    "1t": {"full": "94.42", "selective": "71.49"},
}


def row(size: str, recompute: str) -> dict[str, str]:
    parallel = "yes" if recompute == "selective" else "no"
    own = {"id": f"{size}-{recompute}", "recompute": recompute, "SP": parallel, "value": SECONDS[size][recompute]}
    return SHARED | SHAPES[size] | own


ROWS = [row(size, recompute) for size in SHAPES for recompute in ("full", "selective")]


def steps() -> list[Step]:
    return [estimated(each)[1] for each in ROWS]


def test_the_eight_megatron_runs_are_met() -> None:
    errors = {each["id"]: abs(time_error(each)) for each in ROWS}
    assert len(errors) == 8
    assert sum(errors.values()) / len(errors) <= 0.08, errors
    assert max(errors.values()) <= 0.16, errors


def test_the_eight_megatron_runs_fit_their_chips() -> None:
    for each, step in zip(ROWS, steps(), strict=True):
        assert step.memory_bytes <= step.capacity_bytes, each["id"]


def test_selective_recompute_is_faster_in_all_of_them() -> None:
    for full, selective in zip(steps()[::2], steps()[1::2], strict=True):
        assert selective.step_s < full.step_s


def test_a_rows_shape_comes_from_its_columns() -> None:
    model = model_of(row("22b", "full"))
    assert (model.n_layers, model.hidden, model.n_heads, model.ffn, model.vocab) == (48, 6144, 64, 24576, 51200)
    assert model.n_kv_heads == 64
    assert model.qk_head_dim == model.v_head_dim == 96
    assert (model.n_dense_layers, model.n_moe_layers, model.n_mlp_matrices) == (48, 0, 2)


def test_a_mixture_of_experts_row_is_one() -> None:
    mixture = {"layers": "32", "hidden": "4096", "heads": "32", "kv_heads": "8", "ffn": "14336", "mlp": "gated"}
    model = model_of(mixture | {"experts": "8", "topk": "2", "moe_ffn": "14336", "vocab": "32000"})
    assert (model.n_moe_layers, model.n_experts, model.n_active_experts, model.expert_ffn) == (32, 8, 2, 14336)
    assert (model.n_kv_heads, model.n_mlp_matrices, model.shared_ffn) == (8, 3, 0)


def test_latent_attention_is_recognised() -> None:
    latent = {"layers": "4", "hidden": "7168", "heads": "128", "ffn": "18432", "attention": "MLA", "mlp": "gated"}
    model = model_of(latent | {"qk_head_dim": "192", "v_head_dim": "128"})
    assert (model.attention, model.q_lora, model.kv_lora, model.qk_rope_dim) == (MLA, 1536, 512, 64)
    assert (model.qk_head_dim, model.v_head_dim) == (192, 128)


def test_a_rows_plan_is_read() -> None:
    plan = plan_of(row("175b", "selective"), zero=0)
    assert (plan.tp, plan.pp, plan.vpp, plan.dp, plan.micro_batch) == (8, 8, 3, 1, 1)
    assert (plan.recompute, plan.sequence_parallel, plan.zero) == (1, 1, 0)
    assert plan_of(row("22b", "full"), zero=1).zero == 1
    assert plan_of(row("22b", "full") | {"zero": "3"}, zero=0).zero == 3


def test_half_of_a_stage_recomputes_where_a_row_says_partial() -> None:
    plan = plan_of(row("175b", "full") | {"recompute": "partial"}, zero=0)
    assert (plan.recompute, plan.recompute_layers) == (3, 6)


def test_framework_and_year_choose_the_stack() -> None:
    assert stack_of(row("22b", "full")) == "megatron-2022"
    assert stack_of({"framework": "something nobody knows", "date": "2024"}) == "nemo"


def test_a_rate_is_turned_into_a_time() -> None:
    timed = row("22b", "full")
    seconds, _ = estimated(timed)
    rate, _ = estimated(timed | {"metric": "tokens_per_s_per_gpu"})
    assert rate == pytest.approx(4 * 2048 / seconds / 8)
    assert time_error(timed | {"metric": "tokens_per_s_per_gpu", "value": str(rate)}) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chip": ""}, "22b-full: chip is empty"),
        ({"layers": "many"}, "22b-full: layers: expected a number, got 'many'"),
        ({"metric": "mfu"}, "22b-full: metric 'mfu' is not a time or a rate"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(changes: dict[str, str], message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        estimated(row("22b", "full") | changes)
    assert caught.value.message == message


def test_a_setting_is_whole() -> None:
    setting, plan = setting_of(row("530b", "selective"))
    assert setting.cluster.n_chips == 280
    assert setting.job == (2048, 280)
    assert plan.pp == 35


def test_what_a_row_recomputes_is_read_as_printed() -> None:
    whole = {"layers": "80", "PP": "4"}
    assert recompute_of(whole | {"recompute": "partial", "recompute_as_printed": "full on 5 layers/stage"}) == (3, 5)
    assert recompute_of(whole | {"recompute": "selective", "recompute_as_printed": "selective layer"}) == (3, 10)
    assert recompute_of(whole | {"recompute": "selective", "recompute_as_printed": "selective:mlp"}) == (1, 0)
    assert recompute_of(whole | {"recompute": "full"}) == (2, 0)


def test_a_vocabulary_that_is_not_stated_follows_from_the_model() -> None:
    assert usual_vocab("Bloom 7B1") == 250880
    assert usual_vocab("InternLM 65B") == 103168
    assert usual_vocab("GPT 175B") == 51200


def test_nodes_of_a_rack_scale_domain_are_not_cut_off() -> None:
    rack = row("22b", "full") | {"chip": "gb200-nvl72", "gpus_per_node": "4", "n_chips": "144", "precision": "bf16"}
    for link, size in (("NVLink5 NVL72", 72), ("NVLink5, 72-GPU NVLink domain", 72), ("NVLink5 in the node", 4)):
        setting, _ = setting_of(rack | {"intra_node_link": link, "DP": "18"})
        assert setting.cluster.scale_up.n_chips == size


def test_a_rate_without_a_batch_takes_the_usual_tokens_per_step_and_a_time_is_refused() -> None:
    bare = row("22b", "full") | {"global_batch": ""}
    setting, plan = setting_of(bare | {"metric": "tokens_per_s_per_gpu"})
    assert setting.job.global_batch % (plan.dp * plan.micro_batch) == 0
    assert setting.job.global_batch * setting.job.seq_len == pytest.approx(4194304, rel=0.01)
    with pytest.raises(WrongInput, match="global_batch is empty"):
        setting_of(bare)


@pytest.mark.parametrize(
    ("framework", "precision", "date", "stack"),
    [
        ("Megatron-DeepSpeed", "bf16", "2022-02", "megatron-deepspeed"),
        ("Megatron-DeepSpeed", "fp16", "2023-12", "megatron-2021"),
        ("Megatron-Bridge / NeMo 26.06 container", "mxfp8", "2026-06", "nemo-2026"),
        ("Megatron-Bridge / NeMo 26.04 container", "mxfp8", "2026-04", "nemo"),
        ("HAI-LLM DualPipe", "fp8", "2025-05", "hai-llm"),
        ("Levanter (JAX FSDP)", "bf16", "2024-05", "maxtext"),
    ],
)
def test_frameworks_by_era(framework: str, precision: str, date: str, stack: str) -> None:
    assert stack_of({"framework": framework, "precision": precision, "date": date}) == stack


def test_hai_llm_runs_dualpipe_with_its_own_fp8() -> None:
    deepseek = row("22b", "full") | {
        "chip": "h800-sxm5-80gb",
        "framework": "HAI-LLM",
        "precision": "fp8",
        "date": "2025-05",
    }
    setting, plan = setting_of(deepseek)
    assert plan.schedule == 3
    assert setting.precision.dispatch_wire_bytes == 1.0
