"""The options that several commands share, and their text to numbers.

Every option is text to typer, so that a wrong value gives the same kind of message as a wrong name.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from clustercast import errors, units

if TYPE_CHECKING:
    import datetime

Chip = Annotated[
    str,
    typer.Option("--chip", metavar="NAME", help="Chip: a name or alias of `chips list`, or the path of a YAML file."),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model: a name or alias of `models list`, a size like 70B, or the path of a YAML file or config.json.",
    ),
]
Count = Annotated[
    str | None, typer.Option("--count", metavar="N", help="Chips. Default: the workload's reference count.")
]
Tokens = Annotated[str | None, typer.Option("--tokens", metavar="T", help="Training tokens, like 13T.")]
Gbs = Annotated[str | None, typer.Option("--gbs", metavar="SEQS", help="Global batch: sequences per optimizer step.")]
Seq = Annotated[str | None, typer.Option("--seq", metavar="LEN", help="Tokens per training sequence.")]
Precision = Annotated[
    str | None, typer.Option("--precision", metavar="P", help="Precision recipe, like bf16 or fp8-block.")
]
Plan = Annotated[
    str, typer.Option("--plan", metavar="PLAN", help="What is fixed of the plan: tp=8,pp=16,... The rest is searched.")
]
Isl = Annotated[str | None, typer.Option("--isl", metavar="N", help="Serving: tokens of a prompt.")]
Osl = Annotated[str | None, typer.Option("--osl", metavar="N", help="Serving: tokens of an answer.")]
Batch = Annotated[
    str | None,
    typer.Option(
        "--batch",
        metavar="N",
        help="Serving: sequences in flight on all chips. Default: the most that fit and keep TPOT at 50 ms.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change chip, fabric or job: chip.hbm_bandwidth=6TB/s, fabric.oversubscription=7, job.pue=1.1. May be "
        "repeated.",
    ),
]
Fabric = Annotated[
    str | None,
    typer.Option("--fabric", metavar="NAME", help="Fabric of `fabrics list`. Default: the chip's usual one."),
]
Stack = Annotated[str | None, typer.Option("--stack", metavar="NAME", help="Training software stack.")]
Engine = Annotated[str, typer.Option("--engine", metavar="NAME", help="Serving engine.")]
Price = Annotated[
    str, typer.Option("--price", metavar="BASIS", help="What the cost is: rent, or buy for one's own chips.")
]
Calibration = Annotated[
    list[str] | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Measured constants that `calibrate` wrote, over the catalogue's. May be repeated.",
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--given",
        metavar="COLUMN=VALUE",
        help="What the result of a benchmark does not say: chip=h100, model=llama-3.1-70b, n_chips=8, tp=8. May be "
        "repeated.",
    ),
]
Launch = Annotated[
    str | None,
    typer.Option(
        "--launch", metavar="FILE", help="The launch file of the server that was measured: vLLM, SGLang, TensorRT-LLM."
    ),
]
Lengths = Annotated[
    str | None,
    typer.Option("--lengths", metavar="FILE", help="Lengths of requests: a CSV file with input,output[,weight]."),
]
Ttft = Annotated[
    str | None, typer.Option("--ttft", metavar="TIME", help="Objective: time to first token, like 2s; pools apart: 2s.")
]
Percentile = Annotated[
    str | None,
    typer.Option("--percentile", metavar="P", help="Of requests that meet the objectives under --rate, like 90."),
]
PrefixHit = Annotated[
    str, typer.Option("--prefix-hit", metavar="SHARE", help="Share of a prompt that the prefix cache holds.")
]
Accept = Annotated[
    str | None, typer.Option("--accept", metavar="N", help="Tokens that a step yields when it guesses, like 1.8.")
]
Draft = Annotated[str | None, typer.Option("--draft", metavar="N", help="Tokens that a step guesses.")]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write it as CSV; - prints it alone.")]
Plot = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw it: a name that ends in .svg, .png, .html or .json.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def count(option: str, text: str | None) -> float | None:
    """A number of things as people write it: 13T, 60M, 1.5e12.

    >>> count("--tokens", "13T"), count("--tokens", None)
    (13000000000000.0, None)
    """
    if text is None:
        return None
    try:
        return units.parse(text, "count")
    except ValueError:
        raise errors.WrongInput(
            f"{option}: expected a number like 1024, 10k or 13T, got {text!r}", hint=_without_commas(text)
        ) from None


def whole(option: str, text: str | None) -> int | None:
    """A whole number of things.

    >>> whole("--count", "10k"), whole("--count", None)
    (10000, None)
    """
    value = count(option, text)
    if value is None:
        return None
    if value != int(value):
        raise errors.WrongInput(f"{option}: expected a whole number, got {text!r}")
    return int(value)


def percentile(option: str, text: str | None) -> float | None:
    """A percentile as 90 or p99.5; none for the mean.

    >>> percentile("--percentile", "p90"), percentile("--percentile", "mean")
    (90.0, None)
    """
    if text is None or text.lower() == "mean":
        return None
    return count(option, text.lower().removeprefix("p"))


def names(option: str, text: str) -> tuple[str, ...]:
    """Names with commas between them. Raises WrongInput for none.

    >>> names("--chip", "h20, h100")
    ('h20', 'h100')
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise errors.WrongInput(f"{option}: expected names with commas between them, got {text!r}")
    return found


def seconds(option: str, text: str | None) -> float | None:
    """A duration with its unit.

    >>> seconds("--tpot", "50ms")
    0.05
    """
    if text is None:
        return None
    try:
        return units.parse(text, "seconds")
    except ValueError:
        hint = f"write {text}ms" if text.replace(".", "", 1).isdigit() else None
        raise errors.WrongInput(f"{option}: expected a time like 2s or 50ms, got {text!r}", hint=hint) from None


def share(option: str, text: str) -> float:
    """A share from 0 to 1, or per cent.

    >>> share("--prefix-hit", "30 %"), share("--prefix-hit", "0.3")
    (0.3, 0.3)
    """
    try:
        return units.parse(text, "fraction")
    except ValueError:
        raise errors.WrongInput(f"{option}: expected a share like 0.3 or 30%, got {text!r}") from None


def wholes(option: str, text: str | None) -> tuple[int, ...]:
    """Whole numbers with commas between them; none where there is no text.

    >>> wholes("--batch", "1,8,1k")
    (1, 8, 1000)
    """
    found = (whole(option, part.strip()) for part in (text or "").split(",") if part.strip())
    return tuple(each for each in found if each is not None)


def _without_commas(text: str) -> str | None:
    plain = text.replace(",", "").replace("_", "")
    return f"write {plain}" if plain != text and plain.isascii() and plain.isdigit() else None


def day(option: str, text: str | None) -> "datetime.date | None":
    """A day of the calendar as 2026-01-31.

    >>> day("--on", "2023-11-17")
    datetime.date(2023, 11, 17)
    """
    if text is None:
        return None
    import datetime

    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise errors.WrongInput(f"{option}: expected a day like 2026-01-31, got {text!r}") from None
