"""Shell scripts that start a server with a chosen setup: what the writers of all serving tools share."""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from clustercast import __version__, catalog
from clustercast.catalog import ModelProfile
from clustercast.catalog.find import user_file
from clustercast.errors import WrongInput
from clustercast.studies.launch import checkpoints
from clustercast.studies.launch.commands import Command
from clustercast.studies.launch.launch import PlanRefused, ServingLaunch

NODE_CHIPS: Final = 8  # of a node where nobody says: every server with NVLink or the like so far, but for racks
SERVERS: Final = "SERVERS"  # the variable of a script that says how many servers like it there are
MOST_SERVERS: Final = 10**6
SIXTEEN_BITS: Final = {"bf16": "bfloat16", "fp16": "float16"}


class Server(NamedTuple):
    """One server of a setup: how many there are, and the nodes of each."""

    n_servers: int
    inside: int  # replicas that one server keeps itself
    n_nodes: int
    node_chips: int  # that each of the nodes gives
    chips: int  # that its command takes


class Weights(NamedTuple):
    """What a script names as weights, the options about their format, and what is to be put in by hand."""

    name: str
    options: tuple[tuple[str, str], ...]
    remark: str


def refuse(tool: str, what: str, hint: str | None = None) -> None:
    """Refuse what a tool has no option for. Raises WrongInput."""
    raise WrongInput(f"--export {tool}: it has no {what}", hint=hint)


def refuse_plan(tool: str, what: str, hint: str | None = None) -> None:
    """The same of a plan that another may do for. Raises PlanRefused."""
    raise PlanRefused(f"--export {tool}: it has no {what}", hint=hint)


def named(tool: str, what: str, value: str, known: Mapping[str, str]) -> str:
    """The tool's own word for a value. Raises WrongInput where it has none."""
    if value not in known:
        raise WrongInput(f"--export {tool}: it has no {what} in {value}", hint=f"it has {', '.join(known)}")
    return known[value]


