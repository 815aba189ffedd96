"""The hardware profiles themselves: what must be there, which numbers must hold, what silicon lacks."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustercast import catalog

PROFILES = Path(__file__).parents[1] / "hardware_profiles"

# What a user types, and the profile that must answer.
COMMON_NAMES = {
    "v100": "v100-sxm2-32gb",
    "v100-sxm2": "v100-sxm2-32gb",
    "v100-16gb": "v100-sxm2-16gb",
    "v100-pcie": "v100-pcie-16gb",
    "v100s": "v100s-pcie-32gb",
    "a100": "a100-sxm4-80gb",
    "a100-80gb": "a100-sxm4-80gb",
    "a100-40gb": "a100-sxm4-40gb",
    "a100-pcie": "a100-pcie-80gb",
    "a100-pcie-40gb": "a100-pcie-40gb",
    "a800": "a800-sxm4-80gb",
    "a800-pcie": "a800-pcie-80gb",
    "h100": "h100-sxm5-80gb",
    "h100-sxm": "h100-sxm5-80gb",
    "h100-pcie": "h100-pcie-80gb",
    "h100-nvl": "h100-nvl-94gb",
    "h800": "h800-sxm5-80gb",
    "h20": "h20-96gb",
    "hgx-h20": "h20-96gb",
    "h20-3e": "h20-141gb",
    "l20": "l20-48gb",
    "h200": "h200-sxm-141gb",
    "gh200": "gh200-144gb",
    "b200": "b200-sxm",
    "gb200": "gb200-nvl72",
    "b300": "b300-sxm",
    "gb300": "gb300-nvl72",
    "b30a": "b30a",
    "4090": "rtx-4090",
    "4090d": "rtx-4090d",
    "l40s": "l40s-48gb",
    "mi250": "mi250",
    "mi250x": "mi250x",
    "mi300x": "mi300x",
    "mi308x": "mi308x",
    "mi325x": "mi325x",
    "mi355x": "mi355x",
    "gaudi2": "gaudi2",
    "gaudi3": "gaudi3",
    "tpu-v3": "tpu-v3",
    "tpu-v4": "tpu-v4",
    "tpu-v5e": "tpu-v5e",
    "tpu-v5p": "tpu-v5p",
    "trillium": "tpu-v6e",
    "ironwood": "tpu-v7",
    "trn1": "trainium1",
    "trn2": "trainium2",
    "910a": "ascend-910a",
    "910b1": "ascend-910b1",
    "910b2": "ascend-910b2",
    "910b": "ascend-910b3",
    "ascend-910b": "ascend-910b3",
    "910b4": "ascend-910b4",
    "910c": "ascend-910c",
    "950pr": "ascend-950pr",
    "mlu590": "mlu590",
    "br100": "br100",
    "br104": "br104",
    "s4000": "mtt-s4000",
    "s5000": "mtt-s5000",
    "p800": "kunlun-p800",
    "ppu": "thead-ppu",
    "c500": "metax-c500",
    "c600": "metax-c600",
    "bi-v100": "iluvatar-bi-v100",
    "k100-ai": "hygon-k100-ai",
}

# Formats that the silicon lacks; they must be absent, never zero.
LACKING = {
    "v100-sxm2-32gb": ("bf16", "fp8", "tf32", "fp4"),
    "v100-pcie-16gb": ("bf16", "fp8"),
    "t4-16gb": ("bf16", "fp8"),
    "a100-sxm4-80gb": ("fp8", "fp4"),
    "a800-sxm4-80gb": ("fp8", "fp4"),
    "h100-sxm5-80gb": ("fp4",),
    "h20-96gb": ("fp4",),
    "mi250": ("fp8",),
    "tpu-v4": ("fp8", "fp16"),
    "tpu-v5p": ("fp8",),
    "tpu-v6e": ("fp8",),
    "ascend-910a": ("bf16", "fp8"),
    "ascend-910b3": ("fp8", "fp4"),
    "ascend-910c": ("fp8",),
}

# Total processing performance: the largest dense rate times its bits, as public accounts of the rules give it.
PROCESSING_PERFORMANCE = {
    "v100-sxm2-32gb": 2000,
    "a100-sxm4-80gb": 4992,
    "h100-sxm5-80gb": 15_832,
    "h20-96gb": 2368,
    "l20-48gb": 1912,
    "rtx-4090": 5285,
    "rtx-4090d": 4707,
    "mi300x": 20_919,
    "gb300-nvl72": 60_000,
    "ascend-910b3": 5008,
    "tpu-v5e": 3152,
    "trainium2": 10_672,
    "br100": 16_384,
    "mi308x": 3312,
}
BITS = {"fp64": 64, "fp32": 32, "tf32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "fp4": 4, "int4": 4}
KINDS = {"datasheet", "measured", "reported", "fitted", "assumed"}


@cache
def raw(folder: str) -> dict[str, dict[str, Any]]:
    """The files as they are written, by name."""
    yaml = YAML(typ="safe")
    return {path.stem: yaml.load(path.read_text("utf-8")) for path in sorted((PROFILES / folder).glob("*.yaml"))}


def quantities(node: object, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every mapping with a `value`, with its dotted name."""
    if not isinstance(node, dict):
        return []
    if "value" in node:
        return [(path, node)]
    return [found for key, child in node.items() for found in quantities(child, f"{path}.{key}" if path else key)]


def amount(text: object) -> float:
    """The number in front of a unit, for comparing quantities of one unit; TB/s counts as 1,000 GB/s."""
    number, _, unit = str(text).partition(" ")
    return float(number) * (1000 if unit in {"TB/s", "PFLOP/s"} else 1)


