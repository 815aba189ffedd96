"""catalog/find.py: names, aliases, paths and sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

from clustercast import catalog
from clustercast.catalog import find, read
from clustercast.errors import WrongInput

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", find.FOLDERS)
def test_aliases_are_found_without_parsing(kind):
    for path in find._files(kind).values():
        assert sorted(find.aliases_in(path)) == sorted(read.load(path, kind)["aliases"]), path.name


@pytest.mark.parametrize("kind", find.FOLDERS)
def test_no_two_files_claim_one_name(kind):
    claimed = {}
    for name, path in find._files(kind).items():
        for each in (name.lower(), *find.aliases_in(path)):
            assert claimed.setdefault(each, name) == name, f"{each} is claimed by {claimed[each]} and {name}"


@pytest.mark.parametrize(
    "text",
    [
        b"aliases: [a, B-2, 'c.d', \"e_f\"]\n",
        b"aliases: [a,\n  b-2,\n  c.d, e_f]\n",
        b"aliases:\n  - a\n  - b-2  # a comment\n  - 'c.d'\n  - e_f\nother: [x]\n",
        b"aliases:  # some\r\n- a\r\n- b-2\r\n- c.d\r\n- e_f\r\n",
    ],
)
def test_aliases_are_found_however_they_are_written(text, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"name: x\n" + text)
    assert find.aliases_in(path) == ("a", "b-2", "c.d", "e_f")


@pytest.mark.parametrize(("typed", "name"), [("h20", "h20-96gb"), ("H20", "h20-96gb"), ("h20-96GB", "h20-96gb")])
def test_case_does_not_matter(typed, name):
    assert catalog.find_chip(typed).name == name


def test_an_unknown_chip_gets_the_nearest_name():
    with pytest.raises(WrongInput) as caught:
        catalog.find_chip("h2O")
    assert str(caught.value) == "unknown chip 'h2O'"
    assert caught.value.hint == "did you mean h20-96gb (alias h20)?"


@pytest.mark.parametrize("name", ["", "h20 ", "h20\0", "x" * 65, "h$20", "ö"])
def test_what_is_no_name_is_refused(name):
    for look in (catalog.find_chip, catalog.find_fabric, catalog.find_model):
        with pytest.raises(WrongInput, match="expected 1 to 64 letters, digits, dots, dashes or underscores"):
            look(name)


@pytest.mark.parametrize("name", ["..", ".", "...", "-"])
def test_a_name_never_becomes_a_path(name):
    with pytest.raises(WrongInput, match="unknown chip"):
        catalog.find_chip(name)


@pytest.mark.parametrize("path", ["../../etc/passwd", "no/such/file", "x.yaml", "x.YML", "x.json"])
def test_a_path_that_holds_no_profile_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongInput, match=r"there is no such file|is not a mapping"):
        catalog.find_model(path)


def test_a_users_file_may_have_any_name(tmp_path):
    path = tmp_path / "my-h20.yaml"
    path.write_bytes((ROOT / "hardware_profiles/chips/h20-96gb.yaml").read_bytes())
    assert catalog.find_chip(str(path)).name == "h20-96gb"


def test_a_catalogue_file_has_to_be_named_as_its_chip(tmp_path, monkeypatch):
    folder = tmp_path / find.FOLDERS["chip"]
    folder.mkdir(parents=True)
    (folder / "wrong.yaml").write_bytes((ROOT / "hardware_profiles/chips/h20-96gb.yaml").read_bytes())
    monkeypatch.setattr(read, "data_root", lambda: tmp_path)
    with pytest.raises(WrongInput) as caught:
        catalog.find_chip("wrong")
    assert str(caught.value) == (
        "hardware_profiles/chips/wrong.yaml: name: 'h20-96gb' is not the name of the file, expected 'wrong'"
    )


def test_an_alias_wins_over_a_size():
    model = catalog.find_model("1.8T")
    assert model.name == "gpt-4-1.8t"
    assert model.resolved_as == "alias of gpt-4-1.8t"


def test_a_bare_size_says_its_shape():
    assert catalog.find_model("70B").resolved_as == (
        "a dense model of 70B parameters: 80 layers of 8192, 64 heads, 8 KV heads, ffn 28416, vocabulary 128256"
    )


def test_a_model_file_is_read_from_its_path():
    path = ROOT / "workloads/models/llama-3.1-8b.yaml"
    model = catalog.find_model(str(path))
    assert model.record() == catalog.find_model("llama-3.1-8b").record()
    assert model.resolved_as == "file workloads/models/llama-3.1-8b.yaml"


def test_a_folder_with_a_config_is_a_model(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100,'
        ' "intermediate_size": 128, "tie_word_embeddings": true, "hidden_act": "silu"}',
        encoding="utf-8",
    )
    assert catalog.find_model(f"{tmp_path}/").record().hidden == 64


def test_the_name_of_a_repository_gets_a_hint():
    with pytest.raises(WrongInput) as caught:
        catalog.find_model("meta-llama/Llama-3.1-70B")
    assert caught.value.hint == "did you mean llama-3.1-70b of the catalogue?"


WARM = """
import sys
from clustercast import catalog
chip = catalog.find_chip("h20")
catalog.find_fabric(chip.fabric)
catalog.find_model("1.8T").record()
heavy = sorted({"pydantic", "ruamel", "numpy", "numba"} & {name.split(".")[0] for name in sys.modules})
print(heavy)
"""


def test_what_the_cache_holds_needs_neither_pydantic_nor_yaml(tmp_path):
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(read.__file__).parents[2])}
    runs = [
        subprocess.run([sys.executable, "-c", WARM], env=home, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert runs[1].stdout.strip() == "[]"
