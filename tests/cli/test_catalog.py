"""`chips`, `models`, `fabrics` and `rules`, as text and as JSON; new chips and models by command."""

import json
import sys
from pathlib import Path

import pytest
from command_line import Cli

import clustercast
from clustercast import catalog


@pytest.mark.parametrize(
    ("group", "names"), [("chips", clustercast.chips), ("models", clustercast.models), ("fabrics", clustercast.fabrics)]
)
def test_a_list_holds_every_name_and_fits_the_page(cli: Cli, group: str, names: object) -> None:
    assert callable(names)
    done = cli(group, "list")
    document = cli(group, "list", "--json").document
    assert done.status == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert document["schema"] == f"clustercast.{group}/1"
    assert [each["name"] for each in document[group]] == names()


@pytest.mark.parametrize("name", clustercast.chips())
def test_every_chip_is_shown_with_every_number(cli: Cli, name: str) -> None:
    text = cli("chips", "show", name)
    document = cli("chips", "show", name, "--json").document
    assert text.status == 0
    assert document["schema"] == "clustercast.chip/1"
    for number, each in document["quantities"].items():
        assert number in text.out
        assert each["source"]
        assert each["kind"] in {"datasheet", "measured", "reported", "fitted", "assumed"}


@pytest.mark.parametrize(
    "arguments", [("models", "show", "1.8T"), ("models", "show", "70B"), ("fabrics", "show", "dgx-1")]
)
def test_models_and_fabrics_are_shown(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).status == 0
    assert cli(*arguments, "--json").document["schema"] == f"clustercast.{arguments[0][:-1]}/1"


def test_a_model_is_shown_with_its_counted_parameters(cli: Cli) -> None:
    document = cli("models", "show", "llama-3.1-70b", "--json").document
    assert round(document["total_params"] / 1e9, 1) == 70.6


def test_rules_are_one_document(cli: Cli) -> None:
    document = cli("rules", "--chip", "h20", "--on", "2024-01-01", "--json").document
    assert document["schema"] == "clustercast.rules/1"
    (verdict,) = document["verdicts"]
    assert {"rule", "effective", "caught", "clause", "consequence", "margin"} <= set(verdict)
    assert cli("rules", "--chip", "h20", "--on", "2024-01-01").out.startswith(
        "3A090 of October 2023 does not catch h20-96gb.\n  margin: 98.7 % of the TPP line of 2400"
    )


LLAMA = {
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "vocab_size": 128256,
}
NEW_CHIP = (
    *("chips", "new", "acme-1", "--vendor", "Acme", "--peak", "bf16=148TFLOP/s", "--peak", "fp8=296TFLOP/s"),
    *("--memory", "96GB", "--bandwidth", "4.0TB/s", "--scale-up", "450GB/s", "--nic", "400Gbit/s"),
    *("--power", "400W", "--released", "2023-11", "--source", "https://example.com/a.pdf", "--like", "h20"),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    return tmp_path


def test_a_config_becomes_a_model_file_that_commands_take(cli: Cli, here: Path) -> None:
    done = cli("models", "import", "config.json", "--name", "mine")
    assert done.status == 0
    assert done.out.startswith("model mine\n  8.03B parameters\n")
    assert done.out.endswith("Written to mine.yaml; give it to a command:\n  --model mine.yaml\n")
    assert catalog.find_model(str(here / "mine.yaml")).record() == catalog.find_model("llama-3.1-8b").record()
    assert cli("models", "show", "mine.yaml").status == 0


def test_a_file_is_only_written_over_with_force(cli: Cli, here: Path) -> None:
    (here / "mine.yaml").write_text("precious", encoding="utf-8")
    refused = cli("models", "import", "config.json", "--name", "mine")
    assert refused.status == 2
    assert refused.err == "error: --out: 'mine.yaml' is there already\nhint: --force writes over it\n"
    assert (here / "mine.yaml").read_text("utf-8") == "precious"
    assert cli("models", "import", "config.json", "--name", "mine", "--force").status == 0
    assert not [path for path in here.iterdir() if path.name not in ("config.json", "mine.yaml")]


def test_a_model_file_can_be_printed(cli: Cli, here: Path) -> None:
    printed = cli("models", "import", "config.json", "--name", "mine", "--out", "-")
    assert printed.out.startswith("name: mine\n")
    document = cli("models", "import", str(here), "--name", "mine", "--out", "-", "--json").document
    assert (document["schema"], document["file"], document["text"]) == ("clustercast.new/1", None, printed.out)
    assert document["total_params"] == 8_030_261_248


def test_a_datasheet_becomes_a_chip_file_that_estimate_takes(cli: Cli, here: Path) -> None:
    done = cli(*NEW_CHIP)
    assert done.status == 0
    assert "Look again" not in done.out
    asked = (
        "--model",
        "8B",
        "--count",
        "8",
        "--plan",
        "tp=1,pp=1,cp=1,dp=8,zero=3,recompute=full,micro_batch=1",
        "--json",
    )
    ours = cli("estimate", "--chip", "acme-1.yaml", *asked).document
    theirs = cli("estimate", "--chip", "h20", *asked).document
    assert ours["chip"] == "acme-1"
    assert ours["training"]["step_s"] == pytest.approx(theirs["training"]["step_s"], rel=0.3)


def test_a_slip_is_said_and_the_file_written_all_the_same(cli: Cli, here: Path) -> None:
    done = cli(*(each.replace("400Gbit/s", "400GB/s") for each in NEW_CHIP))
    assert done.status == 0
    assert "bits for bytes?" in " ".join(done.out.split())
    assert (here / "acme-1.yaml").is_file()


def test_what_a_new_chip_lacks_is_named_in_a_pipe(cli: Cli, here: Path) -> None:
    done = cli("chips", "new", "acme-2", "--like", "h20", "--vendor", "Acme", "--source", "x", "--released", "2025")
    assert done.status == 2
    assert done.err == ("error: chips new: --peak, --memory, --bandwidth, --power, --scale-up are missing\n")


def test_what_a_new_chip_lacks_is_asked_for_on_a_terminal(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(("700", "700W"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))
    asked = [each for at, each in enumerate(NEW_CHIP) if "--power" not in NEW_CHIP[max(0, at - 1) : at + 1]]
    done = cli(*asked)
    assert done.status == 0
    assert done.err.startswith("error: --power: '700' has no unit")
    assert catalog.find_chip(str(here / "acme-1.yaml")).value("power") == 700.0


@pytest.mark.parametrize("place", [".", "no/such/folder/x.yaml", "a\0b"])
def test_a_place_that_cannot_be_written_is_wrong_input(cli: Cli, here: Path, place: str) -> None:
    done = cli("models", "import", "config.json", "--out", place)
    assert done.status == 2
    assert done.err.startswith("error: --out: ")
