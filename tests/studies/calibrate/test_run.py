"""From files to constants: what is known comes back, what is too little or wrong is refused."""

import csv
import io
import math
from pathlib import Path

import pytest
import synthetic

import clustercast
from clustercast.catalog import constants, overlay, serving
from clustercast.errors import NoAnswer, WrongInput
from clustercast.physics.training import training_step
from clustercast.studies.record import training

LINK = {"fraction": 0.62, "launch_s": 9e-6, "latency_s": 1.6e-6, "ramp": 0.8, "reduction_gain": 1.5}
USUAL = constants.stack("megatron-core", "h100-sxm5-80gb", "hopper").record
STACK = {"matmul_factor": 0.75 * USUAL.matmul_factor, "collective_factor": 1.5 * USUAL.collective_factor}
NOT_NOISY = synthetic.noisy(0, 0.0)


@pytest.fixture
def calibrate(tmp_path):
    """Calibrate on texts written to files."""

    def run(*texts, **options):
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"run{number}.txt"
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            paths.append(path)
        return clustercast.calibrate(paths, **({"output": tmp_path / "out.yaml"} | options))

    return run


def found(result):
    return {each.name: each for part in result.parts for each in part.parameters}


def link_texts(noise, operations=("all_reduce", "all_gather", "alltoall"), ranks=(2, 4, 8), tier=LINK, **options):
    exact = synthetic.collective_s(synthetic.cluster_with("h100", 8, **tier))

    def seconds(operation, size, n_ranks):
        return noise(exact(operation, size, n_ranks))

    return [synthetic.nccl_text(op, n, seconds, **options) for op in operations for n in ranks]


def test_the_constants_of_a_link_come_back(calibrate):
    result = calibrate(*link_texts(synthetic.noisy(1, 0.03)), chip="h100")
    after = found(result)
    (part,) = result.parts
    assert (part.kind, part.chip, part.belongs_to, part.n) == (
        "collectives",
        "h100-sxm5-80gb",
        "nvlink4",
        9 * len(synthetic.SIZES),
    )
    for name, within in (
        ("fraction", 0.03),
        ("launch", 0.05),
        ("latency", 0.08),
        ("ramp", 0.1),
        ("reduction_gain", 0.06),
    ):
        true = LINK.get(name) or LINK[f"{name}_s"]
        assert after[name].identified
        assert after[name].after == pytest.approx(true, rel=within), name
        assert abs(after[name].after - true) < 4 * after[name].standard_error, name
    assert part.error_after.median < 0.03 < part.error_before.median
    assert part.error_left_out.median < 0.03
    assert 0.02 < part.half_width < 0.06


def test_a_single_run_leaves_alone_what_it_cannot_tell_apart(calibrate):
    result = calibrate(*link_texts(synthetic.noisy(2, 0.03), ("all_gather",), (8,)), chip="h100")
    after = found(result)
    assert "reduction_gain" not in after
    left = [each for each in after.values() if not each.identified]
    assert left
    assert all(each.after == each.before and each.standard_error is None for each in left)
    assert result.error_after.median < 0.04


def test_nodes_are_fitted_over_the_link_inside_them(calibrate):
    cluster = synthetic.cluster_with("h100", 64, fraction=0.7)
    cluster = cluster._replace(rail=cluster.rail._replace(fraction=0.5, launch_s=6e-5, latency_s=1e-5, ramp=0.6))
    noise = synthetic.noisy(3, 0.02)
    exact = synthetic.collective_s(cluster)
    texts = [
        synthetic.nccl_text("all_gather", n, lambda op, size, ranks: noise(exact(op, size, ranks)))
        for n in (8, 16, 32, 64)
    ]
    result = calibrate(*texts, chip="h100")
    n_sizes = len(synthetic.SIZES)
    assert [(part.belongs_to, part.n) for part in result.parts] == [("nvlink4", n_sizes), ("infiniband", 3 * n_sizes)]
    outer = {each.name: each for each in result.parts[1].parameters}
    assert outer["fraction"].after == pytest.approx(0.5, rel=0.04)
    assert outer["launch"].after == pytest.approx(6e-5, rel=0.25)


