"""`clustercast check`: the verdict first, one JSON document, rows for other commands, nothing from a log untouched."""

import csv
import json
from pathlib import Path

import jsonschema
import pytest
import training_logs
from command_line import Cli

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/check.schema.json").read_text("utf-8"))
with (ROOT / "bench/record/training.csv").open(newline="", encoding="utf-8") as file:
    RECORD = {row["id"]: row for row in csv.DictReader(file)}
ASKED = ("--model", "gpt-3-175b", "--count", "64", "--seq", "2048", "--plan", "tp=8,pp=8,vpp=3,dp=1,micro_batch=1")


@pytest.fixture
def normal(tmp_path: Path) -> str:
    path = tmp_path / "normal.log"
    path.write_text(training_logs.megatron_log(RECORD["KORT-004"]), encoding="utf-8")
    return str(path)


@pytest.fixture
def slow(tmp_path: Path) -> str:
    path = tmp_path / "slow.log"
    row = RECORD["KORT-003"]
    path.write_text(training_logs.megatron_log(row, arguments=False), encoding="utf-8")
    return str(path)


def test_the_verdict_comes_first_and_fits_the_page(cli: Cli, normal: str, slow: str) -> None:
    well = cli("check", normal, "--chip", "a100-80gb")
    ill = cli("check", slow, "--chip", "a100-80gb", *ASKED)
    for done in (well, ill):
        assert (done.status, done.err) == (0, "")
        assert max(map(len, done.out.splitlines())) <= 80 + len(max(done.out.split(), key=len))
        assert all(line.isprintable() for line in done.out.splitlines())
    assert well.out.startswith("Normal: within the 80 % interval.")
    said = " ".join(ill.out.split())
    assert said.startswith("Slower than expected: step 1.31 times off.")
    for part in ("activations are recomputed in full", "look at: --recompute-granularity", "where the time should go"):
        assert part in said


def test_one_json_document_that_keeps_its_schema(cli: Cli, slow: str) -> None:
    done = cli("check", slow, "--chip", "a100-80gb", *ASKED, "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["schema"] == "clustercast.check/1"
    assert document["verdict"] == "slow"
    (figure,) = document["figures"]
    assert figure["causes"][0]["name"] == "recompute_full"
    assert figure["ratio"] == pytest.approx(figure["measured"] / figure["expected"])
    assert document["steps"]["n_warm_up"] == 1


def test_measured_rows_go_on_to_validate(cli: Cli, normal: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    assert cli("check", normal, "--chip", "a100-80gb", "--csv", str(rows)).status == 0
    assert cli("validate", str(rows), "--json").document["rows"][0]["status"] == "ok"
    printed = cli("check", normal, "--chip", "a100-80gb", "--csv", "-").out
    assert printed == rows.read_text(encoding="utf-8")


def test_a_launch_file_says_what_the_log_does_not(cli: Cli, slow: str, tmp_path: Path) -> None:
    launch = tmp_path / "run.sh"
    values = training_logs.megatron_arguments(RECORD["KORT-003"])
    options = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in values.items()
        if value not in (None, False) and name not in ("world_size", "data_parallel_size", "num_query_groups")
    ]
    launch.write_text(f"torchrun --nproc_per_node 8 --nnodes 8 pretrain_gpt.py {' '.join(options)}\n", encoding="utf-8")
    done = cli("check", slow, "--chip", "a100-80gb", "--launch", str(launch), "--json")
    assert done.status == 0, done.err
    assert done.document["verdict"] == "normal"
    assert "recompute=full" in done.document["plan"]
    other = cli("check", slow, "--chip", "a100-80gb", "--launch", str(launch), "--count", "128")
    assert other.status == 2
    assert "--count 128 contradicts" in other.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.log", "--chip", "h100"), "there is no such file"),
        ((".", "--chip", "h100"), "is a folder"),
        (("LOG", "--chip", "h1000"), "unknown chip"),
        (("LOG", "--chip", "a100-80gb", "--count", "7"), "--count 7 contradicts"),
        (("LOG", "--chip", "a100-80gb", "--hosts", "2"), "--hosts does not go with a training log"),
        (("LOG", "--chip", "a100-80gb", "--csv", "nowhere/x.csv"), "--csv"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(cli: Cli, normal: str, arguments: tuple[str, ...], said: str) -> None:
    done = cli("check", *(normal if each == "LOG" else each for each in arguments))
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert said in done.err
    assert "Traceback" not in done.err


def test_nothing_of_a_hostile_log_reaches_the_terminal_as_it_is(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31m=cmd.log"
    path.write_text(training_logs.megatron_log(RECORD["KORT-004"], tokenizer_type="\x1b]0;x\x07"), encoding="utf-8")
    done = cli("check", str(path), "--chip", "a100-80gb")
    assert done.status == 0
    assert "\x1b" not in done.out
    table = cli("check", str(path), "--chip", "a100-80gb", "--csv", "-")
    assert "\x1b" not in table.out
    assert not any(cell.startswith(("=", "+", "@")) for line in csv.reader(table.out.splitlines()) for cell in line)
