"""Launch files and `serve`: what a file asks, what contradicts it, and files for what `serve` chose."""

from dataclasses import replace
from pathlib import Path

import launch_samples
import pytest
from serving_launches import file_in

import clustercast
from clustercast.errors import WrongInput
from clustercast.studies.launch import serving
from clustercast.studies.launch.launch import ServingLaunch
from clustercast.studies.serving.question import ServeAsked

VLLM = (
    "vllm serve deepseek-ai/DeepSeek-R1-0528 \\\n  --tensor-parallel-size 8 \\\n  --enable-expert-parallel \\\n"
    "  --max-num-seqs 64 \\\n  --max-num-batched-tokens 4096 \\\n  --gpu-memory-utilization 0.85 \\\n"
    "  --kv-cache-dtype fp8 --max-model-len 16384\n"
)
TENSORRT = "trtllm-serve openai/gpt-oss-120b --tp_size 2 --ep_size 2 --kv_cache_free_gpu_memory_fraction 0.8\n"
SPECULATIVE = (
    "python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 8 --speculative-algorithm EAGLE\n"
)


def launch(folder: Path, text: str = VLLM, name: str = "launch.sh") -> ServingLaunch:
    return serving.read_serving(file_in(folder, name, text))


@pytest.mark.parametrize(
    ("text", "name", "tool"),
    [
        (VLLM, "a.sh", "vllm"),
        (SPECULATIVE, "a.txt", "sglang"),
        (TENSORRT, "a", "tensorrt-llm"),
        ("tensor-parallel-size: 8\n", "a.yaml", "vllm"),
        ("tp-size: 8\n", "a.yml", "sglang"),
        ("tensor_parallel_size: 8\n", "a.yaml", "tensorrt-llm"),
    ],
)
def test_the_tool_is_told_by_what_a_file_holds(tmp_path: Path, text: str, name: str, tool: str) -> None:
    assert launch(tmp_path, text, name).tool == tool


def test_the_question_takes_everything_that_the_file_says(tmp_path: Path) -> None:
    asked = serving.asked_with(launch(tmp_path), ServeAsked("h200", "", ttft_s=2.0))
    assert (asked.model, asked.n_chips, asked.precision, asked.kv_precision) == ("deepseek-r1", 8, "fp8-block", "fp8")
    assert asked.plan == "tp=8,pp=1,attention_dp=1,ep=8,etp=1,replicas=1,chunk=4096"
    assert asked.settings == ("engine.max_batch=64", "engine.memory_fraction=0.85")
    assert (asked.engine, asked.ttft_s) == ("vllm", 2.0)


@pytest.mark.parametrize(
    ("given", "own_engine", "message"),
    [
        ({"n_chips": 16}, True, "--count 16 contradicts {}:2, which says 8"),
        ({"model": "llama-3.1-8b"}, True, "--model llama-3.1-8b contradicts {}:1, which says deepseek-r1"),
        ({"precision": "bf16"}, True, "--precision bf16 contradicts {}, which says fp8-block"),
        ({"plan": "tp=4"}, True, "--plan tp=4 contradicts {}:2, which says tp=8"),
        ({"plan": "chunk=8192"}, True, "--plan chunk=8192 contradicts {}:5, which says chunk=4096"),
        ({"engine": "sglang"}, False, "--engine sglang contradicts {}, which says vllm"),
        (
            {"settings": ("engine.max_batch=9",)},
            True,
            "--set engine.max_batch=9 contradicts {}:4, which says max_batch 64",
        ),
        ({"n_drafts": 1.0, "accepted_tokens": 1.5}, True, ""),
    ],
)
def test_a_contradiction_names_both(tmp_path: Path, given: dict[str, object], own_engine: bool, message: str) -> None:
    read = launch(tmp_path)
    asked = replace(ServeAsked("h200", ""), **given)  # type: ignore[arg-type]
    if not message:
        assert serving.asked_with(read, asked, own_engine=own_engine).n_drafts == 1.0
        return
    with pytest.raises(WrongInput) as caught:
        serving.asked_with(read, asked, own_engine=own_engine)
    assert caught.value.message == message.format(tmp_path / "launch.sh")


def test_what_agrees_is_no_contradiction(tmp_path: Path) -> None:
    given = ServeAsked(
        "h200", "deepseek-r1", 8, precision="fp8-block", plan="tp=8,dp=1", settings=("engine.max_batch=64",)
    )
    assert serving.asked_with(launch(tmp_path), given, own_engine=False).settings.count("engine.max_batch=64") == 1


def test_guessed_tokens_ask_how_many_a_step_yields(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="a step guesses 3 tokens: say how many it yields") as caught:
        serving.asked_with(launch(tmp_path, SPECULATIVE), ServeAsked("h200", ""))
    assert caught.value.hint == "--accept 1.8"


def test_memory_that_the_weights_leave_becomes_a_share_of_the_chip(tmp_path: Path) -> None:
    asked = serving.asked_with(launch(tmp_path, TENSORRT), ServeAsked("h200", ""))
    share = float(asked.settings[0].partition("=")[2])
    assert 0.8 < share < 1.0


def test_requests_longer_than_the_server_takes_are_refused(tmp_path: Path) -> None:
    path = file_in(tmp_path, "launch.sh", VLLM)
    with pytest.raises(WrongInput, match=r"of 40,000 tokens are longer than .*:7 allows \(16,384\)"):
        clustercast.serve("h200", launch=path, input_len=36_000, output_len=4_000)