@pytest.mark.parametrize("unit", ["time_us", "latency_ms", "tflops"])
def test_the_constants_of_a_matmul_come_back(calibrate, unit):
    true = {"matmul_fraction": 0.66, "matmul_memory_fraction": 0.7, "matmul_launch_s": 7e-6, "matmul_join": 0.5}
    result = calibrate(synthetic.matmul_csv("h100", true, synthetic.noisy(4, 0.02), unit), chip="h100")
    (part,) = result.parts
    assert (part.kind, part.belongs_to, part.n) == ("matmuls", "bf16", len(synthetic.SHAPES))
    after = found(result)
    assert after["matmul_fraction"].after == pytest.approx(0.66, rel=0.03)
    assert after["matmul_memory_fraction"].after == pytest.approx(0.7, rel=0.05)
    assert after["matmul_launch"].after == pytest.approx(7e-6, rel=0.1)


def test_the_factors_of_a_stack_come_back(calibrate):
    result = calibrate(synthetic.step_csv(STACK, synthetic.noisy(5, 0.01)))
    (part,) = result.parts
    assert (part.kind, part.chip, part.belongs_to, part.n) == ("steps", "h100-sxm5-80gb", "megatron-core", 12)
    after = found(result)
    assert part.n_fitted <= 6
    for name, true in STACK.items():
        assert after[name].after == pytest.approx(true, rel=0.08), name
    assert result.error_after.median < 0.02 < 0.05 < result.error_before.median
    assert result.error_left_out.median < 0.03


def test_never_more_constants_than_half_the_steps(calibrate):
    rows = synthetic.step_rows()[::3]
    result = calibrate(synthetic.step_csv(STACK, NOT_NOISY, rows))
    (part,) = result.parts
    assert part.n_fitted <= 2
    assert part.error_left_out is None
    assert part.half_width is None
    assert "half_width" not in Path(result.overlay).read_text(encoding="utf-8")


def others():
    """Rows of other models on the same chip and stack, within 4x of the chips that were measured."""
    shapes = ((24, 2048, 16, 1, 1, 8), (40, 5120, 40, 4, 1, 2), (80, 8192, 64, 8, 4, 4), (96, 12288, 96, 8, 8, 4))
    for layers, hidden, heads, tp, pp, dp in shapes:
        yield synthetic.step_rows()[0] | {
            "layers": str(layers), "hidden": str(hidden), "heads": str(heads), "kv_heads": str(heads),
            "ffn": str(4 * hidden), "TP": str(tp), "PP": str(pp), "DP": str(dp), "n_chips": str(tp * pp * dp),
            "global_batch": str(16 * dp), "seq_len": "2048",
        }  # fmt: skip


def seconds_of(row):
    setting, plan = training.setting_of(row)
    return training_step(setting, plan).step_s


@pytest.mark.parametrize(("factor", "every"), [(0.9, 1), (1.15, 1), (1.15, 2), (1.15, 4), (1.3, 2)])
def test_what_is_slower_as_a_whole_is_so_for_other_models_too(calibrate, factor, every):
    before = [seconds_of(row) for row in others()]
    noise = synthetic.noisy(9, 0.005)
    text = synthetic.step_csv({}, lambda seconds: factor * noise(seconds), synthetic.step_rows()[::every])
    result = calibrate(text)
    with overlay.of_files(result.overlay):
        after = [seconds_of(row) for row in others()]
    for one, other in zip(after, before, strict=True):
        assert one / other == pytest.approx(factor, rel=0.025)
    for each in found(result).values():
        if each.unit == "s":
            assert each.after <= 1.5 * factor * each.before, each.name


def test_steps_in_another_unit_are_refused(calibrate):
    text = synthetic.step_csv({}, lambda seconds: 5 * seconds)
    error = refused(calibrate, r"these training steps are 5 times slower than the catalogue has megatron-core on", text)
    assert error.hint.startswith("check the unit of value")
    assert error.numbers["ratio"] == pytest.approx(5.0, rel=1e-3)
    points = synthetic.serving_csv({}, lambda value: 1e-3 * value)
    refused(calibrate, "physically impossible", points)


def test_a_fit_that_is_worse_than_the_catalogue_is_refused_unless_it_is_wanted(calibrate, tmp_path):
    text = synthetic.step_csv({}, synthetic.noisy(0, 0.03))
    error = refused(calibrate, "a calibration would make the model worse: megatron-core on h100-sxm5-80gb: a fit", text)
    assert error.numbers["error_left_out"] > error.numbers["error_before"] > 0.01
    assert "--keep-anyway" in error.hint
    assert not (tmp_path / "out.yaml").exists()
    result = calibrate(text, keep_anyway=True)
    assert any("a fit describes points that it has not seen to" in each for each in result.warnings)


