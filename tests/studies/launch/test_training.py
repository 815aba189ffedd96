"""Training launch files at the door: which tool, what of them agrees with the user, whatever bytes they hold."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import launch_samples
import launches
import pytest
from hypothesis import given
from hypothesis import strategies as st
from launch_mutations import mutated

from clustercast.errors import WrongInput
from clustercast.estimates.question import Asked
from clustercast.records import Job, Plan
from clustercast.studies.launch import bridge, deepspeed, megatron, mindspeed, torchtitan, training
from clustercast.studies.launch.launch import TrainingLaunch

DEEPSPEED = json.dumps(launch_samples.DEEPSPEED_LLAMA_70B, indent=2)
SAMPLES = {
    "megatron-lm": (
        launch_samples.GPT_175B,
        launch_samples.LLAMA_8B_FP8,
        launch_samples.DEEPSEEK_ZOO,
        launch_samples.line(),
    ),
    "megatron-bridge": (launch_samples.BRIDGE_GPT_175B, launch_samples.BRIDGE_YAML, launch_samples.BRIDGE_DEEPSEEK),
    "torchtitan": (launch_samples.TITAN_TOML_405B, launch_samples.TITAN_PYTHON),
    "deepspeed": (DEEPSPEED,),
    "mindspeed-llm": (
        launch_samples.MINDSPEED_DEEPSEEK_V3,
        launch_samples.MINDSPEED_DEEPSEEK_V2.replace("NPUS", "# NPUS_PER_NODE\nNPUS", 1),
    ),
}
READERS: dict[str, Callable[[str, Path], TrainingLaunch]] = {
    "megatron-lm": megatron.read,
    "megatron-bridge": bridge.read,
    "torchtitan": torchtitan.read,
    "deepspeed": deepspeed.read,
    "mindspeed-llm": mindspeed.read,
    "any": training.read_text,
}


@pytest.mark.parametrize(("tool", "text"), [(tool, text) for tool, texts in SAMPLES.items() for text in texts])
def test_a_file_is_known_by_what_it_holds(tool: str, text: str) -> None:
    assert training.kind_of(text) == tool


@pytest.mark.parametrize("tool", list(SAMPLES))
def test_a_file_that_is_written_is_known_as_its_tools(tool: str) -> None:
    plan = Plan(1, 1, 1, 8, 1, 1, 1, 1 if tool != "torchtitan" else 3, 0, 1, 2, 0, 0, 0, 0, 0)
    asked = replace(launches.question("llama-3.1-8b"), job=Job(8192, 64))
    text = training.tools()[tool].write(asked, plan, launches.HEADER)
    assert training.kind_of(text) == tool
    launches.agrees(training.read_text(text, Path("f")), replace(asked, tokens=_tokens(text, asked.tokens)), plan)


def _tokens(text: str, tokens: float) -> float:
    """Runs are whole steps or samples."""
    whole = 64 * 8192 if "torchtitan" in text or "train_iters" in text else 8192
    return tokens if "_clustercast" in text else -(-tokens // whole) * whole


def outcome(read: Callable[[str, Path], TrainingLaunch], text: str) -> str:
    """The tool that a text is for, or what is wrong with it."""
    try:
        return read(text, Path("f")).tool
    except WrongInput as error:
        return error.message


@pytest.mark.slow
@pytest.mark.parametrize("tool", list(READERS))
@given(seed=st.integers(0, 2**32))
def test_whatever_a_file_holds_it_is_read_or_refused(tool: str, seed: int) -> None:
    rng = random.Random(seed)
    texts = SAMPLES.get(tool) or tuple(text for group in SAMPLES.values() for text in group)
    assert outcome(READERS[tool], mutated(rng.choice(texts), rng)).isprintable()


# -- files

RUN = launch_samples.line().encode()
MARKER = "ran-by-mistake"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0" + RUN, "f:1: holds a control character, expected plain text"),
        (RUN.replace(b"--bf16", b"--bf16 \x1b[31mred"), "f:6: holds a control character"),
        (RUN.replace(b"4096", b"\xff"), "f:2: is not UTF-8 text"),
        (RUN + b"#" * 2**21, "f: is larger than 1 MiB (1048576 bytes), expected a short file"),
        (RUN + b"#" * 2**18, "f: is larger than 128 KiB, expected a launch file"),
        (b"[" * 10_000, "f: "),
        (b'{"a":' * 10_000, "f: is not JSON"),
        (b'{"train_batch_size": ' + b"9" * 5000 + b"}", "f: is not JSON that can be read"),
        (b'{"train_batch_size": 1e400}', "train_batch_size: expected a whole number"),
        (b'{"train_batch_size": NaN}', "train_batch_size: expected a whole number"),
        (b'{"train_batch_size": 8, "train_', "f:1: is not JSON: unterminated string"),
        (b"[parallelism]\ntensor_parallel_degree = " + b"9" * 5000, "f: is not TOML"),
        (b"[parallelism]\n" + b"a." * 30_000 + b"b = 1", "f:2: holds more than 200 dots"),
        (b"[parallelism]\na = " + b"[" * 5000, "f: is not TOML"),
        (b"cfg.model.tensor_model_parallel_size = " + b"(" * 5000, "f:1: is not Python that can be read"),
        (b"cfg.model.tensor_model_parallel_size = " + b"9" * 5000 + b"\ncfg.b.c = 1", "f:1: is not Python"),
        (b"cfg.model.a = " + b"f(a=" * 90 + b"b" + b")" * 90, "nested deeper than 32 levels"),
        (b"model: &a {b: 1}\ntrain: {c: *a}\n", "f:1: anchors and aliases are not allowed"),
        (b"model: !!python/object/apply:os.system ['true']\n", "f:1: tags are not allowed"),
        (b"model:\n  tp: 1\n  tp: 2\n", "f:3: duplicate key"),
        (b"a: " + b"{a: " * 50 + b"1" + b"}" * 50, "f:1: is nested deeper than 32 levels"),
        (RUN.replace(b"4096", b'"4096', 1), "the quote \" that opens here is never closed"),
        (RUN.replace(b"--bf16", b"--bf16 --context-parallel-size $CP"), "got '$CP'"),
        (b"", "f: holds no arguments of a training command"),
        (b"\xef\xbb\xbf", "f: holds no arguments of a training command"),
    ],
)  # fmt: skip
def test_broken_and_hostile_files_are_refused_with_their_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(WrongInput) as raised:
        training.read_training(path)
    message = raised.value.message.replace(str(path), "f")
    assert said in message
    assert message.isprintable()


def test_a_byte_order_mark_and_foreign_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbf" + RUN.replace(b"\n", b"\r\n"))
    assert training.read_training(path).plan == megatron.read(RUN.decode(), path).plan


def test_nothing_of_a_script_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"A=$(touch {MARKER})\nB=`touch {MARKER}`\ntouch {MARKER}\neval 'touch {MARKER}'\n"
    Path("f").write_text(text + launch_samples.line(more=f"--bf16 --save $(touch {MARKER}; pwd)"))
    assert training.read_training("f").plan["tp"] == 2
    assert not Path(MARKER).exists()


def test_a_name_that_cannot_be_shown_is_shown_as_its_code() -> None:
    found = megatron.read(launch_samples.line(more="--bf16 --\u202eevil 1"), Path("f"))
    assert any("'--\\u202eevil'" in note for note in found.notes)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="there is no such file"):
        training.read_training(tmp_path / "none.sh")
    with pytest.raises(WrongInput, match="is not a plain file"):
        training.read_training(tmp_path)


# -- questions


def launch(**fields: object) -> TrainingLaunch:
    whole = TrainingLaunch(
        tool="megatron-lm",
        file="run.sh",
        model="llama-3.1-8b",
        plan={"tp": 2, "pp": 1, "cp": 1, "dp": 4, "zero": 1, "micro_batch": 1, "recompute": 0},
        n_chips=8,
        global_batch=64,
        seq_len=8192,
        precision="bf16",
        tokens=1e12,
        where={"tp": "run.sh:5", "global_batch": "run.sh:4"},
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


def test_a_launch_fills_the_question() -> None:
    asked = training.asked_with(Asked("h100", ""), launch())
    assert (asked.model, asked.n_chips, asked.global_batch, asked.seq_len) == ("llama-3.1-8b", 8, 64, 8192)
    assert (asked.precision, asked.tokens) == ("bf16", 1e12)
    assert asked.plan == "tp=2,pp=1,cp=1,dp=4,zero=1,micro_batch=1,recompute=none"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked("h100", "", global_batch=32), "--gbs 32 contradicts run.sh:4, which says global_batch 64"),
        (Asked("h100", "", n_chips=16), "--count 16 contradicts run.sh, which says n_chips 8"),
        (Asked("h100", "", plan="tp=4"), "--plan tp 4 contradicts run.sh:5, which says tp 2"),
        (
            Asked("h100", "", plan="recompute=full"),
            "--plan recompute full contradicts run.sh, which says recompute none",
        ),
        (Asked("h100", "", precision="fp8"), "--precision fp8 contradicts run.sh, which says precision bf16"),
        (Asked("h100", "llama-3.1-70b"), "--model llama-3.1-70b contradicts run.sh, which says model llama-3.1-8b"),
    ],
)
def test_what_the_user_says_otherwise_is_refused(asked: Asked, said: str) -> None:
    with pytest.raises(WrongInput) as raised:
        training.asked_with(asked, launch())
    assert raised.value.message == said


def test_what_both_say_alike_is_no_contradiction_and_more_is_added() -> None:
    asked = Asked("h100", "llama-3.1-8b", n_chips=8, global_batch=64, plan="tp=2,offload=yes", tokens=2e12)
    found = training.asked_with(asked, launch())
    assert (found.tokens, "offload=yes" in found.plan) == (2e12, True)


def test_replicas_follow_from_the_count_where_the_file_leaves_it_open() -> None:
    plan = {"tp": 2, "pp": 2, "cp": 1}
    found = training.asked_with(Asked("h100", "", n_chips=64), launch(plan=plan, n_chips=None))
    assert found.plan == "tp=2,pp=2,cp=1,dp=16"
    with pytest.raises(WrongInput, match=r"tp x pp x cp is 4 in run\.sh, which does not divide it"):
        training.asked_with(Asked("h100", "", n_chips=66), launch(plan=plan, n_chips=None))


def test_the_batch_follows_from_the_count_where_the_file_leaves_it_open() -> None:
    plan = {"tp": 2, "pp": 1, "cp": 1, "micro_batch": 2}
    whole = launch(plan=plan, n_chips=None, global_batch=None, replica_batch=4, tokens=None, steps=10)
    found = training.asked_with(Asked("h100", "", n_chips=64), whole)
    assert (found.global_batch, found.tokens) == (32 * 4, 10 * 32 * 4 * 8192)
    stated = training.asked_with(Asked("h100", "", n_chips=64, global_batch=256), whole)
    assert (stated.global_batch, stated.tokens) == (256, 10 * 256 * 8192)


def test_a_file_without_chips_and_batch_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "llama3_405b.toml"
    path.write_text(launch_samples.TITAN_TOML_405B)
    with pytest.raises(WrongInput) as raised:
        training.question_of(Asked("h100", ""), path)
    assert raised.value.hint == "give --count too"
    asked, _ = training.question_of(Asked("h100", "", n_chips=128), path)
    assert asked.global_batch == 32


def test_a_shape_that_is_another_models_is_refused() -> None:
    found = megatron.read(launch_samples.LLAMA_8B_FP8, Path("run.sh"))
    assert training.asked_with(Asked("h100", "llama-3.1-8b"), found).model == "llama-3.1-8b"
    with pytest.raises(WrongInput, match=r"contradicts run\.sh:7: n_layers is 80 in the one and 32"):
        training.asked_with(Asked("h100", "llama-3.1-70b"), found)


def test_a_launch_without_a_shape_needs_a_model() -> None:
    with pytest.raises(WrongInput) as raised:
        training.asked_with(Asked("h100", ""), launch(model=None))
    assert (raised.value.message, raised.value.hint) == (
        "run.sh: the shape of the model is not said", "give --model too",
    )  # fmt: skip


def test_the_tools_stack_is_taken_unless_the_user_names_one() -> None:
    tool = training.tools()["torchtitan"]
    assert training.stack_of(Asked("h100", ""), tool) == "pytorch-fsdp"
    assert training.stack_of(Asked("h100", "", stack="nemo"), tool) == "nemo"
    assert training.stack_of(Asked("ascend-910b3", ""), training.tools()["mindspeed-llm"]) is None


def test_chips_that_a_variable_holds_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    text = launch_samples.line().replace("--nnodes 1", "--nnodes $SLURM_NNODES")
    path.write_text(text)
    with pytest.raises(WrongInput, match=r"nnodes is '\$SLURM_NNODES', which the file does not set") as raised:
        training.question_of(Asked("h100", ""), path)
    assert raised.value.hint == "give --count too"
    assert training.question_of(Asked("h100", "", n_chips=16), path)[0].n_chips == 16
    path.write_text(text.replace("$SLURM_NNODES", "${SLURM_NNODES:-2}"))
    assert training.read_training(path).n_chips == 16


@pytest.mark.parametrize(
    ("name", "text"), [("s.sh", "vllm serve Qwen/Qwen3-8B -tp 2\n"), ("s.yaml", "tensor-parallel-size: 2\n")]
)
def test_a_serving_file_points_at_serve(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(WrongInput) as raised:
        training.read_training(path)
    assert raised.value.hint == f"it serves with vllm: clustercast serve --launch {path}"
