"""An overlay is read back as it was written, changes what it belongs to while it lies there, and nothing else."""

import copy
import threading

import pytest

import clustercast
from clustercast.catalog import constants, overlay, read, serving
from clustercast.errors import WrongInput

LINK = {
    "kind": "collectives",
    "chip": "h100-sxm5-80gb",
    "belongs_to": "nvlink4",
    "n": 23,
    "error_before": {"median": 0.2, "max": 0.4},
    "error_after": {"median": 0.05, "max": 0.1},
    "half_width": 0.08,
    "left_as_they_were": ["ramp"],
    "constants": {
        "fraction": {
            "value": "0.5",
            "standard_error": "0.01",
            "low": "0.49",
            "high": "0.51",
            "before": "0.762",
            "kind": "fitted",
            "source": "run 1.txt",
        },
        "launch": {
            "value": "9.5 us",
            "standard_error": "0.2 us",
            "low": "9.2 us",
            "high": "9.8 us",
            "before": "4.95 us",
            "kind": "fitted",
            "source": "run 1.txt",
        },
    },
}
QUESTION = {"n_chips": 8, "tokens": 1e9, "plan": "tp=8,pp=1,dp=1,zero=0,mb=1,recompute=none"}


def part(**changes):
    return copy.deepcopy(LINK) | changes


def constant(value, **changes):
    same = dict.fromkeys(("value", "low", "high", "before"), value)
    return same | {"standard_error": value, "kind": "fitted", "source": "run 1.txt"} | changes


def steps(factor, chip="h100-sxm5-80gb", **changes):
    constants_of = {"matmul_factor": constant(str(factor))}
    return part(kind="steps", chip=chip, belongs_to="megatron-core", constants=constants_of, **changes)


@pytest.fixture
def write(tmp_path):
    def write(*parts, name="calibration.yaml"):
        document = {
            "schema": overlay.SCHEMA,
            "date": "2026-01-31",
            "clustercast": "0.1.0",
            "sources": {"run 1.txt": "sha256 00"},
            "parts": parts,
        }
        path = tmp_path / name
        path.write_text(overlay.dump(document), encoding="utf-8")
        return path

    return write


def test_what_is_written_is_read(write):
    (found,) = overlay.load(write(LINK)).parts
    assert (found.kind, found.chip, found.belongs_to, found.n) == ("collectives", "h100-sxm5-80gb", "nvlink4", 23)
    assert (found.half_width, found.median_error, found.max_error) == (0.08, 0.05, 0.1)
    assert found.constants["launch"]["value"] == "9.5 us"
    assert "calibration.yaml: fitted to 23 points of run 1.txt" in found.constants["fraction"]["source"]


def test_a_name_that_yaml_would_misread_survives(write, tmp_path):
    for name in ("yes", "1e5", "a: b", "# c", 'quo"te', "null", "2026-01-31", "ü.txt"):
        text = write(LINK).read_text(encoding="utf-8").replace("run 1.txt", "@")
        path = tmp_path / "odd.yaml"
        path.write_text(text.replace("@", overlay._quoted(name)), encoding="utf-8")
        assert name in overlay.load(path).parts[0].constants["launch"]["source"]


def test_constants_change_for_their_pair_and_come_back(write):
    usual = constants.link("nvlink4", "h100-sxm5-80gb")
    with overlay.of_files(write(LINK)):
        found = constants.link("nvlink4", "h100-sxm5-80gb")
        assert (found["fraction"].value, found["fraction"].low, found["launch"].value) == (0.5, 0.49, 9.5e-6)
        assert found["ramp"] == usual["ramp"]
        for link, chip in (("nvlink4", "h200-sxm-141gb"), ("nvlink4", ""), ("nvlink5", "h100-sxm5-80gb")):
            assert constants.link(link, chip)["fraction"].value != 0.5
    assert constants.link("nvlink4", "h100-sxm5-80gb") == usual


def test_kernels_stack_and_engine_change_too(write):
    formats = dict.fromkeys(("matmul", "expert", "attention", "head"), "bf16")
    kernels = {"matmul_fraction": constant("0.4"), "head_fraction": constant("0.4"), "matmul_launch": constant("20 us")}
    engine = {"host_step_s": constant("3 ms")}
    path = write(
        part(kind="matmuls", belongs_to="bf16", constants=kernels),
        steps(0.6),
        part(kind="serving", belongs_to="vllm", constants=engine),
    )
    with overlay.of_files(path):
        found = constants.kernels("hopper", "h100-sxm5-80gb", formats, 0.0)
        assert (found["matmul_fraction"].value, found["head_fraction"].value) == (0.4, 0.4)
        assert found["matmul_launch_s"].value == 2e-5
        fp8 = constants.kernels("hopper", "h100-sxm5-80gb", dict.fromkeys(formats, "fp8"), 0.0)
        assert fp8["matmul_fraction"].value != 0.4
        assert constants.stack("megatron-core", "h100-sxm5-80gb").record.matmul_factor == 0.6
        assert constants.stack("megatron-core").record.matmul_factor != 0.6
        assert serving.engine("vllm", "hopper", "h100-sxm5-80gb").constants["host_step_s"].value == 3e-3


def test_an_error_inside_takes_the_overlay_away(write):
    with pytest.raises(RuntimeError), overlay.of_files(write(LINK)):
        raise RuntimeError
    assert overlay.active() is None


