"""catalog/schema.py: what a chip, fabric or model file may not say, word for word."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from clustercast.catalog import read, schema
from clustercast.errors import WrongInput

ROOT = Path(__file__).parents[2]
CHIP = (ROOT / "hardware_profiles/chips/h20-96gb.yaml").read_text("utf-8")
FABRIC = (ROOT / "hardware_profiles/fabrics/hgx-v100-cube-mesh.yaml").read_text("utf-8")
MODEL = (ROOT / "workloads/models/deepseek-v3.2.yaml").read_text("utf-8")
FOLDERS = {"chip": "hardware_profiles/chips", "fabric": "hardware_profiles/fabrics", "model": "workloads/models"}


def broken(kind, text, old, new, tmp_path, monkeypatch):
    """The error, without its line number, of a good file with one thing changed."""
    monkeypatch.chdir(tmp_path)
    assert old in text
    Path("x.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(WrongInput) as caught:
        read.load(Path("x.yaml"), kind)
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("148 TFLOP/s", "148", "peaks.fp16.value: 148 has no unit, expected something like '148 TFLOP/s'"),
        (
            "148 TFLOP/s",
            "148 TB/s",
            "peaks.fp16.value: '148 TB/s' is in bytes/s, expected something like '148 TFLOP/s'",
        ),
        ("148 TFLOP/s", "0 TFLOP/s", "peaks.fp16.value: '0 TFLOP/s' is not more than 0"),
        ("148 TFLOP/s", ".nan", "peaks.fp16.value: is nan, expected a quantity as its source writes it"),
        ("148 TFLOP/s", "[1]", "peaks.fp16.value: is a list, expected a quantity as its source writes it"),
        ("kind: reported", "kind: assumed", "peaks.fp64: is assumed, expected why, low and high"),
        ("low: 4.0 TB/s", "low: 4.1 TB/s", "memory.bandwidth: low (4.1 TB/s) is more than the value (4 TB/s)"),
        ("low: 4.0 TB/s, ", "", "memory.bandwidth: has only one of low and high, expected both or neither"),
        ("vendor: NVIDIA\n", "", "vendor: is missing"),
        ("vendor: NVIDIA", "vendor: 3", "vendor: is 3, expected text"),
        ("data_centre: true", "data_centre: yes", "data_centre: is 'yes', expected true or false"),
        ("n_cores: 78", "n_cores: 78.5", "n_cores: is 78.5, expected a whole number"),
        ("released: 2023-11", "released: soon", "released: 'soon' is not well formed, expected a date such as 2023-11"),
        (
            "per_direction: {value: 450",
            "per_direction: {value: 900",
            "scale_up.per_direction: 900 GB/s is more than half of quoted (900 GB/s)",
        ),
        (
            "kind: reported",
            "kind: guess",
            "peaks.fp64.kind: 'guess' is not known, expected datasheet, measured, reported, fitted, assumed",
        ),
        (
            "name: h20-96gb",
            "name: h20/96",
            "name: 'h20/96' is not well formed, expected 1 to 64 letters, digits, dots, dashes or underscores",
        ),
    ],
)
def test_a_wrong_chip_says_what_is_wrong(old, new, message, tmp_path, monkeypatch):
    where, _, said = str(broken("chip", CHIP, old, new, tmp_path, monkeypatch)).partition(": ")
    assert said == message
    assert where == "x.yaml" or where.removeprefix("x.yaml:").isdecimal()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "experts_per_token: 8",
            "experts_per_token: 300",
            "x.yaml:30: architecture.experts_per_token: 300 is more than experts (256)",
        ),
        ("  v_head_dim: 128\n", "", "x.yaml:9: architecture: attention is mla, expected v_head_dim"),
        ("n_groups: 8", "n_groups: 7", "x.yaml:34: architecture.n_groups: 7 does not divide experts (256)"),
        ("layers: 61", "layers: 2", "x.yaml:33: architecture.first_dense_layers: 3 is more than layers (2)"),
        ("tied: false", "tied: no", "x.yaml:15: architecture.tied: is 'no', expected true or false"),
        (
            "value: 671e9",
            "value: 671 GB",
            "x.yaml:39: published.total.value: suffix 'GB' is not known, expected something like '1.8T':"
            " one of k K M B G T or none",
        ),
        (
            "source: config",
            "source: cfg",
            "x.yaml:10: architecture.source: 'cfg' is not in sources, expected one of config, paper, sparse",
        ),
    ],
)
def test_a_wrong_model_says_where_and_what(old, new, message, tmp_path, monkeypatch):
    assert str(broken("model", MODEL, old, new, tmp_path, monkeypatch)) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "pair_fraction: 0.333",
            "pair_fraction: 1.5",
            "x.yaml:11: scale_up.pair_fraction: 1.5 is out of range, expected less than or equal to 1",
        ),
        ("  pair_fraction: 0.333\n", "", "x.yaml:7: scale_up: is a cube-mesh, expected pair_fraction"),
        (
            "shape: cube-mesh",
            "shape: ring",
            "x.yaml:8: scale_up.shape: 'ring' is not known, expected switch, full-mesh, cube-mesh, torus, pcie-tree",
        ),
        ("rails_cross: true", "rails_cross: 1", "rails_cross: is 1, expected true or false"),
    ],
)
def test_a_wrong_fabric_says_where_and_what(old, new, message, tmp_path, monkeypatch):
    assert str(broken("fabric", FABRIC, old, new, tmp_path, monkeypatch)).endswith(message)


def test_a_misspelt_field_is_guessed(tmp_path, monkeypatch):
    error = broken("chip", CHIP, "bandwidth:", "bandwith:", tmp_path, monkeypatch)
    assert error.message.endswith("memory.bandwith: is not a known field")
    assert error.hint == "did you mean bandwidth?"


def test_a_full_date_is_text(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(CHIP.replace("released: 2023-11", "released: 2023-11-05"), encoding="utf-8")
    assert read.load(path, "chip")["released"] == "2023-11-05"


@pytest.mark.parametrize("kind", schema.READ)
def test_the_json_schema_in_the_docs_is_the_codes(kind):
    committed = json.loads((ROOT / f"docs/schemas/{kind}.schema.json").read_text("utf-8"))
    assert committed == schema.json_schemas()[kind], "write them with catalog.schema.write_json_schemas(docs/schemas)"


@pytest.mark.parametrize("kind", schema.MODELS)
def test_the_catalogue_fits_its_json_schema(kind):
    validator = jsonschema.Draft202012Validator(schema.json_schemas()[kind])
    yaml = YAML(typ="safe", pure=True)
    for path in sorted((ROOT / FOLDERS[kind]).glob("*.yaml")):
        errors = [error.message for error in validator.iter_errors(yaml.load(path.read_text("utf-8")))]
        assert not errors, path.name


def test_every_kind_of_file_has_a_json_schema():
    assert set(schema.json_schemas()) == {"chip", "fabric", "model", "calibration", "study"}


def test_a_calibration_fits_its_json_schema():
    number = {
        "value": 0.8,
        "standard_error": 0.01,
        "low": 0.7,
        "high": 0.9,
        "before": 0.75,
        "kind": "fitted",
        "source": "a",
    }
    errors = {"median": 0.1, "max": 0.2}
    part = {
        "kind": "matmuls",
        "chip": "h20-96gb",
        "belongs_to": "bf16",
        "n": 9,
        "constants": {"matmul_fraction": number},
    }
    overlay = {"schema": "clustercast.calibration/1", "date": "2026-01-01", "clustercast": "0.1", "sources": {"a": "A"}}
    overlay["parts"] = [part | {"error_before": errors, "error_after": errors}]
    jsonschema.Draft202012Validator(schema.json_schemas()["calibration"]).validate(overlay)
    assert schema.validate("calibration", overlay)
