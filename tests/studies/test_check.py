"""Is my number normal? Published runs are; published faults are found, each with its numbers and its source."""

import csv
import json
import math
from pathlib import Path

import pytest
import synthetic
import training_logs
from hypothesis import given
from hypothesis import strategies as st

import clustercast
from clustercast.errors import WrongInput
from clustercast.studies.calibrate.nccl import bus_ratio
from clustercast.studies.check import rank

ROOT = Path(__file__).resolve().parents[2]
with (ROOT / "bench/record/training.csv").open(newline="", encoding="utf-8") as file:
    RECORD = {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def log(tmp_path):
    def write(content, name="run.log"):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return write


def megatron_rows():
    """Runs of Megatron-LM and Megatron-DeepSpeed whose network was the usual one of their chips."""
    studies = ("Korthikanti et al. 2022", "Megatron-LM SC21", "MT-NLG 530B")
    return [row for row in RECORD.values() if row["study"] in studies and row["complete"] == "yes"]


def log_of(row, **others):
    if "DeepSpeed" in row["framework"]:
        others |= {"deepspeed": True}
    return training_logs.megatron_log(row, **others)


# -- training: normal where it is


@pytest.mark.parametrize("row", megatron_rows(), ids=lambda row: row["id"])
def test_published_megatron_runs_are_normal(row, log):
    """Korthikanti et al. 2022, table 5; Narayanan et al. 2021; MT-NLG 530B: from the log's own arguments alone."""
    found = clustercast.check(log(log_of(row)), row["chip"])
    assert found.verdict == "normal", found.figures[0].ratio
    assert found.likeliest is None
    (figure,) = found.figures
    assert figure.low < figure.measured < figure.high
    assert sum(figure.time_s.values()) == pytest.approx(figure.expected)
    assert not figure.beyond_bound


def test_four_in_five_of_all_published_megatron_runs_are_normal(log):
    """The interval is one of 80 %: BigScience's shared networks and SimuMax's B200 among them, as they are."""
    rows = [
        row
        for row in RECORD.values()
        if row["complete"] == "yes" and row["metric"] == "iteration_s" and "vTrain" not in row["study"]
    ]
    known = ("Megatron-LM", "Megatron-DeepSpeed", "Megatron-LM core")
    rows = [row for row in rows if row["framework"].startswith(known)]
    verdicts = [clustercast.check(log(log_of(row)), row["chip"]).verdict for row in rows]
    assert len(verdicts) >= 30
    assert 0.7 <= verdicts.count("normal") / len(verdicts) <= 0.95


def test_a_node_of_torchtitan_is_normal_and_its_own_rates_are_understood(log):
    """pytorch/torchtitan issue 929 (2025): Llama 3 8B on 8 A100 at 2,793 to 2,949 tokens/s; selective recompute of its
    kind runs every second matmul again, as half of the layers in full do."""
    content = training_logs.titan_log(
        [344, 2793, 2931, 2872, 2949], chips=8, batch=8, seq_len=8192, token_tflop=170.79 / 2949, peak=312.0
    )
    found = clustercast.check(
        log(content), "a100-80gb", model="llama-3.1-8b", plan="recompute=block,recompute_layers=16"
    )
    assert found.verdict == "normal"
    assert found.steps.n_warm_up == 1
    rate, share = found.printed
    assert rate.convention == "attention_full"
    assert share.peak_flop_per_s == pytest.approx(312e12, rel=0.01)


# -- training: the cause where it is known


def causes(found, most=3):
    return [cause.name for cause in found.figures[0].causes[:most]]


@pytest.mark.parametrize("name", ["KORT-001", "KORT-003", "KORT-005", "KORT-007"])
def test_full_recompute_that_nobody_told_is_found(name, log):
    """Korthikanti et al. 2022: the same models with full recompute take 1.3 times as long as with the selective one."""
    row = RECORD[name]
    plan = f"tp={row['TP']},pp={row['PP']},vpp={row['virtual_pp'] or 1},dp={row['DP']},micro_batch={row['micro_batch']}"
    lines = [f"datetime: {row['date'][:7]}-05 10:00:00"]
    lines += training_logs.step_lines(training_logs.steps_like(float(row["value"])), int(row["global_batch"]))
    shape = training_logs.megatron_log(RECORD[name] | {"recompute": "selective", "SP": "yes"}, arguments=True)
    content = "\n".join([shape.split("\n iteration")[0], *lines])
    found = clustercast.check(log(content), row["chip"])
    assert found.verdict == "slow"
    # the log's arguments deny it, so it does not come first; without them it does
    named = [cause for cause in found.figures[0].causes if cause.name == "recompute_full"]
    assert named
    assert named[0].denied
    assert named[0].expected == pytest.approx(float(row["value"]), rel=0.08)
    if name == "KORT-003":
        bare = clustercast.check(
            log("\n".join(lines)),
            row["chip"],
            model="gpt-3-175b",
            n_chips=64,
            seq_len=2048,
            plan=plan,
            precision="fp16",
        )
        assert bare.likeliest.name == "recompute_full"


@pytest.mark.parametrize("name", ["BIGS-014", "BIGS-017", "BIGS-079"])
def test_bigscience_s_network_is_suspected(name, log):
    """bigscience-workshop/bigscience: V100 and A100 on a shared network of four 100 Gbit/s cards a node."""
    row = RECORD[name]
    found = clustercast.check(log(log_of(row)), row["chip"])
    assert found.verdict == "slow"
    assert next(iter(found.figures[0].places)) == "network"


@pytest.mark.parametrize(
    ("chip", "model", "chips", "tokens_per_s"),
    [("h100", "llama-3.1-8b", 32, 1786), ("h200", "llama-3.1-70b", 32, 200)],
    ids=["torchtitan issue 708", "torchtitan issue 676"],
)
def test_networks_that_hold_up_torchtitan_are_named(chip, model, chips, tokens_per_s, log):
    """pytorch/torchtitan issues 708 and 676 (2024): four nodes no faster than one; 200 tokens/s for 70B on 32 H200."""
    rates = [50, *[tokens_per_s] * 5]
    content = training_logs.titan_log(rates, chips=chips, batch=chips, seq_len=8192)
    found = clustercast.check(log(content), chip, model=model)
    assert found.verdict == "slow"
    assert found.likeliest.name == "tcp_sockets"
    assert found.likeliest.of == "network"
    assert found.figures[0].nothing_share < 0.01


def test_a_single_node_of_the_same_run_does_not_blame_a_network(log):
    content = training_logs.titan_log([50, *[1786] * 5], chips=8, batch=8, seq_len=8192)
    found = clustercast.check(log(content), "h100", model="llama-3.1-8b")
    assert found.verdict == "slow"
    assert "network" not in found.figures[0].places


def test_what_is_faster_than_the_silicon_is_said(log):
    """NVIDIA/Megatron-LM issue 2662 (2025): 43 s for 16 sequences of 16,384 tokens of Qwen3 32B on 8 H20 is more than
    148 TFLOP/s each: not every token is trained on, or not all of the model."""
    content = "\n".join(training_logs.step_lines(training_logs.steps_like(43.0), 16))
    found = clustercast.check(
        log(content), "h20", model="qwen3-32b", n_chips=8, seq_len=16384, plan="tp=8,pp=1,dp=1,micro_batch=2"
    )
    assert found.verdict == "fast"
    assert found.figures[0].beyond_bound
    assert found.figures[0].bound > 43.0


ARGUMENTS = {
    "seq_length": 4096, "micro_batch_size": 1, "global_batch_size": 512, "tensor_model_parallel_size": 4,
    "pipeline_model_parallel_size": 4, "virtual_pipeline_model_parallel_size": 2, "world_size": 128, "bf16": True,
    "num_layers": 32, "hidden_size": 8192, "num_attention_heads": 64, "sequence_parallel": True,
    "transformer_impl": "transformer_engine", "tp_comm_overlap": True, "overlap_grad_reduce": True,
    "use_distributed_optimizer": True, "padded_vocab_size": 51200, "recompute_granularity": None,
}  # fmt: skip


def with_steps(seconds, **others):
    lines = ["[2024-08-13 10:00:00]", *training_logs.arguments_block(ARGUMENTS | others)]
    return "\n".join([*lines, *training_logs.step_lines(seconds, 512)])


def expected_s(log):
    return clustercast.check(log(with_steps([1.0] * 10)), "h100").figures[0].expected


def test_patterns_over_the_steps_speak_for_their_causes(log):
    usual = expected_s(log)
    slow = training_logs.steps_like(1.25 * usual, 40)
    level = clustercast.check(log(with_steps(slow)), "h100").figures[0]
    shifted = clustercast.check(
        log(with_steps(training_logs.steps_like(usual, 20) + training_logs.steps_like(1.5 * usual, 30, warm_up=1.0))),
        "h100",
    )
    assert shifted.steps.shift_factor == pytest.approx(1.5, rel=0.05)
    share = {cause.name: cause.share for cause in shifted.figures[0].causes}
    assert share["straggler"] > 2.0 * {cause.name: cause.share for cause in level.causes}.get("straggler", 0.0)
    assert next(each for each in shifted.figures[0].causes if each.name == "straggler").shown[0] == "shift"


def test_a_run_whose_arguments_name_no_16_bits_is_suspected_of_32(log):
    """Megatron-LM trains in 32 bit unless --bf16 or --fp16 is given (NVIDIA/Megatron-LM issue 1000 is such a log)."""
    usual = expected_s(log)
    seconds = [2.0 * usual] * 20
    found = clustercast.check(log(with_steps(seconds, bf16=False, fp16=False)), "h100")
    assert any("32 bit" in warning for warning in found.warnings)
    (cause,) = [each for each in found.figures[0].causes if each.name == "wider_precision"]
    other = clustercast.check(log(with_steps(seconds)), "h100").figures[0].causes
    assert cause.shown == ("32-bit",)
    assert cause.share > 3.0 * sum(each.share for each in other if each.name == "wider_precision")


def test_two_levels_speak_for_the_data_loader(log):
    usual = expected_s(log)
    seconds = [usual * (1.0 if place % 3 == 0 else 1.6) for place in range(60)]
    found = clustercast.check(log(with_steps(seconds)), "h100")
    assert "two-levels" in found.steps.patterns
    assert found.likeliest.name == "data_loader"


def test_a_cause_that_is_denied_weighs_less():
    one = rank.Observed(1.3, 1.0, 0.15)
    free, denied = (rank.Tried("recompute_full", (1.0,), ((1.3,),), said) for said in (False, True))
    (open_,), (said,) = (rank.rank("training", [one], [each])[0].causes for each in (free, denied))
    assert said.denied
    assert said.share < 0.5 * open_.share


# -- training: questions and contradictions


def test_a_log_without_a_model_asks_for_one(log):
    content = "\n".join(training_logs.step_lines([5.0] * 10, 8))
    with pytest.raises(WrongInput, match="the model is not said") as error:
        clustercast.check(log(content), "h100")
    assert "--launch" in error.value.hint


@pytest.mark.parametrize(
    "asked", [{"n_chips": 64}, {"seq_len": 2048}, {"plan": "tp=8"}, {"global_batch": 64}, {"model": "llama-3.1-8b"}]
)
def test_what_contradicts_the_log_names_both(asked, log):
    with pytest.raises(WrongInput, match=r"contradicts .*run\.log"):
        clustercast.check(log(with_steps([5.0] * 10)), "h100", **asked)


@pytest.mark.parametrize("asked", [{"engine": "vllm"}, {"n_hosts": 2}, {"operation": "all-reduce"}])
def test_options_of_another_kind_of_file_are_refused(asked, log):
    with pytest.raises(WrongInput, match="does not go with a training log"):
        clustercast.check(log(with_steps([5.0] * 10)), "h100", **asked)


def test_a_file_that_holds_nothing_known_says_what_was_expected(log):
    with pytest.raises(WrongInput, match="no measurement that is known") as error:
        clustercast.check(log("hello\n"), "h100")
    for tool in ("Megatron-LM", "torchtitan", "nccl-tests", "vllm bench serve"):
        assert tool in error.value.hint


def test_the_measured_row_is_one_that_validate_takes(log, tmp_path):
    from clustercast.report import check as render

    found = clustercast.check(log(log_of(RECORD["KORT-004"])), "a100-80gb")
    rows = tmp_path / "rows.csv"
    rows.write_text(render.csv_text(found), encoding="utf-8")
    (row,) = clustercast.validate(rows).rows
    assert row.status == "ok"
    assert row.estimated == pytest.approx(found.figures[0].expected, rel=0.02)
    assert row.published == pytest.approx(found.figures[0].measured, rel=1e-4)


# -- collectives


def nccl(operation, n_ranks, n_hosts, bus_gbytes_per_s, device, size=2**33):
    """nccl-tests at one size: what issues quote."""
    per_host = n_ranks // n_hosts
    alg = bus_gbytes_per_s / bus_ratio(operation, n_ranks)
    half = f"{size / alg / 1e3:.1f} {alg:.2f} {bus_gbytes_per_s:.2f} 0"
    program = operation.replace("-", "_")
    lines = [
        f"# Collective test starting: {program}_perf",
        "# nThread 1 nGpus 1 minBytes 8589934592 maxBytes 8589934592 step: 2(factor) iters: 20",
        *(
            f"#  Rank {n} Group  0 Pid 1 on host{n // per_host} device {n % per_host} [0x07] {device}"
            for n in range(n_ranks)
        ),
        "#  size count type redop root time algbw busbw #wrong time algbw busbw #wrong",
        f" {size} {size // 4} float sum -1 {half} {half}",
    ]
    return "\n".join(lines) + "\n"


A100, H100, V100 = "NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3", "Tesla V100-SXM2-16GB"
HDR_X4 = ("chip.scale_out=100Gbit/s",)  # four cards of 200 Gbit/s for eight chips
ONE_EDR = ("chip.scale_out=12.5Gbit/s",)  # one card of 100 Gbit/s for eight chips
WELL = [
    ("NVIDIA/nccl issue 1048: A100, one node", "a100-80gb", (8, 1, 232.54), A100, ()),
    ("NVIDIA/nccl issue 1048: A100, two nodes, 4 x 200 Gbit/s", "a100-80gb", (16, 2, 86.0), A100, HDR_X4),
    ("NVIDIA/nccl issue 812: DGX A100, two nodes, 8 x 200 Gbit/s", "a100-80gb", (16, 2, 192.0), A100, ()),
    ("NVIDIA/nccl-tests issue 290: H100, one node", "h100", (8, 1, 476.0), H100, ()),
    ("NVIDIA/nccl-tests issue 309: H100, four nodes", "h100", (32, 4, 365.84), H100, ()),
    (
        "NVIDIA/nccl-tests issue 29: V100, four nodes, one EDR card",
        "v100",
        (32, 4, 12.2),
        V100,
        ONE_EDR,
    ),
]
ILL = [
    ("NVIDIA/nccl-tests issue 152: nv_peer_mem missing", "a100-80gb", (16, 2, 30.0), A100, HDR_X4, "no_gpudirect"),
    ("NVIDIA/nccl issue 1048: NCCL_IB_HCA=mlx5_0", "a100-80gb", (16, 2, 24.0), A100, HDR_X4, "one_rail"),
    ("NVIDIA/nccl issue 700: NCCL_IB_HCA=mlx5_0", "a100-80gb", (16, 2, 9.84), A100, HDR_X4, "one_rail"),
    ("cloud-hypervisor issue 8141: no GPUDirect in a VM", "h100", (16, 2, 154.9), H100, (), "no_gpudirect"),
    ("NVIDIA/nccl-tests issue 178: beyond NVLink bridges", "a100-80gb", (8, 1, 20.0), A100, (), "no_scale_up"),
    ("NVIDIA/nccl-tests issue 29: before it was mended", "v100", (32, 4, 6.0), V100, ONE_EDR, "no_gpudirect"),
]  # fmt: skip


@pytest.mark.parametrize(("title", "chip", "run", "device", "settings"), WELL, ids=[each[0] for each in WELL])
def test_published_bus_bandwidths_are_normal(title, chip, run, device, settings, log):
    found = clustercast.check(log(nccl("all-reduce", *run, device)), chip, settings=settings)
    assert found.verdict == "normal", found.figures[0].ratio
    assert found.figures[0].unit == "B/s"


@pytest.mark.parametrize(("title", "chip", "run", "device", "settings", "cause"), ILL, ids=[each[0] for each in ILL])
def test_published_faults_of_networks_are_named(title, chip, run, device, settings, cause, log):
    found = clustercast.check(log(nccl("all-reduce", *run, device)), chip, settings=settings)
    assert found.verdict == "slow"
    assert found.likeliest.name == cause
    assert found.likeliest.look


def test_a_well_node_clears_its_links_of_what_the_network_does(log):
    both = nccl("all-reduce", 8, 1, 232.0, A100) + nccl("all-reduce", 16, 2, 24.0, A100)
    found = clustercast.check(log(both), "a100-80gb", settings=HDR_X4)
    inside, outside = found.figures
    assert (inside.verdict, outside.verdict) == ("normal", "slow")
    assert outside.causes[0].name == "one_rail"
    assert all(cause.denied for cause in outside.causes if cause.of == "links")


def test_small_messages_show_the_start(log):
    cluster = synthetic.cluster_with("h100", 8)
    slow = cluster._replace(scale_up=cluster.scale_up._replace(launch_s=60e-6, latency_s=10e-6))
    for those, verdict in ((cluster, "normal"), (slow, "slow")):
        text = synthetic.nccl_text("all_reduce", 8, synthetic.collective_s(those))
        figures = clustercast.check(log(text), "h100").figures
        start = next(each for each in figures if each.metric == "collective_s")
        assert start.verdict == verdict
    assert start.causes[0].name == "slow_start"


def test_reduction_in_the_switches_is_known_for_what_it_is(log):
    found = clustercast.check(log(nccl("all-reduce", 32, 4, 520.0, H100)), "h100")
    assert found.verdict == "fast"
    assert {cause.name for cause in found.figures[0].causes} & {"in_switch", "two_node_tree", "faster_network"}


# -- serving


def bench(ttft_ms, tpot_ms, **others):
    """What vllm bench serve writes for 64 clients with ten requests each."""
    document = {
        "date": "20250601-120000", "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B-Instruct",
        "num_prompts": 640, "request_rate": "inf", "max_concurrency": 64, "duration": 120.0, "completed": 640,
        "total_input_tokens": 655360, "total_output_tokens": 81920, "request_throughput": 5.33,
        "mean_ttft_ms": ttft_ms, "median_ttft_ms": ttft_ms, "mean_tpot_ms": tpot_ms, "median_tpot_ms": tpot_ms,
        "mean_itl_ms": tpot_ms, "median_itl_ms": tpot_ms,
    }  # fmt: skip
    return json.dumps(document | others)


def test_a_serving_result_is_judged_by_first_and_further_tokens(log):
    found = clustercast.check(log(bench(170.0, 18.0), "r.json"), "h100", n_chips=1)
    assert found.verdict == "normal"
    assert [figure.metric for figure in found.figures][:2] == ["ttft_ms", "tpot_ms"]
    assert sum(found.figures[1].time_s.values()) * 1e3 == pytest.approx(found.figures[1].expected, rel=1e-6)


def test_a_cause_has_to_explain_both_latencies(log):
    """Only first tokens are late: not what slows every token down."""
    late = clustercast.check(log(bench(900.0, 18.0), "r.json"), "h100", n_chips=1)
    assert late.verdict == "slow"
    assert late.likeliest.name == "all_at_once"
    eager = clustercast.check(log(bench(260.0, 45.0), "r.json"), "h100", n_chips=1)
    assert {cause.name for cause in eager.figures[1].causes} & {"eager", "host_bound", "slow_clocks", "more_in_flight"}
    assert "all_at_once" not in {cause.name for cause in eager.figures[1].causes[:2]}


def test_first_tokens_that_come_too_soon_point_at_the_prefix_cache(log):
    found = clustercast.check(log(bench(25.0, 12.0), "r.json"), "h100", n_chips=1)
    assert found.verdict == "fast"
    assert found.likeliest.name in ("cache_hits", "shorter_prompts", "fewer_in_flight")


# -- ranking


observed = st.builds(rank.Observed, st.floats(0.1, 10.0), st.floats(0.1, 10.0), st.floats(0.05, 0.6))


@given(observed, st.lists(st.floats(0.1, 10.0), min_size=1, max_size=6))
def test_shares_add_up_to_one(one, values):
    names = list(rank.entries("training"))[: len(values)]
    tried = [rank.Tried(name, (1.0,), ((value,),)) for name, value in zip(names, values, strict=True)]
    (found,) = rank.rank("training", [one], tried)
    named = sum(cause.share for cause in found.causes)
    assert 0.0 < named + found.nothing + found.unknown <= 1.0 + 1e-9
    shares = [cause.share for cause in found.causes]
    assert shares == sorted(shares, reverse=True)


@given(observed, st.floats(1.05, 5.0))
def test_of_two_equal_causes_the_nearer_one_is_likelier(one, factor):
    tried = [
        rank.Tried("one_rail", (1.0,), ((one.measured,),)),
        rank.Tried("tcp_sockets", (1.0,), ((one.measured * factor,),)),
    ]
    weights = {name: rank.entries("collective")[name]["weight"] for name in ("one_rail", "tcp_sockets")}
    (found,) = rank.rank("collective", [one], tried)
    share = {cause.name: cause.share / weights[cause.name] for cause in found.causes}
    assert share["one_rail"] >= share.get("tcp_sockets", 0.0)


@given(observed)
def test_the_verdict_turns_with_the_sense_of_the_number(one):
    low, high = one.expected * math.exp(-one.half_width), one.expected * math.exp(one.half_width)
    time, rate = rank.verdict(one.measured, low, high), rank.verdict(one.measured, low, high, rate=True)
    assert (time, rate) in (("normal", "normal"), ("slow", "fast"), ("fast", "slow"))


def test_every_cause_has_a_source_a_place_and_a_word_on_what_to_look_at():
    from clustercast.catalog import constants
    from clustercast.report.check import PLACES
    from clustercast.studies.check import serving_causes, training_causes

    data = constants.table("check")
    for section in ("training", "training_fast", "collective", "collective_fast", "serving", "serving_fast"):
        for name, entry in data[section].items():
            assert entry["of"] in PLACES, name
            assert entry["look"]
            if "size" in entry:
                size = rank.size_of(section, name)
                assert size.low <= size.value <= size.high
                assert entry["size"]["source"] in data["sources"]
    assert training_causes is not serving_causes


def test_eager_steps_that_the_launch_says_are_noted_and_come_first(log):
    launch = log("vllm serve meta-llama/Llama-3.1-8B-Instruct --enforce-eager\n", "launch.sh")
    result = log(bench(170.0, 40.0), "r.json")
    plain, eager = clustercast.check(result, "h100", n_chips=1), clustercast.check(result, "h100", launch=launch)
    assert "--enforce-eager: steps run without captured graphs" in eager.notes[0]
    share = {cause.name: cause.share for cause in eager.figures[1].causes}
    before = {cause.name: cause.share for cause in plain.figures[1].causes}
    assert share["eager"] > before["eager"]
    assert eager.likeliest.name == "eager"
    assert "no-graphs" in eager.figures[1].causes[0].shown


def test_lengths_that_the_result_counted_are_no_cause(log):
    for times in ((900.0, 18.0), (260.0, 45.0), (25.0, 12.0)):
        found = clustercast.check(log(bench(*times), "r.json"), "h100", n_chips=1)
        names = {cause.name for figure in found.figures for cause in figure.causes}
        assert not names & {"longer_prompts", "shorter_prompts", "short_answers"}


def test_arguments_without_steps_are_told_as_that(log):
    row = megatron_rows()[0]
    text = log_of(row)
    left = [line for line in text.splitlines() if "elapsed time per iteration" not in line]
    with pytest.raises(WrongInput, match="holds the arguments of a training tool and no steps"):
        clustercast.check(log("\n".join(left)), "a100")
