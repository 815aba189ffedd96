"""Serving engines by name and date, and chips under the formats of a served model."""

import pytest

from clustercast import records
from clustercast.catalog import build, constants, serving
from clustercast.catalog.find import chip_names, find_chip
from clustercast.errors import WrongInput

ENGINES = sorted(constants.table("engines")["engines"])
PARTS = sorted(constants.table("precisions")["serving_parts"])


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_has_every_number_with_its_source(name: str) -> None:
    found = serving.engine(name)
    assert found.load in ("loop", "static")
    fitted = [number for number in found.constants.values() if "serving" in number.source and number.kind == "fitted"]
    assert fitted
    assert tuple(found.record) == tuple(found.constants[field].value for field in records.Engine._fields)
    for number in found.constants.values():
        assert number.source
        assert number.low <= number.value <= number.high
        assert number.kind != "assumed" or number.note


def test_an_engine_takes_what_it_does_not_state_from_the_one_it_is_like() -> None:
    like, own = serving.engine("vllm-2024").record, serving.engine("deepspeed").record
    assert own == like
    rocm = serving.engine("vllm-rocm-2024").record
    assert rocm.first_token_s == like.first_token_s
    assert rocm.kv_factor != like.kv_factor


def test_a_family_goes_before_the_engine() -> None:
    usual, blackwell = (serving.engine("vllm", family).record for family in ("hopper", "blackwell"))
    assert blackwell.launch_factor < usual.launch_factor
    assert blackwell._replace(launch_factor=usual.launch_factor) == usual


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(WrongInput) as caught:
        serving.engine("vlm")
    assert caught.value.hint == "did you mean vllm?"


@pytest.mark.parametrize("name", PARTS)
def test_every_format_runs_on_every_chip_that_computes_in_16_bit(name: str) -> None:
    for chip_name in chip_names():
        chip = find_chip(chip_name)
        if not {"bf16", "fp16"} & set(chip.peaks()):
            continue
        found = serving.silicon(chip, name, name, "bf16")
        assert min(found.chip.matmul_flop_per_s, found.chip.expert_flop_per_s) > 0.0
        assert 0.0 < found.kernels.matmul_memory_fraction <= 1.0
        wanted = serving.part(name)["format"]
        assert bool(found.said) == (wanted not in ("weight-only", "bf16", "fp16") and wanted not in chip.peaks())


def test_blocks_of_fp8_pad_rows_on_hopper_and_tensors_do_not() -> None:
    chip = find_chip("h20")
    tiles = [serving.silicon(chip, each, each, "bf16").precision.tile_rows for each in ("fp8", "fp8_block")]
    assert tiles == [16.0, 64.0]


def test_a_chip_whose_matmuls_were_not_measured_reads_weights_as_it_reads_its_cache() -> None:
    kernels = serving.silicon(find_chip("h20"), "bf16", "bf16", "bf16").kernels
    assert kernels.matmul_memory_fraction == kernels.decode_attention_memory_fraction


@pytest.mark.parametrize(
    ("engine", "date", "family", "expected"),
    [
        ("vllm", "2026-01", "hopper", "vllm"),
        ("vllm", "2024", "hopper", "vllm-2024"),
        ("vllm", "2024-11", "ampere", "vllm-2024"),
        ("vllm", "2024", "cdna3", "vllm-rocm-2024"),
        ("vllm", "2025", "cdna3", "vllm"),
        ("trtllm", "2023-11", "hopper", "trtllm-2024"),
        ("trtllm", "", "hopper", "trtllm"),
        ("", "2022-23", "ampere", "megatron"),
        ("something", "2026", "hopper", "generic"),
    ],
)
def test_an_engine_is_that_of_its_day(engine: str, date: str, family: str, expected: str) -> None:
    assert serving.engine_of_row(engine, date, family)[0].name == expected


def test_an_unknown_format_names_those_that_there_are() -> None:
    with pytest.raises(WrongInput, match="unknown format 'fp7'"):
        serving.part("fp7")


def given(*settings: str) -> serving.EngineProfile:
    return serving.with_settings(serving.engine("vllm"), settings)


