"""`plan --export`: the fastest plan that a tool can run, against every plan that its writer takes."""

import pytest

import clustercast
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates.question import Asked, Question, fill
from clustercast.plans import search, text
from clustercast.records import Plan
from clustercast.studies.launch import exported, space, training
from clustercast.studies.launch.launch import PlanRefused
from clustercast.studies.launch.space import Rule

TOOLS = ("megatron-lm", "megatron-bridge", "torchtitan", "deepspeed")
# What the tools' spaces hold that a search does not try unless it is told to.
FREED = "cp_kind=any,sequence_parallel=any,tp_overlap=any"


def taken(name: str, question: Question, fixed: str) -> list[tuple[float, Plan]]:
    """Every plan that the writer takes, by brute force over the freed space, in order."""
    tool, codes = training.tool_of("--export", name), text.parse(fixed)
    own = exported.Own(tool, question, codes, compiled=False)
    found = search.brute_force(question.setting(), question.n_chips, codes, 10**6)
    pairs = zip(found.steps_s, found.plans, strict=True)
    return [(step_s, space.settled(plan, {})) for step_s, plan in pairs if own.runs(plan)]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("model", "chips", "fixed"),
    [("llama-3.1-8b", 8, "micro_batch=1,dp=2"), ("llama-3.1-70b", 32, "micro_batch=2,recompute=full,dp=4")],
)
def test_the_export_is_the_fastest_that_the_writer_takes(tool: str, model: str, chips: int, fixed: str) -> None:
    asked = Asked("h100", model, n_chips=chips, plan=fixed, stack="pytorch-fsdp")
    question = fill(asked)
    held = fixed if tool != "deepspeed" else f"{fixed},pp=1,{FREED}"
    best = taken(tool, question, held)
    found = exported.ranking(training.tool_of("--export", tool), asked, 3)
    assert found.plans[0].step_s == pytest.approx(best[0][0], rel=1e-9)
    assert found.plans[0].days <= min(each.days for each in found.plans)
    whole = clustercast.plan("h100", model, n_chips=chips, plan=fixed, stack="pytorch-fsdp", top=1)
    if found.fastest is None:
        assert found.plans[0].step_s <= whole.plans[0].step_s
    else:
        assert found.fastest.step_s == whole.plans[0].step_s < found.plans[0].step_s


@pytest.mark.parametrize("tool", TOOLS)
def test_a_large_model_is_exported_without_a_word_about_its_plan(tool: str) -> None:
    found = clustercast.plan("h100", "llama-3.1-70b", n_chips=256, export=tool)
    assert found.launch
    if found.fastest is not None:
        assert f"the fastest that {tool} can run; the fastest of all is {found.fastest.days:.4g} days" in found.launch
        assert found.warnings[-1].endswith(f"with {found.fastest.plan_text}")
        assert found.fastest.days < found.plans[0].days
    assert found.as_dict()["fastest"] is None or found.as_dict()["fastest"]["plan"]["tp"]


@pytest.mark.parametrize("tool", ["torchtitan", "deepspeed"])
def test_those_that_lack_the_fastest_say_so(tool: str) -> None:
    assert clustercast.plan("h100", "llama-3.1-70b", n_chips=256, export=tool).fastest is not None


def test_what_the_user_fixed_is_refused_by_name_and_all_at_once() -> None:
    with pytest.raises(WrongInput) as raised:
        clustercast.plan("h100", "llama-3.1-8b", n_chips=8, plan="pp=2,tp=2,tp_overlap=yes,sp=yes", export="deepspeed")
    for part in ("--export deepspeed: pp: 2: ", "; sequence_parallel: yes: ", "; tp_overlap: yes: "):
        assert part in raised.value.message
    assert raised.value.hint == "--plan pp=1,sequence_parallel=no,tp_overlap=no"


def test_what_the_user_fixed_stays() -> None:
    found = clustercast.plan("h100", "llama-3.1-8b", n_chips=16, plan="tp=4,recompute=full", export="deepspeed")
    assert all((each.plan["tp"], each.plan["recompute"]) == (4, "full") for each in found.plans)
    offloaded = clustercast.plan("h100", "llama-3.1-8b", n_chips=16, plan="offload=yes", export="megatron-lm")
    assert (offloaded.plans[0].plan["zero"], offloaded.plans[0].plan["offload"]) == (1, True)


def test_where_a_tool_can_run_nothing_the_fastest_of_all_is_told() -> None:
    with pytest.raises(NoAnswer) as raised:
        clustercast.plan("h100", "deepseek-v3", n_chips=2048, precision="bf16", export="deepspeed")
    assert raised.value.message.startswith("no plan that deepspeed can run fits; the fastest of all is ")


# -- boxes

WHY = "why"
BOXES = (
    (Rule("zero", (1, 0), WHY), Rule("tp_overlap", (0,), WHY)),
    (Rule("pp", (1,), WHY), Rule("zero", (3,), WHY, (("offload", 0),))),
)


def test_every_box_is_searched_at_what_it_limits() -> None:
    assert space.searches(BOXES, {}) == [
        {"zero": 1, "tp_overlap": 0}, {"zero": 0, "tp_overlap": 0}, {"pp": 1},
    ]  # fmt: skip
    assert space.searches(BOXES, {"zero": 3}) == [{"zero": 3, "pp": 1}]
    assert space.searches(BOXES, {"pp": 2, "tp": 1}) == [
        {"pp": 2, "tp": 1, "zero": 1}, {"pp": 2, "tp": 1, "zero": 0},
    ]  # fmt: skip
    assert space.searches(BOXES, {"offload": 0, "pp": 1})[-1] == {"offload": 0, "pp": 1, "zero": 3}
    assert space.searches(BOXES, {"tp_overlap": text.ANY, "zero": 1}) == [
        {"tp_overlap": 0, "zero": 1}, {"tp_overlap": text.ANY, "zero": 1, "pp": 1},
    ]  # fmt: skip


def test_a_field_that_says_nothing_breaks_nothing() -> None:
    space.refuse("t", BOXES[:1], {"tp": 1, "tp_overlap": 1})
    with pytest.raises(PlanRefused, match="--export t: tp_overlap: yes: why"):
        space.refuse("t", BOXES[:1], {"tp": 2, "tp_overlap": 1})
