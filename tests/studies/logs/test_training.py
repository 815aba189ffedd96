"""Steps of training logs: every tool's form, what the log says of the run, and files that are anything but a log."""

import csv
import random
import string
import time
from pathlib import Path

import pytest
import training_logs
from hypothesis import given
from hypothesis import strategies as st

from clustercast import records
from clustercast.errors import WrongInput
from clustercast.studies.logs import arguments, text, training

ROOT = Path(__file__).resolve().parents[3]
HERE = Path("run.log")
with (ROOT / "bench/record/training.csv").open(newline="", encoding="utf-8") as file:
    RECORD = {row["id"]: row for row in csv.DictReader(file)}
KORTHIKANTI = RECORD["KORT-004"]  # 175B on 64 chips, tp 8, pp 8, vpp 3, selective recompute, sequence parallel


def read(*lines: str) -> training.TrainingLog:
    return training.read_text("\n".join(lines), HERE)


def test_megatron_steps_are_read_whatever_stands_before_them():
    for prefix in ("", "[default7]:", "0: [2024-06-01 10:00:00]", "\x1b[32m", "worker-3 | "):
        found = read(*training_logs.step_lines([20.0, 5.5], 512, prefix=prefix))
        assert [step.seconds for step in found.steps] == [20.0, 5.5]
        assert [(step.number, step.global_batch) for step in found.steps] == [(1, 512), (2, 512)]
        assert found.tool == "megatron-lm"


def test_seconds_and_rates_of_older_and_newer_forms():
    old = " iteration 7/ 9 | consumed samples: 1 | elapsed time per iteration (s): 101.25 | TFLOPs: 105.3 |"
    new = (
        " [2024-06-01 10:00:00.123456] iteration 8/ 9 | consumed samples: 1 | elapsed time per iteration (ms): 3300.5 "
        "| throughput per GPU (TFLOP/s/GPU): 261.3 | learning rate: 4.9E-07 | global batch size:   128 |"
    )
    steps = read(old, new).steps
    assert [(step.seconds, step.tflop_per_s) for step in steps] == [(101.25, 105.3), (3.3005, 261.3)]


def test_torchtitan_steps_rates_and_the_run_itself():
    log = training_logs.titan_log([344, 2793], chips=8, batch=16, seq_len=8192, token_tflop=161.76 / 2793, peak=312.0)
    found = training.read_text(log, HERE)
    assert [step.tokens_per_s_per_chip for step in found.steps] == [344.0, 2793.0]
    assert found.steps[1].tflop_per_s == 161.76
    assert found.steps[1].mfu_fraction == pytest.approx(0.5185, abs=1e-4)
    assert found.steps[1].used_bytes == pytest.approx(47.61 * 2**30)
    said = arguments.said_of(found, HERE)
    assert (said.n_chips, said.global_batch, said.seq_len) == (8, 16, 8192)
    assert said.plan == {"tp": 1, "pp": 1, "cp": 1, "dp": 8, "zero": 3, "micro_batch": 2}


def test_torchtitan_of_2024_calls_tokens_words():
    line = "0: [rank0]:2024-11-27 14:29:40,378 - root - INFO - step: 10  loss:  1.5568  wps: 1,786  mfu: 10.46%"
    assert read(line).steps[0].tokens_per_s_per_chip == 1786.0


def test_hybrid_meshes_give_the_whole_plan():
    found = read(
        "[titan] Building 4-D device mesh with ['pp', 'dp_replicate', 'dp_shard', 'tp'], [2, 2, 4, 8]",
        "[titan] 2025-03-06 15:42:40,808 - root - INFO - step: 10  loss: 9.9  tps: 2,793",
    )
    said = arguments.said_of(found, HERE)
    assert said.n_chips == 128
    assert said.plan == {"pp": 2, "tp": 8, "cp": 1, "dp": 8, "zero": 3, "shard": 4}


def test_nemo_steps_in_a_line_and_in_a_progress_bar():
    line = (
        "Training epoch 0, iteration 3/99 | lr: 3e-05 | global_batch_size: 128 | global_step: 3 | "
        "reduced_train_loss: 9.1 | train_step_timing in s: 12.3 | consumed_samples: 512"
    )
    bar = "\r".join(
        f"Epoch 0: :  5%|5 | {n}/100 [01:05<20:35, global_step={n}.0, train_step_timing in s=12.{n}]" for n in (4, 5)
    )
    steps = read(line, bar).steps
    assert [(step.number, step.seconds) for step in steps] == [(3, 12.3), (4, 12.4), (5, 12.5)]
    assert [step.line for step in steps] == [1, 2, 2]


