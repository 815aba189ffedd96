"""`clustercast serve --launch` and `--export`: one line for what is wrong, a whole file for what is right."""

from pathlib import Path

import pytest
from command_line import Cli


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--export", "vlm"), 2, "error: --export: unknown serving tool 'vlm'\nhint: did you mean vllm?"),
        (
            ("--export", "vllm", "--engine", "sglang"),
            2,
            "error: --export vllm: the answer is for sglang\nhint: --engine vllm",
        ),
        (("--out", "x.sh"), 2, "error: --out needs --export\nhint: --export vllm"),
        (
            ("--precision", "mxfp8", "--chip", "b200", "--export", "tensorrt-llm"),
            2,
            "error: --export tensorrt-llm: it has no mxfp8",
        ),
    ],
)
def test_a_wrong_export_is_told_in_one_line(cli: Cli, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = cli("serve", "--chip", "h100", "--model", "llama-3.1-8b", "--count", "1", *arguments)
    assert done.status == status
    assert said in done.err


def test_the_command_line_writes_the_file_whole_and_prints_the_answer(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "serve.sh"
    small = ("serve", "--chip", "h100", "--model", "llama-3.1-8b", "--count", "1", "--isl", "1k", "--osl", "100")
    done = cli(*small, "--export", "vllm", "--out", str(path))
    assert (done.status, done.err) == (0, "")
    assert path.read_text(encoding="utf-8") == cli(*small, "--export", "vllm").out
    assert cli(*small, "--export", "vllm", "--json").document["launch"] == path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["serve.sh"]
    again = cli("serve", "--chip", "h100", "--launch", str(path), "--isl", "1k", "--osl", "100", "--json").document
    assert again["plan"]["tp"] == 1


def test_without_a_model_and_a_launch_there_is_no_question(cli: Cli) -> None:
    done = cli("serve", "--chip", "h100")
    assert (done.status, done.err) == (2, "error: --model is missing\nhint: or --launch FILE\n")


def test_pools_apart_are_written_into_two_files(cli: Cli, tmp_path: Path) -> None:
    asked = ("--prefill-chip", "h100", "--decode-chip", "h20", "--model", "llama-3.1-8b", "--count", "4")
    done = cli("serve", *asked, "--export", "sglang", "--out", str(tmp_path / "serve.sh"))
    assert (done.status, done.err) == (0, "")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["serve-decode.sh", "serve-prefill.sh"]
