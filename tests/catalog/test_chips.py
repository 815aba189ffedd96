"""catalog/chips.py: a chip's numbers in base units, and what `--set` changes."""

import pytest

from clustercast import catalog
from clustercast.errors import WrongInput


@pytest.fixture
def h20():
    return catalog.find_chip("h20")


def test_numbers_are_in_base_units(h20):
    assert h20.value("memory.bandwidth") == 4e12
    assert h20.value("memory.capacity") == 96 * 2**30
    assert h20.value("scale_up.per_direction") == 450e9
    assert h20.value("nic") == 50e9
    assert h20.value("power") == 400
    assert h20.value("die_area") == 814
    assert h20.value("price.buy") == 13500
    assert h20.peaks()["bf16"] == 148e12
    assert "fp4" not in h20.peaks()


def test_every_number_has_its_origin(h20):
    names = dict(h20.quantities())
    assert {"peaks.bf16", "vector.fp32", "memory.cache", "io_bandwidth"} <= set(names)
    assert all(each.source in h20.sources for each in names.values())
    assert names["memory.bandwidth"].text == "4 TB/s"
    assert (names["memory.bandwidth"].low, names["memory.bandwidth"].high) == (4e12, 4.022e12)


def test_a_number_that_is_not_there_is_none_or_wrong_input(h20):
    assert h20.get("price.rent") is None
    with pytest.raises(WrongInput, match=r"^hardware_profiles/chips/h20-96gb\.yaml: price\.rent is missing$"):
        h20.value("price.rent")


@pytest.mark.parametrize(
    ("key", "text", "name", "value"),
    [
        ("hbm_bandwidth", "6TB/s", "memory.bandwidth", 6e12),
        ("hbm_capacity", "141 GiB", "memory.capacity", 141 * 2**30),
        ("scale_up", "900 GB/s", "scale_up.per_direction", 900e9),
        ("scale_out", "800 Gbit/s", "nic", 100e9),
        ("power", "500 W", "power", 500.0),
        ("die_area", "600 mm2", "die_area", 600.0),
        ("price_buy", "10000 USD", "price.buy", 10000.0),
        ("price_rent", "1.5 USD/h", "price.rent", 1.5),
        ("peak.fp8", "400 TFLOP/s", "peaks.fp8", 400e12),
        ("peak.fp4", "1 PFLOP/s", "peaks.fp4", 1e15),
    ],
)
def test_a_setting_changes_one_number_and_says_so(h20, key, text, name, value):
    changed = h20.with_setting(key, text)
    assert changed.value(name) == value
    assert changed.get(name).kind == "assumed"
    assert changed.get(name).source == "--set"
    follows = {"scale_up.quoted", "io_bandwidth"} if key == "scale_up" else set()
    same = {each for each, quantity in h20.quantities() if changed.get(each) == quantity}
    assert set(dict(h20.quantities())) - same <= {name} | follows
    assert h20 == catalog.find_chip("h20")


def test_flops_scale_every_peak(h20):
    faster = h20.with_setting("flops", "296TFLOP/s")
    assert {name: value / h20.peaks()[name] for name, value in faster.peaks().items()} == dict.fromkeys(
        h20.peaks(), 2.0
    )


def test_faster_links_move_what_the_export_rules_count(h20):
    faster = h20.with_setting("scale_up", "550 GB/s")
    assert faster.value("scale_up.quoted") == 1100e9
    assert faster.value("io_bandwidth") == h20.value("io_bandwidth") + 200e9


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("hbm_bandwidth", "6", "--set chip.hbm_bandwidth: '6' has no unit, expected something like '4.0 TB/s'"),
        ("power", "0 W", "--set chip.power: '0 W' is not more than 0, expected '400 W'"),
        (
            "hbm",
            "6TB/s",
            "--set chip.hbm: is not known, expected one of hbm_bandwidth, hbm_capacity, scale_up, scale_out, power,"
            " die_area, io_bandwidth, price_buy, price_rent, flops, peak.fp64, peak.fp32, peak.tf32, peak.fp16,"
            " peak.bf16, peak.fp8, peak.int8, peak.fp6, peak.fp4, peak.int4",
        ),
    ],
)
def test_a_wrong_setting_says_what_was_expected(h20, key, text, message):
    with pytest.raises(WrongInput) as caught:
        h20.with_setting(key, text)
    assert str(caught.value) == message
