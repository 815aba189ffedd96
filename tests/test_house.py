"""The rules of the house that no other tool holds: cheap import, complete wheel, sources, clean files."""

import importlib
import importlib.util
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from clustercast import physics, records
from clustercast.physics.formula import FORMULAS

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("numba", "numpy", "pydantic", "rich", "ruamel", "scipy", "typer")

# A source that is no publication: counting, or a composition of formulas that name theirs.
OWN_SOURCES = ("arithmetic", "fitted by bench/", "occupancy of uniform random choices", "sum of the ", "the parts ")

# Read as "begins a path of one machine" and "names where packages come from"; in pieces, or this file would match.
MACHINE_PATH = re.compile(r"(?<![\w.~])/" + r"(?:work|tmp|root|opt|home/\w+|Users/\w+)/")
REGISTRY = re.compile(
    "|".join(["index" + "-url", "find" + "-links", "arti" + "factory", r"/simple" + r"/\w", r"\bnex" + r"us\b"])
)


def run(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@cache
def formulas() -> list[Callable[..., object]]:
    """All formulas, after importing every module of the physics."""
    for module in pkgutil.iter_modules(physics.__path__):
        importlib.import_module(f"clustercast.physics.{module.name}")
    return FORMULAS


@cache
def reference_keys() -> frozenset[str]:
    text = (ROOT / "docs/references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([^,\s]+),", text, re.MULTILINE)
    for others in re.findall(r"^\s*ids\s*=\s*\{([^}]*)\}", text, re.MULTILINE):
        keys += re.split(r"\s*,\s*", others)
    assert len(keys) == len(set(keys)), "a key of docs/references.bib stands for two works"
    return frozenset(keys)


def cited(text: str) -> list[str]:
    return re.findall(r"\[([a-z]+[0-9]{4}[a-z0-9]*)\]", text)


def committed_files() -> list[Path]:
    """Files of the repository, and those about to become so; in an unpacked archive, everything it brought."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        found = [ROOT / name for name in os.fsdecode(listing.stdout).split("\0") if name]
    else:
        rooms = ("src", "tests", "docs", "bench", "hardware_profiles", "workloads")
        found = [*ROOT.glob("*.*"), *(path for room in rooms for path in (ROOT / room).rglob("*"))]
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def test_importing_the_package_brings_no_heavy_guest(tmp_path: Path) -> None:
    code = f"import sys, clustercast; print([name for name in {HEAVY} if name in sys.modules])"
    assert run("-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_the_physics_itself_brings_no_heavy_guest(tmp_path: Path) -> None:
    code = f"import sys, clustercast.physics.training; print([name for name in {HEAVY} if name in sys.modules])"
    assert run("-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_there_are_formulas() -> None:
    assert len(formulas()) > 50


@pytest.mark.parametrize("formula", formulas(), ids=lambda formula: f"{formula.__module__}.{formula.__name__}")
def test_every_formula_names_its_source_and_has_an_example(formula: Callable[..., object]) -> None:
    text = inspect.getdoc(formula) or ""
    sources = re.findall(r"^\s*Source:\s*(.+)$", text, re.MULTILINE)
    assert len(sources) == 1, "one line `Source:` is needed"
    keys = cited(sources[0])
    assert keys or sources[0].startswith(OWN_SOURCES), f"no key of docs/references.bib in: {sources[0]}"
    assert set(keys) <= reference_keys(), f"not in docs/references.bib: {set(keys) - reference_keys()}"
    assert ">>>" in text, "an example is needed that can be checked in one's head"


def test_every_citation_is_in_the_bibliography() -> None:
    missing = {
        f"{path.relative_to(ROOT)}: {key}"
        for path in committed_files()
        if path.suffix in {".py", ".md", ".yaml"}
        for key in cited(path.read_text(encoding="utf-8"))
        if key not in reference_keys()
    }
    assert not missing


def test_no_file_names_a_path_of_one_machine_or_where_packages_come_from() -> None:
    found = []
    for path in committed_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # not text: an image or the like
        for number, line in enumerate(lines, 1):
            machine = MACHINE_PATH.search(line)
            registry = REGISTRY.search(line)
            if machine or registry:
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not found, "\n".join(found)


def test_version_and_changelog_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(project['version'])}\]", changes, re.MULTILINE)


def test_every_record_field_is_in_the_symbols() -> None:
    symbols = (ROOT / "docs/symbols.md").read_text(encoding="utf-8")
    names = {
        name for _, record in inspect.getmembers(records, inspect.isclass) for name in getattr(record, "_fields", ())
    }
    missing = {name for name in names if f"| `{name}` |" not in symbols}
    assert not missing, "run `make docs`"


def test_the_check_covers_every_generated_page() -> None:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    bootstrap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    mark = "[[[" + "cog"
    pages = {
        str(path.relative_to(ROOT))
        for path in committed_files()
        if path.suffix == ".md" and mark in path.read_text(encoding="utf-8")
    }
    assert pages == set(bootstrap.cog_files())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project built as a wheel and installed alone into a folder away from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    target = folder / "installed"
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps")
    run(*pip, "--target", str(target), str(wheel), cwd=folder)
    return target


def run_installed(installed: Path, *arguments: str) -> str:
    """Run the installed package beside the libraries of this environment but without its editable install.

    -S leaves out `site`, and with it the .pth file through which the checkout would be found.
    """
    libraries = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    path = os.pathsep.join([str(installed), *libraries])
    return run("-S", *arguments, cwd=installed.parent, PYTHONPATH=path).stdout


@pytest.mark.slow
def test_a_wheel_away_from_the_checkout_finds_its_profiles(installed: Path) -> None:
    where = run_installed(installed, "-c", "import clustercast; print(clustercast.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    assert "h20-96gb" in run_installed(installed, "-m", "clustercast", "chips", "list")
    answer = json.loads(
        run_installed(installed, "-m", "clustercast", "estimate", "--chip", "h20", "--model", "1.8T", "--json")
    )
    assert answer["schema"] == "clustercast.estimate/1"
    assert answer["chip"].startswith("h20")
    assert answer["training"]["days"] > 0


@pytest.mark.slow
def test_a_wheel_holds_every_profile_and_nothing_of_the_tests(installed: Path) -> None:
    data = installed / "clustercast/_data"
    for room in ("hardware_profiles", "workloads"):
        kept = {path.relative_to(ROOT) for path in (ROOT / room).rglob("*.yaml")}
        assert {path.relative_to(data) for path in (data / room).rglob("*.yaml")} == kept
    assert {path.name for path in (data / "record").iterdir()} == {"training.csv", "serving.csv"}
    assert (installed / "clustercast/py.typed").exists()
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} <= {"clustercast", "bin"}
