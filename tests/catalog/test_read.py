"""catalog/read.py: files that are broken say where, and the cache never lies."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clustercast.catalog import read, schema
from clustercast.errors import WrongInput

GOOD = b"""\
name: x
full_name: X
sources: {a: A}
scale_up: {shape: switch, n_chips: 8, link: nvlink4, source: a, kind: datasheet}
spine: {oversubscription: {value: 1, source: a, kind: datasheet}, link: infiniband}
rails_cross: true
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("x.yaml")
    path.write_bytes(GOOD)
    return path


def message_of(file, content, kind="fabric"):
    file.write_bytes(content)
    with pytest.raises(WrongInput) as caught:
        read.load(file, kind)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.yaml:1: is not a mapping, expected `field: value` lines"),
        (b"- a\n", "x.yaml:1: is not a mapping, expected `field: value` lines"),
        (b"a: 1\na: 2\n", "x.yaml:2: duplicate key 'a'"),
        (b"b: &x 1\n", "x.yaml:1: anchors and aliases are not allowed"),
        (b"b:\n  - *x\n", "x.yaml:2: anchors and aliases are not allowed"),
        (b"b: !!python/name:os.system x\n", "x.yaml:1: tags are not allowed"),
        (b"b: \n  c: {\n", "x.yaml:3: expected the node content, but found '<stream end>'"),
        (b"b: " + b"[" * 40 + b"]" * 40, "x.yaml:1: is nested deeper than 32 levels"),
        (b"b: " + b"[" * 200_000, "x.yaml:1: is nested deeper than 32 levels"),
        (b"a: 1\nb: \x00\n", "x.yaml:2: holds a control character, expected plain text"),
        (b"a: 1\nb: \xff\n", "x.yaml:2: is not UTF-8 text"),
        (b"a: 1\n---\nb: 1\n", "x.yaml:2: holds more than one document, expected one"),
        (b"1: a\n", "x.yaml: the key 1 is not text, expected quotes around it"),
        (b"a: " + b"9" * 5000, "x.yaml: holds a number of too many digits"),
        (b"a" * (2**20 + 1), "x.yaml: is larger than 1 MiB (1048576 bytes), expected a short file"),
    ],
)
def test_a_broken_file_says_where_and_what(file, content, message):
    assert message_of(file, content) == message


def test_a_file_that_is_not_there_is_said():
    with pytest.raises(WrongInput, match=r"^no/such\.yaml: there is no such file$"):
        read.load(Path("no/such.yaml"), "chip")


def test_a_folder_or_a_device_is_no_file(tmp_path):
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(WrongInput, match="is not a plain file"):
            read.read_bytes(path)


def test_line_ends_and_a_byte_order_mark_do_not_matter(file):
    plain = read.load(file, "fabric")
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"))
    assert read.load(file, "fabric") == plain


def test_a_control_character_in_a_path_does_not_reach_the_terminal():
    with pytest.raises(WrongInput) as caught:
        read.load(Path("a\nb/\x1b[31m.yaml"), "chip")
    assert str(caught.value).isprintable()


def test_a_file_is_checked_once(file, monkeypatch):
    first = read.load(file, "fabric")
    monkeypatch.setattr(schema, "validate", None)
    assert read.load(file, "fabric") == first


def test_an_edit_is_always_seen(file):
    before = file.stat()
    assert read.load(file, "fabric")["scale_up"]["n_chips"] == 8
    file.write_bytes(GOOD.replace(b"n_chips: 8", b"n_chips: 4"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time
    assert read.load(file, "fabric")["scale_up"]["n_chips"] == 4


def test_one_file_keeps_one_place_in_the_cache(file, cache_folder):
    for n_chips in (b"2", b"4", b"16"):
        file.write_bytes(GOOD.replace(b"n_chips: 8", b"n_chips: " + n_chips))
        read.load(file, "fabric")
    assert len(list(cache_folder.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff" * 50, b'{"n_chips": 1}\n{"name": "evil"}'])
def test_a_damaged_cache_is_ignored(file, cache_folder, damage):
    good = read.load(file, "fabric")
    (kept,) = cache_folder.iterdir()
    kept.write_bytes(damage)
    assert read.load(file, "fabric") == good


def test_a_changed_cache_entry_is_ignored(file, cache_folder):
    good = read.load(file, "fabric")
    (kept,) = cache_folder.iterdir()
    kept.write_bytes(kept.read_bytes().replace(b'"n_chips": 8', b'"n_chips": 9'))
    assert read.load(file, "fabric") == good


def test_a_cache_that_cannot_be_written_is_no_matter(file, tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    monkeypatch.setattr(read, "_cache_folder", lambda: blocked / "catalogue")
    assert read.load(file, "fabric")["name"] == "x"


def test_the_same_bytes_read_as_another_kind_are_not_taken_from_the_cache(file):
    assert isinstance(read.load(file, "raw")["spine"]["oversubscription"], dict)
    assert isinstance(read.load(file, "fabric")["spine"]["oversubscription"], list)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_wrong_input(tmp_path, content):
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(WrongInput):
        read.load(path, "model")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.text("{}[]:-,&*!|>'\"%@` \n\t#?0a", max_size=3))
def test_a_file_with_a_slip_of_the_pen_is_read_or_refused_as_wrong_input(at, slip):
    content = GOOD[:at] + slip.encode() + GOOD[at + 1 :]
    try:
        data = read.parse(content, Path("x.yaml"))
        schema.validate("fabric", data)
    except (WrongInput, schema.UnfitError):
        return