def test_a_number_of_an_engine_can_be_given() -> None:
    usual, found = serving.engine("vllm"), given("engine.expert_imbalance=0.2", "engine.host_step=2ms", "chip.x=1")
    assert (found.record.expert_imbalance, found.record.host_step_s) == (0.2, 0.002)
    assert found.record._replace(expert_imbalance=0, host_step_s=0) == usual.record._replace(
        expert_imbalance=0, host_step_s=0
    )
    assert found.constants["host_step_s"].kind == "given"
    assert given("engine.redundant_experts=0").record.redundant_experts == 0.0


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("engine.imbalance=1", "unknown number of an engine 'imbalance'", "did you mean expert_imbalance?"),
        ("engine.host_step=2GB", "--set engine.host_step: ", ""),
        ("engine.exchange_overlap=1.5", "--set engine.exchange_overlap: expected a share of at most 1, got 1.5", ""),
        ("engine.launch_factor=0", "--set engine.launch_factor: expected more than 0, got 0", ""),
        ("engine.layer_s=-1us", "--set engine.layer_s: ", ""),
    ],
)
def test_a_number_that_an_engine_cannot_have_is_wrong_input(setting: str, message: str, hint: str) -> None:
    with pytest.raises(WrongInput) as caught:
        given(setting)
    assert caught.value.message.startswith(message)
    assert (caught.value.hint or "") == hint


def test_engines_state_bounds_that_no_factor_passes() -> None:
    for name in ENGINES:
        engine = serving.engine(name).record
        assert 0.9 <= engine.compute_ceiling < 1.0
        assert 0.9 <= engine.memory_ceiling < 1.0


def test_an_engine_of_its_time_is_met_by_its_rows_alone() -> None:
    named = {date: serving.engine_of_row("sglang", date, "hopper")[0].name for date in ("2025-05", "2025-05-05", "")}
    assert named == {"2025-05": "sglang-2025", "2025-05-05": "sglang", "": "sglang"}


@pytest.mark.parametrize("chip_name", ["a100", "h100", "v100", "ascend-910b", "mi300x"])
def test_fewer_bits_read_less_and_compute_no_faster(chip_name: str) -> None:
    chip = find_chip(chip_name)
    half = serving.sixteen(chip)
    usual, eight, four = (
        serving.silicon(chip, name, name, "bf16") for name in (half, "fp8_weight_only", "int4_weight_only")
    )
    for found in (eight, four):
        assert found.chip.matmul_flop_per_s == usual.chip.matmul_flop_per_s
        assert found.kernels.matmul_fraction <= usual.kernels.matmul_fraction
        assert found.precision.activation_bytes == 2.0
        read, whole = (each.precision.weight_bytes / each.kernels.matmul_memory_fraction for each in (found, usual))
        assert read < whole


def test_unpacking_costs_more_on_silicon_without_the_instructions() -> None:
    share = {}
    for chip_name in ("a100", "v100", "ascend-910b"):
        chip = find_chip(chip_name)
        four, half = (
            serving.silicon(chip, name, name, "bf16").kernels for name in ("int4_weight_only", serving.sixteen(chip))
        )
        share[chip_name] = four.matmul_memory_fraction / half.matmul_memory_fraction
    assert share["a100"] > share["v100"] > share["ascend-910b"]


def test_a_small_cache_is_unpacked_where_the_silicon_lacks_its_format() -> None:
    chip = find_chip("a100")
    half, eight = (serving.silicon(chip, "bf16", "bf16", kv) for kv in ("bf16", "fp8"))
    slower = half.kernels.decode_attention_memory_fraction / eight.kernels.decode_attention_memory_fraction
    assert 1.0 < slower < half.precision.kv_bytes / eight.precision.kv_bytes


@pytest.mark.parametrize(("called", "recipe"), [("w4a16", "int4-weight-only"), ("AWQ", "int4-weight-only")])
def test_a_recipe_is_found_by_what_people_call_it(called: str, recipe: str) -> None:
    assert constants.recipe(called) == constants.recipe(recipe)


def test_weights_alone_in_fewer_bits_run_where_only_fp16_does() -> None:
    chip = find_chip("v100")
    assert build.silicon(chip, "w4a16", "prior").recipe.formats["matmul"] == "fp16"
    with pytest.raises(WrongInput) as caught:
        build.silicon(find_chip("a100"), "fp8-block", "measured")
    assert "fp8-weight-only" in (caught.value.hint or "")