CHIPS = raw("chips")
FABRICS = raw("fabrics")


@pytest.mark.parametrize("name", CHIPS)
def test_every_chip_file_loads_under_its_own_name(name: str) -> None:
    assert catalog.find_chip(name).name == name == CHIPS[name]["name"]


@pytest.mark.parametrize("name", FABRICS)
def test_every_fabric_file_loads_under_its_own_name(name: str) -> None:
    assert catalog.find_fabric(name).name == name == FABRICS[name]["name"]


def test_the_catalogue_lists_what_the_folders_hold() -> None:
    assert catalog.chip_names() == sorted(CHIPS)
    assert catalog.fabric_names() == sorted(FABRICS)


@pytest.mark.parametrize(("typed", "name"), COMMON_NAMES.items())
def test_a_chip_answers_to_its_common_name(typed: str, name: str) -> None:
    assert catalog.find_chip(typed).name == name
    assert catalog.find_chip(typed.upper()).name == name


@pytest.mark.parametrize("files", [CHIPS, FABRICS], ids=["chips", "fabrics"])
def test_no_name_or_alias_is_claimed_twice(files: dict[str, dict[str, Any]]) -> None:
    claimed = [str(name) for file in files.values() for name in [file["name"], *file["aliases"]]]
    assert len(claimed) == len(set(claimed)), sorted(name for name in set(claimed) if claimed.count(name) > 1)
    assert all(name == name.lower() for name in claimed)


@pytest.mark.parametrize("name", CHIPS)
def test_the_default_fabric_of_a_chip_exists(name: str) -> None:
    assert CHIPS[name]["fabric"] in FABRICS


@pytest.mark.parametrize("name", CHIPS)
def test_a_chip_has_links_of_its_own_or_a_fabric_that_says_how_fast_it_is(name: str) -> None:
    scale_up = FABRICS[CHIPS[name]["fabric"]]["scale_up"]
    assert ("scale_up" in CHIPS[name]) != ("bandwidth" in scale_up)


@pytest.mark.parametrize(("name", "formats"), LACKING.items())
def test_a_format_the_silicon_lacks_has_no_peak(name: str, formats: tuple[str, ...]) -> None:
    assert not set(formats) & set(CHIPS[name]["peaks"])


@pytest.mark.parametrize("name", CHIPS)
def test_a_chip_can_be_computed_with(name: str) -> None:
    chip = CHIPS[name]
    assert {"fp16", "bf16", "fp8", "int8"} & set(chip["peaks"])
    assert {"capacity", "bandwidth"} <= set(chip["memory"])
    assert {"power", "pcie_generation"} <= set(chip)


@pytest.mark.parametrize(("name", "expected"), PROCESSING_PERFORMANCE.items())
def test_processing_performance_is_the_published_one(name: str, expected: float) -> None:
    rates = {form: amount(peak["value"]) for form, peak in CHIPS[name]["peaks"].items()}
    assert max(rate * BITS[form] for form, rate in rates.items()) == pytest.approx(expected, rel=1.5e-3)


def test_the_h20_stays_under_both_lines_of_the_2023_rule() -> None:
    h20 = CHIPS["h20-96gb"]
    performance = amount(h20["peaks"]["bf16"]["value"]) * 16
    assert performance == 2368 < 2400
    assert performance / amount(h20["die_area"]["value"]) == pytest.approx(2.909, abs=1e-3)


def test_the_h20_keeps_the_links_of_the_h100() -> None:
    assert CHIPS["h20-96gb"]["scale_up"]["quoted"]["value"] == CHIPS["h100-sxm5-80gb"]["scale_up"]["quoted"]["value"]


@pytest.mark.parametrize("name", [name for name in CHIPS if "scale_up" in CHIPS[name]])
def test_one_direction_is_half_of_both_unless_a_note_says_why(name: str) -> None:
    link = CHIPS[name]["scale_up"]
    share = amount(link["per_direction"]["value"]) / amount(link["quoted"]["value"])
    assert link["direction"] in {"both", "one"}
    whole = 0.5 if link["direction"] == "both" else 1.0
    assert share == pytest.approx(whole, rel=1e-6) or "note" in link["per_direction"]


@pytest.mark.parametrize(
    ("files", "name"),
    [(files, name) for files in (CHIPS, FABRICS) for name in files],
    ids=[f"{folder}-{name}" for folder in ("chips", "fabrics") for name in raw(folder)],
)
def test_every_number_has_a_source_and_a_kind_and_lies_in_its_range(
    files: dict[str, dict[str, Any]], name: str
) -> None:
    for path, quantity in quantities(files[name]):
        assert quantity["source"] in files[name]["sources"], path
        assert quantity["kind"] in KINDS, path
        assert quantity["kind"] != "assumed" or {"why", "low", "high"} <= set(quantity), path
        low, value, high = (amount(quantity.get(key, quantity["value"])) for key in ("low", "value", "high"))
        assert low <= value <= high, path


@pytest.mark.parametrize("name", CHIPS)
def test_consumer_cards_are_the_only_ones_not_meant_for_data_centres(name: str) -> None:
    assert CHIPS[name]["data_centre"] is not name.startswith(("rtx-4", "rtx-5"))


@pytest.mark.parametrize("name", CHIPS)
def test_the_readme_does_not_list_a_chip_that_is_here_as_left_out(name: str) -> None:
    left_out = (PROFILES / "README.md").read_text("utf-8").partition("## Left out")[2]
    assert f"`{name}`" not in left_out
