"""studies/new/model.py: a config.json becomes a model file that says the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from hf_published import PUBLISHED
from hf_writer import WRITERS

from clustercast import catalog
from clustercast.errors import WrongInput
from clustercast.studies import new

NAMES = (
    "deepseek-v3.2",
    "gemma-4-26b-a4b",
    "gpt-oss-20b",
    "nemotron-3-nano-30b-a3b",
    "qwen3.5-397b-a17b",
    "step-3.7-flash",
)


def config_at(folder: Path, config: dict[str, Any]) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_the_model_of_the_catalogue(name: str, tmp_path: Path) -> None:
    ours = catalog.find_model(name)
    made = new.model_of(config_at(tmp_path, WRITERS[name](ours.architecture)), name)
    file = tmp_path / "made.yaml"
    file.write_text(made.text, encoding="utf-8")
    assert catalog.find_model(str(file)).record() == ours.record()


def test_the_file_keeps_what_was_assumed_and_how_the_weights_are_kept(tmp_path: Path) -> None:
    config = PUBLISHED["llama-3.1-8b"].config | {"model_type": "new", "quantization_config": {"quant_method": "awq"}}
    file = tmp_path / "made.yaml"
    file.write_text(new.model_of(config_at(tmp_path, config), "mine").text, encoding="utf-8")
    found = catalog.find_model(str(file))
    assert found.served == "int4-weight-only"
    assert found.notes[0].startswith("model_type 'new' is not known")
    assert "  other_params: 266240 # 65 norms of 4096\n" in file.read_text("utf-8")


def test_the_name_is_the_folders_where_none_is_given(tmp_path: Path) -> None:
    folder = tmp_path / "Some Model (8B)"
    folder.mkdir()
    config_at(folder, PUBLISHED["llama-3.1-8b"].config)
    assert new.model_of(str(folder)).name == "some-model-8b"


def test_the_source_names_the_content_and_not_this_machine(tmp_path: Path) -> None:
    made = new.model_of(config_at(tmp_path, PUBLISHED["llama-3.1-8b"].config), "x")
    assert "sha256" in made.text
    assert str(tmp_path) not in made.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil", "--name: '../evil' is no name, expected 1 to 64 letters, digits, dots, dashes or underscores"),
        (".hidden", "--name: '.hidden' is no name, expected 1 to 64 letters, digits, dots, dashes or underscores"),
        ("a\x1b[31m", "--name: 'a\\x1b[31m' is no name, expected 1 to 64 letters, digits, dots, dashes or underscores"),
    ],
)
def test_a_name_that_is_no_name_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(WrongInput) as caught:
        new.model_of(config_at(tmp_path, PUBLISHED["gpt2"].config), name)
    assert caught.value.message == message


def test_an_address_and_a_model_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="an address is not read, expected a file"):
        new.model_of("https://example.com/config.json")
    with pytest.raises(WrongInput, match="is that of a model file already"):
        new.model_of(config_at(tmp_path, {"architecture": {}}))
