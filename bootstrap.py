"""Two commands on a fresh machine with only Python and git; standard library only.

python3 bootstrap.py estimate --chip h20 --model 1.8T    any verb of `clustercast`
python3 bootstrap.py check                               the whole check, as `make check` and CI run it
python3 bootstrap.py docs                                rewrite what stands between cog marks
python3 bootstrap.py python SCRIPT …                     a script or module with the project's Python

The first run makes `.venv` beside this file and installs the project into it, editable. Nothing outside that folder
is touched (PEP 668). A later run goes straight to work unless `pyproject.toml` has changed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (this file is what an older Python meets first)
    sys.exit("error: clustercast needs Python 3.11 or newer, this is {}.{}".format(*sys.version_info))

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import time
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import urljoin

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "clustercast-stamp.json"
USUAL_EXTRAS = ("all",)  # whoever starts here gets every verb and option, with what only some of them need
EXTRAS_OF = {"check": ("all", "dev"), "docs": ("all", "dev"), "python": ("all", "dev")}
PIP_TAIL_LINES = 15
PIP_LINE_LENGTH = 300


class Step(NamedTuple):
    """One step of the check: a module of the environment and its arguments."""

    name: str
    arguments: tuple[str, ...]


def cog_files() -> list[str]:
    """Every document with generated parts."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(str(page.relative_to(ROOT)) for page in pages if "[[[cog" in page.read_text(encoding="utf-8"))


def cog(*options: str) -> tuple[str, ...]:
    return ("-m", "cogapp", *options, "-P", "-n", "UTF-8", "-I", str(ROOT / "docs"), *cog_files())


def check_steps() -> list[Step]:
    """The whole check, and the only list of it. All but the last print nothing unless they fail."""
    return [
        Step("mypy", ("-m", "mypy", "--strict", "--no-error-summary")),
        Step("ruff check", ("-m", "ruff", "check", "--quiet", ".")),
        Step("ruff format", ("-m", "ruff", "format", "--check", "--quiet", ".")),
        Step("imports", ("-c", "from importlinter.cli import lint_imports_command as run; run()")),
        Step("generated docs", cog("--check", "--diff")),
        Step("tests", ("-m", "pytest", "-n", "auto")),
    ]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def fail(message: str, hint: str = "") -> NoReturn:
    say(f"error: {message}" + (f"\n\nhint: {hint}" if hint else ""))
    sys.exit(1)


def run_quietly(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def wanted_stamp() -> str:
    """Changes when the environment must be installed anew; the folder counts because an editable install names it."""
    state = [(ROOT / "pyproject.toml").read_text(encoding="utf-8"), str(ROOT)]
    return hashlib.sha256("\0".join(state).encode()).hexdigest()


def installed_extras() -> set[str] | None:
    """Extras that `.venv` holds, or None if it is missing, unfinished or out of date."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return set(stamp["extras"]) if stamp["sha256"] == wanted_stamp() and PYTHON.exists() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make_venv() -> None:
    """An environment with pip: by ensurepip, or by the pip of this Python, or by a pip wheel from the index."""
    if PYTHON.exists() and run_quietly([str(PYTHON), "-m", "pip", "--version"]).returncode == 0:
        return
    if VENV.exists() and any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").exists():
        fail(f"{VENV}: exists and is no Python environment", hint="move it away and run this again")
    create = [sys.executable, "-m", "venv", "--clear"]
    if run_quietly([*create, str(VENV)]).returncode == 0:
        return
    bare = run_quietly([*create, "--without-pip", str(VENV)])  # Debian keeps ensurepip in a package of its own
    if bare.returncode != 0:
        fail(
            f"{VENV}: cannot make a Python environment: {(bare.stderr or bare.stdout).strip().splitlines()[-1:]}",
            hint="install your distribution's python3-venv package",
        )
    if importlib.util.find_spec("pip"):
        outer = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"]
        if run_quietly(outer).returncode == 0:
            return
    try:
        wheel = download_pip()
    except (OSError, ValueError, LookupError) as reason:
        fail(
            f"this Python has neither ensurepip nor pip, and pip cannot be downloaded: {reason}",
            hint="install your distribution's python3-venv package",
        )
    finish = run_quietly([str(PYTHON), str(wheel / "pip"), "install", "--quiet", "--no-index", str(wheel)])
    if finish.returncode != 0:
        fail(f"{wheel.name}: cannot be installed: {finish.stderr.strip()[-200:]}")


def download_pip() -> Path:
    """The newest pip wheel of the package index, its digest checked."""
    page = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    request = urllib.request.Request(page, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
    link = re.compile(
        r'<a (?![^>]*data-yanked)[^>]*href="([^"#]*/(pip-([0-9.]+)-py3-none-any\.whl))#sha256=([0-9a-f]{64})"'
    )
    found = [(tuple(map(int, match[3].split("."))), match) for match in link.finditer(text)]
    if not found:
        raise LookupError(f"no pip wheel at {page}")
    _, newest = max(found, key=lambda pair: pair[0])
    with urllib.request.urlopen(urljoin(page, newest[1]), timeout=60) as answer:
        content: bytes = answer.read()
    if hashlib.sha256(content).hexdigest() != newest[4]:
        raise ValueError(f"{newest[2]}: the digest differs from the index's")
    wheel = VENV / newest[2]
    wheel.write_bytes(content)
    return wheel


def install(extras: set[str]) -> None:
    """Install the project, editable, with the extras, into `.venv`."""
    project = str(ROOT) + (f"[{','.join(sorted(extras))}]" if extras else "")
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-e", project]
    done = run_quietly(command)
    if done.returncode != 0:
        tail = (done.stdout + done.stderr).strip().splitlines()[-PIP_TAIL_LINES:]
        say("\n".join(line[:PIP_LINE_LENGTH] for line in tail))
        fail("pip could not install the project (its last lines are above)", hint="the package index must be reachable")
    written = STAMP.with_suffix(".part")
    written.write_text(json.dumps({"sha256": wanted_stamp(), "extras": sorted(extras)}), encoding="utf-8")
    written.replace(STAMP)


def set_up(wanted: set[str]) -> None:
    """Bring `.venv` up to date; does nothing, fast, when it is."""
    held = installed_extras()
    if held is not None and wanted <= held:
        return
    say("setting up .venv (about a minute, once)" if not PYTHON.exists() else "bringing .venv up to date")
    make_venv()
    install(wanted | (held or set()))


def replace_process(command: list[str]) -> int:
    """Run the command in the user's folder, with signals and exit status as if it had been called directly."""
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


def run_step(step: Step) -> tuple[float, subprocess.CompletedProcess[str]]:
    begin = time.perf_counter()
    done = subprocess.run(
        [str(PYTHON), *step.arguments], cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
    )
    return time.perf_counter() - begin, done


def check(pytest_arguments: list[str]) -> int:
    """Run every step; the tests print as they go and come last. Zero if all passed."""
    *steps, tests = check_steps()
    failed: list[str] = []

    def tell(step: Step, future: Future[tuple[float, subprocess.CompletedProcess[str]]]) -> None:
        seconds, done = future.result()
        print(f"{step.name:<15} {'ok' if done.returncode == 0 else 'FAILED':<7} {seconds:6.1f} s", flush=True)
        if done.returncode != 0:
            failed.append(step.name)
            print((done.stdout + done.stderr).rstrip(), flush=True)

    with ThreadPoolExecutor(max_workers=2) as pool:  # mypy, the longest, beside all the others
        futures = [pool.submit(run_step, step) for step in steps]
        for step, future in [*zip(steps, futures, strict=True)][1:]:
            tell(step, future)
        tell(steps[0], futures[0])
    begin = time.perf_counter()
    if subprocess.call([str(PYTHON), *tests.arguments, *pytest_arguments], cwd=ROOT) != 0:
        failed.append(tests.name)
    seconds = time.perf_counter() - begin
    print(f"{tests.name:<15} {'FAILED' if tests.name in failed else 'ok':<7} {seconds:6.1f} s", flush=True)
    print(f"check failed: {', '.join(failed)}" if failed else "check passed", flush=True)
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    verb = arguments[0] if arguments else "--help"
    set_up(set(EXTRAS_OF.get(verb, USUAL_EXTRAS)))
    if verb == "check":
        return check(arguments[1:])
    if verb == "docs":
        return subprocess.call([str(PYTHON), *cog("-r")], cwd=ROOT)
    if verb == "python":
        return replace_process([str(PYTHON), *arguments[1:]])
    return replace_process([str(PYTHON), "-m", "clustercast", *(arguments or ["--help"])])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
