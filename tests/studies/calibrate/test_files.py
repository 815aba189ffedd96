"""Files are told by their content, and nothing in them is a fault of ours."""

import random
from contextlib import suppress

import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from clustercast.errors import ClustercastError, WrongInput
from clustercast.studies.calibrate import files, nccl, serving
from clustercast.studies.calibrate import matmuls as sweeps
from clustercast.studies.calibrate import steps as training
from clustercast.studies.calibrate.run import Options, calibrate

SECONDS = synthetic.collective_s(synthetic.cluster_with("h100", 8))
TEXT = synthetic.nccl_text("all_reduce", 8, SECONDS)
DOCUMENT = synthetic.nccl_json("all_reduce", 8, SECONDS)
SWEEP = synthetic.matmul_csv("h100", {}, synthetic.noisy(0, 0.0))
STEPS = synthetic.step_csv({}, synthetic.noisy(0, 0.0), synthetic.step_rows()[:2])
POINTS = synthetic.serving_csv({}, synthetic.noisy(0, 0.0))
VALID = {"text": TEXT, "json": DOCUMENT, "sweep": SWEEP, "steps": STEPS, "points": POINTS}


def read(content: bytes, folder):
    """Everything but the fit."""
    path = folder / "file"
    path.write_bytes(content)
    found = files.source(path)
    if found.kind == files.COLLECTIVES:
        nccl.collectives(found, nccl.Stated())
    elif found.kind == files.MATMULS:
        sweeps.matmuls(found)
    elif found.kind == files.STEPS:
        training.steps(found, None, None)
    else:
        serving.points(found, None, None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("text", "collectives"),
        ("json", "collectives"),
        ("sweep", "matmuls"),
        ("steps", "steps"),
        ("points", "serving"),
    ],
)
def test_the_kind_is_in_the_content(name, kind, tmp_path):
    path = tmp_path / "anything.dat"
    for text in (VALID[name], "\ufeff" + VALID[name], VALID[name].replace("\n", "\r\n")):
        path.write_text(text, encoding="utf-8", newline="")
        assert files.source(path).kind == kind


def test_other_dividers_are_tables_too(tmp_path):
    for divider in (";", "\t"):
        path = tmp_path / "sweep"
        path.write_text(SWEEP.replace(",", divider), encoding="utf-8")
        assert len(sweeps.matmuls(files.source(path))) == len(synthetic.SHAPES)


def test_what_is_no_file_says_so(tmp_path):
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "no", "there is no such file")):
        with pytest.raises(WrongInput, match=message):
            files.source(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@settings(max_examples=150)
@given(name=st.sampled_from(sorted(VALID)), keep=st.floats(0, 1), drop=st.floats(0, 1))
def test_a_file_cut_anywhere_is_read_or_refused(folder, name, keep, drop):
    content = VALID[name].encode()
    end = int(keep * len(content))
    with suppress(ClustercastError):
        read(content[int(drop * end * 0.5) : end], folder)


@settings(max_examples=150)
@given(name=st.sampled_from(sorted(VALID)), seed=st.integers(0, 10**6))
def test_a_file_with_wrong_characters_is_read_or_refused(folder, name, seed):
    content = bytearray(VALID[name].encode())
    drawn = random.Random(seed)
    for _ in range(drawn.randint(1, 20)):
        content[drawn.randrange(len(content))] = drawn.choice(b'0123456789.,-e \n"{}[]:#\x00\xff\x1b')
    with suppress(ClustercastError):
        read(bytes(content), folder)


@settings(max_examples=100)
@given(content=st.binary(max_size=300))
def test_random_bytes_are_refused(folder, content):
    with pytest.raises(ClustercastError):
        read(content, folder)


@settings(max_examples=10)
@given(keep=st.floats(0.3, 1))
def test_a_cut_run_is_fitted_or_refused(folder, keep):
    path = folder / "cut.txt"
    path.write_text(TEXT[: int(keep * len(TEXT))], encoding="utf-8")
    with suppress(ClustercastError):
        assert calibrate([path], Options(chip="h100", output=str(folder / "out.yaml"))).n >= 6