def test_the_file_says_what_its_steps_were_like(calibrate):
    result = calibrate(synthetic.step_csv({"matmul_factor": 0.5}, synthetic.noisy(5, 0.01)))
    (part,) = result.parts
    covers = part.covers
    assert covers == (("dense",), ("bf16",), 8, 64)
    assert part.half_width >= 0.05
    (read,) = overlay.load(result.overlay).parts
    assert (read.kinds, read.precisions, read.least_chips, read.most_chips) == covers


def test_rates_are_steps_too(calibrate):
    text = synthetic.step_csv(STACK, NOT_NOISY)
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        tokens = int(row["global_batch"]) * int(row["seq_len"]) / int(row["n_chips"])
        row |= {"metric": "tokens_per_s_per_gpu", "value": f"{tokens / float(row['value']):.8g}"}
    written = io.StringIO()
    table = csv.DictWriter(written, synthetic.STEP_COLUMNS)
    table.writeheader()
    table.writerows(rows)
    one, other = (found(calibrate(each)) for each in (text, written.getvalue()))
    assert one["matmul_factor"].after == pytest.approx(other["matmul_factor"].after, rel=1e-3)


def test_the_host_of_an_engine_comes_back(calibrate):
    result = calibrate(synthetic.serving_csv({"host_step_s": 4e-3, "first_token_s": 0.2}, synthetic.noisy(8, 0.01)))
    (part,) = result.parts
    assert (part.kind, part.chip, part.belongs_to, part.n) == ("serving", "h100-sxm5-80gb", "vllm", 16)
    after = found(result)
    host = after["host_step_s"]
    assert host.after == pytest.approx(4e-3, abs=2 * host.standard_error)
    assert host.after > 3 * host.before
    assert after["first_token_s"].after == pytest.approx(0.2, rel=0.1)
    assert result.error_after.median < 0.02 < 0.1 < result.error_before.median
    assert all(each.after <= 3.0001 * each.before for each in after.values() if each.name == "prefill_step_s")
    with overlay.of_files(result.overlay):
        known = overlay.calibrated("h100-sxm5-80gb", "serving")
        assert known is not None
        assert known.half_width == pytest.approx(part.half_width, abs=1e-6)
        engine = serving.engine("vllm", "hopper", "h100-sxm5-80gb").constants
        assert engine["host_step_s"].value == pytest.approx(after["host_step_s"].after, rel=1e-5)


def test_steps_are_fitted_over_the_links_before_them(calibrate):
    slow = {"fraction": 0.3, "launch_s": 2e-5, "latency_s": 3e-6}
    links = link_texts(NOT_NOISY, ("all_gather", "reduce_scatter"), tier=slow)
    kernels = calibrate(*links, chip="h100")
    with overlay.of_files(kernels.overlay):
        steps = synthetic.step_csv({}, NOT_NOISY)
    over = calibrate(*links, steps, chip="h100")
    assert over.parts[-1].error_before.max < 0.02
    assert calibrate(steps).parts[-1].error_before.max > 0.05


def test_a_constant_far_from_all_published_machines_is_a_warning(calibrate):
    result = calibrate(synthetic.step_csv({"matmul_factor": 0.45 * USUAL.matmul_factor}, NOT_NOISY))
    assert any("far outside what published machines reach" in each for each in result.warnings)
    assert not calibrate(synthetic.step_csv({}, NOT_NOISY, synthetic.step_rows()[::3])).warnings


def test_one_command_takes_all_kinds(calibrate):
    sweep = synthetic.matmul_csv("h100", {"matmul_fraction": 0.7}, NOT_NOISY)
    points = synthetic.serving_csv({}, NOT_NOISY)
    texts = [synthetic.step_csv(STACK, NOT_NOISY), points, sweep, *link_texts(NOT_NOISY, ("all_gather",))]
    result = calibrate(*texts, chip="h100")
    assert [part.kind for part in result.parts] == ["collectives", "matmuls", "steps", "serving"]
    document = result.as_dict()
    assert (document["kind"], document["chip"]) == (None, "h100-sxm5-80gb")
    assert len(overlay.load(result.overlay).parts) == 4


def refused(calibrate, match, *texts, **options):
    with pytest.raises(NoAnswer, match=match) as raised:
        calibrate(*texts, **options)
    assert raised.value.numbers
    return raised.value


