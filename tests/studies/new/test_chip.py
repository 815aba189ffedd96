"""studies/new/chip.py and doubts.py: a datasheet's numbers become a chip file, and slips are named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clustercast import catalog
from clustercast.catalog.chips import ChipProfile
from clustercast.errors import WrongInput
from clustercast.studies import new

SHEET = new.Datasheet(
    "acme-1",
    vendor="Acme",
    released="2023-11",
    peaks={"bf16": "148TFLOP/s", "fp8": "296TFLOP/s"},
    numbers={"memory": "96GB", "bandwidth": "4.0TB/s", "scale_up": "450GB/s", "nic": "400Gbit/s", "power": "400W"},
    sources={"": "https://example.com/acme-1.pdf", "nic": "a talk"},
    like="h20",
)


def read_back(made: new.Made, folder: Path) -> ChipProfile:
    file = folder / "made.yaml"
    file.write_text(made.text, encoding="utf-8")
    return catalog.find_chip(str(file))


def changed(**numbers: str) -> new.Datasheet:
    return replace(SHEET, numbers=SHEET.numbers | numbers)


def test_a_chip_with_the_numbers_of_another_is_that_chip(tmp_path: Path) -> None:
    made, like = read_back(new.chip_of(SHEET), tmp_path), catalog.find_chip("h20")
    for name in ("peaks.bf16", "peaks.fp8", "memory.capacity", "memory.bandwidth", "scale_up.per_direction", "nic"):
        assert made.value(name) == like.value(name)
    assert (made.family, made.fabric, made.memory_type) == (like.family, like.fabric, like.memory_type)


def test_every_number_has_the_source_that_was_given_for_it(tmp_path: Path) -> None:
    made = read_back(new.chip_of(SHEET), tmp_path)
    assert {name: each.source for name, each in made.quantities() if name in ("nic", "power")} == {
        "nic": "nic",
        "power": "datasheet",
    }
    assert made.sources == {"datasheet": "https://example.com/acme-1.pdf", "nic": "a talk"}


def test_what_is_taken_from_another_chip_and_how_memory_was_read_is_said() -> None:
    notes = new.chip_of(SHEET).notes
    assert notes[0].startswith("memory labelled 96 GB is read as 96 GiB")
    assert notes[1].startswith("taken from h20-96gb: family, architecture, data_centre, fabric, memory_type")


def test_memory_in_gib_is_taken_as_it_is() -> None:
    assert "value: 96 GiB, source: datasheet, kind: datasheet}" in new.chip_of(changed(memory="96GiB")).text


def test_what_is_quoted_for_both_directions_is_halved(tmp_path: Path) -> None:
    numbers = {name: text for name, text in SHEET.numbers.items() if name != "scale_up"}
    made = new.chip_of(replace(SHEET, numbers=numbers | {"scale_up_quoted": "900GB/s"}))
    assert read_back(made, tmp_path).value("scale_up.per_direction") == 450e9


def test_a_chip_like_no_other_says_what_it_assumes() -> None:
    sheet = replace(SHEET, like=None, fabric="hgx-h100-nvswitch", memory_type="HBM3")
    assert "family is not given: other is assumed" in new.chip_of(sheet).notes


def test_a_sheet_of_plausible_numbers_raises_no_doubt() -> None:
    assert new.chip_of(SHEET).warnings == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nic": "400GB/s"}, ("nic", "bits for bytes?")),
        ({"bandwidth": "4.0GB/s"}, ("memory.bandwidth", "another prefix?")),
        ({"scale_up": "900GB/s"}, ("scale_up.per_direction", "twice that of h20-96gb", "both directions together?")),
        ({"power": "400kW"}, ("power", "another prefix?")),
        ({"memory": "96TB"}, ("memory.capacity", "more than that of any chip of its years")),
    ],
)
def test_a_slip_in_a_number_is_named(change: dict[str, str], words: tuple[str, ...]) -> None:
    warnings = new.chip_of(changed(**change)).warnings
    assert len(warnings) == 1
    assert all(word in warnings[0] for word in words)


@pytest.mark.parametrize(
    ("peaks", "words"),
    [
        ({"bf16": "300TFLOP/s", "fp8": "600TFLOP/s"}, "peaks.bf16 300 TFLOP/s is twice that of h20-96gb"),
        ({"bf16": "296TFLOP/s", "fp8": "592TFLOP/s"}, "peaks.bf16 296 TFLOP/s is twice that of h20-96gb"),
        ({"bf16": "148TFLOP/s", "fp8": "592TFLOP/s"}, "twice that of h20-96gb (296 TFLOP/s): the peak with sparsity?"),
        ({"bf16": "100TFLOP/s", "fp8": "400TFLOP/s"}, "peaks.fp8 is 4 times peaks.bf16, usually 2"),
    ],
)
def test_a_peak_with_sparsity_is_named(peaks: dict[str, str], words: str) -> None:
    assert any(words in each for each in new.chip_of(replace(SHEET, peaks=peaks)).warnings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vendor": None}, "chips new: --vendor is missing"),
        ({"sources": {}, "released": None}, "chips new: --released, --source are missing"),
        ({"like": None}, "chips new: --fabric, --memory-type are missing"),
        ({"sources": {"nic": "a talk"}}, "--source: peak.bf16 has no source"),
        ({"name": "a/b"}, "chips new: 'a/b' is no name, expected 1 to 64 letters, digits, dots, dashes or underscores"),
        ({"vendor": "A\x1b[31m"}, "--vendor: holds a control character, expected plain text"),
        ({"released": "soon"}, "chip acme-1: released: 'soon' is not well formed, expected a date such as 2023-11"),
        ({"family": "hoper"}, "chip acme-1: family: 'hoper' is not known"),
        ({"like": "h2o"}, "unknown chip 'h2o'"),
        ({"numbers": SHEET.numbers | {"memory": "96"}}, "--memory: '96' has no unit, expected something like '96 GiB'"),
        (
            {"numbers": SHEET.numbers | {"bandwidth": "4.0 Tb/s"}},
            "--bandwidth: unit 'Tb/s' is not known, expected something like '4.0 TB/s' (bytes are B, bits are bit)",
        ),
        ({"numbers": SHEET.numbers | {"power": "0W"}}, "--power: '0W' is not more than 0"),
    ],
)
def test_what_is_missing_or_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        new.chip_of(replace(SHEET, **change))
    assert caught.value.message.startswith(message)


def test_own_links_and_network_are_needed_where_the_fabric_leaves_them_to_the_chip() -> None:
    without = {name: text for name, text in SHEET.numbers.items() if name != "scale_up"}
    assert list(new.missing(replace(SHEET, numbers=without))) == ["scale_up"]


def test_an_answer_fills_its_place_and_one_that_does_not_fit_is_refused() -> None:
    empty = new.Datasheet("x", like="h20")
    asked = list(new.missing(empty))
    answers = {"vendor": "Acme", "released": "2024", "peak": "bf16=1PFLOP/s", "memory": "80GB", "bandwidth": "3TB/s"}
    answers |= {"power": "700W", "source": "a leaflet", "scale_up": "450GB/s", "nic": "400Gbit/s"}
    assert set(asked) <= set(answers)
    for name in asked:
        empty = new.answered(empty, name, answers[name])
    assert not new.missing(empty)
    with pytest.raises(WrongInput, match="--power: '700' has no unit"):
        new.answered(empty, "power", "700")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["bf16"], "--peak: expected <format>=<rate>"),
        (["bf17=1TFLOP/s"], "--peak: expected <format>=<rate>"),
        (["bf16=1TFLOP/s", "BF16=2TFLOP/s"], "--peak: bf16 is given twice"),
        (["bf16=1TB/s"], "--peak bf16: '1TB/s' is in bytes/s"),
    ],
)
def test_a_peak_that_is_none_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        new.peaks(given)
    assert caught.value.message.startswith(message)


def test_sources_are_told_apart_by_the_number_before_the_equals_sign() -> None:
    assert new.sources(["die-area=a photo", "https://e.com/?q=1"]) == {"die_area": "a photo", "": "https://e.com/?q=1"}
    for given in (["a", "b"], ["nic=x", "nic=y"], [" "]):
        with pytest.raises(WrongInput, match="--source: "):
            new.sources(given)
