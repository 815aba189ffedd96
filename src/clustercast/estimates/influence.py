"""Which assumptions move the answer most: each one at its low and at its high end, at the same plan."""

from collections.abc import Iterator

from clustercast import records
from clustercast.catalog import constants
from clustercast.catalog.constants import Constant
from clustercast.estimates.elasticity import improved
from clustercast.estimates.question import Question
from clustercast.estimates.result import Assumption
from clustercast.physics.job import goodput as goodput_shares
from clustercast.physics.training import training_step

RELIABILITY = ("chip_mtbf_s", "checkpoint_save_s", "restart_s", "checkpoint_every_s")
LEAST_MOVE = 0.002  # of the days: below it an assumption is not worth a line


def _settings(question: Question, setting: records.Setting) -> Iterator[tuple[str, Constant, list[records.Setting]]]:
    """Every constant behind a step that has a range, with the settings at its low and high end."""
    for name, number in question.silicon.constants.items():
        if number.low < number.high:
            ends = [setting.kernels._replace(**{name: end}) for end in (number.low, number.high)]
            yield f"{question.chip.family} {name}", number, [setting._replace(kernels=end) for end in ends]
    for name, number in question.stack.constants.items():
        if number.low < number.high:
            tried = [setting.stack._replace(**{name: end}) for end in (number.low, number.high)]
            yield f"{question.stack.name} {name}", number, [setting._replace(stack=end) for end in tried]
    for resource, quantity in (
        ("flops", question.chip.get(f"peaks.{question.silicon.recipe.formats['matmul']}")),
        ("hbm_bandwidth", question.chip.get("memory.bandwidth")),
        ("scale_out", question.chip.get("nic")),
        ("scale_up", question.chip.get("scale_up.per_direction")),
    ):
        if quantity is None or quantity.low is None or quantity.high is None or quantity.low >= quantity.high:
            continue
        source = question.chip.sources.get(quantity.source, quantity.source)
        number = Constant(
            quantity.value, quantity.low, quantity.high, quantity.kind, source, quantity.why or quantity.note or ""
        )
        ends_of = [improved(setting, resource, end / quantity.value) for end in (quantity.low, quantity.high)]
        yield f"{question.chip.name} {resource}", number, ends_of
    for where, tier in (("scale-up", question.fabric.scale_up), ("rail", question.fabric.rail)):
        if tier is None:
            continue
        number = constants.link(tier.link, question.chip.name)["fraction"]
        if number.low < number.high:
            resource = "scale_up" if where == "scale-up" else "scale_out"
            ends_of = [improved(setting, resource, end / number.value) for end in (number.low, number.high)]
            yield f"{tier.link} fraction", number, ends_of


def movers(question: Question, plan: records.Plan, days: float, goodput: float) -> list[Assumption]:
    """The assumptions behind the training days that have a range, those that move the days most first.

    Each is tried alone at both ends of its range at the same plan.
    """
    setting = question.setting()
    now_s = training_step(setting, plan).step_s
    found: list[tuple[float, Assumption]] = []

    def keep(name: str, number: Constant, ratios: list[float]) -> None:
        ends = sorted(days * ratio for ratio in ratios)
        swing = (ends[1] - ends[0]) / days
        if swing > LEAST_MOVE:
            text = number.note or number.source
            said = Assumption(name, number.value, number.kind, text, number.low, number.high, ends[0], ends[1])
            found.append((swing, said))

    for name, number, tried in _settings(question, setting):
        keep(name, number, [training_step(each, plan).step_s / now_s for each in tried])
    usual = {name: constants.default("reliability", name) for name in RELIABILITY}
    values = [usual[name].value for name in RELIABILITY]
    for at, name in enumerate(RELIABILITY):
        ratios = []
        for end in (usual[name].low, usual[name].high):
            tried_values = [*values[:at], end, *values[at + 1 :]]
            mtbf_s, save_s, restart_s, every_s = tried_values
            then = goodput_shares(float(question.n_chips), mtbf_s, save_s, restart_s, every_s, 0.0)
            ratios.append(goodput / then.fraction)
        keep(name, usual[name], ratios)
    found.sort(key=lambda pair: -pair[0])
    return [said for _, said in found]
