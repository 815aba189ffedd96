"""Measuring a device: the method on a clock of its own, the file, and that `calibrate` finds what lies behind it."""

import json
import random
import types
from pathlib import Path

import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st

import clustercast
from clustercast import catalog
from clustercast.catalog import constants
from clustercast.errors import NoAnswer, WrongInput
from clustercast.physics import roofline
from clustercast.studies.calibrate import files as calibrate_files
from clustercast.studies.calibrate import measured as reader
from clustercast.studies.measure import cpu, files, torch_device
from clustercast.studies.measure.device import Attention
from clustercast.studies.measure.run import device_of, measured
from clustercast.studies.measure.timing import Budget, setting, taken

CHIP = catalog.find_chip("h100")
CLUSTER = synthetic.cluster_with("h100", 8)


class MadeUp:
    """A device that takes as long as the roofline of an H100 says, with the first runs of each operation slower."""

    name = "NVIDIA H100 80GB HBM3"
    backend = "made up"
    is_small = False
    memory_bytes = 80e9

    def __init__(self, **changed):
        formats = dict.fromkeys(("matmul", "expert", "attention", "head"), "bf16")
        known = constants.kernels(CHIP.family, CHIP.name, formats, float(CHIP.n_cores or 0))
        self.kernels = types.SimpleNamespace(**{name: each.value for name, each in known.items()} | changed)
        self.noise = synthetic.noisy(0, 0.01)
        self.flushed = self.ran = 0
        self.now_s = 0.0

    def formats(self):
        return ("bf16",)

    def _run(self, seconds):
        def run():
            self.ran += 1
            self.now_s += self.noise(seconds) * (5.0 if run.n == 0 else 1.0)
            run.n += 1

        run.n = 0
        return run

    def matmul(self, m, n, k, number_format):
        rate = CHIP.peaks()[number_format] * constants.clock_fraction(CHIP.family).value * self.kernels.matmul_fraction
        traffic = 2.0 * (m * k + k * n + m * n)
        return self._run(roofline.matmul_s(m, n, k, traffic, rate, CHIP.value("memory.bandwidth"), self.kernels))

    def attention(self, _: Attention):
        return self._run(1e-3), self._run(3e-3)

    def copy(self, n_bytes):
        return self._run(n_bytes / 3e12)

    def flush(self):
        self.flushed += 1

    def seconds(self, run, times):
        started = self.now_s
        for _ in range(times):
            run()
        return self.now_s - started


class MadeUpGroup:
    """Eight ranks of one node."""

    rank = 0
    hosts = ("secret-name-of-a-host",) * 8
    device_name = MadeUp.name

    def __init__(self):
        self.at = synthetic.collective_s(CLUSTER)

    def collective(self, operation, n_bytes):
        def run():
            return None

        run.seconds = self.at(operation, float(n_bytes), 8)
        return run

    def seconds(self, run, times):
        return run.seconds * times


@pytest.fixture(scope="module")
def found():
    return measured(MadeUp(), MadeUpGroup(), quick=False)


def test_the_first_runs_do_not_count_and_the_median_does():
    device = MadeUp()
    run = device._run(1e-3)
    time = taken(device, run, 9)
    assert time.seconds == pytest.approx(1e-3, rel=0.02)
    assert time.low_s <= time.seconds <= time.high_s
    assert (time.n, time.together) == (9, 1)
    assert device.flushed == 9


def test_short_runs_are_timed_together_and_long_ones_left_out():
    device = MadeUp()
    assert taken(device, device._run(1e-6), 5).together >= 15
    assert taken(device, device._run(60.0), 5) is None


def test_everything_that_the_device_can_is_measured(found):
    kinds = {point.kind for point in found.points}
    assert kinds == {
        "memory", "matmul", "attention_forward", "attention_both",
        "all_reduce", "all_gather", "reduce_scatter", "alltoall",
    }  # fmt: skip
    for point in found.points:
        assert 0.0 < point.low_s <= point.seconds <= point.high_s
    best = max(point.flop_per_s for point in found.of("matmul"))
    assert 0.5 * CHIP.peaks()["bf16"] < best < CHIP.peaks()["bf16"]


def test_names_of_machines_stay_where_they_are(found):
    assert set(found.hosts) == {"host-0"}
    assert "secret" not in json.dumps(found.as_dict())


@pytest.mark.slow
def test_calibrate_finds_the_machine_behind_a_measurement(tmp_path):
    """Matmuls that reach 10 % less than the catalogue says, links as they are."""
    usual = MadeUp().kernels.matmul_fraction
    path = tmp_path / "m.json"
    files.write(measured(MadeUp(matmul_fraction=0.9 * usual), MadeUpGroup(), quick=False), path)
    done = clustercast.calibrate(path, chip="h100", output=tmp_path / "c.yaml")
    parts = {part.belongs_to: part for part in done.parts}
    assert set(parts) == {"bf16", "nvlink4"}
    (fraction,) = [each for each in parts["bf16"].parameters if each.name == "matmul_fraction"]
    assert fraction.after == pytest.approx(0.9 * usual, rel=0.02)
    assert parts["nvlink4"].error_after.median < 0.05


def test_a_device_that_can_do_little_is_measured_for_what_it_can():
    class Poor(MadeUp):
        memory_bytes = 1e9

        def attention(self, _):
            raise RuntimeError("no kernel\nfor this")

    found = measured(Poor(), None, quick=True)
    assert {point.kind for point in found.points} == {"memory", "matmul"}
    assert any(each.endswith("no kernel") for each in found.left_out)
    assert any("larger than the device's memory" in each for each in found.left_out)


