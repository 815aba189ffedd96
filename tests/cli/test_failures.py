"""What is wrong is said in one `error:` line with a hint, and the exit status says whose turn it is."""

import pytest
from command_line import Cli

from clustercast.cli import failures

ESTIMATE = ("estimate", "--chip", "h20", "--model", "1.8T")
WRONG = [
    (
        ("estimate", "--chip", "h21", "--model", "1.8T"),
        "unknown chip 'h21'",
        "did you mean h20-96gb (alias h20)?",
    ),
    (("estimate", "--chip", "h20", "--model", "gpt-33"), "unknown model 'gpt-33'", "did you mean "),
    (("chips", "show", "h21"), "unknown chip 'h21'", "did you mean h20-96gb (alias h20)?"),
    (("rules", "--chip", "h21"), "unknown chip 'h21'", "did you mean h20-96gb (alias h20)?"),
    ((*ESTIMATE, "--cont", "8"), "unknown option --cont", "did you mean --count?"),
    (("estimat",), "unknown command 'estimat'", "did you mean estimate?"),
    (("chips", "shw"), "unknown command 'shw'", "did you mean show?"),
    (("estimate", "--model", "1.8T"), "--chip is missing", "`clustercast estimate --help` lists what there is"),
    (("estimate", "--chip"), "--chip needs a value", "write --chip VALUE"),
    (("chips", "show"), "NAME is missing", "`clustercast chips show --help` lists what there is"),
    ((*ESTIMATE, "--json=3"), "--json takes no value", None),
    ((*ESTIMATE, "more"), "unexpected argument 'more'", "`clustercast estimate --help` lists what there is"),
    (
        (*ESTIMATE, "--plan", "tp=7"),
        "--plan: tensor parallel 7 does not divide 144 attention heads",
        "tensor parallel can be 1, 2, 3, 4, 6, 8, 9, 12, 16, 18",
    ),
    ((*ESTIMATE, "--plan", "tpp=8"), "--plan: unknown field 'tpp'", "did you mean "),
    ((*ESTIMATE, "--count", "0"), "--count: expected a whole number from 1 to 10,000,000, got 0", None),
    ((*ESTIMATE, "--count", "1.5"), "--count: expected a whole number, got '1.5'", None),
    ((*ESTIMATE, "--count", "-4"), "--count: expected a number like 1024, 10k or 13T, got '-4'", None),
    (
        (*ESTIMATE, "--count", "10,000"),
        "--count: expected a number like 1024, 10k or 13T, got '10,000'",
        "write 10000",
    ),
    ((*ESTIMATE, "--tokens", "lots"), "--tokens: expected a number like 1024, 10k or 13T, got 'lots'", None),
    ((*ESTIMATE, "--tokens", "nan"), "--tokens: expected a number like 1024, 10k or 13T, got 'nan'", None),
    (
        ("estimate", "--chip", "v100", "--model", "8B", "--precision", "bf16"),
        "--precision bf16: v100-sxm2-32gb has no bf16 (needed for matmul)",
        "it can run fp16",
    ),
    (("rules", "--chip", "h20", "--on", "soon"), "--on: expected a day like 2026-01-31, got 'soon'", None),
    (
        ("plan", "--chip", "h20", "--model", "8B", "--top", "0"),
        "--top: expected a whole number from 1 to 1,000, got 0",
        None,
    ),
]


@pytest.mark.parametrize(("arguments", "error", "hint"), WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_wrong_input_is_said_in_one_line_with_a_hint(
    cli: Cli, arguments: tuple[str, ...], error: str, hint: str | None
) -> None:
    done = cli(*arguments)
    lines = done.err.splitlines()
    assert done.status == 2
    assert done.out == ""
    assert lines[0] == f"error: {error}"
    if hint is None:
        assert len(lines) == 1
    else:
        assert len(lines) == 2
        assert lines[1].startswith(f"hint: {hint}")


def test_a_model_that_fits_nowhere_is_no_answer_with_the_numbers(cli: Cli) -> None:
    done = cli("estimate", "--chip", "h20", "--model", "70B", "--count", "1", "--json")
    assert done.status == 3
    assert done.err.startswith("error: training dense-70b does not fit 1 x h20-96gb")
    document = done.document
    numbers = document.pop("numbers")
    assert document["schema"] == "clustercast.error/1"
    assert document["exit"] == 3
    assert done.err.splitlines() == [f"error: {document['error']}", f"hint: {document['hint']}"]
    assert numbers["training_needed_bytes"] > numbers["training_available_bytes"]
    assert numbers["training_smallest_count"] > numbers["training_count"] == 1


def test_a_plan_that_does_not_fit_is_no_answer(cli: Cli) -> None:
    done = cli("plan", "--chip", "h20", "--model", "70B", "--count", "8", "--plan", "tp=1,pp=1,zero=0")
    assert done.status == 3
    assert "does not fit 8 x h20-96gb" in done.err


@pytest.mark.parametrize("arguments", [("estimate", "--chip", "h21", "--model", "8B"), ("estimate", "--modle", "8B")])
def test_wrong_input_under_json_is_one_document(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments, "--json")
    assert done.status == 2
    assert set(done.document) == {"schema", "exit", "error", "hint", "numbers"}
    assert done.document["schema"] == "clustercast.error/1"
    assert done.document["exit"] == 2
    assert done.err.splitlines()[0] == f"error: {done.document['error']}"


def test_control_characters_of_the_user_never_reach_the_terminal(cli: Cli) -> None:
    for text in ("h20\x1b[31m", "h20\r\nerror: fine", "\u202eh20", "a/\x07.yaml"):
        for arguments in (
            ("chips", "show", text),
            ("estimate", f"--{text}"),
            (text,),
            ("rules", "--chip", "h20", text),
        ):
            done = cli(*arguments)
            assert done.status == 2
            assert all(line.isprintable() for line in done.err.split("\n"))
            assert len(done.err.splitlines()) <= 2


def test_a_fault_of_ours_asks_to_be_reported_without_a_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import clustercast

    def broken(*_: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(clustercast, "rules", broken)
    done = cli("rules", "--chip", "h20", "--json")
    assert done.status == 1
    assert done.document["exit"] == 1
    assert "Traceback" not in done.err
    assert done.err.splitlines()[0].startswith("error: a fault of clustercast itself: ZeroDivisionError in ")
    assert done.err.splitlines()[1].startswith("hint: please report it")
    monkeypatch.setenv("CLUSTERCAST_DEBUG", "1")
    assert "Traceback" in cli("rules", "--chip", "h20").err


def test_an_interrupt_is_quiet(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import clustercast

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clustercast, "rules", interrupted)
    assert cli("rules", "--chip", "h20") == (130, "", "")


def test_a_full_disk_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.unwritable(OSError(28, "No space left on device")) == 1
    assert capsys.readouterr().err == "error: standard output cannot be written: no space left on device\n"
