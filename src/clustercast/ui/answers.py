"""One question to one JSON document, by the calls that the command line makes."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from clustercast.errors import EXIT_OUR_FAULT, ClustercastError, NoAnswer, Number, WrongInput

if TYPE_CHECKING:
    from clustercast.estimates.question import Asked
    from clustercast.estimates.serving import Held

Fields = dict[str, Any]
Document = dict[str, Any]

DONE: Final = 200
WRONG: Final = 400
NO_ANSWER: Final = 422
OUR_FAULT: Final = 500
SERVING_TOOLS: Final = ("vllm", "sglang", "tensorrt-llm")


def answer(verb: str, fields: Fields) -> tuple[int, Document]:
    """The status and the document of one question: `clustercast.error/1` where it is wrong or has no answer.

    >>> answer("chip", {"name": "h21"})[0]
    400
    """
    try:
        return DONE, VERBS[verb](fields)
    except WrongInput as error:
        return WRONG, error_document(error)
    except NoAnswer as error:
        return NO_ANSWER, error_document(error)
    except Exception as error:  # noqa: BLE001 (the last door: a traceback never reaches a page)
        message = f"a fault of clustercast itself: {type(error).__name__}: {error}"
        return OUR_FAULT, failure(EXIT_OUR_FAULT, message, "please report it with the question that you asked")


def error_document(error: ClustercastError) -> Document:
    """An error as the command line's --json prints it."""
    return failure(error.exit_status, error.message, error.hint, error.numbers)


def failure(status: int, message: str, hint: str | None = None, numbers: dict[str, Number] | None = None) -> Document:
    """`clustercast.error/1`.

    >>> failure(2, "no such chip")["exit"]
    2
    """
    return {"schema": "clustercast.error/1", "exit": status, "error": message, "hint": hint, "numbers": numbers or {}}


def _settings(fields: Fields) -> tuple[str, ...]:
    return tuple(fields["set"])


def asked_of(fields: Fields) -> "Asked":
    """The question of `estimate` in the library's words."""
    from clustercast.estimates.question import Asked

    return Asked(
        fields["chip"], fields["model"], fields["count"], fields["tokens"], fields["gbs"], fields["seq"],
        fields["precision"], fields["plan"], fields["isl"], fields["osl"], fields["batch"], fields["fabric"],
        fields["stack"], fields["engine"], _settings(fields), fields["price"], tpot_s=fields.get("tpot"),
    )  # fmt: skip


def _estimate(fields: Fields) -> Document:
    from clustercast.catalog import constants
    from clustercast.estimates.answer import estimate

    with constants.using((), _settings(fields)):
        found = estimate(asked_of(fields), explain=fields["explain"], held=held_of(fields["serving_plan"]))
    return found.as_dict()


def held_of(text: str) -> "Held | None":
    """The serving layout that a page holds; None for none.

    >>> held_of("tp=8,pp=1,attention_dp=2,ep=16,etp=1,chips=16").size
    16
    """
    if not text:
        return None
    from clustercast.estimates.serving import Held
    from clustercast.records import ServingPlan

    found = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in text.split(","))}
    wanted = (*ServingPlan._fields, "chips")
    if set(found) != set(wanted) or not all(each.isascii() and each.isdigit() for each in found.values()):
        raise WrongInput(f"serving_plan: expected {', '.join(wanted)} with a whole number each, got {text!r}")
    *plan, size = (int(found[name]) for name in wanted)
    if min(size, *plan) < 1:
        raise WrongInput(f"serving_plan: expected numbers from 1, got {text!r}")
    return Held(size, ServingPlan(*plan))


def _board(fields: Fields) -> Document:
    """All that the page shows of one chip: the estimate, the rules' verdicts, its operations under their roofs."""
    found = _estimate(fields)
    own = {"chip": fields["chip"], "on": None, "set": _of_chip(fields)}
    return {
        "schema": "clustercast.board/1",
        "estimate": found,
        "rules": _rules(own),
        "roofline": roofline_of(fields, found),
        "numbers": numbers_of(fields["chip"], _of_chip(fields)),
    }


def _of_chip(fields: Fields) -> list[str]:
    return [each for each in fields["set"] if each.startswith("chip.")]


def _roofline(fields: Fields) -> Document:
    return roofline_of(fields, _estimate(fields))


