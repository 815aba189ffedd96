"""The library as docs/api.md describes it: every public name is there, typed, and its examples run."""

import doctest
import inspect
import os
import sys
from pathlib import Path

import pytest

import clustercast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import _api  # noqa: E402

PAGE = ROOT / "docs/api.md"


@pytest.mark.slow
def test_the_examples_of_the_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the reference are the docstrings', which run where they stand."""
    monkeypatch.chdir(ROOT)
    text = PAGE.read_text(encoding="utf-8").partition("## Every function")[0]
    found = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, os.fspath(PAGE), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    done = runner.run(found)
    assert done.failed == 0
    assert done.attempted > 20


def test_every_public_name_is_described() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in _api.verbs():
        assert f"### `{name}`" in text, "run `make docs`"
    assert len(_api.verbs()) >= 15


@pytest.mark.parametrize("name", _api.verbs())
def test_every_function_is_typed_and_says_what_it_does(name: str) -> None:
    function = getattr(clustercast, name)
    found = inspect.signature(function)
    assert found.return_annotation is not found.empty
    assert all(each.annotation is not each.empty for each in found.parameters.values())
    assert (inspect.getdoc(function) or "").splitlines()[0].endswith((".", "?"))


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src/clustercast/py.typed").exists()
