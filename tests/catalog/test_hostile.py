"""Broken and hostile files: fixed cases with their messages, and mutations of valid files for every reader."""

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile import READERS, SMALL, VALID, config, path_of
from hypothesis import settings

from clustercast import catalog
from clustercast.catalog import hf, models, overlay, read, schema
from clustercast.catalog.chips import chip_profile
from clustercast.catalog.fabrics import fabric_profile
from clustercast.errors import WrongInput
from clustercast.studies.sweep.file import study_of

KINDS = tuple(VALID)
NOT_A_NAME = "is not well formed, expected 1 to 64 letters, digits, dots, dashes or underscores"
NOT_A_COUNT = "expected a whole number from 0 to 1000000000"


def edited(kind: str, old: str, new: str | bytes) -> bytes:
    """A valid file with one place changed."""
    content = VALID[kind]
    assert old.encode() in content
    return content.replace(old.encode(), new if isinstance(new, bytes) else new.encode(), 1)


def hidden(text: str) -> bytes:
    """The config with this in place of hidden_size."""
    return edited("config", '"hidden_size": 7168', f'"hidden_size": {text}')


# What no reader may take, whatever it reads: a name, what is in the file, the end of the message for YAML and for JSON.
EVERYWHERE: tuple[tuple[str, bytes, str, str], ...] = (
    ("empty", b"", ":1: is not a mapping, expected `field: value` lines", ":1: is not JSON: expecting value"),
    (
        "a page of the web",
        b"<!DOCTYPE html><html><body>not found</body></html>",
        ":1: is not a mapping, expected `field: value` lines",
        ":1: is not JSON: expecting value",
    ),
    ("an archive", b"PK\x03\x04" + bytes(99), *2 * (":1: holds a control character, expected plain text",)),
    ("a NUL", b'{\n"a": "\0"}', *2 * (":2: holds a control character, expected plain text",)),
    ("an escape", b'{\n"a": "\x1b[2J"}', *2 * (":2: holds a control character, expected plain text",)),
    ("no UTF-8", b'{\n"a": "\xff"}', *2 * (":2: is not UTF-8 text",)),
    ("UTF-16", "a: ü\n".encode("utf-16"), *2 * (":1: is not UTF-8 text",)),
    ("too deep", b'{"a": ' + b"[" * 100_000, *2 * (":1: is nested deeper than 32 levels",)),
    ("too deep and whole", b'{"a":\n' + b"[" * 40 + b"]" * 40 + b"}", *2 * (":2: is nested deeper than 32 levels",)),
    ("a key twice", b'{"a": 1,\n"a": 2}', *2 * (":2: duplicate key 'a'",)),
    ("a list", b"[1, 2]", ":1: is not a mapping, expected `field: value` lines", "expected a Hugging Face config.json"),
    ("a number of 5,000 digits", b'{"a": 1' + b"0" * 5000 + b"}", *2 * (": holds a number of too many digits",)),
    ("too large", b" " * (2**20 + 1), *2 * (": is larger than 1 MiB (1048576 bytes), expected a short file",)),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("content", "of_yaml", "of_json"), [each[1:] for each in EVERYWHERE], ids=[each[0] for each in EVERYWHERE]
)
def test_what_no_reader_takes_is_said_with_its_line(
    kind: str, content: bytes, of_yaml: str, of_json: str, tmp_path: Path
) -> None:
    path = path_of(kind, tmp_path)
    path.write_bytes(content)
    with pytest.raises(WrongInput) as caught:
        READERS[kind](str(path))
    assert caught.value.message.endswith(of_json if kind == "config" else of_yaml)
    assert caught.value.message.isprintable()


