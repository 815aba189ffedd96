"""`chips`, `models`, `fabrics` and `rules`, as text and as JSON."""

import pytest
from command_line import Cli

import clustercast


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