def roofline_of(fields: Fields, found: Document) -> Document:
    """The operations of an estimate's plans, and the roofs that the datasheet puts over them.

    found  the document of the estimate that the fields ask for
    """
    from clustercast.catalog import constants
    from clustercast.estimates import operations
    from clustercast.estimates.question import fill
    from clustercast.estimates.serving import job_of
    from clustercast.records import ServingPlan
    from clustercast.studies.launch.training import plan_of

    with constants.using((), _settings(fields)):
        question = fill(asked_of(fields))
        made: list[operations.Operation] = []
        roofs: list[Document] = []
        if found["training"]:
            setting = question.setting()
            made += operations.of_training(setting, plan_of(found["training"]["plan_text"]))
            roofs.append(_roof("training", setting.chip))
        if found["serving"]:
            serving = question.serving_setting()
            said = found["serving"]["plan"]
            plan = ServingPlan(*(said[name] for name in ServingPlan._fields))
            made += operations.of_serving(serving, plan, job_of(question, found["serving"]["batch_per_replica"]))
            roofs += [_roof("prefill", serving.chip), _roof("decode", serving.chip)]
    return {
        "schema": "clustercast.roofline/1",
        "chip": question.chip.name,
        "roofs": roofs,
        "operations": [
            {
                "phase": one.phase, "kind": one.kind, "flop": one.flop, "hbm_bytes": one.hbm_bytes,
                "time_s": one.time_s, "share": one.share,
            }
            for one in made
        ],
    }  # fmt: skip


def _roof(phase: str, chip: Any) -> Document:
    return {"phase": phase, "flop_per_s": chip.matmul_flop_per_s, "hbm_bytes_per_s": chip.hbm_bytes_per_s}


def _plan(fields: Fields) -> Document:
    import clustercast

    found = clustercast.plan(
        fields["chip"], fields["model"], n_chips=fields["count"], tokens=fields["tokens"], global_batch=fields["gbs"],
        seq_len=fields["seq"], precision=fields["precision"], plan=fields["plan"], fabric=fields["fabric"],
        stack=fields["stack"], settings=_settings(fields), top=fields["top"],
    )  # fmt: skip
    return found.as_dict()


def _serve(fields: Fields) -> Document:
    import clustercast

    found = clustercast.serve(
        fields["chip"], fields["model"], n_chips=fields["count"], input_len=fields["isl"], output_len=fields["osl"],
        concurrency=fields["concurrency"], rate=fields["rate"], ttft_s=fields["ttft"], tpot_s=fields["tpot"],
        percentile=fields["percentile"], engine=fields["engine"], precision=fields["precision"], plan=fields["plan"],
        hit_fraction=fields["prefix_hit"], frontier=fields["frontier"], fabric=fields["fabric"],
        settings=_settings(fields),
    )  # fmt: skip
    return found.as_dict()


def _compare(fields: Fields) -> Document:
    import clustercast

    found = clustercast.compare(
        fields["chips"], [fields["model"]], n_chips=fields["count"], equal=fields["equal"],
        reference=fields["reference"], price=fields["price"], tokens=fields["tokens"], global_batch=fields["gbs"],
        seq_len=fields["seq"], precision=fields["precision"], input_len=fields["isl"], output_len=fields["osl"],
        batch=fields["batch"], engine=fields["engine"], settings=_settings(fields),
    )  # fmt: skip
    return found.as_dict()


def _why(fields: Fields) -> Document:
    import clustercast

    found = clustercast.why(
        fields["chip"], fields["model"], other=fields["other"], n_chips=fields["count"], tokens=fields["tokens"],
        global_batch=fields["gbs"], seq_len=fields["seq"], precision=fields["precision"], plan=fields["plan"],
        input_len=fields["isl"], output_len=fields["osl"], batch=fields["batch"], fabric=fields["fabric"],
        stack=fields["stack"], engine=fields["engine"], settings=_settings(fields),
    )  # fmt: skip
    return found.as_dict()


def _sensitivity(fields: Fields) -> Document:
    import clustercast

    found = clustercast.sensitivity(
        fields["chip"], fields["model"], of=fields["of"], parameters=fields["parameters"], n_chips=fields["count"],
        tokens=fields["tokens"], global_batch=fields["gbs"], seq_len=fields["seq"], precision=fields["precision"],
        plan=fields["plan"], input_len=fields["isl"], output_len=fields["osl"], batch=fields["batch"],
        fabric=fields["fabric"], stack=fields["stack"], engine=fields["engine"], settings=_settings(fields),
    )  # fmt: skip
    return found.as_dict()


def _crossover(fields: Fields) -> Document:
    import clustercast

    found = clustercast.crossover(
        fields["chip"], fields["other"], fields["model"], n_chips=fields["count"], batches=fields["batches"],
        contexts=fields["contexts"], precision=fields["precision"], other_precision=fields["other_precision"],
        plan=fields["plan"], engine=fields["engine"], settings=_settings(fields),
    )  # fmt: skip
    return found.as_dict()


def _map(fields: Fields) -> Document:
    from clustercast.catalog import constants
    from clustercast.ui.live import crossover_map

    with constants.using((), _settings(fields)):
        return crossover_map(fields)


def _size_training(fields: Fields) -> Document:
    import clustercast

    found = clustercast.size_train(
        fields["chips"], fields["model"], fields["days"], tokens=fields["tokens"], global_batch=fields["gbs"],
        seq_len=fields["seq"], precision=fields["precision"], settings=_settings(fields),
    )  # fmt: skip
    return found.as_dict()


