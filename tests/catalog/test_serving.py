"""Serving engines by name and date, and chips under the formats of a served model."""

import pytest

from clustercast import records
from clustercast.catalog import constants, serving
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
