"""A file in one of the two forms is read whole or refused with its line; a spoilt row stays in its place."""

import csv
from pathlib import Path

import pytest

from clustercast.errors import WrongInput
from clustercast.studies.record.files import NEEDED, read_file

HEADER = ",".join(NEEDED["training"])
N = len(NEEDED["training"])


def write(folder: Path, content: bytes | str) -> Path:
    path = folder / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path) -> WrongInput:
    with pytest.raises(WrongInput) as caught:
        read_file(path)
    return caught.value


@pytest.mark.parametrize("form", ["training", "serving"])
def test_the_form_is_known_by_the_header(tmp_path: Path, form: str) -> None:
    found = read_file(write(tmp_path, ",".join(reversed(NEEDED[form])) + ",more\n"))
    assert (found.form, found.rows) == (form, ())


def test_cells_are_stripped_and_a_mark_and_line_ends_are_no_matter(tmp_path: Path) -> None:
    text = "\ufeff " + HEADER + "\r\n a ," + ",".join("x" * (N - 1)) + "\r\n\r\n"
    (row,) = read_file(write(tmp_path, text)).rows
    assert (row.cells["id"], row.cells["chip"], row.flaw, row.line) == ("a", "x", "", 2)


def test_a_quoted_cell_may_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    rows = f'{HEADER}\n"a, ""b""\nc"{"," * (N - 1)}\nnext{"," * (N - 1)}\n'
    first, second = read_file(write(tmp_path, rows)).rows
    assert first.cells["id"] == 'a, "b"\nc'
    assert (first.line, second.line, second.cells["id"]) == (2, 4, "next")


def test_a_row_of_the_wrong_length_stays_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\nshort,x\nlong{',x' * N}\nspare{',' * (N + 3)}\n")
    short, long, spare = read_file(path).rows
    assert short.flaw == f"{path}:2: 2 cells, expected {N}"
    assert (short.cells["id"], short.cells["complete"]) == ("short", "")
    assert long.flaw == f"{path}:3: {N + 1} cells, expected {N}"
    assert spare.flaw == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, expected a header and rows"),
        (b"\n\n", "is empty, expected a header and rows"),
        (HEADER.encode() + b"\nok\n\xff\n", ":3: is not UTF-8 text"),
        (HEADER.encode("utf-16"), ":1: is UTF-16 text, expected UTF-8"),
        (HEADER.encode() + b"\na\0b\n", ":2: holds a NUL character, expected text"),
        (f"{HEADER},chip\n".encode(), ":1: the column 'chip' is there twice"),
        (f'{HEADER}\n\n"open,{"," * N}\nx'.encode(), ":3: a quote is not closed before the file ends"),
        (f'{HEADER}\n"a"b\n'.encode(), ":2: is no CSV: a comma expected after '\"'"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    expected = f"{path}{message}" if message.startswith(":") else f"{path}: {message}"
    assert refused(path).message == expected


def test_a_huge_cell_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\n{'x' * (csv.field_size_limit() + 1)}\n")
    assert refused(path).message == f"{path}:2: a cell is longer than 131,072 characters: a quote that is not closed?"


def test_a_header_of_neither_form_names_what_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER.replace("layers", "depth") + "\n")
    error = refused(path)
    assert error.message == f"{path}:1: is neither form of measurements: of the training form it lacks layers"
    assert error.hint is not None
    assert "of the serving form it lacks mode, engine, model, input_len, output_len" in error.hint


def test_other_separators_are_guessed(tmp_path: Path) -> None:
    assert (
        refused(write(tmp_path, HEADER.replace(",", ";"))).hint
        == "the columns are separated by semicolons, expected commas"
    )


def test_a_header_of_both_forms_is_refused(tmp_path: Path) -> None:
    both = ",".join(dict.fromkeys((*NEEDED["training"], *NEEDED["serving"])))
    assert refused(write(tmp_path, both)).message.endswith(
        "has the columns of both forms, expected training or serving"
    )


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).message == f"{tmp_path}: is a folder, expected a CSV file"
    assert refused(tmp_path / "no.csv").message == f"{tmp_path / 'no.csv'}: there is no such file"
