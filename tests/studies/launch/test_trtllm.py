"""TensorRT-LLM launches: published ones mean what they state, ours come back as they went, broken ones are told so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from serving_launches import broken, file_in, layout_of, random_launches, same, told

from clustercast.errors import WrongInput
from clustercast.studies.launch import trtllm

HERE = Path("launch.sh")

# (source, text, what it states)
PUBLISHED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "NVIDIA/TensorRT-LLM quick-start recipe for DeepSeek R1 at 0d2a785: FP8, 1024/1024",
        "EXTRA_LLM_API_FILE=config.yml\n\ncat << EOF > ${EXTRA_LLM_API_FILE}\nenable_attention_dp: true\n"
        "cuda_graph_config:\n  enable_padding: true\n  max_batch_size: 128\nkv_cache_config:\n  dtype: fp8\n"
        "stream_interval: 10\nspeculative_config:\n  decoding_type: MTP\n  num_nextn_predict_layers: 1\nmoe_config:\n"
        "  backend: DEEPGEMM\n  max_num_tokens: 3200\nEOF\n\ntrtllm-serve deepseek-ai/DeepSeek-R1-0528 \\\n"
        "    --host 0.0.0.0 \\\n    --port 8000 \\\n    --max_batch_size 1024 \\\n    --max_num_tokens 3200 \\\n"
        "    --max_seq_len 2048 \\\n    --kv_cache_free_gpu_memory_fraction 0.8 \\\n    --tp_size 8 \\\n"
        "    --ep_size 8 \\\n    --trust_remote_code \\\n    --extra_llm_api_options ${EXTRA_LLM_API_FILE}\n",
        {
            "model": "deepseek-r1",
            "precision": "fp8-block",
            "kv_precision": "fp8",
            "n_chips": 8,
            "plan": (1, 1, 8, 8, 1),
            "max_batch": 8192,
            "chunk_tokens": 3200,
            "max_len": 2048,
            "memory_fraction": 0.8,
            "n_drafts": 1.0,
        },
    ),
    (
        "NVIDIA/TensorRT-LLM deployment guide for GPT-OSS at d2c804b, without its option file",
        "trtllm-serve openai/gpt-oss-120b \\\n    --host 0.0.0.0 \\\n    --port 8000 \\\n    --max_batch_size 720 \\\n"
        "    --max_num_tokens 16384 \\\n    --kv_cache_free_gpu_memory_fraction 0.9 \\\n    --tp_size 8 \\\n"
        "    --ep_size 8 \\\n    --trust_remote_code",
        {"model": "gpt-oss-120b", "precision": "mxfp4", "n_chips": 8, "plan": (8, 1, 1, 8, 1), "max_batch": 720},
    ),
    (
        "NVIDIA/TensorRT-LLM documentation, several nodes",
        "mpirun -n 16 trtllm-llmapi-launch trtllm-serve nvidia/Llama-3.1-405B-Instruct-FP8 --tp_size 8 --pp_size 2",
        {"model": "llama-3.1-405b", "precision": "fp8", "n_chips": 16, "plan": (8, 2, 1, 1, 1)},
    ),
)
# (source, option file, what it states)
OPTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "NVIDIA/TensorRT-LLM examples/configs/curated/deepseek-r1-throughput.yaml at 180e975",
        "max_batch_size: 1024\nmax_num_tokens: 3200\nkv_cache_free_gpu_memory_fraction: 0.8\ntensor_parallel_size: 8\n"
        "moe_expert_parallel_size: 8\ntrust_remote_code: true\nenable_attention_dp: true\ncuda_graph_config:\n"
        "  enable_padding: true\n  max_batch_size: 128\nkv_cache_config:\n  dtype: fp8\nstream_interval: 10\n"
        "speculative_config:\n  decoding_type: MTP\n  num_nextn_predict_layers: 1\n",
        {"n_chips": 8, "plan": (1, 1, 8, 8, 1), "kv_precision": "fp8", "memory_fraction": 0.8, "n_drafts": 1.0},
    ),
    (
        "the same, llama-3.3-70b.yaml at 25a0210",
        "max_batch_size: 1024\nmax_num_tokens: 2048\ntensor_parallel_size: 1\nmoe_expert_parallel_size: 1\n"
        "trust_remote_code: true\nenable_attention_dp: false\ncuda_graph_config:\n  enable_padding: true\n"
        "  max_batch_size: 1024\nkv_cache_config:\n  dtype: fp8\n  free_gpu_memory_fraction: 0.9\n",
        {"n_chips": 1, "max_batch": 1024, "chunk_tokens": 2048, "kv_precision": "fp8", "memory_fraction": 0.9},
    ),
    (
        "the same, gpt-oss-120b-throughput.yaml at 25f307e",
        "max_batch_size: 720 # Depends on max_sequence_length\nmax_num_tokens: 16384\ntensor_parallel_size: 2\n"
        "moe_expert_parallel_size: 2\nenable_attention_dp: true\nmoe_config:\n  backend: TRTLLM\nstream_interval: 20\n",
        {"n_chips": 2, "plan": (1, 1, 2, 2, 1), "max_batch": 1440},
    ),
)


@pytest.mark.parametrize(
    ("text", "stated"), [each[1:] for each in PUBLISHED + OPTIONS], ids=[each[0] for each in PUBLISHED + OPTIONS]
)
def test_a_published_launch_is_read_as_it_states(text: str, stated: dict[str, Any]) -> None:
    found = trtllm.read(text, HERE)
    for name, value in stated.items():
        said = layout_of(found) if name == "plan" else getattr(found, name)
        assert said == value, name


def test_the_option_file_goes_before_the_command_line(tmp_path: Path) -> None:
    file_in(tmp_path, "o.yaml", "max_num_tokens: 4096\nkv_cache_config:\n  free_gpu_memory_fraction: 0.7\n")
    text = "trtllm-serve openai/gpt-oss-20b --max_num_tokens 1 --config o.yaml --kv_cache_free_gpu_memory_fraction 0.9"
    found = trtllm.read(text, tmp_path / "launch.sh")
    assert (found.chunk_tokens, found.memory_fraction) == (4096, 0.7)


def test_what_is_written_comes_back_as_it_was() -> None:
    for launch in random_launches("tensorrt-llm", 100, one_attention=True):
        assert same(trtllm.read(trtllm.write(launch, ("a question",)), HERE), launch)


def test_attention_in_groups_is_refused_by_name() -> None:
    launch = replace(next(random_launches("tensorrt-llm", 1)), model="deepseek-v3", n_drafts=None)
    launch = replace(launch, plan={"tp": 2, "pp": 1, "attention_dp": 4, "ep": 8, "etp": 1, "replicas": 1})
    with pytest.raises(WrongInput, match="--export tensorrt-llm: it has no tp=2,attention_dp=4") as caught:
        trtllm.write(launch)
    assert caught.value.hint == "attention is whole on every rank (tp=1) or cut over all (attention_dp=1)"


def test_guesses_of_another_model_are_refused_by_name() -> None:
    launch = replace(next(random_launches("tensorrt-llm", 1)), model="llama-3.1-70b", n_drafts=3.0)
    launch = replace(launch, plan={"tp": 8}, precision="bf16", kv_precision=None)
    with pytest.raises(WrongInput, match=r"guessed tokens for llama-3\.1-70b without another model"):
        trtllm.write(launch)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("trtllm-serve m --tp_size 8 --ep_size 3", "launch.sh:1: --ep_size: experts over 3 ranks"),
        ("trtllm-serve m --cp_size 2", "context parallelism of a server is not modelled"),
        ("trtllm-serve m --config $OPTIONS", "cannot be told"),
        ("trtllm-serve m --config missing.yaml", "neither beside this file nor written by it"),
        ("cat > o.yaml <<EOF\n- 1\nEOF\ntrtllm-serve m --config o.yaml", "is not a mapping"),
        ("cat > o.yaml <<EOF\na: &x 1\nEOF\ntrtllm-serve m --config o.yaml", "anchors and aliases are not allowed"),
        (
            "cat > o.yaml <<EOF\nkv_cache_config: {dtype: fp3}\nEOF\ntrtllm-serve m --config o.yaml",
            "'fp3' is not modelled",
        ),
        ("trtllm-bench --model m throughput", "starts no TensorRT-LLM"),
    ],
)
def test_a_broken_launch_is_told_so(text: str, named: str) -> None:
    with pytest.raises(WrongInput) as caught:
        trtllm.read(text, HERE)
    assert named in caught.value.message


WORDS = (
    "trtllm-serve", "serve", "--tp_size", "8", "--ep_size", "2", "--config", "o.yaml", "cat > o.yaml <<EOF\n",
    "enable_attention_dp: true\n", "kv_cache_config:\n  dtype: ", "speculative_config: [", "\\\n", "\n", "$X", "'", '"',
    "EOF", "\nEOF\n", "\0", "\x1b[31m", "9" * 400, "-1", "nan", "{", "}", "tensor_parallel_size: ", "&a", "*a", "!!x",
)  # fmt: skip


@pytest.mark.slow
@given(text=broken(tuple(each[1] for each in PUBLISHED + OPTIONS), WORDS))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    assert told(trtllm.read, text).isprintable()