def test_another_thread_sees_nothing_of_it(write):
    seen = []
    with overlay.of_files(write(LINK)):
        thread = threading.Thread(target=lambda: seen.append(overlay.active()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_calls_with_and_without_do_not_leak(write):
    path = write(LINK)

    def step_s(**options):
        return clustercast.estimate("h100", "llama-3.1-8b", **QUESTION, **options).step_s

    before = step_s()
    with_it = step_s(calibration=path)
    assert with_it > 1.01 * before
    assert step_s() == before
    assert step_s(calibration=[path]) == with_it
    assert step_s(calibration=()) == before
    best = clustercast.plan("h100", "llama-3.1-8b", **QUESTION, top=1)
    slower = clustercast.plan("h100", "llama-3.1-8b", **QUESTION, top=1, calibration=str(path))
    assert (best.plans[0].step_s, slower.plans[0].step_s) == (before, with_it)


def test_the_answer_says_what_it_took(write):
    path = write(LINK, steps(0.7))
    est = clustercast.estimate("h100", "llama-3.1-8b", **QUESTION, stack="megatron-core", calibration=path)
    said = {each.name: each for each in est.assumptions}
    assert said["h100-sxm5-80gb nvlink4 fraction"].value == 0.5
    assert said["h100-sxm5-80gb nvlink4 fraction"].kind == "fitted"
    assert said["h100-sxm5-80gb megatron-core matmul_factor"].value == 0.7
    assert "calibration.yaml" in said["h100-sxm5-80gb nvlink4 launch"].source
    assert not [each for each in est.warnings if "calibration" in each]


def test_a_calibration_of_something_else_is_a_warning(write):
    est = clustercast.estimate("h200", "llama-3.1-8b", **QUESTION, calibration=write(LINK))
    assert "calibration.yaml changes nothing here: it calibrates nvlink4 on h100-sxm5-80gb" in est.warnings
    assert not [each for each in est.assumptions if "nvlink4" in each.name]


def test_files_are_laid_together_unless_they_say_the_same(write):
    one, other, third = write(LINK, name="a.yaml"), write(steps(0.6), name="b.yaml"), write(steps(0.7), name="c.yaml")
    assert len(overlay.load([one, other]).parts) == 2
    with pytest.raises(WrongInput, match=r"c.yaml: matmul_factor of megatron-core on h100-sxm5-80gb is"):
        overlay.load([one, other, third])
    with overlay.of_files(one), overlay.of_files(other):
        assert constants.link("nvlink4", "h100-sxm5-80gb")["fraction"].value == 0.5
        assert constants.stack("megatron-core", "h100-sxm5-80gb").record.matmul_factor == 0.6
        with pytest.raises(WrongInput, match="is calibrated by"), overlay.of_files(third):
            pass


def test_how_well_a_chip_is_known(write):
    assert overlay.calibrated("h100-sxm5-80gb", "training") is None
    with overlay.of_files(write(LINK, steps(0.6, half_width=0.04), steps(0.6, chip="h20-96gb"))):
        known = overlay.calibrated("h100-sxm5-80gb", "training")
        assert known is not None
        assert (known.half_width, known.belongs_to, known.n) == (0.04, "megatron-core", 23)
        assert overlay.calibrated("h100-sxm5-80gb", "training", "mindspeed") is None
        assert overlay.calibrated("h100-sxm5-80gb", "serving") is None
        assert overlay.calibrated("h200-sxm-141gb", "training") is None


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("schema: clustercast.calibration/1", "schema: clustercast.calibration/9", ": schema: ", None),
        ("chip: h100-sxm5-80gb", "chip: h101", ": parts.0.chip: unknown chip 'h101'", "did you mean "),
        ("belongs_to: nvlink4", "belongs_to: nvlink", ": parts.0.belongs_to: unknown link", "did you mean nvlink"),
        ("      fraction:", "      fracton:", ".constants.fracton: unknown constant", "did you mean fraction?"),
        ("value: 9.5 us", "value: 9.5", ": parts.0.constants.launch: ", None),
        ("value: 9.5 us", "value: 9.5 GB", ": parts.0.constants.launch: ", None),
        ("value: 0.5,", "value: 1.5,", "value 1.5 is not from low 0.49 to high 0.51", None),
        ("value: 0.5, standard_error: 0.01, low: 0.49, high: 0.51", "value: 1.5, standard_error: 0.01, low: 1, high: 2",
         "fraction.value: 1.5 is out of range, expected 0 to 1", None),
        ("    n: 23", "    n: many", ": parts.0.n: is 'many', expected a whole number", None),
        ("    n: 23", "    m: 23", ": parts.0.m: is not a known field", None),
        ("source: run 1.txt", "source: run 2.txt", "'run 2.txt' is not in sources, expected one of run 1.txt", None),
        ("kind: collectives", "kind: magic", ": parts.0.kind: 'magic' is not known, expected ", None),
        ("parts:", "parts: []\nothers:", ": others: is not a known field", None),
    ],
)  # fmt: skip
def test_a_broken_overlay_says_file_and_field(write, old, new, message, hint):
    path = write(LINK)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(WrongInput) as raised:
        overlay.load(path)
    assert raised.value.message.startswith(read.shown(path))
    assert message in raised.value.message
    if hint is not None:
        assert (raised.value.hint or "").startswith(hint)


def test_a_chip_of_a_file_needs_no_place_in_the_catalogue(write):
    (found,) = overlay.load(write(part(chip="my-chip", chip_file="my-chip.yaml"))).parts
    assert found.chip == "my-chip"


def test_only_an_overlay_is_one(write, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("schema: something/1\n", encoding="utf-8")
    assert overlay.is_overlay(write(LINK))
    assert not overlay.is_overlay(other)
    assert not overlay.is_overlay(tmp_path / "none")
