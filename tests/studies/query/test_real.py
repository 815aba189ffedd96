"""A sweep and a question about it, against the one question that `estimate` answers."""

from pathlib import Path

import pytest

import clustercast

STUDY = """\
schema: clustercast.study/1
title: Which plan
about: training
axes:
  chip: [h20, h100]
  count: [64, 128]
  tp: [1, 2, 4, 8]
  pp: [1, 2]
  chip.flops: [1x, 2x]
fixed: {model: llama-3.1-8b, tokens: 1T, seq_len: 4096, precision: bf16, zero: 1, micro_batch: 1, recompute: none}
"""


@pytest.mark.slow
def test_the_best_point_is_what_estimate_says_of_its_plan(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    swept = clustercast.sweep(tmp_path / "study.yaml", tmp_path / "out")
    found = clustercast.query(tmp_path / "out", "best", where='"chip.flops" = 1', per=("chip",))
    assert found.complete
    assert found.n_points == swept.counts["kept"]
    assert [(row[0], row[1]) for row in found.rows] == [
        ("h100-sxm5-80gb", 64), ("h100-sxm5-80gb", 128), ("h20-96gb", 64), ("h20-96gb", 128),
    ]  # fmt: skip
    best = dict(zip(found.columns, found.rows[0], strict=True))
    plan = f"tp={best['tp']},pp={best['pp']},dp={best['dp']},zero=1,micro_batch=1,recompute=none"
    one = clustercast.estimate(
        "h100", "llama-3.1-8b", n_chips=64, tokens=1e12, seq_len=4096, precision="bf16", plan=plan
    )
    assert one.training is not None
    assert best["days"] == pytest.approx(one.training.days, rel=1e-9)
    faster = clustercast.query(tmp_path / "out", 'SELECT min(days) FROM points WHERE "chip.flops" = 2')
    assert faster.rows[0][0] < best["days"]
    assert dict(zip(found.columns, found.units, strict=True))["count_at_most"] == "chips"