@pytest.mark.parametrize("tool", ["vllm", "sglang", "tensorrt-llm"])
@pytest.mark.parametrize(
    ("chip", "model", "plan"),
    [("h100", "llama-3.1-70b", "tp=8,pp=1,dp=1"), ("h200", "deepseek-v3", "tp=8,pp=1,dp=1,ep=8")],
)
def test_the_file_of_an_answer_asks_for_that_answer(
    tmp_path: Path, tool: str, chip: str, model: str, plan: str
) -> None:
    lengths = {"input_len": 2000, "output_len": 500}
    done = clustercast.serve(chip, model, n_chips=8, plan=f"{plan},batch=32", export=tool, **lengths)  # type: ignore[arg-type]
    assert done.launch is not None
    assert done.export == tool
    path = file_in(tmp_path, "launch.sh", done.launch)
    again = clustercast.serve(chip, launch=path, concurrency=32, **lengths)  # type: ignore[arg-type]
    shared = ("tp", "pp", "attention_dp", "ep", "etp", "replicas", "chunk")
    assert [again.plan[name] for name in shared] == [done.plan[name] for name in shared]
    assert (again.model, again.precision, again.engine) == (done.model, done.precision, done.engine)
    assert again.tpot_ms == pytest.approx(done.tpot_ms, rel=1e-6)
    assert again.ttft_ms == pytest.approx(done.ttft_ms, rel=1e-6)


def test_the_head_of_a_file_says_what_it_is_for() -> None:
    done = clustercast.serve("h100", "llama-3.1-8b", n_chips=1, input_len="4k", output_len=100, export="vllm")
    head = [line for line in (done.launch or "").splitlines() if line.startswith("# ")]
    assert head[0].startswith("# vllm@99d7eb5, written by clustercast ")
    assert [line.split(":")[0] for line in head[1:]] == [
        "# question",
        "# command",
        "# plan",
        "# expected",
        "# one server",
    ]
    assert head[2] == (
        "# command: clustercast serve --chip h100 --model llama-3.1-8b --count 1 --isl 4k --osl 100 --engine vllm "
        "--export vllm"
    )
    assert f"TPOT {done.tpot_ms:.2f} ms" in head[4]


def test_a_name_that_would_end_a_comment_does_not(tmp_path: Path) -> None:
    launch = ServingLaunch("vllm", "drawn", "llama-3.1-8b", {"tp": 1}, n_chips=1)
    text = serving.TOOLS["vllm"].write(launch, ("question: x\nrm -rf y\x1b[31m",), 8)
    assert "# question: x rm -rf y [31m" in text.splitlines()


@pytest.mark.parametrize("tool", ["vllm", "sglang"])
def test_pools_apart_are_two_files_that_know_which_they_are(tool: str) -> None:
    asked = {"n_chips": 16, "input_len": 2000, "output_len": 500, "compare": False}
    done = clustercast.pools("h100", "h20", "llama-3.1-70b", export=tool, **asked)  # type: ignore[arg-type]
    assert done.launch is not None
    for role, pool in (("prefill", done.prefill), ("decode", done.decode)):
        read = serving.read_text(done.launch[role], Path("launch.sh"))
        assert (read.tool, read.role, read.model, read.n_chips) == (
            tool,
            role,
            "llama-3.1-70b",
            pool.plan["chips"] * pool.replicas,
        )
        assert all(read.plan[name] == pool.plan[name] for name in ("tp", "pp", "attention_dp"))
        assert "# command: clustercast serve --prefill-chip h100 " in done.launch[role]


def test_one_pool_of_two_is_refused_where_a_server_cannot_be_told() -> None:
    with pytest.raises(
        WrongInput, match="--export tensorrt-llm: it has no option that makes a server one of two pools"
    ):
        clustercast.pools("h100", "h20", "llama-3.1-70b", n_chips=16, export="tensorrt-llm")


def test_half_of_two_pools_is_answered_with_a_warning(tmp_path: Path) -> None:
    path = file_in(tmp_path, "launch.sh", "sglang serve --model-path Qwen/Qwen3-8B --disaggregation-mode decode\n")
    done = clustercast.serve("h100", launch=path, concurrency=8, input_len=100, output_len=100)
    assert "it starts the decode half of two pools: answered as if it did both" in done.warnings[-1]


def test_what_the_user_fixed_of_a_server_stays_and_is_refused() -> None:
    fixed = "tp=2,attention_dp=4,pp=1"
    with pytest.raises(WrongInput, match="--export tensorrt-llm: it has no tp=2,attention_dp=4"):
        clustercast.serve(
            "h200", "deepseek-v3", n_chips=8, input_len=1000, output_len=100, plan=fixed, export="tensorrt-llm"
        )


def test_the_best_setup_that_tensorrt_llm_can_run_is_exported_where_it_lacks_the_best() -> None:
    asked = {"n_chips": 32, "input_len": 4000, "output_len": 1000, "engine": "trtllm"}
    whole = clustercast.serve("h200", "deepseek-v3", **asked)  # type: ignore[arg-type]
    found = clustercast.serve("h200", "deepseek-v3", export="tensorrt-llm", **asked)  # type: ignore[arg-type]
    assert 1 in (found.plan["tp"], found.plan["attention_dp"])
    assert found.launch
    assert found.output_tokens_per_s <= whole.output_tokens_per_s
    if 1 not in (whole.plan["tp"], whole.plan["attention_dp"]):
        assert f"with {whole.plan_text}" in found.warnings[-1]
        assert "the best that tensorrt-llm can run; the best of all gives" in found.launch


def test_a_training_file_points_at_estimate(tmp_path: Path) -> None:
    path = file_in(tmp_path, "run.sh", launch_samples.line())
    with pytest.raises(WrongInput) as raised:
        clustercast.serve("h100", launch=path)
    assert raised.value.hint == f"it trains with megatron-lm: clustercast estimate --launch {path}"
