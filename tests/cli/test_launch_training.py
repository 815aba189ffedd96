"""`plan --export` writes launch files, `estimate --launch` reads them."""

from pathlib import Path

import pytest
from command_line import Cli

import clustercast
from clustercast.studies.launch import megatron

PLAN = ("plan", "--chip", "h100", "--model", "llama-3.1-8b", "--count", "8", "--tokens", "1T", "--plan")
FIXED = "tp=2,pp=1,cp=1,dp=4,mb=1,zero=1,recompute=full"


def test_a_plan_is_exported_and_estimated_again(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    printed = cli(*PLAN, FIXED, "--export", "megatron-lm")
    written = cli(*PLAN, FIXED, "--export", "megatron-lm", "--out", str(path), "--json")
    assert (printed.status, printed.err, written.status) == (0, "", 0)
    assert printed.out == path.read_text() == written.document["launch"]
    head = printed.out.splitlines()
    assert head[1] == f"# megatron-lm@{megatron.VERSION}, written by clustercast {clustercast.__version__}"
    assert (
        head[5]
        == f"# command: clustercast {' '.join((*PLAN[:8], '1000000000000', *PLAN[9:]))} {FIXED} --export megatron-lm"
    )
    asked = cli("estimate", "--chip", "h100", "--launch", str(path), "--json")
    assert asked.status == 0
    trained = asked.document["training"]
    assert trained["days"] == pytest.approx(written.document["plans"][0]["days"], rel=1e-6)
    assert head[4] == f"# expected: {trained['days']:.4g} days"
    assert {"tp": 2, "dp": 4, "zero": 1, "recompute": "full"}.items() <= trained["plan"].items()
    assert any(each["name"] == "launch" for each in asked.document["assumptions"])


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((*PLAN, FIXED, "--export", "megatron"), 2, "error: --export: unknown tool 'megatron'\nhint: did you mean meg"),
        ((*PLAN, FIXED, "--out", "x.sh"), 2, "error: --out needs --export"),
        ((*PLAN, "zero=1,recompute=full", "--export", "torchtitan"), 2, "error: --export torchtitan: zero: 1: "),
        (("estimate", "--chip", "h100"), 2, "error: --model is missing"),
        (("estimate", "--chip", "h100", "--launch", "none.sh"), 2, "error: none.sh: there is no such file"),
    ],
)
def test_wrong_command_lines_are_told(cli: Cli, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = cli(*arguments)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(said)


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(cli: Cli, tmp_path: Path) -> None:
    done = cli(*PLAN, FIXED, "--export", "deepspeed", "--out", str(tmp_path / "no" / "f.json"))
    assert done.status == 2
    assert not list(tmp_path.iterdir())


def test_the_library_says_the_same() -> None:
    found = clustercast.plan("h100", "llama-3.1-8b", n_chips=8, plan="tp=1,pp=1,dp=8,zero=3", export="torchtitan")
    assert found.export == "torchtitan"
    assert found.launch is not None
    assert "data_parallel_shard_degree=8" in found.launch
