"""Compiled equals plain, bit for bit; and no edit of a formula leaves old machine code behind."""

import random
from pathlib import Path

import pytest
import strategies

from clustercast.physics import grid
from clustercast.physics.training import training_step
from clustercast.records import Plan, Step, as_declared

N_SETTINGS = 7  # of each kind of model
N_PLANS = 500  # 6 kinds x 7 x 500 = 21,000


@pytest.mark.slow
@pytest.mark.parametrize("kind", strategies.KINDS)
def test_compiled_equals_plain_bit_for_bit(kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(N_SETTINGS):
        setting = as_declared(strategies.setting(rng, kind, global_batch=2304))
        plans = strategies.legal_plans(rng, setting, N_PLANS)
        compiled = grid.steps(setting, plans)
        for row, plan in zip(compiled.tolist(), plans, strict=True):
            assert tuple(row) == tuple(training_step(setting, plan)), plan


@pytest.mark.slow
def test_the_plans_compared_use_every_choice_that_a_plan_has() -> None:
    rng = random.Random(0)
    setting = strategies.setting(rng, "mixture", global_batch=2304)
    plans = strategies.legal_plans(rng, setting, 2000)
    seen = {name: {getattr(plan, name) for plan in plans} for name in Plan._fields}
    assert seen["schedule"] == seen["recompute"] == seen["zero"] == {0, 1, 2, 3}
    assert seen["cp_kind"] == seen["offload"] == seen["sequence_parallel"] == {0, 1}
    assert all(len(values) > 1 for values in seen.values())


@pytest.mark.slow
def test_one_plan_and_many_give_the_same_row() -> None:
    rng = random.Random(1)
    setting = as_declared(strategies.setting(rng, "mixture", global_batch=2304))
    plans = strategies.legal_plans(rng, setting, 8)
    every = grid.steps(setting, plans)
    assert every.shape == (8, len(Step._fields))
    for plan, row in zip(plans, every, strict=True):
        assert (grid.steps(setting, [plan])[0] == row).all()


@pytest.fixture
def edited_physics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources that `grid` hashes, in place of the real ones."""
    package = tmp_path / "physics"
    package.mkdir()
    real = Path(grid.__file__).parent
    for source in real.glob("*.py"):
        (package / source.name).write_bytes(source.read_bytes())
    (tmp_path / "records.py").write_bytes((real.parent / "records.py").read_bytes())
    monkeypatch.setattr(grid, "__file__", str(package / "grid.py"))
    return tmp_path


@pytest.mark.parametrize("source", ["physics/layer.py", "physics/roofline.py", "records.py"])
def test_an_edit_of_any_source_changes_the_hash(edited_physics: Path, source: str) -> None:
    before = grid.sources_hash()
    path = edited_physics / source
    path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    assert grid.sources_hash() != before


def test_the_same_sources_elsewhere_have_the_same_hash(edited_physics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = grid.sources_hash()
    monkeypatch.undo()
    assert edited_physics.exists()
    assert grid.sources_hash() == copied


def test_a_driver_elsewhere_is_hashed_too(tmp_path: Path) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text("one = 1\n", encoding="utf-8")
    before = grid.sources_hash(driver)
    driver.write_text("one = 2\n", encoding="utf-8")
    assert grid.sources_hash(driver) != before != grid.sources_hash()


@pytest.mark.slow
def test_machine_code_is_kept_under_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path)
    setting = as_declared(strategies.setting(random.Random(3), "dense", global_batch=2304))
    grid.compiled.cache_clear()
    try:
        grid.steps(setting, strategies.legal_plans(random.Random(3), setting, 4))
    finally:
        grid.compiled.cache_clear()
    (folder,) = tmp_path.glob("compiled-*")
    assert folder.name == f"compiled-{grid.sources_hash(Path(grid.__file__))}"
    assert any(folder.rglob("grid.run_steps*"))
