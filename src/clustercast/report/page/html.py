"""The page as one HTML file: its own styles, pictures as shapes, no script, nothing from elsewhere."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any, Final

from clustercast.errors import WrongInput
from clustercast.report.page import svg
from clustercast.report.page.parts import Grid, Page, shown
from clustercast.report.terminal import visible

HERE: Final = Path(__file__).resolve().parent
TEMPLATE: Final = "page.html.j2"
STYLE: Final = "page.css"


def html(page: Page) -> str:
    """The whole file. Raises WrongInput where a package that it needs is missing."""
    try:
        import jinja2
        import markupsafe
    except ImportError:
        raise WrongInput(
            "a page needs the package jinja2", hint="install it with: pip install 'clustercast[report]'"
        ) from None
    style = (HERE / STYLE).read_text(encoding="utf-8").replace("/* tones of the dark page */", svg.dark_rules())
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    shelf = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shelf.filters["shown"] = shown
    shelf.filters["plain"] = visible
    # long plans may break behind their commas
    shelf.filters["broken"] = lambda text: markupsafe.Markup(
        re.sub(r",(?=[a-z])", ",<wbr>", str(markupsafe.escape(text)))
    )
    template = shelf.get_template(TEMPLATE)
    text: str = template.render(
        page=page,
        style=markupsafe.Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
        figures=_figures(page, markupsafe.Markup),
        is_number=is_number,
    )
    return text


def _figures(page: Page, markup: Any) -> dict[str, list[dict[str, Any]]]:
    """Pictures of each section: the shapes, what stands below, and what a screen reader says."""
    found: dict[str, list[dict[str, Any]]] = {}
    number = 0
    for section in page.sections:
        for spec in section.pictures:
            number += 1
            title, sources, sentence = svg.caption(spec)
            shapes = markup(svg.drawn(spec, number))
            found.setdefault(section.name, []).append(
                {
                    "title": title,
                    "sources": sources,
                    "sentence": sentence,
                    "svg": shapes,
                    "themed": spec["config"]["background"] is None,
                }
            )
    return found


def is_number(grid: Grid, column: int) -> bool:
    """Whether a column is one of numbers, which stand flush right."""
    cells = [row[column] for row in grid.rows if row[column] is not None]
    return bool(cells) and all(isinstance(each, (int, float)) for each in cells)
