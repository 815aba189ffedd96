"""A chip or a model given only by its numbers works like one of the catalogue."""

from pathlib import Path

import pytest

from clustercast import catalog
from clustercast.errors import WrongInput
from clustercast.estimates import interval
from clustercast.studies.record import numbers, training
from clustercast.studies.validate import validate

ROOT = Path(__file__).resolve().parents[3]
H100 = {
    "chip": "nobody-knows",
    "chip_bf16_tflops": "989",
    "chip_memory_gb": "80",
    "chip_bandwidth_tb_per_s": "3.35",
    "chip_scale_up_gb_per_s": "450",
    "chip_nic_gbit_per_s": "400",
}


def test_a_chip_of_its_numbers_alone() -> None:
    chip = numbers.chip_of(H100)
    assert (chip.name, chip.family, chip.fabric) == ("nobody-knows", "other", "generic-8-mesh")
    assert chip.peaks() == {"bf16": 989e12}
    assert (chip.value("memory.capacity"), chip.value("memory.bandwidth")) == (80 * 2**30, 3.35e12)
    assert (chip.value("scale_up.per_direction"), chip.value("nic")) == (450e9, 50e9)
    assert interval.evidence_of(chip, "training") == "datasheet only"
    assert interval.evidence_of(numbers.chip_of(H100 | {"chip_family": "hopper"}), "training") == "measured family"


def test_a_chip_without_links_is_a_card_in_a_pcie_server() -> None:
    assert numbers.chip_of(H100 | {"chip_scale_up_gb_per_s": ""}).fabric == "pcie-gen5-tree"


def test_numbers_of_a_row_go_before_the_catalogues() -> None:
    chip = numbers.chip_of({"chip": "h20", "chip_bandwidth_tb_per_s": "6"})
    assert (chip.name, chip.value("memory.bandwidth")) == ("h20-96gb", 6e12)
    assert numbers.chip_of({"chip": "h20"}).value("memory.bandwidth") == 4e12


def test_the_same_numbers_and_family_give_the_same_step(tmp_path: Path) -> None:
    # a catalogue chip and its own numbers under another name, in the same fabric and family
    known = catalog.find_chip("a800")
    given = {f"chip_{name}_tflops": f"{peak / 1e12:.6g}" for name, peak in known.peaks().items()}
    given |= {
        "chip": "other-name",
        "chip_family": known.family,
        "chip_fabric": known.fabric,
        "chip_memory_gb": f"{known.value('memory.capacity') / 2**30:.6g}",
        "chip_bandwidth_tb_per_s": f"{known.value('memory.bandwidth') / 1e12:.6g}",
        "chip_scale_up_gb_per_s": f"{known.value('scale_up.per_direction') / 1e9:.6g}",
        "chip_nic_gbit_per_s": f"{known.value('nic') * 8 / 1e9:.6g}",
    }
    row = {"id": "a", "chip": "a800", "n_chips": "64", "layers": "32", "hidden": "4096", "heads": "32", "ffn": "16384"}
    row |= {"seq_len": "4096", "global_batch": "64", "TP": "8", "DP": "8", "metric": "iteration_s", "value": "1"}
    row |= {"gpus_per_node": "8", "date": "2024"}
    seconds = training.estimated(row)[0]
    assert training.estimated(row | given)[0] == pytest.approx(seconds, rel=1e-6)
    assert training.estimated(row | given | {"chip_bandwidth_tb_per_s": "0.5"})[0] > seconds


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chip": ""}, "chip is empty"),
        (
            {"chip": "x", "chip_bf16_tflops": "1"},
            "chip 'x' is not in the catalogue and its row gives no chip_memory_gb",
        ),
        (H100 | {"chip_memory_gb": "much"}, "chip_memory_gb: expected a number above 0, got 'much'"),
        (H100 | {"chip_memory_gb": "0"}, "chip_memory_gb: expected a number above 0, got '0'"),
        (H100 | {"chip_family": "hoper"}, "unknown chip_family 'hoper'"),
        ({"chip": "h20", "chip_nic_gbit_per_s": "-1"}, "chip_nic_gbit_per_s: expected a number above 0, got '-1'"),
    ],
)
def test_numbers_that_make_no_chip_say_why(row: dict[str, str], message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        numbers.chip_of(row)
    assert caught.value.message.startswith(message)


def test_a_chip_cell_may_be_a_path(tmp_path: Path) -> None:
    text = (ROOT / "hardware_profiles/chips/h20-96gb.yaml").read_text("utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("name: h20-96gb", "name: mine").replace("aliases: [", "aliases: [mine-"), "utf-8")
    assert numbers.chip_of({"chip": str(path)}).name == "mine"


def test_a_model_by_its_shape_is_the_catalogues() -> None:
    shape = {"layers": "32", "hidden": "4096", "heads": "32", "kv_heads": "8", "head_dim": "128", "ffn": "14336"}
    model = numbers.model_of({"model": "mine", "vocab": "128256"} | shape)
    known = numbers.model_of({"model": "llama-3.1-8b"})
    same = ("n_layers", "hidden", "vocab", "n_heads", "n_kv_heads", "qk_head_dim", "ffn", "n_mlp_matrices")
    assert [getattr(model, name) for name in same] == [getattr(known, name) for name in same]
    with pytest.raises(WrongInput, match="model is empty"):
        numbers.model_of({"model": ""})


def test_both_forms_take_a_chip_by_its_numbers(tmp_path: Path) -> None:
    training_row = H100 | {"id": "t", "n_chips": "8", "layers": "32", "hidden": "4096", "heads": "32", "ffn": "16384"}
    training_row |= {"seq_len": "4096", "global_batch": "64", "DP": "8", "metric": "iteration_s", "value": "5"}
    serving_row = H100 | {"id": "s", "n_chips": "1", "mode": "agg", "engine": "vllm", "model": "nothing-known"}
    serving_row |= {"layers": "32", "hidden": "4096", "heads": "32", "ffn": "14336", "vocab": "32000", "tp": "1"}
    serving_row |= {"input_len": "128", "output_len": "128", "concurrency": "1", "metric": "tpot_ms", "value": "9"}
    for name, row in (("t", training_row), ("s", serving_row)):
        path = tmp_path / f"{name}.csv"
        whole = row | {"complete": "yes"}
        path.write_text(f"{','.join(whole)}\n{','.join(whole.values())}\n", encoding="utf-8")
        (found,) = validate([path]).rows
        assert (found.status, found.why, found.evidence) == ("ok", "", "datasheet only"), name
