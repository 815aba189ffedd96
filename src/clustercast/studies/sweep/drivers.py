"""The compiled loops over points: what each plan comes to, or the rule that it breaks."""

import math
from typing import Any, Final

from clustercast.physics.grid import plan_of
from clustercast.physics.serving import serve
from clustercast.physics.training import training_step
from clustercast.plans import rules
from clustercast.plans.rules import broken_rule, layout_rule
from clustercast.records import ServingJob, ServingPlan
from clustercast.studies.sensitivity.model import Replicas, own_usd_per_chip_h, served_by, trained_by


def run_training(cases: Any, case_of: Any, plans: Any, broken: Any, out: Any) -> None:
    """Every field of a training run and of its step, for each legal plan. Runs compiled, like `run_serving`.

    cases [m] rows of TrainingCase;  case_of [n] which of them a point has;  plans [n, plan fields]
    broken [n] takes the rule that a plan breaks;  out [n, FIELDS of training]
    """
    for i in range(len(plans)):
        case = cases[case_of[i]]
        plan = plan_of(plans[i])
        broken[i] = broken_rule(plan, case.setting.model, case.setting.job, int(case.run.n_chips))
        if broken[i] == 0:
            step = training_step(case.setting, plan)
            found = trained_by(case, plan, step)
            for j in range(len(found)):
                out[i, j] = found[j]
            for j in range(len(step)):
                out[i, len(found) + j] = step[j]


def run_serving(cases: Any, case_of: Any, plans: Any, batches: Any, broken: Any, out: Any) -> None:
    """Every field of serving for each legal layout, repeated over the chips.

    batches [n] sequences in flight on all chips; the rest as in `run_training`
    """
    for i in range(len(plans)):
        case = cases[case_of[i]]
        row = plans[i]
        plan = ServingPlan(row[0], row[1], row[2], row[3], row[4])
        setting = case.setting
        n_chips = case.replicas.n_chips
        broken[i] = layout_rule(plan, setting.model, setting.cluster.scale_up.n_chips, int(n_chips))
        if broken[i] == 0:
            n_replicas = math.floor(n_chips / (plan.tp * plan.pp * plan.attention_dp))
            usual = case.job
            job = ServingJob(
                usual.input_len, usual.output_len, float(math.ceil(batches[i] / n_replicas)), usual.n_drafts,
                usual.accepted_tokens, usual.hit_fraction, usual.input_square_factor, usual.output_square_factor,
                usual.n_waves, usual.elsewhere_s,
            )  # fmt: skip
            done = serve(setting, job, plan)
            replicas = Replicas(n_chips, float(n_replicas), float(batches[i]))
            found = served_by(setting.chip, job, replicas, case.money, done)
            for j in range(len(found)):
                out[i, j] = found[j]
            for j in range(len(done)):
                out[i, len(found) + j] = done[j]


TRAINING_HELPERS: Final = (plan_of, trained_by, own_usd_per_chip_h, *rules.HELPERS)
SERVING_HELPERS: Final = (served_by, own_usd_per_chip_h, *rules.HELPERS)