# Kind of file, what is in it, the message behind the file's name.
CASES: tuple[tuple[str, bytes, str], ...] = (
    ("config", VALID["config"][:400], ":20: is not JSON: unterminated string starting at"),
    ("config", b"// shape\n" + VALID["config"], ":1: is not JSON: expecting value"),
    ("config", config(num_key_value_heads=7), ":78: num_key_value_heads: 7 does not divide num_attention_heads (128)"),
    (
        "config",
        config(kv_lora_rank=None, num_attention_heads=100, num_key_value_heads=100),
        ":75: num_attention_heads: 100 does not divide hidden_size (7168), expected head_dim",
    ),
    ("config", config(num_experts_per_tok=257), ":76: num_experts_per_tok: 257 is more than the experts (256)"),
    (
        "config",
        config(layer_types=["full_attention"] * 60),
        ":8: layer_types: has 60 entries, expected 61, one for every layer",
    ),
    ("config", config(layer_types=[[[]]] * 61), ":8: layer_types: a list is no kind of layer that is known"),
    ("config", config(first_k_dense_replace=62), ":4: first_k_dense_replace: 62 is more than num_hidden_layers (61)"),
    ("config", config(n_group=7), ":72: n_group: 7 does not divide the experts (256)"),
    ("config", config(topk_group=9), ":90: topk_group: 9 is more than n_group (8)"),
    ("config", config(mlp_only_layers=[99]), ":93: mlp_only_layers: holds 99, expected layers from 0 to 60"),
    ("config", config(num_hidden_layers=0), ":77: num_hidden_layers: is 0, expected a whole number above 0"),
    (
        "config",
        config(num_hidden_layers=10**9, layer_types=None),
        ":15: num_hidden_layers: is 1000000000, expected at most 10000",
    ),
    ("config", config(model_type="x" * 1000), f":2: model_type: is '{'x' * 40}...', expected a short text"),
    ("config", hidden("-7168"), f":5: hidden_size: is -7168, {NOT_A_COUNT}"),
    ("config", hidden("NaN"), f":5: hidden_size: is nan, {NOT_A_COUNT}"),
    ("config", hidden("Infinity"), f":5: hidden_size: is inf, {NOT_A_COUNT}"),
    ("config", hidden("1e400"), f":5: hidden_size: is inf, {NOT_A_COUNT}"),
    ("config", hidden("true"), f":5: hidden_size: is true, {NOT_A_COUNT}"),
    ("config", hidden('"7168"'), f":5: hidden_size: is '7168', {NOT_A_COUNT}"),
    ("config", hidden("７１６８"), ":5: is not JSON: expecting value"),
    ("config", hidden('"\\ud800"'), f":5: hidden_size: is '\\ud800', {NOT_A_COUNT}"),
    ("config", hidden('"\\u001b[31m"'), f":5: hidden_size: is '\\x1b[31m', {NOT_A_COUNT}"),
    ("config", hidden('"=cmd|x!A0"'), f":5: hidden_size: is '=cmd|x!A0', {NOT_A_COUNT}"),
    ("config", hidden("1" + "0" * 60), f":5: hidden_size: is a number of more than 40 digits, {NOT_A_COUNT}"),
    ("chip", VALID["chip"][: len(VALID["chip"]) // 2], ":31: expected ',' or '}', but got '<stream end>'"),
    ("chip", edited("chip", "name: h20-96gb", "name: &a h20"), ":1: anchors and aliases are not allowed"),
    ("model", b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", ":1: anchors and aliases are not allowed"),
    ("fabric", b'!!python/object/apply:os.system ["true"]\n', ":1: tags are not allowed"),
    ("fabric", VALID["fabric"] + b"---\nname: y\n", ":30: holds more than one document, expected one"),
    ("fabric", VALID["fabric"].replace(b"\n  ", b"\n\t"), ":5: found character '\\t' that cannot start any token"),
    ("chip", edited("chip", "name: h20-96gb", "name: ../../x"), f":1: name: '../../x' {NOT_A_NAME}"),
    ("chip", edited("chip", "name: h20-96gb", "name: <script>"), f":1: name: '<script>' {NOT_A_NAME}"),
    ("model", edited("model", "name: deepseek-v3.2", "name: =1+1"), f":1: name: '=1+1' {NOT_A_NAME}"),
    ("model", edited("model", "name: deepseek-v3.2", 'name: "a\\e[31m"'), f":1: name: 'a\\x1b[31m' {NOT_A_NAME}"),
    (
        "chip",
        edited("chip", "148 TFLOP/s", ".nan"),
        ":29: peaks.fp16.value: is nan, expected a quantity as its source writes it",
    ),
    (
        "chip",
        edited("chip", "148 TFLOP/s", "1e400 TFLOP/s"),
        ":29: peaks.fp16.value: '1e400 TFLOP/s' is out of range, expected something like '148 TFLOP/s'",
    ),
    (
        "chip",
        edited("chip", "148 TFLOP/s", "-148 TFLOP/s"),
        ":29: peaks.fp16.value: '-148 TFLOP/s' is negative, expected something like '148 TFLOP/s'",
    ),
    (
        "chip",
        edited("chip", "148 TFLOP/s", "１４８ TFLOP/s"),
        ":29: peaks.fp16.value: '１４８ TFLOP/s' is not a number with a unit, expected something like '148 TFLOP/s'",
    ),
    (
        "model",
        edited("model", "layers: 61", "layers: true"),
        ":12: architecture.layers: is True, expected a whole number",
    ),
    (
        "model",
        edited("model", "layers: 61", "layers: 1:1"),
        ":12: architecture.layers: is '1:1', expected a whole number",
    ),
    (
        "model",
        edited("model", "layers: 61", "layers: 2020-01-01"),
        ":12: architecture.layers: is a date, expected a whole number",
    ),
    (
        "model",
        edited("model", "experts_per_token: 8", "experts_per_token: 800"),
        ":30: architecture.experts_per_token: 800 is more than experts (256)",
    ),
    ("study", edited("study", "job.pue:", "job.__class__:"), ":6: axes.job.__class__: is not known"),
    ("study", edited("study", "job.pue < 1.25", "1=1; drop table x"), ':8: where.0: syntax error at or near ";"'),
    (
        "study",
        edited("study", "steps: 3", "steps: 999999999"),
        ":6: axes.job.pue.steps: 999999999 is out of range, expected less than or equal to 1000000",
    ),
    ("study", edited("study", "to: 1.3", "to: .inf"), ":6: axes.job.pue.to: is inf, expected text or a number"),
    ("calibration", edited("calibration", "chip: h20-96gb", "chip: ../x"), f":7: parts.0.chip: '../x' {NOT_A_NAME}"),
    (
        "calibration",
        edited("calibration", "value: 0.8", "value: .nan"),
        ":13: parts.0.constants.matmul_fraction.value: is nan, expected a quantity as its source writes it",
    ),
    (
        "calibration",
        edited("calibration", "low: 0.75", "low: 0.95"),
        ": parts.0.constants.matmul_fraction: value 0.8 is not from low 0.95 to high 0.85",
    ),
    ("model", b"a: [" + b"1," * 200_000 + b"1]", ":1: holds more than 8,000 keys and values, expected a short file"),
    ("chip", b"a: " + b"x " * 200_000, ": holds more than 100,000 words, expected a short file"),
)


@pytest.mark.parametrize(("kind", "content", "message"), CASES, ids=[f"{kind} {said[:50]}" for kind, _, said in CASES])
def test_a_hostile_file_is_said_with_file_line_and_field(
    kind: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = path_of(kind, tmp_path)
    path.write_bytes(content)
    with pytest.raises(WrongInput) as caught:
        READERS[kind](str(path))
    assert caught.value.message == f"{path}{message}"


def test_there_are_forty_cases_and_more() -> None:
    assert len(CASES) + len(EVERYWHERE) >= 40


@pytest.mark.parametrize("kind", KINDS)
def test_line_ends_and_a_byte_order_mark_do_not_matter(kind: str, tmp_path: Path) -> None:
    plain, marked = path_of(kind, tmp_path), path_of(kind, tmp_path / "b")
    marked.parent.mkdir()
    plain.write_bytes(VALID[kind])
    marked.write_bytes(b"\xef\xbb\xbf" + VALID[kind].replace(b"\n", b"\r\n"))
    one, two = READERS[kind](str(plain)), READERS[kind](str(marked))
    assert str(one).replace(str(tmp_path), "") == str(two).replace(str(tmp_path / "b"), "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["nothing", "a folder", "a pipe", "a device", "a loop of links"])
def test_what_is_no_plain_file_is_refused_without_waiting(kind: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json" if kind == "config" else tmp_path / "x.yaml"
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a device":
        path.symlink_to("/dev/zero")
    elif what == "a loop of links":
        path.symlink_to(path)
    with pytest.raises(WrongInput) as caught:
        READERS[kind](str(path))
    assert caught.value.message.startswith(f"{path}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_may_not_be_read_is_said(kind: str, tmp_path: Path) -> None:
    path = path_of(kind, tmp_path)
    path.write_bytes(VALID[kind])
    path.chmod(0)
    with pytest.raises(WrongInput, match="cannot be read: permission denied"):
        READERS[kind](str(path))


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\0b.yaml", "/dev/stdin", "a\x1b[31m", "", " ", "x" * 5000, "\ud800"]
)
@pytest.mark.parametrize("find", [catalog.find_chip, catalog.find_fabric, catalog.find_model])
def test_a_name_that_is_a_trick_is_refused_in_plain_text(find: Any, name: str) -> None:
    with pytest.raises(WrongInput) as caught:
        find(name)
    assert caught.value.message.isprintable()
    assert caught.value.message.isascii()


def test_an_escape_in_a_free_text_does_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from clustercast.cli import app

    path = tmp_path / "chip.yaml"
    path.write_bytes(edited("chip", "NVIDIA H20 96GB (HGX)", '"A\\e[31m\\a\\x9b31m"'))
    assert app.run(["chips", "show", str(path)]) == 0
    assert not set(capsys.readouterr().out) & set("\x1b\x07\x9b")


# mutations: 2,000 of every reader's file where laws are tried on 2,000 examples, a fifth of them through the file

PIECES = (
    b"",
    b"\0",
    b"\xff",
    b"\n",
    b"- ",
    b": ",
    b'"',
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b"#",
    b"&a ",
    b"*a",
    b"!!x ",
    b"1e999",
)
SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 10**6, 2**63, 10**30, -(10**30)),
    *(float("nan"), float("inf"), -0.0, 0.5, 1e308, 1e-320, 1e16),
    *(
        "",
        " ",
        "x",
        "1",
        "1 TB/s",
        "1e30 TB/s",
        "96 GiB",
        "=1+1",
        "<b>",
        "\x1b[31m",
        "\ud800",
        "NaN",
        "none",
        "a" * 5000,
    ),
    *("٣", "true", "full_attention", "bf16", "h20", "assumed"),
)
Rng = random.Random


def n_inputs(share: float) -> int:
    """A share of the profile's examples."""
    return max(1, round(settings().max_examples * share))


def slipped(content: bytes, rng: Rng) -> bytes:
    """Valid bytes after a few changes: some replaced, cut out, doubled or turned round."""
    for _ in range(rng.randint(1, 4)):
        first = rng.randint(0, len(content))
        last = min(len(content), first + rng.randint(0, 30))
        cut = content[first:last]
        piece = rng.choice((rng.choice(PIECES), rng.randbytes(rng.randint(1, 4)), cut * 2, cut[::-1]))
        content = content[:first] + piece + content[last:]
    return content


def tree(rng: Rng, depth: int = 0) -> Any:
    """Anything that a file might hold."""
    kind = rng.randint(0, 5 if depth < 4 else 3)
    if kind == 4:
        return [tree(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    if kind == 5:
        return {str(rng.choice(SCALARS)): tree(rng, depth + 1) for _ in range(rng.randint(0, 4))}
    return rng.choice((*SCALARS, rng.randint(-(10**12), 10**12), rng.uniform(-1e3, 1e3)))


def places_of(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, item in items for found in places_of(item, (*place, key)))]


def mutated(valid: dict[str, Any], rng: Rng) -> dict[str, Any]:
    """A valid tree with some values of another kind, gone, elsewhere or under another name."""
    whole = copy.deepcopy(valid)
    for _ in range(rng.randint(1, 3)):
        places = [place for place in places_of(whole) if place]
        if not places:
            break
        *way, last = rng.choice(places)
        above: Any = whole
        for step in way:
            above = above[step]
        what = rng.choice(("scalar", "scalar", "scalar", "tree", "gone", "elsewhere", "name"))
        if what == "gone":
            del above[last]
        elif what == "name" and isinstance(above, dict):
            above[str(rng.choice(SCALARS))] = above.pop(last)
        elif what == "elsewhere":
            above[last] = copy.deepcopy(valid)
        else:
            above[last] = tree(rng) if what == "tree" else rng.choice(SCALARS)
    return whole


def tree_of(kind: str) -> dict[str, Any]:
    """What a valid file holds."""
    if kind == "config":
        found: dict[str, Any] = json.loads(SMALL[kind])
        return found
    return read.parse(SMALL[kind], Path(f"{kind}.yaml"))


def after_parsing(kind: str, holds: dict[str, Any]) -> None:
    """What follows the parsing of a file."""
    if kind == "config":
        assert all(each >= 0 for each in hf.model_of_config(holds, Path("config.json")).record())
        return
    data = schema.validate(kind, holds)
    if kind == "chip":
        chip_profile(data, "x.yaml")
    elif kind == "fabric":
        fabric_profile(data, "x.yaml")
    elif kind == "model":
        models.model_profile(data, "x.yaml", "").record()
    elif kind == "calibration":
        overlay.of_data(Path("x.yaml"), data)


def outcome(call: Callable[[], Any]) -> str:
    """Done, or the message of a refusal; every other exception passes."""
    try:
        call()
    except (WrongInput, schema.UnfitError) as error:
        assert error.message.isprintable(), ascii(error.message)  # noqa: PT017
        return error.message
    return "done"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_slips_is_read_or_refused_as_wrong_input(kind: str, tmp_path: Path) -> None:
    path, rng = path_of(kind, tmp_path), random.Random(kind)
    said = set()
    for _ in range(n_inputs(0.2)):
        path.write_bytes(slipped(SMALL[kind], rng))
        said.add(outcome(lambda: READERS[kind](str(path))))
    assert len(said) > 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_with_anything_in_it_is_taken_or_refused(kind: str) -> None:
    valid, rng = tree_of(kind), random.Random(kind)
    said = {outcome(lambda: after_parsing(kind, mutated(valid, rng))) for _ in range(n_inputs(0.8))}
    said |= {outcome(lambda: after_parsing(kind, {"x": tree(rng)})) for _ in range(10)}
    assert len(said) > 5


@pytest.mark.slow
def test_a_study_with_anything_in_it_is_taken_or_refused() -> None:
    valid, rng = tree_of("study"), random.Random(0)
    said = {outcome(lambda: study_of(json.dumps(mutated(valid, rng)), "x.yaml")) for _ in range(n_inputs(0.2))}
    assert len(said) > 5