def test_deepspeed_steps_as_rates_and_as_times():
    stop = (
        "[INFO] [timer.py:199:stop] epoch=0/micro_step=100/global_step=10, RunningAvgSamplesPerSec=12.3, "
        "CurrSamplesPerSec=12.5, MemAllocated=1GB"
    )
    pipe = "steps: 20 loss: 8.1023 iter time (s): 1.250 samples/sec: 25.6"
    assert read(stop).steps[0].samples_per_s == 12.5
    assert read(pipe).steps[0].seconds == 1.25


def test_deepspeed_prints_its_configuration():
    config = {"train_batch_size": 256, "train_micro_batch_size_per_gpu": 4, "world_size": 16,
              "zero_optimization_stage": 3, "bfloat16_enabled": True}  # fmt: skip
    lines = [
        f"[2024-01-01 00:00:00,000] [INFO] [config.py:1001:print]   {name} {'.' * 20} {value}"
        for name, value in config.items()
    ]
    step = "[INFO] [timer.py:199:stop] epoch=0/micro_step=100/global_step=10, CurrSamplesPerSec=12.5"
    said = arguments.said_of(read(*lines, step), HERE)
    assert (said.n_chips, said.global_batch, said.precision) == (16, 256, "bf16")
    assert said.plan == {"micro_batch": 4, "zero": 3}
    with pytest.raises(WrongInput, match=r"run\.log:1: global_batch: expected a whole number"):
        arguments.said_of(read(lines[0].replace("256", "many"), step), HERE)


def test_what_stands_between_steps_is_kept_with_the_next_one():
    lines = training_logs.step_lines(
        [5.0, 6.0, 25.0, 5.0], 8, before={3: "saving checkpoint at iteration 2", 4: " validation loss at iteration 3"}
    )
    again = training_logs.step_lines([5.0], 8, first=2)
    assert [step.after for step in read(*lines, *again).steps] == [
        (),
        (),
        ("checkpoint",),
        ("evaluation",),
        ("restart",),
    ]


def test_a_step_that_many_ranks_print_counts_once_at_the_slowest():
    line = "[titan] 2025-03-06 15:42:40,808 - root - INFO - step: 10  loss: 9.9  tps: {}"
    found = read(*(line.format(rate) for rate in ("2,793", "2,500", "2,801")))
    assert [step.tokens_per_s_per_chip for step in found.steps] == [2500.0]
    assert "2 lines repeat a step" in found.notes[0]


def test_steps_without_a_positive_time_are_left_out_and_said():
    line = " iteration {}/ 9 | elapsed time per iteration (ms): {} |"
    found = read(*(line.format(n, value) for n, value in enumerate(("-5", "1e400", "0", "nan", "12.5"), 1)))
    assert [step.number for step in found.steps] == [5]
    assert "3 steps whose time is no positive number" in found.notes[0]


def test_the_printed_arguments_give_the_plan_and_the_shape():
    log = training.read_text(training_logs.megatron_log(KORTHIKANTI), HERE)
    launch = arguments.launch_of(log, HERE)
    assert launch is not None
    assert (launch.n_chips, launch.global_batch, launch.seq_len, launch.precision) == (64, 64, 2048, "fp16")
    for name, value in {"tp": 8, "pp": 8, "vpp": 3, "dp": 1, "micro_batch": 1, "sequence_parallel": 1}.items():
        assert launch.plan[name] == value, name
    assert launch.plan["recompute"] == records.RECOMPUTE_SELECTIVE
    model = launch.model.record()
    assert (model.n_layers, model.hidden, model.n_heads, model.n_kv_heads) == (96, 12288, 96, 96)
    assert log.date == "2022-05"
    assert launch.where["tp"].startswith("run.log:")


def test_defaults_that_mean_nothing_are_not_taken_for_choices():
    """num_query_groups stands at 1 where there are no groups; a recompute method where nothing is recomputed."""
    row = KORTHIKANTI | {"recompute": "none"}
    log = training.read_text(training_logs.megatron_log(row, recompute_method="uniform"), HERE)
    launch = arguments.launch_of(log, HERE)
    assert launch.plan["recompute"] == records.RECOMPUTE_NONE
    assert launch.model.record().n_kv_heads == 96


def test_recompute_is_read_in_its_name_of_2021():
    printed = training_logs.megatron_arguments(KORTHIKANTI, checkpoint_activations=True)
    printed.pop("recompute_granularity")
    lines = [*training_logs.arguments_block(printed), *training_logs.step_lines([5.0], 64)]
    launch = arguments.launch_of(read(*lines), HERE)
    assert launch.plan["recompute"] == records.RECOMPUTE_FULL


