"""Plain data to the text of a catalogue file, in the style of `hardware_profiles` and `workloads`, and read back."""

import io
from pathlib import Path
from typing import Any, Final

from clustercast.catalog import read
from clustercast.errors import WrongInput

_WIDTH: Final = 4000  # a quantity stays on its line


def yaml_text(kind: str, data: dict[str, Any], remarks: dict[str, str] | None = None) -> str:
    """A chip or model file as text, checked by reading it back: what comes out of a reader is what went in.

    kind     chip or model
    data     the file's fields; a mapping with a `value` goes on one line
    remarks  comments behind fields of `architecture`
    Raises WrongInput where the data is no such file.
    """
    text = _dumped(data, remarks or {})
    checked(kind, text, data)
    return text


def checked(kind: str, text: str, data: dict[str, Any]) -> dict[str, Any]:
    """The checked data of a text. Raises WrongInput in the field's name where it does not fit."""
    from clustercast.catalog import schema

    try:
        found = read.parse(text.encode("utf-8"), Path(f"{data['name']}.yaml"))
        if found != data:
            raise WrongInput(f"the {kind} does not read back as it was written")
        return schema.validate(kind, found)
    except schema.UnfitError as unfit:
        place = ".".join(map(str, unfit.place))
        raise WrongInput(f"{kind} {data['name']}: {place}: {unfit.message}", hint=unfit.hint) from None
    except UnicodeEncodeError:
        raise WrongInput(f"the {kind} holds a character that no file can hold") from None


def _dumped(data: dict[str, Any], remarks: dict[str, str]) -> str:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt", pure=True)
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.allow_unicode = True
    node = _node(data)
    for field, remark in remarks.items():
        if field in data.get("architecture", {}):
            node["architecture"].yaml_add_eol_comment(remark, field, column=0)
    stream = io.StringIO()
    yaml.dump(node, stream)
    return stream.getvalue()


def _node(value: Any) -> Any:
    """Mappings and lists that ruamel writes in our style."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, dict):
        mapping = CommentedMap((key, _node(item)) for key, item in value.items())
        if "value" in value:
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(map(_node, value))
        if not value or all(isinstance(each, str) and len(each) < 40 for each in value):
            sequence.fa.set_flow_style()
        return sequence
    return value
