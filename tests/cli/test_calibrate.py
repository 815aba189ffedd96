"""`clustercast calibrate` and what every other command does with its file."""

import json
import math
from pathlib import Path

import pytest
import synthetic
from command_line import Cli

ROOT = Path(__file__).resolve().parents[2]
QUESTION = ("--chip", "h100", "--model", "8B", "--count", "8", "--plan", "tp=8,pp=1,dp=1,zero=0,mb=1,recompute=none")


@pytest.fixture
def nccl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run over a slow link, in the folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    seconds = synthetic.collective_s(synthetic.cluster_with("h100", 8, fraction=0.4))
    (tmp_path / "run.txt").write_text(synthetic.nccl_text("all_gather", 8, seconds), encoding="utf-8")
    return tmp_path / "run.txt"


def test_the_document_holds_what_it_promises(cli: Cli, nccl: Path) -> None:
    done = cli("calibrate", "run.txt", "--chip", "h100", "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.calibrate/1"
    assert (document["kind"], document["chip"]) == ("collectives", "h100-sxm5-80gb")
    assert document["n"] == len(synthetic.SIZES)
    assert document["overlay"] == "calibration.yaml"
    assert set(document["error_before"]) == set(document["error_after"]) == {"median", "max"}
    assert document["error_after"]["median"] < document["error_before"]["median"]
    for each in document["parameters"]:
        assert {"name", "before", "after", "standard_error", "identified", "unit"} <= set(each)
        assert (each["standard_error"] is not None) == each["identified"]
        assert each["identified"] or each["after"] == each["before"]
    assert {each["unit"] for each in document["parameters"]} == {"s", "1"}
    assert "run.txt" in document["sources"]


def test_the_text_answers_first_and_fits_the_page(cli: Cli, nccl: Path) -> None:
    done = cli("calibrate", "run.txt", "--chip", "h100")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith(f"{len(synthetic.SIZES)} measured points: median error ")
    assert lines[-1] == "  --calibration calibration.yaml"
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("fraction ") for line in lines)


@pytest.mark.parametrize("verb", ["estimate", "plan"])
def test_a_command_takes_the_file_and_says_what_it_took(cli: Cli, nccl: Path, verb: str) -> None:
    cli("calibrate", "run.txt", "--chip", "h100", "--output", "mine.yaml")

    def step_s(document: dict[str, object]) -> float:
        text = json.dumps(document)
        found = json.loads(text)
        return float(found["training"]["step_s"] if verb == "estimate" else found["plans"][0]["step_s"])

    before = cli(verb, *QUESTION, "--json").document
    after = cli(verb, *QUESTION, "--json", "--calibration", "mine.yaml").document
    assert step_s(after) > 1.005 * step_s(before)
    assert step_s(cli(verb, *QUESTION, "--json").document) == step_s(before)
    (said,) = (each for each in after["assumptions"] if each["name"] == "h100-sxm5-80gb nvlink4 fraction")
    assert said["source"].startswith("mine.yaml: fitted to ")
    text = cli(verb, *QUESTION, "--calibration", "mine.yaml")
    assert text.status == 0
    assert "calibrated with mine.yaml: fraction" in text.out
    assert " of nvlink4 on h100-sxm5-80gb, fitted to" in " ".join(text.out.split())
    assert "calibrated with" not in cli(verb, *QUESTION).out


def test_too_little_data_is_no_answer_with_its_numbers(cli: Cli, nccl: Path) -> None:
    text = nccl.read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if " float " not in line or line.startswith(f"{2**20:12} ")]
    nccl.write_text("\n".join(kept), encoding="utf-8")
    done = cli("calibrate", "run.txt", "--chip", "h100", "--json")
    assert done.status == 3
    assert done.document["schema"] == "clustercast.error/1"
    assert done.document["numbers"]["needed"] > done.document["numbers"]["n"] == 1
    assert not Path("calibration.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("calibrate",), "FILES is missing"),
        (("calibrate", "none.txt"), "none.txt: there is no such file"),
        (("calibrate", "run.txt"), "run.txt: does not say of which chip it is"),
        (("calibrate", "run.txt", "--chip", "h101"), "unknown chip 'h101'"),
        (("calibrate", "run.txt", "--chip", "h100", "--ranks", "4"), "run.txt:18: its header lists 8 ranks, not 4"),
        (("calibrate", "run.txt", "--chip", "h100", "--output", "run.txt"), "--output run.txt: is there and is no"),
        (
            ("calibrate", "run.txt", "--chip", "h100", "--operation", "juggle"),
            "--operation: unknown operation 'juggle'",
        ),
        (("estimate", *QUESTION, "--calibration", "none.yaml"), "none.yaml: there is no such file"),
        (("estimate", *QUESTION, "--calibration", "run.txt"), "run.txt"),
    ],
)
def test_wrong_input_is_said_in_one_line(cli: Cli, nccl: Path, arguments: tuple[str, ...], error: str) -> None:
    done = cli(*arguments)
    assert (done.status, done.out) == (2, "")
    assert error in done.err.splitlines()[0]
    assert len(done.err.splitlines()) <= 2