def test_messages_of_one_size_are_refused(calibrate):
    texts = link_texts(NOT_NOISY, sizes=(2**20,))
    error = refused(
        calibrate, "too little data: 1 message size over a span of 1, at least 3 sizes", *texts, chip="h100"
    )
    assert error.numbers["needed_sizes"] == 3


def test_too_few_points_are_refused(calibrate):
    texts = link_texts(NOT_NOISY, ("all_gather",), (8,), sizes=(2**10, 2**20, 2**30))
    refused(calibrate, "too little data: 3 different messages, at least 6", *texts, chip="h100")
    sweep = "m,n,k,dtype,us\n" + "128,4096,4096,bf16,20\n" * 9
    refused(calibrate, "too little data: 1 different shapes, at least 6", sweep, chip="h100")
    steps = synthetic.step_csv(STACK, NOT_NOISY, synthetic.step_rows()[:2])
    refused(calibrate, "too little data: 2 different steps of h100-sxm5-80gb with megatron-core", steps)
    context = synthetic.step_csv(STACK, NOT_NOISY).replace(",yes\n", ",partly\n")
    refused(calibrate, "holds no complete step", context)


def test_repeats_that_differ_are_refused_with_their_lines(calibrate):
    rows = synthetic.step_rows()
    text = (
        synthetic.step_csv({}, NOT_NOISY, rows)
        + synthetic.step_csv({"matmul_factor": 0.3}, NOT_NOISY, rows[:1]).partition("\n")[2]
    )
    error = refused(calibrate, r"contradict one another: run0.txt:14 and run0.txt:2 are the same configuration", text)
    assert error.numbers["ratio"] > error.numbers["most"] == 1.5


def test_repeats_that_agree_are_one_configuration(calibrate):
    rows = synthetic.step_rows()[:2]
    noise = synthetic.noisy(6, 0.02)
    refused(calibrate, "too little data: 2 different steps", synthetic.step_csv({}, noise, rows * 4))


def test_what_no_hardware_does_is_refused_with_its_rows(calibrate):
    fast = synthetic.step_csv({}, lambda seconds: seconds / 4)
    refused(
        calibrate, r"physically impossible: run0.txt:\d+ \(\d\.\d+x\).* and \d more: faster than the dense peak", fast
    )
    sweep = synthetic.matmul_csv("h100", {}, lambda seconds: seconds / 2)
    refused(calibrate, "faster than the dense bf16 peak", sweep, chip="h100")
    texts = link_texts(lambda seconds: seconds / 3, ("all_gather",))
    refused(calibrate, r"faster than the datasheet's links \(nvlink4\)", *texts, chip="h100")


def test_noise_that_no_constants_explain_is_refused(calibrate):
    noise = synthetic.noisy(7, 1.0)
    text = synthetic.step_csv({}, lambda seconds: 2 * noise(seconds))
    error = refused(calibrate, "the measurements contradict the setup: whatever its constants", text)
    assert error.numbers["median_error"] > error.numbers["most_median_error"]


def test_a_part_that_is_refused_is_a_warning_beside_one_that_is_not(calibrate):
    rows = synthetic.step_rows()
    other = [row | {"chip": "a100-sxm4-80gb"} for row in rows[:1]]
    result = calibrate(synthetic.step_csv(STACK, NOT_NOISY, rows + other))
    assert [part.chip for part in result.parts] == ["h100-sxm5-80gb"]
    assert any("1 different steps of a100-sxm4-80gb" in each for each in result.warnings)


def test_a_file_of_another_device_is_said(calibrate):
    result = calibrate(*link_texts(NOT_NOISY, ("all_gather",), device="NVIDIA B200"), chip="h100")
    assert result.warnings == ("the file was measured on 'NVIDIA B200' and is taken for h100-sxm5-80gb",)