def _size_serving(fields: Fields) -> Document:
    import clustercast

    found = clustercast.size_serve(
        fields["chips"], fields["model"], fields["rate"], input_len=fields["isl"], output_len=fields["osl"],
        ttft_s=fields["ttft"], tpot_s=fields["tpot"], percentile=fields["percentile"], precision=fields["precision"],
        engine=fields["engine"], settings=_settings(fields),
    )  # fmt: skip
    return found.as_dict()


def _rules(fields: Fields) -> Document:
    import datetime

    import clustercast

    on = datetime.date.fromisoformat(fields["on"]) if fields["on"] else None
    return clustercast.rules(fields["chip"], on, _settings(fields)).as_dict()


def _chips(_: Fields) -> Document:
    from clustercast import catalog
    from clustercast.report.profiles import chips_document

    return chips_document([catalog.find_chip(name) for name in catalog.chip_names()])


def _models(_: Fields) -> Document:
    from clustercast import catalog
    from clustercast.report.profiles import models_document

    return models_document([catalog.find_model(name) for name in catalog.model_names()])


def _chip(fields: Fields) -> Document:
    from clustercast import catalog
    from clustercast.report.profiles import document

    return document(catalog.find_chip(fields["name"])) | {"numbers": numbers_of(fields["name"], [])}


def _model(fields: Fields) -> Document:
    from clustercast import catalog
    from clustercast.report.profiles import document

    return document(catalog.find_model(fields["name"]))


def _options(_: Fields) -> Document:
    """What the page's lists hold."""
    from clustercast import __version__
    from clustercast.catalog import constants

    return {
        "schema": "clustercast.options/1",
        "version": __version__,
        "precisions": constants.recipe_names(),
        "engines": sorted(constants.table("engines")["engines"]),
        "tpot_s": constants.default("serving", "tpot_s").value,
        "tools": ["megatron-lm", "megatron-bridge", "torchtitan", "deepspeed", "mindspeed-llm", *SERVING_TOOLS],
    }


DRAGGED: Final = {  # what `--set chip.<key>` changes, and where the profile has it; flops as `catalog.chips` takes it
    "flops": "",
    "hbm_bandwidth": "memory.bandwidth",
    "hbm_capacity": "memory.capacity",
    "scale_up": "scale_up.per_direction",
    "scale_out": "nic",
}


def numbers_of(chip: str, settings: list[str]) -> dict[str, float | None]:
    """The numbers of a chip that a slider moves, in base units; None where the chip has no such part."""
    from clustercast import catalog
    from clustercast.studies.rules import with_settings

    profile = with_settings(catalog.find_chip(chip), tuple(settings))
    found: dict[str, float | None] = {}
    for key, place in DRAGGED.items():
        quantity = profile.get(place) if place else profile.get("peaks.bf16") or profile.get("peaks.fp16")
        found[key] = quantity.value if quantity else None
    return found


def _chip_file(fields: Fields) -> Document:
    from clustercast.ui.files import chip_yaml

    name, text = chip_yaml(fields["chip"], _settings(fields))
    return file_document(f"{name}.yaml", text)


def _launch(fields: Fields) -> Document:
    from clustercast.ui.files import serving_launch, training_launch

    serving = fields["tool"] in SERVING_TOOLS
    text = serving_launch(fields) if serving else training_launch(fields)
    return file_document(f"{'serve' if serving else 'train'}-{fields['tool']}.{_ending(text)}", text)


def _ending(text: str) -> str:
    first = text.lstrip()[:1]
    return "sh" if text.startswith("#!") else "json" if first == "{" else "py" if "import " in text[:2000] else "txt"


def file_document(name: str, text: str) -> Document:
    """A file to keep: its name and its text.

    >>> file_document("a.yaml", "x: 1")["name"]
    'a.yaml'
    """
    return {"schema": "clustercast.file/1", "name": name, "text": text}


def _report(fields: Fields) -> Document:
    import clustercast
    from clustercast.report.page import html, page_of

    found = clustercast.report_on(
        fields["chips"], fields["model"], n_chips=fields["count"], tokens=fields["tokens"], global_batch=fields["gbs"],
        seq_len=fields["seq"], precision=fields["precision"], plan=fields["plan"], input_len=fields["isl"],
        output_len=fields["osl"], batch=fields["batch"], engine=fields["engine"], settings=_settings(fields),
        price=fields["price"],
    )  # fmt: skip
    return file_document("clustercast-report.html", html.html(page_of(found)))


@cache
def _kept(verb: Callable[[Fields], Document]) -> Document:
    return verb({})


VERBS: Final[dict[str, Callable[[Fields], Document]]] = {
    "board": _board,
    "chip": _chip,
    "chip-file": _chip_file,
    "chips": lambda _: _kept(_chips),
    "compare": _compare,
    "crossover": _crossover,
    "estimate": _estimate,
    "launch": _launch,
    "map": _map,
    "model": _model,
    "models": lambda _: _kept(_models),
    "options": lambda _: _kept(_options),
    "plan": _plan,
    "report": _report,
    "roofline": _roofline,
    "rules": _rules,
    "sensitivity": _sensitivity,
    "serve": _serve,
    "size-serve": _size_serving,
    "size-train": _size_training,
    "why": _why,
}
