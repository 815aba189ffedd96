"""studies/sweep/file.py: what a study file means, and every way to get it wrong said with its line."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from clustercast import catalog
from clustercast.catalog import schema
from clustercast.errors import WrongInput
from clustercast.estimates.question import Asked
from clustercast.studies.sweep import file, names, outputs
from clustercast.studies.sweep.space import (
    FITTING,
    LATIN,
    NAME,
    NUMBER,
    PART_GIVEN,
    PART_SEARCHED,
    PART_SERVING_SEARCHED,
    PLAN,
    SERVING,
    SOBOL,
    TRAINING,
    WHOLE,
    Axis,
    Range,
    Samples,
)

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "docs/studies").glob("*.yaml"))
HEAD = "schema: clustercast.study/1\ntitle: x\nabout: training\naxes:\n  chip: [h20]\n  model: [llama-3.1-8b]\n"
SERVED = HEAD.replace("training", "serving") + "  batch: [1, 8]\n"
LINE = HEAD.count("\n") + 1


def axis_of(line, head=HEAD):
    return file.study_of(f"{head}  {line}\n", "s.yaml").axes[-1]


def error_of(text):
    with pytest.raises(WrongInput) as caught:
        file.study_of(text, "s.yaml")
    assert str(caught.value).isprintable()
    return caught.value


def test_a_study_is_read_whole():
    space = file.study_of(
        HEAD.replace("[h20]", "[h20, h100]")
        + "  tp: [1, 2]\nsamples: {method: sobol, n: 4, seed: 7, axes: {job.pue: {from: 1.1, to: 1.5}}}\n"
        "fixed: {tokens: 1T, precision: bf16, zero: 1, chip.latency: 0.5x, dp: fill}\n"
        "where: [tp > 1]\noptimise: plan\noutputs: [days, step_s]\nkeep: fitting\n",
        "s.yaml",
    )
    assert space.title == "x"
    assert space.about == TRAINING
    assert space.axes == (
        Axis("chip", NAME, ("h20-96gb", "h100-sxm5-80gb")),
        Axis("model", NAME, ("llama-3.1-8b",)),
        Axis("tp", PLAN, (1, 2)),
    )
    assert space.samples == Samples(SOBOL, 4, 7, (Range("job.pue", 1.1, 1.5, dimension="count"),))
    assert space.fixed == {"tokens": 1e12, "precision": "bf16", "zero": 1, "chip.latency": 0.5}
    assert space.relative_fixed == {"chip.latency"}
    assert space.conditions == ("tp > 1",)
    assert space.optimise
    assert space.outputs == ("days", "step_s")
    assert space.keep == FITTING
    assert space.n_points == 16
    assert space.count_passing() == (8, True)


def test_what_is_left_out_has_its_usual_value():
    space = file.study_of(HEAD, "s.yaml")
    assert (space.samples, space.fixed, space.conditions, space.optimise) == (None, {}, (), False)
    assert space.outputs == outputs.USUAL[TRAINING]
    assert space.keep == "legal"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (HEAD, PART_GIVEN),
        (HEAD + "optimise: plan\n", PART_SEARCHED),
        (SERVED + "optimise: plan\n", PART_SERVING_SEARCHED),
        (HEAD + "part_size: 77\n", 77),
    ],
)
def test_parts_are_as_large_as_the_work_of_a_point_allows(text, size):
    assert file.study_of(text, "s.yaml").part_size == size


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("pp: {from: 1, to: 4}", (1, 2, 3, 4)),
        ("pp: {from: 4, to: 4}", (4,)),
        ("pp: {from: 2, to: 9, step: 3}", (2, 5, 8)),
        ("pp: {from: 1, to: 12, factor: 2}", (1, 2, 4, 8)),
        ("pp: {from: 1, to: 100, steps: 5}", (1, 26, 50, 75, 100)),
        ("pp: {from: 1, to: 5, steps: 20}", (1, 2, 3, 4, 5)),
        ("count: {from: 64, to: 65536, steps: 11, scale: log}", tuple(64 * 2**i for i in range(11))),
        ("pp: {from: 1, to: 6, steps: 9, scale: log}", (1, 2, 3, 4, 5, 6)),
        ("count: [1k, 4096]", (1000, 4096)),
        ("tokens: [1T, 15.6T]", (1e12, 15.6e12)),
        ("tokens: {from: 1T, to: 4T, factor: 2}", (1e12, 2e12, 4e12)),
        ("recompute: [full, none]", (2, 0)),
        ("schedule: [1f1b, zero-bubble]", (0, 2)),
        ("offload: [no, true]", (0, 1)),
        ("chip.hbm_bandwidth: {from: 2 TB/s, to: 8 TB/s, steps: 3}", (2e12, 5e12, 8e12)),
        ("chip.hbm_bandwidth: {from: 2 TB/s, to: 3 TB/s, step: 0.4 TB/s}", (2e12, 2.4e12, 2.8e12)),
        ("chip.scale_out: [400 Gbit/s, 100 GB/s]", (50e9, 100e9)),
        ("job.pue: {from: 1.1, to: 1.5, steps: 5}", (1.1, 1.2, 1.3, 1.4, 1.5)),
        ("job.checkpoint_every: [10 min, 1 h]", (600.0, 3600.0)),
        ("stack.tp_overlap: [0, 50 %]", (0.0, 0.5)),
        ("chip.flops: [0.5x, 2 x]", (0.5, 2.0)),
        ("chip.flops: {from: 0.25x, to: 4x, steps: 5, scale: log}", (0.25, 0.5, 1.0, 2.0, 4.0)),
        ("chip.flops: {from: 0.5x, to: 1.5x, step: 0.25x}", (0.5, 0.75, 1.0, 1.25, 1.5)),
        ("precision: [BF16]", ("bf16",)),
        ("stack: [megatron-core]", ("megatron-core",)),
        ("fabric: [dgx-1]", (catalog.find_fabric("dgx-1").name,)),
    ],
)
def test_values_are_those_that_people_mean(line, values):
    found = axis_of(line)
    assert found.values == values
    assert all(type(one) is type(other) for one, other in zip(found.values, values, strict=True))
    assert found.relative == ("x" in line.partition(":")[2] and found.kind == NUMBER)
    assert found.kind == names.kind_of(found.name, TRAINING)


def test_sizes_files_and_aliases_are_models():
    text = HEAD.replace("[llama-3.1-8b]", "[1.8T, 70b, workloads/models/gpt-3-175b.yaml]")
    space = file.study_of(text.replace("workloads", f"{ROOT}/workloads"), "s.yaml")
    assert space.axes[1].values == ("gpt-4-1.8t", "70B", f"{ROOT}/workloads/models/gpt-3-175b.yaml")


@pytest.mark.parametrize(
    ("line", "some", "others"),
    [
        ("chip: {group: nvidia}", {"h100-sxm5-80gb", "h20-96gb"}, {"mi300x"}),
        ("chip: {group: tested}", {"h100-sxm5-80gb"}, set()),
        ("chip: {group: ascend}", {catalog.find_chip("910b").name}, {"h20-96gb"}),
        ("chip: {group: shipping}", {"h20-96gb"}, set()),
        ("model: {group: dense}", {"llama-3.1-70b"}, {"deepseek-v3"}),
        ("model: {group: mixture}", {"deepseek-v3"}, {"llama-3.1-70b"}),
        ("model: {group: llama}", {"llama-3.1-70b"}, {"gpt-3-175b"}),
        ("fabric: {group: torus}", {"tpu-v4-torus"}, {"hgx-h100-nvswitch"}),
    ],
)
def test_a_group_is_its_members_by_name(line, some, others):
    name = line.partition(":")[0]
    text = re.sub(rf"  {name}: .*\n", "", HEAD) + f"  {line}\n"
    found = file.study_of(text, "s.yaml").axes[-1].values
    assert list(found) == sorted(set(found))
    assert not others & set(found)
    known = catalog.chip_names() + catalog.model_names() + catalog.fabric_names()
    assert some <= set(found) <= set(known)


def test_all_is_the_catalogue():
    text = HEAD.replace("[h20]", "{group: all}").replace("[llama-3.1-8b]", "{group: all}")
    space = file.study_of(text, "s.yaml")
    assert space.axes[0].values == tuple(catalog.chip_names())
    assert space.axes[1].values == tuple(catalog.model_names())


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("tpp: [1]", "axes.tpp: is not known", "did you mean tp?"),
        ("chip.flop: [1x]", "axes.chip.flop: is not known", "did you mean chip.flops?"),
        ("workload.tokens: [1T]", "axes.workload.tokens: is not known", "did you mean tokens?"),
        ("engine: [vllm]", "axes.engine: engine is an axis of serving, and this study is about training", None),
        ("attention_dp: [1]", "axes.attention_dp: attention_dp is an axis of serving", None),
        ("chip.flops: [1 TB/s]", "axes.chip.flops.0: '1 TB/s' is in bytes/s, expected something like '148 TFL", None),
        ("chip.flops: [1e12]", "axes.chip.flops.0: 1000000000000.0 has no unit", None),
        ("chip.flops: [1 TFLOP/s, 2x]", "axes.chip.flops.1: '2x' mixes multiples such as 0.5x with values", None),
        ("chip.flops: [0x]", "axes.chip.flops.0: '0x' is not more than 0", None),
        ("chip.flops: [ax]", "axes.chip.flops.0: is 'ax', expected a multiple such as 0.5x", None),
        ("chip.flops: {from: 1x, to: 2 TFLOP/s, steps: 2}", "axes.chip.flops.to: '2 TFLOP/s' mixes", None),
        ("chip.flops: {from: 2x, to: 1x, steps: 2}", "axes.chip.flops: from ('2x') is not below to ('1x')", None),
        ("chip.flops: {from: 1x, to: 2x}", "axes.chip.flops: has neither steps nor step, expected one", None),
        ("chip.flops: {from: 1x, to: 2x, step: 1 TFLOP/s}", "axes.chip.flops.step: '1 TFLOP/s' is not in the", None),
        ("chip.flops: {from: 1x, to: 2x, step: 0x}", "axes.chip.flops.step: '0x' is not more than 0", None),
        ("chip.flops: {from: 1 TFLOP/s, to: 9 EFLOP/s, step: 1 kFLOP/s}", "axes.chip.flops: has 9e+15 values", None),
        ("tokens: {from: 1T, to: 15T}", "axes.tokens: has neither steps nor step", None),
        ("pp: {from: 8, to: 1}", "axes.pp: from (8) is not below to (1)", None),
        ("pp: {from: 0, to: 8}", "axes.pp.from: is 0, expected a whole number from 1 to 1,000,000", None),
        ("pp: {from: 1, to: 8, steps: 1}", "axes.pp.steps: 1 is out of range, expected greater than or equal", None),
        ("pp: {from: 1, to: 8, steps: 2, step: 1}", "axes.pp: has steps and step, expected one of them", None),
        ("pp: {from: 1, to: 8, scale: log}", "axes.pp: is log, expected steps", "factor: 2 doubles from one value"),
        ("pp: {from: 1, to: 8, factor: 1}", "axes.pp.factor: 1 is out of range", None),
        ("shard: {from: 0, to: 8, steps: 3, scale: log}", "axes.shard.from: 0 is not more than 0, which a log", None),
        ("pp: {form: 1, to: 2}", "axes.pp.form: is not a known field", "did you mean from?"),
        ("count: {from: 1, to: 10000000}", "axes.count: has 1e+07 values, expected at most 1,000,000", None),
        ("pp: {from: 1, to: 1e18}", "axes.pp.to: is 1e+18, expected a whole number", None),
        ("pp: []", "axes.pp: is a list, expected at least one", None),
        ("pp: 8", "axes.pp: is 8, expected a list", None),
        ("pp: [1.5]", "axes.pp.0: is 1.5, expected a whole number", None),
        ("pp: [true]", "axes.pp.0: is True, expected a whole number", None),
        ("pp: [null]", "axes.pp.0: is a null, expected text or a number", None),
        ("pp: [[1]]", "axes.pp.0: is a list, expected text or a number", None),
        ("pp: [1, 2, 1]", "axes.pp.2: 1 is there twice", None),
        ("count: [1k, 1000]", "axes.count.1: 1000 is the same as '1k'", None),
        ("count: [1e15]", "axes.count.0: is 1000000000000000.0, expected a whole number from 1 to 10,000,000", None),
        ("zero: [4]", "axes.zero.0: is 4, expected a whole number from 0 to 3", None),
        ("recompute: [ful]", "axes.recompute.0: 'ful' is not one of none, selective, full, block", None),
        ("recompute: [2]", "axes.recompute.0: 2 is not one of none, selective, full, block", None),
        ("recompute: {from: none, to: full}", "axes.recompute: has no order, expected a list", None),
        ("precision: {from: bf16, to: fp8}", "axes.precision: has no order, expected a list or a group", None),
        ("pp: {group: all}", "axes.pp.group: has no groups", None),
        ("fabric: {group: taurus}", "axes.fabric.group: 'taurus' is no group", "there are all, cube-mesh, full-mesh"),
        ("precision: [bf16, BF16]", "axes.precision.1: 'BF16' is the same as 'bf16'", None),
        ("precision: [fp9]", "axes.precision.0: unknown precision 'fp9'", "did you mean fp8?"),
        ("precision: [5]", "axes.precision.0: is 5, expected text", None),
        ("stack: [megatron]", "axes.stack.0: unknown stack 'megatron'", "did you mean megatron-core?"),
        ("dp: [fill]", "axes.dp.0: 'fill' is no value of an axis", None),
        ("job.pue: [0.9]", "axes.job.pue.0: 0.9 is less than 1", None),
        ("stack.tp_overlap: [1.2]", "axes.stack.tp_overlap.0: 1.2 is more than 1, expected a share", None),
        ("kernels.matmul_fraction: [0]", "axes.kernels.matmul_fraction.0: 0 is not more than 0", None),
        ("job.pue: [.nan]", "axes.job.pue.0: is nan", None),
        ("job.pue: [.inf]", "axes.job.pue.0: is inf", None),
        ("job.pue: [1e308]", "axes.job.pue.0: 1e+308 is not a number from 0 to 1e40", None),
        ("job.pue: ['1e400']", "axes.job.pue.0: '1e400' is out of range", None),
        ("job.pue: [-1]", "axes.job.pue.0: -1 is not a number from 0 to 1e40", None),
        (r'pp: ["\e[31m"]', r"axes.pp.0: '\x1b[31m' holds a control character", None),
        (r'"p\ep": [1]', r"axes.'p\x1bp': 'p\x1bp' holds a control character", None),
    ],
)
def test_a_wrong_axis_says_where_and_what(line, message, hint):
    error = error_of(f"{HEAD}  {line}\n")
    assert error.message.startswith(f"s.yaml:{LINE}: {message}")
    assert hint is None or (error.hint or "").startswith(hint)


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("chip: [h20]", "chip: [h2o]", "s.yaml:5: axes.chip.0: unknown chip 'h2o'", "did you mean h20-96gb (alias h20"),
        ("[h20]", "[h20, h20-96gb]", "s.yaml:5: axes.chip.1: 'h20-96gb' is the same as 'h20'", None),
        ("[h20]", "[h20, H20]", "s.yaml:5: axes.chip.1: 'H20' is the same as 'h20'", None),
        ("[h20]", "{group: nvida}", "s.yaml:5: axes.chip.group: 'nvida' is no group", "there are ada, all, amd"),
        ("model: [llama-3.1-8b]", "tp: [1]", "s.yaml:4: axes: model is neither an axis nor fixed", "add fixed: {mod"),
        ("title: x", "titel: x", "s.yaml:2: titel: is not a known field", "did you mean title?"),
        ("title: x\n", "", "s.yaml: title: is missing", None),
        (
            "study/1",
            "study/2",
            "s.yaml:1: schema: 'clustercast.study/2' is not known, expected clustercast.study/1",
            None,
        ),
        ("training", "learning", "s.yaml:3: about: 'learning' is not known, expected training, serving", None),
        ("title: x", "title: &a x", "s.yaml:2: anchors and aliases are not allowed", None),
        ("title: x", "title: !!str x", "s.yaml:2: tags are not allowed", None),
        ("title: x", "title: " + "[" * 50, "s.yaml:2: is nested deeper than 32 levels", None),
        ("title: x", "title: " + "x" * 201, "s.yaml:2: title: is 'x", None),
        ("title: x", 'title: "a\\eb"', "s.yaml:2: title: 'a\\x1bb' holds a control character", None),
        ("title: x", "title: \x1b", "s.yaml:2: holds a control character, expected plain text", None),
    ],
)
def test_a_wrong_head_says_where_and_what(old, new, message, hint):
    error = error_of(HEAD.replace(old, new))
    assert error.message.startswith(message)
    assert hint is None or (error.hint or "").startswith(hint)


@pytest.mark.parametrize(
    ("tail", "message", "hint"),
    [
        ("fixed: {chip: h100}", "fixed.chip: is an axis too, expected one of both", None),
        ("fixed: {tp: [1, 2]}", "fixed.tp: is a list, expected text or a number", None),
        ("fixed: {recompute: some}", "fixed.recompute: 'some' is not one of none, selective, full, block", None),
        ("fixed: {schedule: any}", "fixed.schedule: 'any' needs a plan that is searched", "optimise: plan"),
        ("fixed: {job.puee: 1.2}", "fixed.job.puee: is not known", "did you mean job.pue?"),
        ("where: [tp > 1]", "where.0: 'tp' is neither an axis nor fixed", "give tp under axes or fixed"),
        ("where: ['count(*) > 1']", "where.0: 'count_star' is no function of a condition", None),
        ("where: [\"(select 1 from read_csv('x')) = 1\"]", "where.0: holds a subquery", None),
        ("where: tp > 1", "where: is 'tp > 1', expected a list", None),
        ("where: [true, '']", "where.0: is True, expected text", None),
        ("outputs: [day]", "outputs.0: 'day' is no output of training", "did you mean days?"),
        ("outputs: [tpot_ms]", "outputs.0: 'tpot_ms' is no output of training", None),
        ("outputs: [days, days]", "outputs.1: 'days' is there twice", None),
        ("outputs: []", "outputs: is a list, expected at least one", None),
        ("optimise: batch", "optimise: 'batch' is not known, expected nothing, plan", None),
        ("keep: some", "keep: 'some' is not known, expected legal, fitting, all", None),
        ("part_size: 0", "part_size: 0 is out of range", None),
    ],
)
def test_a_wrong_field_says_where_and_what(tail, message, hint):
    error = error_of(f"{HEAD}{tail}\n")
    assert error.message.startswith(f"s.yaml:{LINE}: {message}")
    assert hint is None or error.hint == hint


@pytest.mark.parametrize(
    ("samples", "message", "hint"),
    [
        (
            "method: sobol, n: 100, axes: {job.pue: {from: 1.1, to: 1.5}}",
            "samples.n: 100 is no power",
            "take 64 or 128",
        ),
        ("method: sobol, n: 2e9, axes: {job.pue: {from: 1.1, to: 1.5}}", "samples.n: is 2000000000.0, expected", None),
        (
            "method: latin-hypercube, n: 2000000, axes: {job.pue: {from: 1.1, to: 1.5}}",
            "samples.n: is 2000000, expected at most 1,048,576 for latin-hypercube",
            None,
        ),
        ("method: sobl, n: 4, axes: {job.pue: {from: 1.1, to: 1.5}}", "samples.method: 'sobl' is not known", None),
        ("method: sobol, n: 4, seed: -1, axes: {job.pue: {from: 1.1, to: 1.5}}", "samples.seed: -1 is out of", None),
        ("method: sobol, n: 4, axes: {}", "samples.axes: is a mapping, expected at least one", None),
        ("method: sobol, n: 4, axes: {tp: {from: 1, to: 8}}", "samples.axes.tp: is no number that can be", None),
        ("method: sobol, n: 4, axes: {tokens: {from: 1T, to: 8T}}", "samples.axes.tokens: is no number that", None),
        ("method: sobol, n: 4, axes: {job.pue: {from: 1.5, to: 1.1}}", "samples.axes.job.pue: from (1.5) is not", None),
        ("method: sobol, n: 4, axes: {job.pue: {from: 1.1, to: 1.1}}", "samples.axes.job.pue: from (1.1) is not", None),
        ("method: sobol, n: 4, axes: {job.pue: {from: 1.1, to: 2x}}", "samples.axes.job.pue.to: '2x' mixes", None),
        (
            "method: sobol, n: 4, axes: {job.pue: {from: 1, to: 2, steps: 3}}",
            "samples.axes.job.pue.steps: is not",
            None,
        ),
        (
            "method: sobol, n: 4, axes: {stack.tp_overlap: {from: 0, to: 1, scale: log}}",
            "samples.axes.stack.tp_overlap.from: 0 is not more than 0, which a logarithm needs",
            None,
        ),
    ],
)
def test_wrong_samples_say_where_and_what(samples, message, hint):
    error = error_of(f"{HEAD}samples: {{{samples}}}\n")
    assert error.message.startswith(f"s.yaml:{LINE}: {message}")
    assert hint is None or error.hint == hint


def test_a_sampled_number_is_no_axis_too():
    text = HEAD + "  job.pue: [1.1]\nsamples: {method: latin-hypercube, n: 3, axes: {job.pue: {from: 1.1, to: 1.5}}}\n"
    assert error_of(text).message == "s.yaml:8: samples.axes.job.pue: is in axes too, expected one of both"


def test_a_latin_hypercube_takes_any_number():
    text = (
        HEAD + "samples: {method: latin-hypercube, n: 1000, axes: {chip.latency: {from: 0.5x, to: 2x, scale: log}}}\n"
    )
    assert file.study_of(text, "s.yaml").samples == Samples(
        LATIN, 1000, 0, (Range("chip.latency", 0.5, 2.0, True, True, "count"),)
    )


def test_a_plan_that_is_searched_may_leave_open_what_is_usually_held():
    space = file.study_of(HEAD + "fixed: {schedule: any, tp: any, zero: 1}\noptimise: plan\n", "s.yaml")
    assert space.fixed == {"schedule": -1, "zero": 1}


def test_serving_is_given_with_its_batch_or_searched_as_a_whole():
    head = HEAD.replace("training", "serving")
    assert error_of(head).message == "s.yaml:4: axes: batch is neither an axis nor fixed"
    error = error_of(f"{SERVED}  tp: [8]\noptimise: plan\n")
    assert error.message == "s.yaml:8: axes.tp: is given, but serving searches the whole layout"
    assert axis_of("attention_dp: [1, 2]", SERVED) == Axis("attention_dp", PLAN, (1, 2))
    assert axis_of("engine: [vllm]", SERVED) == Axis("engine", NAME, ("vllm",))
    assert axis_of("input_len: [1k]", SERVED) == Axis("input_len", WHOLE, (1000,), dimension="count")


def test_too_many_points_are_refused():
    lines = "".join(f"  {name}: {{from: 1, to: 1000}}\n" for name in ("tp", "pp", "dp", "cp", "micro_batch"))
    assert error_of(HEAD + lines).message == "s.yaml:4: axes: are 1e+15 points, expected at most 1e+13"


def test_a_file_and_its_text_are_the_same_study(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(HEAD.encode())
    assert file.read_study(path) == file.study_of(HEAD, "elsewhere")
    with pytest.raises(WrongInput, match="there is no such file"):
        file.read_study(tmp_path / "none.yaml")
    with pytest.raises(WrongInput, match="is larger than 1 MiB"):
        file.study_of("#" * 2**21, "s.yaml")


def test_other_outputs_may_be_known():
    assert file.study_of(HEAD + "outputs: [b]\n", "s.yaml", ("a", "b")).outputs == ("b",)
    assert file.study_of(HEAD, "s.yaml", ("a", "b")).outputs == ("a", "b")


@settings(max_examples=100)
@given(st.integers(0, len(HEAD) - 1), st.text("{}[]:-,&*!|>'\"%@` \n\t#?0ax", max_size=3))
def test_a_study_with_a_slip_of_the_pen_is_read_or_refused_as_wrong_input(at, slip):
    said = ""
    try:
        file.study_of(HEAD[:at] + slip + HEAD[at + 1 :], "s.yaml", ("days",))
    except WrongInput as error:
        said = str(error)
    assert said.isprintable()


# what is published


def test_the_json_schema_in_the_docs_is_the_codes():
    committed = json.loads((ROOT / "docs/schemas/study.schema.json").read_text("utf-8"))
    assert committed == schema.json_schemas()["study"], (
        "write them with catalog.schema.write_json_schemas(docs/schemas)"
    )


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_study_and_fits_the_json_schema(path):
    space = file.read_study(path)
    assert 0 < space.count_passing().n <= space.n_points
    data = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    jsonschema.Draft202012Validator(schema.json_schemas()["study"]).validate(data)


def test_the_json_schema_knows_the_names_of_axes():
    halves = (TRAINING, SERVING)
    known = {name for half in halves for table in (names.TEXTS, names.WHOLES, names.PLANS) for name in table[half]}
    assert set(schema.STUDY_AXES) == known


@pytest.mark.parametrize("about", [TRAINING, SERVING])
@pytest.mark.parametrize(("chip", "model"), [("h20", "deepseek-v3"), ("910b", "llama-3.1-8b"), ("tpu-v4", "8B")])
def test_the_json_schema_knows_the_names_of_numbers(about, chip, model):
    pattern = schema.json_schemas()["study"]["properties"]["axes"]["propertyNames"]["anyOf"][1]["pattern"]
    found = names.numbers_of([Asked(chip, model)], about)
    assert {"chip.flops", "chip.hbm_bandwidth", "chip.latency", "chip.price_rent"} <= set(found)
    assert [name for name in found if not re.search(pattern, name)] == []


def test_numbers_are_those_of_the_first_chip_that_can_be_asked():
    text = HEAD.replace("[h20]", "[v100, h100]") + "  precision: [fp8]\n  chip.flops: [1x]\n"  # a V100 has no FP8
    assert file.study_of(text, "s.yaml").axes[-1].values == (1.0,)
    error = error_of(HEAD.replace("[h20]", "[v100]") + "  precision: [fp8]\n  chip.flops: [1x]\n")
    assert "v100-sxm2-32gb has no fp8" in error.message
