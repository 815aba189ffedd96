"""The page's main pictures one below the other, as one picture."""

from clustercast.errors import WrongInput
from clustercast.report.charts.theme import SCHEMA, Spec, config
from clustercast.report.page import svg
from clustercast.report.page.parts import Page

MAIN = ("compare", "barrel", "time", "roofline", "crossover", "sensitivity", "result")


def picture(page: Page, form: str) -> bytes:
    """The sheet as "svg" or "png". Raises WrongInput where there is nothing to draw."""
    return svg.rendered(sheet(page), form)


def sheet(page: Page) -> Spec:
    """The main pictures as one spec, below the answer."""
    every = {section.name: section.pictures for section in page.sections}
    chosen = [spec for name in MAIN for spec in every.get(name, ())]
    if not chosen:
        raise WrongInput("-o: there is nothing to draw", hint="write it as .html or .md")
    parts = [
        {name: each for name, each in spec.items() if name not in ("$schema", "config", "description")}
        for spec in chosen
    ]
    said = [f"{one.label}: {one.value} (80 % interval {one.interval})" for one in page.figures]
    return {
        "$schema": SCHEMA,
        "config": config() | {"background": "#ffffff", "padding": 20},
        "title": {"text": page.title, "subtitle": said, "fontSize": 18, "subtitleFontSize": 13, "offset": 16},
        "vconcat": parts,
        "spacing": 40,
        "resolve": {"scale": dict.fromkeys(("color", "fill", "shape", "strokeDash"), "independent")},
    }
