"""What notebooks show of results: tables that run nothing, whatever a name says."""

import random
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clustercast
from clustercast.display import Notebook, shown

TAGS = {"b", "table", "tr", "th", "td", "details", "summary", "p"}
HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\x1b[31mb", "\u202eevil", "&lt;b&gt;", "'"]


class Checker(HTMLParser):
    """Every tag is known, has no attribute and is closed in order."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        assert not attrs
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def checked(markup):
    parser = Checker()
    parser.feed(markup)
    parser.close()
    assert not parser.open
    return parser.text


def results():
    small = {"n_chips": 8, "plan": "tp=1,pp=1,dp=8,zero=3,micro_batch=1,recompute=none"}
    return {
        "Estimate": lambda: clustercast.estimate("h100", "llama-3.1-8b", tokens=1e12, **small),
        "PlanRanking": lambda: clustercast.plan("h100", "llama-3.1-8b", n_chips=8, plan="pp=1,micro_batch=1", top=2),
        "ServeResult": lambda: clustercast.serve(
            "h100", "llama-3.1-8b", n_chips=1, input_len=1024, output_len=128, plan="tp=1,pp=1,dp=1,batch=32"
        ),
        "Comparison": lambda: clustercast.compare(["h100", "h20"], ["llama-3.1-8b"], n_chips=64, tokens=1e12),
        "RulesResult": lambda: clustercast.rules("h20"),
        "Why": lambda: clustercast.why("h20", "llama-3.1-8b", n_chips=8, plan="tp=1,pp=1,dp=8"),
    }


@pytest.mark.parametrize("name", results())
def test_results_are_tables_that_run_nothing(name):
    found = results()[name]()
    assert type(found).__name__ == name
    markup = found._repr_html_()
    assert name in "".join(checked(markup))
    assert len(markup) < 200_000


class Made(Notebook):
    """A result with any document."""

    def __init__(self, document):
        self.document = document

    def as_dict(self):
        return self.document


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_are_markup_stay_names(name):
    markup = Made({name: name, "rows": [{name: name}], "list": [name], "inside": {name: {name: name}}})._repr_html_()
    text = "".join(checked(markup))
    assert "<script" not in markup
    assert "onerror" not in re.sub(r"&quot;&gt;&lt;img src=x onerror=alert\(1\)&gt;", "", markup)
    assert all(each.isprintable() for each in text)


def drawn(seed):
    """A document of everything that JSON can hold."""
    draw = random.Random(seed)

    def value(depth):
        kind = draw.randint(0, 8 if depth < 4 else 5)
        if kind < 6:
            return (None, True, draw.randint(-9, 10**12), draw.uniform(-1e20, 1e20), word(), word())[kind]
        if kind == 6:
            return [value(depth + 1) for _ in range(draw.randint(0, 4))]
        return {word(): value(depth + 1) for _ in range(draw.randint(0, 4))}

    def word():
        return "".join(draw.choices("ab<>&\"'/ \x1b\u202e\ud800é\n", k=draw.randint(0, 6)))

    return {word(): value(0) for _ in range(draw.randint(0, 5))}


@given(st.integers(0, 2**32).map(drawn))
def test_any_document_is_clean_markup(document):
    assert all(each.isprintable() for each in "".join(checked(shown(document, "x"))))


def test_long_lists_are_cut_and_counted():
    markup = shown({"rows": [{"n": n} for n in range(1000)], "values": list(range(1000))}, "x")
    assert "and 976 more" in markup
    assert len(markup) < 10_000