def test_arguments_that_contradict_themselves_are_told_with_their_line():
    log = training.read_text(training_logs.megatron_log(KORTHIKANTI, tensor_model_parallel_size=7), HERE)
    with pytest.raises(WrongInput, match=r"run\.log:\d+: "):
        arguments.launch_of(log, HERE)


HOSTILE = {
    "nothing": b"",
    "blank": b"\n" * 1000,
    "NUL": b"\0" * 5000,
    "no log": b"hello, world\n",
    "broken off": b" iteration 5/ 9 | elapsed time per iter",
    "escape bomb": b"\x1b[" * 100_000,
    "one huge line": b"iteration 1/ 9 | " * 300_000,
    "dots": b"  a " + b"." * 2_000_000,
    "digits": b" iteration " + b"9" * 1_000_000 + b"/ 9 | elapsed time per iteration (ms): 5 |",
    "spaces": b"iteration" + b" " * 1_000_000 + b"1/ 9 | elapsed time per iteration (ms): 5 |",
    "infinite": b" iteration 5/ 9 | elapsed time per iteration (ms): 1e400 |",
    "negative": b" iteration 5/ 9 | elapsed time per iteration (ms): -1 |",
    "rates": b"step: 1 tps: -5\nstep: 2 tps: nan\nstep: 3 tps: 1e999\n",
    "returns": b"\r" * 200_000,
    "open arguments": b"---------- arguments ----------\n" + b"  x .. 1\n" * 20_000,
    "binary": bytes(range(256)) * 2000,
    "UTF-16 half": b"\xff\xfe\x00",
    "surrogates": "\ud800".encode("utf-16-le", "surrogatepass"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_log_is_a_clear_error(name, tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(HOSTILE[name])
    started = time.perf_counter()
    with pytest.raises(WrongInput) as error:
        training.read_file(path)
    assert time.perf_counter() - started < 5.0  # a second, and more on a machine that does other things
    assert "\n" not in error.value.message
    assert error.value.message.startswith(str(path))


def test_mixed_encodings_do_no_harm(tmp_path):
    path = tmp_path / "x.log"
    line = training_logs.step_lines([5.5], 8)[0]
    for content in (
        b"\xff\xfe" + line.encode("utf-16-le"),
        b"\xfe\xff" + line.encode("utf-16-be"),
        b"\xef\xbb\xbf" + line.encode(),
        b"\x80\x81 caf\xe9\r\n" + line.encode() + b"\r\n",
    ):
        path.write_bytes(content)
        assert training.read_file(path).steps[0].seconds == 5.5


@pytest.mark.parametrize("path", ["nowhere.log", "."])
def test_what_is_no_file_is_said(path, tmp_path):
    with pytest.raises(WrongInput, match=r"there is no such file|is a folder"):
        text.content_of(tmp_path / path)


PIECES = [
    *training_logs.step_lines([5.0, 6.0], 8),
    *training_logs.arguments_block(training_logs.megatron_arguments(KORTHIKANTI)),
    *training_logs.titan_log([100, 200], chips=8, batch=8, seq_len=128).split("\n"),
    "train_step_timing in s: 1.5 | global_step: 5",
    "global_step=10, CurrSamplesPerSec=12.5",
    "steps: 20 loss: 8.1 iter time (s): 1.25 samples/sec: 25.6",
    "saving checkpoint at iteration 5",
]


def mangled(seed: int) -> str:
    """Lines of real logs, cut, repeated, shuffled and sprinkled with what does not belong."""
    draw = random.Random(seed)
    lines = []
    for _ in range(draw.randint(1, 12)):
        line = draw.choice(PIECES)
        for _ in range(draw.randint(0, 3)):
            at = draw.randint(0, len(line))
            junk = "".join(draw.choices(string.printable + "\0\x1b\u202e\ud800é…", k=draw.randint(0, 6)))
            line = draw.choice((line[:at] + junk + line[at:], line[:at], line[at:], line * 2))
        lines.append(line)
    return draw.choice(("\n", "\r\n", "\r", "")).join(lines)


def said_by(read_it, *arguments):
    """What a reader refuses a text with; nothing where it takes it."""
    try:
        return read_it(*arguments), ""
    except WrongInput as error:
        return None, error.message


@given(st.one_of(st.integers(0, 2**32).map(mangled), st.text(max_size=300)))
def test_no_text_breaks_the_reader(content):
    found, said = said_by(training.read_text, content, HERE)
    assert "\n" not in said
    if found is not None:
        assert found.steps
        for make in (arguments.launch_of, arguments.said_of):
            assert "\n" not in said_by(make, found, HERE)[1]
