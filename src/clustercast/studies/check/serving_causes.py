"""What would make a served token slower or faster: each cause as a change of what the physics is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from clustercast import records
from clustercast.catalog import ChipProfile, constants, serving
from clustercast.studies.check.training_causes import Change, crosses_nodes, has_links, over_pcie, scaled_links
from clustercast.studies.check.training_causes import slower_network as with_network
from clustercast.studies.record import numbers
from clustercast.studies.record.serving import LOADS, Case, formats_of, in_metric, silicon_of, usual_precision

HOST: Final = ("host_step_s", "host_sequence_s", "prefill_step_s", "first_token_s")
EAGER: Final = ("launch_factor", "layer_s", "sparse_layer_s", "host_step_s")


@dataclass(frozen=True, slots=True)
class Served:
    """One measured figure as the physics sees it."""

    row: dict[str, str]
    case: Case
    chip: ChipProfile
    value: float  # expected, in the unit of the metric

    def figure(self, *, job: records.ServingJob | None = None, **parts: object) -> float:
        """The figure with another job or other parts of the setting; lengths of rates are the new job's."""
        setting = self.case.setting._replace(**parts)  # type: ignore[arg-type]
        case = self.case._replace(setting=setting, job=job or self.case.job)
        return in_metric(case, LOADS[case.load](case.setting, case.job, case.plan))


def slower(served: Served) -> dict[str, Change]:
    """Causes of a figure that is worse."""
    return _of_engine(served) | _of_links(served) | _of_formats(served, wider=True) | _of_load(served)


def _of_engine(served: Served) -> dict[str, Change]:
    setting = served.case.setting
    engine, chip, model = setting.engine, setting.chip, setting.model

    def times(fields: tuple[str, ...]) -> Change:
        return lambda size: served.figure(
            engine=engine._replace(**{name: getattr(engine, name) * size for name in fields})
        )

    def clocks(size: float) -> float:
        return served.figure(chip=chip._replace(clock_fraction=chip.clock_fraction * size))

    def experts(size: float) -> float | None:
        if model.n_moe_layers == 0 or served.case.plan.ep == 1:
            return None
        worse = engine._replace(
            expert_factor=engine.expert_factor * size, expert_memory_factor=engine.expert_memory_factor * size
        )
        return served.figure(engine=worse)

    def guesses(_: float) -> float | None:
        return served.figure(job=served.case.job._replace(n_drafts=_drafts(), accepted_tokens=1.0))

    return {
        "eager": times(EAGER),
        "host_bound": times(HOST),
        "slow_clocks": clocks,
        "unequal_experts": experts,
        "guesses_fail": guesses,
    }


def _drafts() -> float:
    return constants.default("serving_record", "n_drafts").value


def _of_links(served: Served) -> dict[str, Change]:
    cluster, plan = served.case.setting.cluster, served.case.plan
    shared = plan.tp * plan.attention_dp * plan.pp > 1 and has_links(cluster)

    def inside(size: float) -> float | None:
        return served.figure(cluster=scaled_links(cluster, size)) if shared else None

    def pcie(_: float) -> float | None:
        return served.figure(cluster=over_pcie(cluster, served.chip)) if shared else None

    def between(size: float) -> float | None:
        return served.figure(cluster=with_network(cluster, size)) if crosses_nodes(cluster) else None

    return {"half_scale_up": inside, "no_scale_up": pcie, "slow_network": between}


def _of_formats(served: Served, *, wider: bool) -> dict[str, Change]:
    """Weights or cache in another width than said."""
    weight, expert, kv = formats_of(served.row, usual_precision(served.row.get("model") or ""), served.chip)
    key = numbers.chip_key(served.row)

    def with_formats(weight: str, expert: str, kv: str) -> float:
        silicon = silicon_of(key, weight, expert, kv)
        return served.figure(chip=silicon.chip, kernels=silicon.kernels, precision=silicon.precision)

    sixteen = serving.sixteen(served.chip)
    small = "fp8" if "fp8" in served.chip.peaks() else "int8"
    other, cache = (sixteen, "bf16") if wider else (small, "fp8")
    names = ("wider_weights", "wider_cache") if wider else ("narrower_weights", "narrower_cache")
    return {
        names[0]: lambda _: with_formats(other, other, kv) if weight != other else None,
        names[1]: lambda _: with_formats(weight, expert, cache) if kv != cache else None,
    }


def _of_load(served: Served) -> dict[str, Change]:
    job = served.case.job

    def longer(size: float) -> float:
        return served.figure(job=job._replace(input_len=max(1, round(job.input_len * size))))

    def more(size: float) -> float:
        return served.figure(job=job._replace(batch=job.batch * size))

    def at_once(size: float) -> float | None:
        return served.figure(job=job._replace(n_waves=size)) if job.n_waves != size else None

    return {"longer_prompts": longer, "more_in_flight": more, "all_at_once": at_once}


def faster(served: Served) -> dict[str, Change]:
    """Causes of a figure that is better, or seems to be."""
    job, metric = served.case.job, served.case.metric

    def hits(size: float) -> float:
        return served.figure(job=job._replace(hit_fraction=size))

    def short(size: float) -> float:
        return served.figure(job=job._replace(output_len=max(2, round(job.output_len * size))))

    def fewer(size: float) -> float | None:
        return served.figure(job=job._replace(batch=max(1.0, job.batch * size))) if job.batch > 1.0 else None

    def prompts(size: float) -> float:
        return served.figure(job=job._replace(input_len=max(1, round(job.input_len * size))))

    def guessing(_: float) -> float | None:
        accepted = constants.default("serving_record", "accepted_tokens").value
        if job.n_drafts > 0.0:
            return None
        return served.figure(job=job._replace(n_drafts=_drafts(), accepted_tokens=accepted))

    found: dict[str, Callable[[float], float | None]] = {
        "cache_hits": hits,
        "fewer_in_flight": fewer,
        "guessing": guessing,
        "shorter_prompts": prompts,
    }
    if not metric.startswith("output"):
        found["short_answers"] = short
    return found | _of_formats(served, wider=False)
