"""How long any LLM trains and how fast it serves on a cluster of any chip.

>>> import clustercast
>>> clustercast.chip("h20").full_name
'NVIDIA H20 96GB (HGX)'

Importing this package is cheap: every function below brings what it needs when it is called.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from clustercast.catalog import ChipProfile, FabricProfile, ModelProfile
    from clustercast.estimates.result import Estimate
    from clustercast.studies.calibrate import Calibrated
    from clustercast.studies.plan import PlanRanking
    from clustercast.studies.rules import RulesResult
    from clustercast.studies.validate import Validation

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "calibrate",
    "chip",
    "chips",
    "estimate",
    "fabric",
    "fabrics",
    "model",
    "models",
    "plan",
    "rules",
    "validate",
]


def estimate(
    chip: str,
    model: str,
    *,
    n_chips: int | None = None,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    plan: str = "",
    input_len: int | None = None,
    output_len: int | None = None,
    batch: int | None = None,
    fabric: str | None = None,
    stack: str | None = None,
    engine: str = "vllm",
    settings: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Estimate":
    """How long a model trains and how fast it serves on a cluster of one chip.

    What is left open is filled with the workload's own figures, and `assumptions` of the answer says with which.

    chip, model   name, alias or path; a model also a size ("70B") or a Hugging Face config.json
    n_chips       chips of the cluster
    tokens        training tokens
    global_batch  sequences per optimizer step, of seq_len tokens each
    plan          what is fixed of the parallel plan: "tp=8,pp=16"; the rest is searched
    input_len     tokens of a prompt; output_len of an answer
    batch         sequences in flight on all chips
    settings      "chip.hbm_bandwidth=6TB/s" and the like
    calibration   files that `calibrate` wrote: their constants go before the catalogue's

    Raises errors.WrongInput (exit status 2 of the command line) and errors.NoAnswer (3).

    >>> est = estimate("h100", "llama-3.1-8b", n_chips=64, tokens=1e12, plan="tp=1,pp=1,dp=64,zero=3")
    >>> est.training.step_s_low <= est.step_s <= est.training.step_s_high
    True
    """
    from clustercast.catalog import overlay
    from clustercast.estimates.answer import estimate as answer
    from clustercast.estimates.question import Asked

    asked = Asked(
        chip, model, n_chips, tokens, global_batch, seq_len, precision, plan,
        input_len, output_len, batch, fabric, stack, engine, tuple(settings),
    )  # fmt: skip
    with overlay.of_files(calibration):
        return answer(asked)


def plan(
    chip: str,
    model: str,
    *,
    n_chips: int | None = None,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    plan: str = "",
    fabric: str | None = None,
    stack: str | None = None,
    settings: tuple[str, ...] = (),
    top: int = 10,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "PlanRanking":
    """The fastest training plans that fit, in order, and the exact Pareto set of speed against memory.

    The arguments are those of `estimate`; what `plan` fixes is held.

    >>> found = plan("h100", "llama-3.1-8b", n_chips=8, plan="pp=1,micro_batch=1,recompute=none", top=2)
    >>> found.plans[0].step_s <= found.plans[1].step_s
    True
    """
    from clustercast.catalog import overlay
    from clustercast.estimates.question import Asked
    from clustercast.studies.plan import rank

    asked = Asked(
        chip, model, n_chips, tokens, global_batch, seq_len, precision, plan,
        fabric=fabric, stack=stack, settings=tuple(settings),
    )  # fmt: skip
    with overlay.of_files(calibration):
        return rank(asked, top)


def calibrate(
    files: "str | Path | Sequence[str | Path]",
    *,
    chip: str | None = None,
    fabric: str | None = None,
    stack: str | None = None,
    engine: str | None = None,
    n_ranks: int | None = None,
    n_hosts: int | None = None,
    operation: str | None = None,
    output: "str | Path" = "calibration.yaml",
    force: bool = False,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Calibrated":
    """Fit the constants that a user's own measurements identify, and write them as an overlay for `calibration=`.

    files        measured training steps or serving points (CSV), nccl-tests output (text or JSON), sweeps of matmuls
    chip         what was measured, for files that do not say; likewise fabric, stack, engine, n_ranks, n_hosts
    operation    all-reduce, all-gather, reduce-scatter, all-to-all or send, where nccl-tests output does not say
    output       the overlay; a file that is there and is none is kept unless `force`
    calibration  overlays to start from

    Raises errors.WrongInput for files and options that are wrong; errors.NoAnswer for too little, contradictory or
    impossible measurements.
    """
    import os

    from clustercast.catalog import overlay
    from clustercast.studies.calibrate import Options
    from clustercast.studies.calibrate import calibrate as run

    options = Options(chip, fabric, stack, engine, n_ranks, n_hosts, operation, str(output), force)
    with overlay.of_files(calibration):
        return run([files] if isinstance(files, (str, os.PathLike)) else files, options)


def chips() -> list[str]:
    """Names of all chips of the catalogue, sorted.

    >>> "h20-96gb" in chips()
    True
    """
    from clustercast import catalog

    return catalog.chip_names()


def chip(name: str) -> "ChipProfile":
    """A chip by name, alias or path: every number in base units with its source, kind and range.

    >>> chip("h20").value("memory.bandwidth")
    4000000000000.0
    """
    from clustercast import catalog

    return catalog.find_chip(name)


def models() -> list[str]:
    """Names of all models of the catalogue, sorted.

    >>> "gpt-4-1.8t" in models()
    True
    """
    from clustercast import catalog

    return catalog.model_names()


def model(name: str) -> "ModelProfile":
    """A model by name, alias, path or size.

    >>> model("1.8T").name
    'gpt-4-1.8t'
    """
    from clustercast import catalog

    return catalog.find_model(name)


def fabrics() -> list[str]:
    """Names of all fabrics of the catalogue, sorted.

    >>> "hgx-h100-nvswitch" in fabrics()
    True
    """
    from clustercast import catalog

    return catalog.fabric_names()


def fabric(name: str) -> "FabricProfile":
    """A fabric by name, alias or path.

    >>> fabric("hgx-h100-nvswitch").scale_up.n_chips
    8
    """
    from clustercast import catalog

    return catalog.find_fabric(name)


def rules(chip: str, on: "date | None" = None) -> "RulesResult":
    """Which export rules that were in force on a day (today if None) catch a chip. A screening aid, not legal advice.

    >>> result = rules("h20")
    >>> result.tpp, round(result.pd, 2), result.verdicts[0].caught
    (2368.0, 2.91, False)
    """
    from clustercast.studies.rules import evaluate

    return evaluate(chip, on)


def validate(
    files: "str | Path | Sequence[str | Path]" = (),
    *,
    where: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Validation":
    """How far the model is from published runs: every row of the files judged, and the errors by group.

    files        CSV files in the training or the serving form of bench/record/README.md; none: the package's own record
    where        "column=value": only rows whose cell says so
    calibration  files that `calibrate` wrote: their constants go before the catalogue's

    Raises errors.WrongInput for a file that cannot be read or is of neither form; a row that cannot be done is
    `unsupported` and says why.

    >>> found = validate(where=("study=Korthikanti et al. 2022",))
    >>> len(found.rows), found.rows[0].status, found.group("all").n_ok
    (8, 'ok', 8)
    """
    import os

    from clustercast.catalog import overlay
    from clustercast.studies.validate import validate as judge

    with overlay.of_files(calibration):
        return judge([files] if isinstance(files, (str, os.PathLike)) else files, where)
