"""Launches of serving tools for the tests: random legal setups, texts that are broken, and what both must agree on."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis.strategies as st

from clustercast.errors import WrongInput
from clustercast.studies.launch.launch import ServingLaunch

COMPARED = (
    "model",
    "plan",
    "n_chips",
    "precision",
    "kv_precision",
    "max_batch",
    "chunk_tokens",
    "memory_fraction",
    "max_len",
    "n_drafts",
    "prefix_cache",
)
MIXTURES = ("deepseek-v3", "qwen3-235b-a22b", "gpt-oss-120b", "mixtral-8x7b")
PRECISIONS = ("bf16", "fp16", "fp8", "fp8-block", "nvfp4", "mxfp4", "int4-weight-only")


def random_launches(
    tool: str, n: int, *, whole_experts: bool = False, one_attention: bool = False
) -> Iterator[ServingLaunch]:
    """Setups drawn evenly from what a tool can be told.

    whole_experts  experts are spread over all ranks or sliced over all
    one_attention  attention is cut over all ranks or whole on each
    """
    draw = random.Random(7)
    for _ in range(n):
        model = draw.choice(("llama-3.1-70b", *MIXTURES))
        mixture = model in MIXTURES
        attention_dp = draw.choice((1, 1, 2, 4, 8, 16)) if mixture else 1
        tp = 1 if one_attention and attention_dp > 1 else draw.choice((1, 2, 4, 8))
        group, pp = tp * attention_dp, draw.choice((1, 1, 2)) if attention_dp == 1 else 1
        ep = draw.choice((1, group)) if whole_experts else draw.choice([n for n in (1, 2, 4, group) if group % n == 0])
        plan = {"tp": tp, "pp": pp, "attention_dp": attention_dp}
        plan |= {"ep": ep, "etp": group // ep} if mixture else {"ep": 1, "etp": 1}
        plan["replicas"] = draw.choice((1, 1, 2, 3, 8))
        yield ServingLaunch(
            tool=tool,
            file="drawn",
            model=model,
            plan=plan,
            n_chips=group * pp * plan["replicas"],
            precision=draw.choice(PRECISIONS),
            kv_precision=draw.choice((None, "fp8", "bf16")),
            max_batch=attention_dp * draw.randint(1, 1024),
            chunk_tokens=draw.choice((1000, 2048, 8192, 16384)),
            memory_fraction=draw.choice((0.9, 0.85, 0.725)),
            max_len=draw.randint(2, 200_000),
            n_drafts=draw.choice((None, 1.0, 3.0)) if model == "deepseek-v3" else None,
            prefix_cache=draw.choice((None, False)),
        )


def same(one: ServingLaunch, other: ServingLaunch) -> bool:
    """Whether two launches say the same of everything that matters."""
    return all(getattr(one, name) == getattr(other, name) for name in COMPARED)


def layout_of(launch: ServingLaunch) -> tuple[int | None, ...]:
    """tp, pp, attention_dp, ep, etp."""
    return tuple(launch.plan.get(name) for name in ("tp", "pp", "attention_dp", "ep", "etp"))


def broken(texts: tuple[str, ...], words: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Texts near to launches: words in any order, whole launches with a part cut out or put in, any characters."""
    anything = st.text(alphabet=st.characters(codec="utf-8"), max_size=80)
    joined = st.lists(st.sampled_from(words) | anything, max_size=12).map(" ".join)

    def edited(text: str) -> st.SearchStrategy[str]:
        places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
        return st.builds(
            lambda at, put: text[: min(at)] + put + text[max(at) :], places, st.sampled_from(words) | anything
        )

    return st.one_of(joined, st.sampled_from(texts).flatmap(edited), anything)


def file_in(folder: Path, name: str, text: str) -> Path:
    """A file of the test."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def told(read: Callable[[str, Path], ServingLaunch], text: str) -> str:
    """What is said of a text that is refused; nothing where it is read. Any other error is the test's."""
    try:
        read(text, Path("launch.sh"))
    except WrongInput as error:
        return error.message
    return ""
