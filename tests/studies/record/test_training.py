"""Published runs: what their rows become, and how far the model is from eight of them."""

import pytest

from clustercast.errors import WrongInput
from clustercast.records import MLA, Step
from clustercast.studies.record.training import estimated, model_of, plan_of, setting_of, stack_of, time_error

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
    plan = plan_of(row("175b", "selective"), sharded=False)
    assert (plan.tp, plan.pp, plan.vpp, plan.dp, plan.micro_batch) == (8, 8, 3, 1, 1)
    assert (plan.recompute, plan.sequence_parallel, plan.zero) == (1, 1, 0)
    assert plan_of(row("22b", "full"), sharded=True).zero == 1
    assert plan_of(row("22b", "full") | {"zero": "3"}, sharded=False).zero == 3


def test_half_of_a_stage_recomputes_where_a_row_says_partial() -> None:
    plan = plan_of(row("175b", "full") | {"recompute": "partial"}, sharded=False)
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