def test_a_device_that_can_do_nothing_is_no_answer():
    class Broken(MadeUp):
        def seconds(self, *_):
            raise RuntimeError("lost")

    with pytest.raises(NoAnswer, match="nothing could be measured"):
        measured(Broken(), None, quick=True)


def test_when_the_time_is_up_the_rest_is_left_out():
    clock = iter(range(10_000))
    budget = Budget(1.5, lambda: float(next(clock)))
    assert budget.left_s() == 0.5
    assert budget.left_s() == 0.0


@pytest.fixture
def few(monkeypatch):
    """So few and small sizes that any machine is done at once."""
    data = constants.table("measure")
    for section, name, sizes in (
        ("matmuls", "small_weights", [[64, 64]]),
        ("matmuls", "small_rows", [1, 8]),
        ("attention", "small_shapes", [[1, 2, 1, 32, 16]]),
        ("memory", "small_sizes", [65536]),
    ):
        monkeypatch.setitem(data[section], name, sizes)
    monkeypatch.setattr(cpu, "CACHE_BYTES", 2**16)


def test_the_cpu_of_this_machine_is_measured_by_numpy(tmp_path, few):
    path = tmp_path / "m.json"
    said = []
    found = clustercast.measure(path, device="cpu", quick=True, progress=said.append)
    assert found.backend.startswith("numpy")
    assert {point.kind for point in found.points} == {"memory", "matmul", "attention_forward"}
    assert json.loads(path.read_text("utf-8"))["schema"] == "clustercast.measure/1"
    assert [each.split()[0] for each in said] == ["memory", "matmuls", "attention"]
    assert clustercast.measure(path, device="cpu", quick=True) is not None  # its own file may be replaced
    assert [each.name for each in tmp_path.iterdir()] == ["m.json"]


def test_pytorch_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(torch_device.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    assert torch_device.accelerator() is None
    assert device_of("auto").backend.startswith("numpy")
    with pytest.raises(WrongInput, match="needs PyTorch") as error:
        device_of("cuda")
    assert "clustercast[torch]" in error.value.hint


@pytest.mark.parametrize("name", ["gpu", "", "cuda:0", "\x1b"])
def test_an_unknown_device_is_said(name):
    with pytest.raises(WrongInput, match="--device: unknown device"):
        device_of(name)


def test_pytorch_on_the_cpu_is_measured_where_it_is_installed(few):
    pytest.importorskip("torch")
    found = measured(torch_device.TorchDevice("cpu"), None, quick=True)
    assert {point.kind for point in found.points} == {"memory", "matmul", "attention_forward", "attention_both"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder, "is a folder"),
        (lambda folder: folder / "nowhere" / "m.json", "its folder does not exist"),
        (lambda folder: folder / "notes.txt", "is no measurement"),
        (lambda folder: f"{folder}/a\0b", "NUL"),
    ],
)
def test_no_other_file_is_written_over(make, said, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(WrongInput, match=said):
        clustercast.measure(make(tmp_path), device="cpu", quick=True)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def source_of(document) -> calibrate_files.Source:
    text = document if isinstance(document, str) else json.dumps(document)
    return calibrate_files.Source("m.json", "", text, calibrate_files.MEASURED)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": 5}, "points: expected a list"),
        ({"points": []}, "neither matmuls nor collectives"),
        ({"points": [3]}, r"points\.0: expected a mapping"),
        ({"points": [{"kind": "matmul", "shape": {"m": 1, "n": 2, "k": 3}, "seconds": -1}]}, r"points\.0\.seconds"),
        ({"points": [{"kind": "matmul", "shape": {"m": 1.5, "n": 2, "k": 3}, "seconds": 1}]}, r"points\.0\.shape"),
        ({"points": [{"kind": "all_reduce", "shape": {"bytes": 8}, "seconds": 1}], "hosts": ["a"]}, "hosts: expected"),
    ],
)
def test_a_broken_file_is_said_with_its_place(change, said):
    with pytest.raises(WrongInput, match=said):
        reader.parts(source_of({"schema": "clustercast.measure/1"} | change))


def drawn(seed):
    """A document of `measure` in which anything may be anything else."""
    draw = random.Random(seed)
    odd = (None, True, -1, 0, 1.5, 10**30, float("inf"), "", "x", "matmul", [], {}, [1], {"m": 2})

    def maybe(usual):
        return draw.choice(odd) if draw.random() < 0.25 else usual

    kinds = ("matmul", "all_reduce", "all_gather", "memory")
    points = [
        maybe({
            "kind": maybe(draw.choice(kinds)),
            "shape": maybe({name: maybe(draw.randint(1, 99)) for name in ("m", "n", "k", "bytes")}),
            "seconds": maybe(1e-6 * draw.randint(1, 99)),
            "number_format": maybe("bf16"),
        })
        for _ in range(draw.randint(0, 4))
    ]  # fmt: skip
    return {"schema": "clustercast.measure/1", "points": maybe(points), "hosts": maybe(["a", maybe("b")])}


@given(st.integers(0, 2**32).map(drawn))
def test_no_document_breaks_the_reader(document):
    try:
        made = reader.parts(source_of(document))
    except WrongInput as error:
        made, said = [], error.message
    else:
        said = ""
    assert "\n" not in said
    assert all(each.kind in ("matmuls", "collectives") for each in made)


def test_every_setting_has_a_reason():
    for name in constants.table("measure")["timing"]:
        assert setting(name) > 0.0
    assert Path(torch_device.__file__).read_text("utf-8").count("import torch\n") == 0
