"""vLLM launches: published ones mean what they state, ours come back as they went, broken ones are told so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from serving_launches import broken, file_in, layout_of, random_launches, same, told

from clustercast.errors import WrongInput
from clustercast.studies.launch import vllm

HERE = Path("launch.sh")

# (source, text, what it states)
PUBLISHED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "vllm-project/recipes DeepSeek/DeepSeek-V3.md at 10b3f96: DeepSeek-R1 with FP8 on 8xH200",
        "vllm serve deepseek-ai/DeepSeek-R1-0528 \\\n  --trust-remote-code \\\n  --tensor-parallel-size 8 \\\n"
        "  --enable_expert_parallel --max-num-batched-tokens=32768 --gpu-memory-utilization=0.95",
        {
            "model": "deepseek-r1",
            "precision": "fp8-block",
            "n_chips": 8,
            "plan": (8, 1, 1, 8, 1),
            "chunk_tokens": 32768,
            "memory_fraction": 0.95,
        },
    ),
    (
        "the same: DeepSeek-R1 with FP4 on 4xB200",
        "CUDA_VISIBLE_DEVICES=0,1,2,3 vllm serve nvidia/DeepSeek-R1-FP4 \\\n  --tensor-parallel-size 4 "
        "--enable-expert-parallel",
        {"model": "deepseek-r1", "precision": "nvfp4", "n_chips": 4, "plan": (4, 1, 1, 4, 1)},
    ),
    (
        "vllm-project/recipes Qwen/Qwen3-Coder-480B-A35B.md at 0205f53: BF16 on 8xH200",
        "vllm serve Qwen/Qwen3-Coder-480B-A35B-Instruct \\\n  --tensor-parallel-size 8 \\\n  --max-model-len 32000 \\\n"
        "  --enable-auto-tool-choice \\\n  --tool-call-parser qwen3_coder",
        {"model": "qwen3-coder-480b-a35b", "n_chips": 8, "plan": (8, 1, 1, 1, 8), "max_len": 32000},
    ),
    (
        "the same: FP8, data parallel attention and spread experts",
        "VLLM_USE_DEEP_GEMM=1 vllm serve Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8 \\\n  --enable-expert-parallel \\\n"
        "  --data-parallel-size 8",
        {"model": "qwen3-coder-480b-a35b", "precision": "fp8-block", "n_chips": 8, "plan": (1, 1, 8, 8, 1)},
    ),
    (
        "vLLM documentation, expert parallel deployment, single node: a comment after every backslash",
        "vllm serve deepseek-ai/DeepSeek-V3-0324 \\\n    --tensor-parallel-size 1 \\       # Tensor parallelism\n"
        "    --data-parallel-size 8 \\         # Data parallelism\n    --enable-expert-parallel \\       # Enable EP\n"
        "    --all2all-backend pplx",
        {"model": "deepseek-v3", "precision": "fp8-block", "n_chips": 8, "plan": (1, 1, 8, 8, 1)},
    ),
    (
        "vllm-project/recipes OpenAI/GPT-OSS.md at 59dc5f1: H100 and H200",
        "vllm serve openai/gpt-oss-120b --tensor-parallel-size 2 --async-scheduling",
        {"model": "gpt-oss-120b", "precision": "mxfp4", "n_chips": 2, "plan": (2, 1, 1, 1, 2)},
    ),
)
LLAMA_YAML = (  # vllm-project/recipes Llama/Llama3.3-70B.md at 07a4163, Llama3.3_Hopper.yaml
    "kv-cache-dtype: fp8\nasync-scheduling: true\nno-enable-prefix-caching: true\nmax-num-batched-tokens: 8192\n"
)
LLAMA = (
    'DTYPE="FP8"\nYAML_CONFIG="Llama3.3_Hopper.yaml"\nvllm serve nvidia/Llama-3.3-70B-Instruct-$DTYPE \\\n'
    "  --config ${YAML_CONFIG} \\\n  --tensor-parallel-size 1 \\\n  --max-num-seqs 512 \\\n  --max-model-len 10240 &\n"
)


@pytest.mark.parametrize(("text", "stated"), [each[1:] for each in PUBLISHED], ids=[each[0] for each in PUBLISHED])
def test_a_published_launch_is_read_as_it_states(text: str, stated: dict[str, Any]) -> None:
    found = vllm.read(text, HERE)
    for name, value in stated.items():
        said = layout_of(found) if name == "plan" else getattr(found, name)
        assert said == value, name


def test_an_option_file_beside_the_script_is_read_and_the_command_line_goes_before_it(tmp_path: Path) -> None:
    file_in(tmp_path, "Llama3.3_Hopper.yaml", LLAMA_YAML + "max-num-seqs: 7\n")
    found = vllm.read(LLAMA, tmp_path / "launch.sh")
    assert (found.model, found.precision, found.kv_precision) == ("llama-3.3-70b", "fp8", "fp8")
    assert (found.max_batch, found.chunk_tokens, found.max_len, found.prefix_cache) == (512, 8192, 10240, False)


def test_an_option_file_alone_is_read(tmp_path: Path) -> None:
    text = "model: meta-llama/Llama-3.1-405B-Instruct-FP8\ntensor-parallel-size: 8\ngpu-memory-utilization: 0.92\n"
    found = vllm.read(text, tmp_path / "options.yaml")
    assert (found.model, found.precision, found.plan["tp"], found.memory_fraction) == ("llama-3.1-405b", "fp8", 8, 0.92)


@pytest.mark.parametrize(
    ("name", "named"),
    [("../secret.yaml", "neither beside this file"), ("/etc/passwd", "neither"), ("$HOME/x.yaml", "cannot be told")],
)
def test_an_option_file_elsewhere_is_not_opened(tmp_path: Path, name: str, named: str) -> None:
    file_in(tmp_path, "secret.yaml", "max-num-seqs: 1\n")
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(WrongInput, match=named):
        vllm.read(f"vllm serve openai/gpt-oss-20b --config '{name}'", folder / "launch.sh")


def test_what_is_written_comes_back_as_it_was() -> None:
    for launch in random_launches("vllm", 100, whole_experts=True):
        if launch.n_drafts and launch.plan["pp"] > 1:
            continue
        assert same(vllm.read(vllm.write(launch, ("a question",)), HERE), launch)


def test_experts_that_are_neither_spread_nor_sliced_are_refused_by_name() -> None:
    launch = next(each for each in random_launches("vllm", 500) if each.plan["ep"] > 1 and each.plan["etp"] > 1)
    with pytest.raises(WrongInput, match=rf"--export vllm: it has no ep={launch.plan['ep']},etp={launch.plan['etp']}"):
        vllm.write(launch)


def test_one_rank_over_two_nodes_is_headless_on_the_second() -> None:
    # vLLM, docs/serving/parallelism_scaling.md at 096bd6a
    launch = vllm.read("vllm serve meta-llama/Llama-3.1-405B --tensor-parallel-size 8 --pipeline-parallel-size 2", HERE)
    text = vllm.write(launch)
    assert "--nnodes 2 \\\n" in text
    assert 'if [ "$NODE_RANK" -gt 0 ]; then HEADLESS=(--headless); fi' in text
    assert vllm.read(text, HERE).plan == launch.plan


def test_a_misspelled_option_that_counts_is_refused() -> None:
    with pytest.raises(WrongInput) as raised:
        vllm.read("vllm serve openai/gpt-oss-20b \\\n  --tensor-paralel-size 8", HERE)
    assert raised.value.message.endswith(":2: --tensor-paralel-size: no such option is known")
    assert raised.value.hint == "did you mean --tensor-parallel-size?"


def test_a_command_that_holds_options_of_several_nodes_is_one_server() -> None:
    launch = next(
        each
        for each in random_launches("vllm", 500, whole_experts=True)
        if each.plan["attention_dp"] * each.plan["tp"] > 8
    )
    text = vllm.write(launch)
    assert "--data-parallel-size-local" in text or "--nnodes" in text
    assert "HEADLESS=(--headless)" in text  # on all nodes but the first
    assert vllm.read(text, HERE).n_chips == launch.n_chips


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("vllm serve openai/gpt-oss-120b -tp eight", "launch.sh:1: -tp: expected a whole number"),
        ("vllm serve x --tensor-parallel-size 0", "expected a whole number from 1"),
        ("vllm serve x \\\n --gpu-memory-utilization 90", "launch.sh:2: --gpu-memory-utilization: expected a share"),
        ('vllm serve x --speculative-config \'{"method": "mtp"\'', "expected a JSON object"),
        ("vllm serve x --speculative-config '{\"num_speculative_tokens\": -3}'", "guessed tokens"),
        ("vllm serve x --kv-cache-dtype fp3", "'fp3' is not modelled"),
        ("vllm serve x --decode-context-parallel-size 2", "context parallelism of a server is not modelled"),
        ("vllm serve 'x", "never closed"),
        ("vllm bench serve --model x", "starts no vLLM"),
        ("", "starts no vLLM"),
        ("vllm serve x --max-num-seqs", "needs a value"),
        ("vllm serve x --max-num-seqs $SEQS", "expected a whole number"),
    ],
)
def test_a_broken_launch_is_told_by_its_line(text: str, named: str) -> None:
    with pytest.raises(WrongInput) as caught:
        vllm.read(text, HERE)
    assert named in caught.value.message


def test_what_is_not_modelled_is_a_warning_and_what_is_not_known_a_note() -> None:
    found = vllm.read("vllm serve openai/gpt-oss-20b --enforce-eager --cpu-offload-gb 4 --frobnicate", HERE)
    assert [each.split(": ")[1] for each in found.warnings] == ["--cpu-offload-gb", "--enforce-eager"]
    assert "1 option does not matter here or is not known: --frobnicate" in found.notes


def test_weights_that_the_catalogue_does_not_know_ask_for_the_model() -> None:
    found = vllm.read("vllm serve someone/their-own-7b --data-parallel-size 2", HERE)
    assert found.model is None
    assert any("say with --model" in each for each in found.notes)
    assert vllm.read("vllm serve someone/their-own --data-parallel-size 2", HERE, "mixtral").plan["attention_dp"] == 2


WORDS = (
    "vllm", "serve", "--tensor-parallel-size", "8", "-dp", "2", "--config", "a.yaml", "--speculative-config", "'{}'",
    "--enable-expert-parallel", "\\\n", "\n", "$X", "${A[@]}", "A=(", ")", "'", '"', "<<EOF", "EOF", "--max-num-seqs",
    "--kv-cache-dtype", "fp8", "-q", "awq", "openai/gpt-oss-20b", "\0", "\x1b[31m", "9" * 400, "-1", "nan", "if", "fi",
)  # fmt: skip


@pytest.mark.slow
@given(text=broken((*(each[1] for each in PUBLISHED), LLAMA, LLAMA_YAML), WORDS))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    message = told(vllm.read, text)
    assert message.isprintable()


def test_guesses_over_a_pipeline_are_refused_and_warned_of() -> None:
    # vLLM issues 44697, 49355, 57755
    launch = next(random_launches("vllm", 1))
    plan = {"tp": 8, "pp": 2, "attention_dp": 1, "ep": 8, "etp": 1, "replicas": 1}
    launch = replace(launch, model="deepseek-v3", plan=plan, precision="fp8-block", kv_precision=None, n_drafts=1.0)
    with pytest.raises(WrongInput, match=r"--export vllm: it has no guessed tokens over a pipeline \(pp=2\)") as raised:
        vllm.write(launch)
    assert raised.value.hint == "--plan pp=1"
    text = "vllm serve deepseek-ai/DeepSeek-V3 -tp 8 -pp {} --speculative-config.num_speculative_tokens 1"
    assert "tokens are guessed over a pipeline" in vllm.read(text.format(2), HERE).warnings[-1]
    assert not vllm.read(text.format(1), HERE).warnings


def test_a_script_of_several_nodes_and_servers_uses_every_variable_that_it_sets() -> None:
    launch = vllm.read("vllm serve meta-llama/Llama-3.1-405B --tensor-parallel-size 8 --pipeline-parallel-size 2", HERE)
    text = vllm.write(replace(launch, plan=launch.plan | {"replicas": 3}))
    assert 'NODE_RANK="${NODE_RANK:-0}"' in text
    assert text.index("NODE_RANK=") < text.index("$NODE_RANK")
    assert text.index("SERVERS=3") < text.index("$SERVERS")
    assert "# one server: 16 chips; 3 servers like it" in text
    assert vllm.read(text, HERE).plan["replicas"] == 3


def test_eager_steps_are_told_with_their_line() -> None:
    assert vllm.read("vllm serve Qwen/Qwen3-8B \\\n --enforce-eager", HERE).eager == f"{HERE}:2: --enforce-eager"
    assert not vllm.read("vllm serve Qwen/Qwen3-8B", HERE).eager
