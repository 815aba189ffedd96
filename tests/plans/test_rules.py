"""Every rule that a plan can break says which one it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DENSE, HYBRID, MIXTURE, Problem, problems

from clustercast.physics.examples import PLAN
from clustercast.plans.rules import experts_broken, first_broken, schedule_broken, tp_broken
from clustercast.records import Job, Model

JOB = Job(seq_len=4096, global_batch=48)


@pytest.mark.parametrize(
    ("model", "changes", "sentence"),
    [
        (DENSE, {}, ""),
        (DENSE, {"tp": 3}, "tensor parallel 3 does not divide 16 attention heads"),
        (
            DENSE._replace(n_heads=48, n_kv_heads=8),
            {"tp": 12},
            "tensor parallel 12 does not divide 8 KV heads, nor they it",
        ),
        (DENSE._replace(ffn=3076), {"tp": 8}, "tensor parallel 8 does not divide the MLP width 3076"),
        (
            HYBRID._replace(linear_v_heads=6),
            {"tp": 4},
            "tensor parallel 4 does not divide 6 linear-attention heads",
        ),
        (
            MIXTURE._replace(shared_ffn=770),
            {"tp": 4},
            "tensor parallel 4 does not divide the shared experts' width 770",
        ),
        (DENSE, {"ep": 2}, "expert parallel 2x1 needs a mixture of experts"),
        (MIXTURE, {"ep": 3, "dp": 3}, "expert parallel 3 does not divide 16 experts"),
        (MIXTURE, {"etp": 5}, "expert tensor parallel 5 does not divide the expert width 768"),
        (MIXTURE, {"ep": 8, "dp": 4}, "ep x etp 8 does not divide tp x cp x dp 4"),
        (DENSE, {"cp": 3}, "context parallel 3 does not divide the sequence length 4096"),
        (
            DENSE._replace(n_heads=4),
            {"tp": 2, "cp": 4, "cp_kind": 1},
            "all-to-all context parallel needs tp x cp 8 to divide 4 heads",
        ),
        (
            DENSE,
            {"tp": 16, "cp": 1024, "sequence_parallel": 1},
            "sequence parallel needs tp 16 to divide the 4 tokens of a chip",
        ),
        (DENSE, {"dp": 5}, "dp x micro-batch 5 does not divide the global batch 48"),
        (DENSE, {"dp": 16, "micro_batch": 4}, "dp x micro-batch 64 does not divide the global batch 48"),
        (DENSE, {"dp": 8, "zero": 3, "shard": 3}, "shard 3 does not divide dp x cp 8"),
        (DENSE, {"dp": 8, "zero": 1, "shard": 4}, "shard needs zero=3"),
        (DENSE, {"tp": 8, "dp": 16}, "tp x pp x cp x dp 128 is more than 64 chips"),
        (DENSE, {"pp": 9}, "pipeline parallel 9 is more than 8 layers"),
        (DENSE, {"vpp": 2}, "virtual pipeline 2 needs a pipeline (pp > 1)"),
        (DENSE, {"pp": 2, "vpp": 2, "schedule": 1}, "virtual pipeline 2 needs the 1f1b schedule"),
        (DENSE, {"pp": 4, "vpp": 3}, "pp 4 x vpp 3 is more chunks than 8 layers and the two ends fill"),
        (
            DENSE,
            {"pp": 4, "vpp": 2, "dp": 16},
            "interleaving needs micro-batches (3) divisible by pp 4",
        ),
        (
            DENSE,
            {"pp": 3, "schedule": 3},
            "dualpipe needs an even pp and at least 2 pp micro-batches, got pp 3 and 48",
        ),
        (
            DENSE,
            {"pp": 4, "schedule": 3, "dp": 8},
            "dualpipe needs an even pp and at least 2 pp micro-batches, got pp 4 and 6",
        ),
        (
            DENSE,
            {"pp": 4, "recompute": 3, "recompute_layers": 3},
            "recompute=block needs recompute_layers from 1 to the layers of a stage, got 3",
        ),
        (
            DENSE,
            {"recompute": 3},
            "recompute=block needs recompute_layers from 1 to the layers of a stage, got 0",
        ),
        (DENSE, {"recompute": 2, "recompute_layers": 1}, "recompute_layers needs recompute=block"),
    ],
)
def test_the_first_broken_rule_is_a_sentence(model: Model, changes: dict[str, int], sentence: str) -> None:
    n_chips = 2**20 if changes.get("cp") == 1024 else 64
    assert first_broken(PLAN._replace(**changes), model, JOB, n_chips) == sentence


@given(problem=problems(), field=st.sampled_from(["tp", "dp", "cp", "micro_batch", "pp"]))
def test_a_degree_of_one_is_never_what_breaks(problem: Problem, field: str) -> None:
    setting, plan = problem
    plan = plan._replace(tp=1, cp=1, dp=1, pp=1, vpp=1, ep=1, etp=1, shard=0, schedule=0, micro_batch=1, cp_kind=0)
    plan = plan._replace(recompute=0, recompute_layers=0, **{field: 1})
    assert first_broken(plan, setting.model, setting.job, 1) == ""


@given(problem=problems())
def test_a_legal_plan_breaks_nothing_until_a_chip_is_missing(problem: Problem) -> None:
    setting, plan = problem
    used = plan.tp * plan.pp * plan.cp * plan.dp
    assert first_broken(plan, setting.model, setting.job, used) == ""
    short = first_broken(plan, setting.model, setting.job, used - 1)
    assert short == f"tp x pp x cp x dp {used} is more than {used - 1} chips"
    assert tp_broken(plan.tp, setting.model) == ""
    assert experts_broken(plan.ep, plan.etp, setting.model) == ""
    assert schedule_broken(plan, setting.model, setting.job) == ""
