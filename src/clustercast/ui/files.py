"""Files to take away: a changed chip as YAML, launch files of a plan."""

from dataclasses import replace
from typing import Any, Final

from clustercast.errors import NoAnswer

CHANGED: Final = "-changed"
MOST_NAME: Final = 64


def chip_yaml(chip: str, settings: tuple[str, ...]) -> tuple[str, str]:
    """The name and the catalogue file of a chip with what was changed; `--chip FILE.yaml` reads it.

    Raises WrongInput.
    """
    from clustercast import catalog
    from clustercast.catalog import read, write
    from clustercast.studies.rules import with_settings

    usual = catalog.find_chip(chip)
    changed = with_settings(usual, settings)
    path = read.data_root() / usual.file
    if not settings:
        return usual.name, read.text_of(read.read_bytes(path), path)
    data = read.parse(read.read_bytes(path), path)
    data["name"] = usual.name[: MOST_NAME - len(CHANGED)] + CHANGED
    data["full_name"] = f"{usual.full_name}, changed"
    data["aliases"] = []
    data["notes"] = [f"{usual.name} with {', '.join(settings)}: not a product.", *usual.notes]
    data["sources"] = data["sources"] | {"changed": f"{usual.name}, changed by hand"}
    for name, quantity in changed.quantities():
        if quantity != usual.get(name):
            _put(data, name.split("."), _entry(quantity))
    return data["name"], write.yaml_text("chip", data)


def _entry(quantity: Any) -> dict[str, str]:
    text = quantity.text
    return {
        "value": text, "source": "changed", "kind": "assumed", "low": text, "high": text, "why": "changed by hand",
    }  # fmt: skip


def _put(data: dict[str, Any], place: list[str], entry: dict[str, str]) -> None:
    *path, last = place
    for name in path:
        data = data.setdefault(name, {})
    data[last] = entry


def training_launch(fields: dict[str, Any]) -> str:
    """A launch file of a training tool for the plan that is held, or for the fastest. Raises WrongInput, NoAnswer."""
    import clustercast

    found = clustercast.plan(
        fields["chip"], fields["model"], n_chips=fields["count"], tokens=fields["tokens"], global_batch=fields["gbs"],
        seq_len=fields["seq"], precision=fields["precision"], plan=fields["plan"], fabric=fields["fabric"],
        stack=fields["stack"], settings=tuple(fields["set"]), top=1, export=fields["tool"],
    )  # fmt: skip
    return found.launch or ""


def serving_launch(fields: dict[str, Any]) -> str:
    """A launch file of a serving tool for one replica of the estimate. Raises WrongInput and NoAnswer."""
    import clustercast
    from clustercast.catalog import constants
    from clustercast.estimates.question import fill
    from clustercast.estimates.serving import serve_estimate
    from clustercast.ui.answers import asked_of, held_of

    with constants.using((), fields["set"]):
        asked = replace(asked_of(fields | {"plan": ""}), only_serving=True)
        served, _ = serve_estimate(fill(asked), held_of(fields["serving_plan"]))
    layout = {name: value for name, value in served.plan.items() if name not in ("chips", "idle")}
    layout |= {"replicas": 1, "batch": served.batch_per_replica}
    found = clustercast.serve(
        fields["chip"], fields["model"], n_chips=served.plan["chips"], input_len=served.input_len,
        output_len=served.output_len, precision=fields["precision"], export=fields["tool"],
        plan=",".join(f"{name}={value}" for name, value in layout.items()), fabric=fields["fabric"],
        settings=tuple(fields["set"]),
    )  # fmt: skip
    if not isinstance(found.launch, str):
        raise NoAnswer(f"there is no launch file of {fields['tool']} for this plan")
    return found.launch