def test_operands_in_the_cache_are_left_out(calibrate):
    text = synthetic.matmul_csv("h100", {}, NOT_NOISY) + "1,2048,2048,bf16,1.5\n"
    assert any("1 matmuls left out" in each for each in calibrate(text, chip="h100").warnings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "run0.txt: is empty"),
        ("hello\nworld\n", "run0.txt: holds nothing that is known; it begins with 'hello'"),
        ("{}", "run0.txt: is JSON without a list `results`"),
        ('{"results": [\n{"size": 1,', r"run0.txt:2: is not JSON: "),
        ("m,n,dtype,us\n1,2,bf16,3\n", "run0.txt:1: its header lacks k"),
        ("m,n,k,us\n1,2,3,4\n", "run0.txt:1: its header has no number format"),
        ("m,n,k,dtype\n1,2,3,bf16\n", "run0.txt:1: its header has no time"),
        ("m,n,k,dtype,us\n", "run0.txt: has a header and no rows"),
        ("m,n,k,dtype,us\n1,2,3,bf16,fast\n", "run0.txt:2: us: expected a positive number, got 'fast'"),
        ("m,n,k,dtype,us\n1,2,3,bf16,-1\n", "run0.txt:2: us: expected a positive number, got '-1'"),
        ("m,n,k,dtype,us\n1,2,3,bf17,1\n", "run0.txt:2: number format 'bf17' is not known"),
        ("m,n,k,dtype,us\n1,2,3,bf16,1,7\n", "run0.txt:2: has 6 cells, expected 5"),
        ("m,n,k,dtype,us\n1.5,2,3,bf16,1\n", "run0.txt:2: m: expected a whole number"),
    ],
)
def test_a_broken_file_says_where_and_what_was_expected(calibrate, text, message):
    with pytest.raises(WrongInput, match=message):
        calibrate(text, chip="h100")


def test_a_broken_step_says_its_line(calibrate):
    text = synthetic.step_csv({}, NOT_NOISY)
    for old, new, message in (
        (",bf16,,,plain", ",fp4.2,,,plain", None),
        ("h100-sxm5-80gb", "h101", r"run0.txt:2: unknown chip 'h101'"),
        (",4096,32,32,", ",many,32,32,", r"run0.txt:2: .*hidden: expected a number, got 'many'"),
        (",iteration_s,", ",iteration_s,-", r"run0.txt:2: .*value: expected a positive number"),
    ):
        broken = text.replace(old, new, 1)
        assert broken != text
        if message is not None:
            with pytest.raises(WrongInput, match=message):
                calibrate(broken)


@pytest.mark.parametrize("value", ["1e300", "1e-300", "5e-324", "1e308"])
def test_a_figure_that_is_no_time_is_refused_with_its_line(calibrate, value):
    for make in (synthetic.step_csv, synthetic.serving_csv):
        header, first, *rest = make({}, NOT_NOISY).split("\n")
        place = header.split(",").index("value")
        cells = first.split(",")
        broken = "\n".join([header, ",".join([*cells[:place], value, *cells[place + 1 :]]), *rest])
        with pytest.raises(WrongInput, match=r"run0.txt:2: value: .*: check its unit"):
            calibrate(broken)


def test_a_chip_has_to_be_named_for_files_that_do_not_say(calibrate):
    with pytest.raises(WrongInput, match=r"run0.txt: does not say of which chip it is"):
        calibrate(synthetic.matmul_csv("h100", {}, NOT_NOISY))


def test_a_file_that_is_no_overlay_is_kept(calibrate, tmp_path):
    kept = tmp_path / "notes.yaml"
    kept.write_text("mine: 1\n", encoding="utf-8")
    text = synthetic.matmul_csv("h100", {"matmul_fraction": 0.7}, NOT_NOISY)
    with pytest.raises(WrongInput, match="is there and is no overlay"):
        calibrate(text, chip="h100", output=kept)
    assert kept.read_text(encoding="utf-8") == "mine: 1\n"
    calibrate(text, chip="h100", output=kept, force=True)
    assert overlay.is_overlay(kept)
    calibrate(text, chip="h100", output=kept)
    with pytest.raises(WrongInput, match="its folder does not exist"):
        calibrate(text, chip="h100", output=tmp_path / "no" / "out.yaml")


def test_a_calibration_may_start_from_another(calibrate, tmp_path):
    kernels = calibrate(
        synthetic.matmul_csv("h100", {"matmul_fraction": 0.6}, NOT_NOISY), chip="h100", output=tmp_path / "kernels.yaml"
    ).overlay
    steps = synthetic.step_csv({}, NOT_NOISY)
    alone = found(calibrate(steps))["matmul_factor"].after
    over = found(calibrate(steps, calibration=kernels))["matmul_factor"].after
    assert over > 1.1 * alone  # slower kernels leave the stack less to explain
    assert math.isfinite(over)