def whole_plan(launch: ServingLaunch) -> dict[str, int]:
    """The plan of a launch with every field. Raises WrongInput where its experts do not fit its ranks."""
    plan = {"tp": 1, "pp": 1, "attention_dp": 1, "replicas": 1} | dict(launch.plan)
    group = plan["tp"] * plan["attention_dp"]
    if mixture(launch):
        plan.setdefault("ep", group // plan.get("etp", 1))
        plan.setdefault("etp", group // plan["ep"])
        if plan["ep"] * plan["etp"] != group:
            raise WrongInput(f"ep x etp {plan['ep']} x {plan['etp']} is not tp x attention_dp {group}")
    return plan


def profile(launch: ServingLaunch) -> ModelProfile:
    """The model of a launch. Raises WrongInput where it has none."""
    if launch.model is None:
        raise WrongInput(f"{launch.file}: it says no model", hint="--model NAME")
    return catalog.find_model(launch.model) if isinstance(launch.model, str) else launch.model


def mixture(launch: ServingLaunch) -> bool:
    """Whether a launch serves a mixture of experts."""
    return profile(launch).record().n_moe_layers > 0


def own_drafts(launch: ServingLaunch, tool: str) -> int:
    """Tokens that the model's own layers guess. Raises WrongInput where it has none of those."""
    n_drafts = launch.n_drafts or 0.0
    if n_drafts != int(n_drafts):
        refuse(tool, f"guesses of {n_drafts:g} tokens", "a step guesses a whole number of tokens")
    if profile(launch).record().n_mtp_layers == 0:
        model = profile(launch).name
        refuse(tool, f"guessed tokens for {model} without another model", f"{model} has no layers that predict further")
    return int(n_drafts)


def weights(launch: ServingLaunch, tool: str, quantised: Mapping[str, str], runs: Sequence[str]) -> Weights:
    """The name of the weights of a launch, and the options that put them into its precision.

    quantised  recipes that the tool makes of 16-bit weights when it loads them, and its word for them
    runs       recipes of weights that it takes as they are

    Raises WrongInput for a precision that the tool does not run.
    """
    found = profile(launch)
    model = launch.model if isinstance(launch.model, str) else found.file
    own = (launch.precision or "") if user_file(model) else checkpoints.published_in(model)
    precision = launch.precision
    if precision is None or precision == own:
        options = (("dtype", SIXTEEN_BITS[own]),) if precision in SIXTEEN_BITS else ()
        return Weights(checkpoints.repository(model)[0], options, checkpoints.repository(model)[1])
    if own in SIXTEEN_BITS and precision in SIXTEEN_BITS:
        return Weights(checkpoints.repository(model)[0], (("dtype", SIXTEEN_BITS[precision]),), "")
    if own in SIXTEEN_BITS and precision in quantised:
        name, remark = checkpoints.repository(model)
        return Weights(name, (("quantization", quantised[precision]),), remark)
    if precision not in runs:
        raise WrongInput(f"--export {tool}: it has no {precision} weights", hint=f"it has {', '.join(runs)}")
    name, remark = checkpoints.repository(model, precision)
    return Weights(name, (("dtype", SIXTEEN_BITS[precision]),) if precision in SIXTEEN_BITS else (), remark)


def server_of(plan: Mapping[str, int], node_chips: int, *, own_replicas: bool) -> Server:
    """How the replicas of a plan are started: inside one server where it keeps them and a node holds them."""
    size = plan["tp"] * plan["pp"] * plan["attention_dp"]
    replicas = plan["replicas"]
    inside = replicas if own_replicas and size * replicas <= node_chips else 1
    n_nodes = max(1, math.ceil(size * inside / node_chips))
    return Server(replicas // inside, inside, n_nodes, min(size * inside, node_chips), size * inside)


def servers(command: Command) -> int:
    """How many servers like it a script says there are."""
    found = command.script.variables.get(SERVERS) if command.script else None
    text = found[0].text if found else ""
    if text.isascii() and text.isdigit() and 1 <= int(text[:8]) <= MOST_SERVERS:
        return int(text[:8])
    return 1


def script(
    version: str,
    header: Sequence[str],
    weights_: Weights,
    server: Server,
    program: Sequence[str],
    lines: Sequence[tuple[str, object]],
    raw: Sequence[str] = (),
    before: Sequence[str] = (),
) -> str:
    """The text of a script: what it is for, what is to be put in, and the command.

    lines   options with their values; an empty value is a bare option
    raw     further words as the shell takes them
    before  lines of the script before the command
    """
    said = [f"{version}, written by clustercast {__version__}", *header]
    if weights_.remark:
        said.append(f"weights: {weights_.remark}")
    of_them = f"; {server.n_servers:,} servers like it" if server.n_servers > 1 else ""
    said.append(f"one server: {server.chips:,} chips{of_them}")
    ranked = any("NODE_RANK" in each for each in (*raw, *before))
    if server.n_nodes > 1 and not ranked:
        said.append(f"start it once, where mpirun reaches {server.n_nodes} nodes with {server.node_chips} chips each")
    elif server.n_nodes > 1:
        said.append(
            f"start it on each of {server.n_nodes} nodes with {server.node_chips} chips; set NODE_RANK (0, 1, ...) and "
            "MASTER_ADDR (the first node) on each"
        )
    text = ["#!/usr/bin/env bash", *(comment(each) for each in said), "set -euo pipefail", ""]
    if server.n_servers > 1:
        text.append(f"{SERVERS}={server.n_servers} # like this one, each on chips of its own, behind a load balancer")
        text.append(f'echo "one of ${SERVERS} servers" >&2')
    if ranked:
        text.append('NODE_RANK="${NODE_RANK:-0}"')
    text += [*before]
    command = [" ".join((*program, shlex.quote(weights_.name))) if weights_.name else " ".join(program)]
    command += [f"{name} {shlex.quote(str(value))}".rstrip() if value != "" else name for name, value in lines]
    text.append(" \\\n  ".join([*command, *raw]))
    return "\n".join(text) + "\n"


def comment(text: str) -> str:
    """A line of comment, whatever the text holds.

    >>> comment("a\\nrm -rf b")
    '# a rm -rf b'
    """
    return "# " + "".join(each if each.isprintable() else " " for each in text)
