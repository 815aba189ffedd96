"""SGLang launches: published ones mean what they state, ours come back as they went, broken ones are told so."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from serving_launches import broken, file_in, layout_of, random_launches, same, told

from clustercast.errors import WrongInput
from clustercast.studies.launch import sglang

HERE = Path("launch.sh")
SERVER = "python3 -m sglang.launch_server "

# (source, text, what it states)
PUBLISHED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "sgl-project/sglang docs/basic_usage/deepseek_v3.md at 0f4513c: multi-token prediction",
        SERVER + "\\\n  --model-path deepseek-ai/DeepSeek-V3-0324 \\\n  --speculative-algorithm EAGLE \\\n"
        "  --trust-remote-code \\\n  --tp 8",
        {"model": "deepseek-v3", "precision": "fp8-block", "n_chips": 8, "plan": (8, 1, 1, 1, 8), "n_drafts": 3.0},
    ),
    (
        "the same: attention in 2 groups of 8 chips each",
        SERVER + "--model-path deepseek-ai/DeepSeek-R1 --enable-dp-attention --tp 16 --dp 2",
        {"n_chips": 16, "plan": (8, 1, 2, 1, 16)},
    ),
    (
        "the same: function calls on one node of H20",
        SERVER + "--model deepseek-ai/DeepSeek-V3-0324 --tp 8 --port 30000 --host 0.0.0.0 --mem-fraction-static 0.9",
        {"n_chips": 8, "plan": (8, 1, 1, 1, 8), "memory_fraction": 0.9},
    ),
    (
        "SGLang documentation, multi-node deployment: Llama 3.1 405B in FP16 on two nodes",
        "# node 0\n"
        + SERVER
        + "--model-path meta-llama/Meta-Llama-3.1-405B-Instruct --tp 16 --dist-init-addr 172.16.4.52:20000 --nnodes 2 "
        "--node-rank 0\n\n# node 1\n"
        + SERVER
        + "--model-path meta-llama/Meta-Llama-3.1-405B-Instruct --tp 16 --dist-init-addr 172.16.4.52:20000 --nnodes 2 "
        "--node-rank 1\n",
        {"model": "llama-3.1-405b", "n_chips": 16, "plan": (16, 1, 1, 1, 1), "precision": None},
    ),
    (
        "the same: in FP8 on one node",
        "python -m sglang.launch_server --model-path meta-llama/Meta-Llama-3.1-405B-Instruct-FP8 --tp 8",
        {"model": "llama-3.1-405b", "n_chips": 8, "plan": (8, 1, 1, 1, 1), "precision": "fp8"},
    ),
    (
        "SGLang documentation, prefill and decode apart: DeepSeek on several nodes, prefill",
        "python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3-0324 --disaggregation-ib-device "
        "${device_name} --disaggregation-mode prefill --host ${local_ip} --port 30000 --trust-remote-code "
        "--dist-init-addr ${prefill_master_ip}:5000 --nnodes 2 --node-rank 0 --tp-size 16 --dp-size 8 "
        "--enable-dp-attention --enable-deepep-moe --deepep-mode normal --mem-fraction-static 0.8",
        {
            "n_chips": 16,
            "plan": (2, 1, 8, 16, 1),
            "memory_fraction": 0.8,
            "role": "prefill",
            "engine": "sglang-deepep-one-batch",
        },
    ),
)


@pytest.mark.parametrize(("text", "stated"), [each[1:] for each in PUBLISHED], ids=[each[0] for each in PUBLISHED])
def test_a_published_launch_is_read_as_it_states(text: str, stated: dict[str, Any]) -> None:
    found = sglang.read(text, HERE)
    for name, value in stated.items():
        said = layout_of(found) if name == "plan" else getattr(found, name)
        assert said == value, name


def test_a_second_launch_in_the_file_is_a_note() -> None:
    assert "launch.sh: another launch in this file is not read" in sglang.read(PUBLISHED[3][1], HERE).notes


def test_limits_of_all_attention_groups_are_those_of_the_replica() -> None:
    text = SERVER + "--model-path deepseek-ai/DeepSeek-R1 --enable-dp-attention --tp 16 --dp 4 "
    found = sglang.read(text + "--max-running-requests 512 --chunked-prefill-size 32768", HERE)
    assert (found.max_batch, found.chunk_tokens) == (512, 8192)


def test_replicas_are_what_data_parallelism_is_without_attention() -> None:
    found = sglang.read(SERVER + "--model-path meta-llama/Llama-3.1-70B-Instruct --tp 4 --dp 2", HERE)
    assert (found.plan["replicas"], found.plan["attention_dp"], found.n_chips) == (2, 1, 8)


def test_a_tree_of_guesses_counts_its_tokens() -> None:
    text = SERVER + "--model-path meta-llama/Llama-3.1-8B-Instruct --speculative-algorithm EAGLE3 "
    text += "--speculative-num-steps 5 --speculative-eagle-topk 8 --speculative-num-draft-tokens 32"
    assert sglang.read(text, HERE).n_drafts == 31.0


def test_an_option_file_is_read(tmp_path: Path) -> None:
    file_in(
        tmp_path, "options.yaml", "model-path: Qwen/Qwen3-235B-A22B\ntp-size: 8\nep-size: 4\nchunked-prefill-size: -1\n"
    )
    for text, name in ((SERVER + "--config options.yaml", "a.sh"), ((tmp_path / "options.yaml").read_text(), "b.yaml")):
        found = sglang.read(text, tmp_path / name)
        assert (found.model, layout_of(found), found.chunk_tokens) == ("qwen3-235b-a22b", (8, 1, 1, 4, 2), None)


def test_what_is_written_comes_back_as_it_was() -> None:
    for launch in random_launches("sglang", 100):
        assert same(sglang.read(sglang.write(launch, ("a question",)), HERE), launch)


def test_a_precision_that_it_lacks_is_refused_by_name() -> None:
    launch = next(random_launches("sglang", 1))
    from dataclasses import replace

    with pytest.raises(WrongInput, match="--export sglang: it has no int8-weight-only weights"):
        sglang.write(replace(launch, precision="int8-weight-only"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("--tp 6 --dp 4 --enable-dp-attention", "4 does not divide --tp-size 6"),
        ("--tp 8 --ep-size 3", "3 does not divide --tp-size 8"),
        ("--kv-cache-dtype nvfp4", "'nvfp4' is not modelled"),
        ("--disaggregation-mode both", "expected one of null, prefill, decode"),
        ("--chunked-prefill-size 4k", "expected a whole number"),
        ("--mem-fraction-static 1.5", "expected a share above 0 and up to 1"),
        ("--config options.yaml", "neither beside this file"),
    ],
)
def test_a_broken_launch_is_told_by_its_line(text: str, named: str) -> None:
    with pytest.raises(WrongInput) as caught:
        sglang.read(f"{SERVER}--model-path m \\\n {text}", HERE)
    assert caught.value.message.startswith("launch.sh:2: --")
    assert named in caught.value.message


WORDS = (
    "python", "-m", "sglang.launch_server", "--tp", "8", "--dp", "2", "--config", "a.yaml", "--ep-size", "3",
    "--enable-dp-attention", "\\\n", "\n", "$X", "${A[@]}", "A=(", ")", "'", '"', "<<EOF", "EOF", "--moe-a2a-backend",
    "--kv-cache-dtype", "fp8_e4m3", "--quantization", "w8a8_int8", "\0", "\x1b[31m", "9" * 400, "-1", "nan", "if", "fi",
    "--speculative-algorithm", "--speculative-num-draft-tokens", "0", "=", "--chunked-prefill-size",
)  # fmt: skip


@pytest.mark.slow
@given(text=broken(tuple(each[1] for each in PUBLISHED), WORDS))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    assert told(sglang.read, text).isprintable()