def test_without_scipy_it_says_what_to_install(cli: Cli, nccl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    done = cli("calibrate", "run.txt", "--chip", "h100")
    assert done.status == 2
    hint = "hint: pip install 'clustercast[fit]'"
    assert done.err == f"error: scipy is not installed, and calibrate fits with it\n{hint}\n"


def test_three_runs_narrow_no_interval(cli: Cli, nccl: Path) -> None:
    rows = synthetic.step_rows()[::4]
    Path("steps.csv").write_text(synthetic.step_csv({}, lambda seconds: 1.1 * seconds, rows), encoding="utf-8")
    done = cli("calibrate", "steps.csv", "--output", "mine.yaml")
    assert done.status == 0
    assert "All of it is 1.1 times slower than in the catalogue" in done.out
    assert "estimates keep the interval of published runs" in " ".join(done.out.split())

    def width(*options: str) -> float:
        training = cli("estimate", *QUESTION, "--stack", "megatron-core", "--json", *options).document["training"]
        return float(training["step_s_high"] / training["step_s_low"])

    assert width("--calibration", "mine.yaml") == pytest.approx(width(), rel=1e-12)


def test_a_dozen_runs_narrow_it_for_what_they_were_like(cli: Cli, nccl: Path) -> None:
    text = synthetic.step_csv({}, lambda seconds: 1.1 * seconds)
    Path("steps.csv").write_text(text, encoding="utf-8")
    done = cli("calibrate", "steps.csv", "--output", "mine.yaml")
    assert "80 % interval of dense models in bf16 on about 8 to 64 chips: ±5.1 %" in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) <= 80

    def width(*options: str) -> float:
        training = cli("estimate", *QUESTION, "--stack", "megatron-core", "--json", *options).document["training"]
        return float(training["step_s_high"] / training["step_s_low"])

    own = ("--calibration", "mine.yaml")
    assert width("--precision", "bf16", *own) == pytest.approx(math.exp(0.1))
    assert width("--precision", "fp8", *own) == pytest.approx(width("--precision", "fp8"))


def test_what_makes_the_model_worse_is_refused_unless_wanted(cli: Cli, nccl: Path) -> None:
    Path("steps.csv").write_text(synthetic.step_csv({}, synthetic.noisy(0, 0.03)), encoding="utf-8")
    done = cli("calibrate", "steps.csv", "--json")
    assert done.status == 3
    assert set(done.document["numbers"]) == {"error_before", "error_after", "error_left_out"}
    assert not Path("calibration.yaml").exists()
    done = cli("calibrate", "steps.csv", "--keep-anyway", "--json")
    assert done.status == 0
    assert any("points that it has not seen" in each for each in done.document["warnings"])
    assert Path("calibration.yaml").exists()


def test_control_characters_of_a_file_never_reach_the_terminal(cli: Cli, nccl: Path) -> None:
    text = nccl.read_text(encoding="utf-8").replace("NVIDIA H100 80GB HBM3", "\x1b[31mB200\x07")
    nccl.write_text(text, encoding="utf-8")
    done = cli("calibrate", "run.txt", "--chip", "h100")
    assert done.status == 0
    assert all(line.isprintable() for line in done.out.splitlines())


def test_validate_judges_with_the_calibration(cli: Cli, nccl: Path) -> None:
    steps = synthetic.step_csv({"matmul_factor": 0.4}, synthetic.noisy(0, 0.01))
    Path("steps.csv").write_text(steps, encoding="utf-8")
    assert cli("calibrate", "steps.csv", "--output", "mine.yaml").status == 0

    def median(*options: str) -> float:
        groups = cli("validate", "steps.csv", "--json", *options).document["summary"]
        return float(next(each["median_abs_error"] for each in groups if each["group"] == "all"))

    before = median()
    assert median("--calibration", "mine.yaml") < 0.03 < before
    assert median() == before
    said = " ".join(cli("validate", "steps.csv", "--calibration", "mine.yaml").out.split())
    assert "calibrated with mine.yaml: " in said
    assert "of megatron-core on h100-sxm5-80gb, fitted to 12 points; 12 of 12 rows rest on it" in said
