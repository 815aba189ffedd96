"""Pictures as SVG that may stand in a page: only shapes and text are kept, and their tones follow the page."""

import json
from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree

from clustercast.errors import WrongInput
from clustercast.report.charts.theme import DARK, Spec, printable

SVG: Final = "{http://www.w3.org/2000/svg}"
KEPT: Final = frozenset({"svg", "g", "path", "line", "rect", "text", "tspan", "defs", "clipPath"})
ATTRIBUTES: Final = frozenset(
    {
        "width", "height", "viewBox", "transform", "d", "x", "y", "x1", "x2", "y1", "y2", "fill", "fill-opacity",
        "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "stroke-miterlimit",
        "opacity", "text-anchor", "font-size", "font-weight", "clip-path", "id", "dy", "dx",
    }
)  # fmt: skip
USUAL: Final = {"opacity": "1", "stroke-width": "1", "fill-opacity": "1", "stroke-miterlimit": "10"}
COORDINATES: Final = frozenset({"d", "transform", "x", "y", "x1", "x2", "y1", "y2"})
OURS: Final = ".picture:not(.own)"  # pictures in our own tones
LONG: Final = 2  # digits behind the point of a coordinate


def drawn(spec: Spec, number: int) -> str:
    """A spec as an SVG element without title and script, its own ids numbered apart. Raises WrongInput.

    number  of the picture on its page
    """
    picture = {name: each for name, each in spec.items() if name not in ("title", "description")}
    return cleaned(rendered(picture, "svg").decode(), number)


def rendered(spec: Spec, form: str) -> bytes:
    """A spec as "svg" or "png". Raises WrongInput where the package that draws is missing."""
    try:
        import vl_convert
    except ImportError as error:
        raise WrongInput(
            f"a report needs the package {error.name}", hint="install it with: pip install 'clustercast[report]'"
        ) from None
    text = json.dumps(printable(spec), allow_nan=False)
    if form == "svg":
        svg: str = vl_convert.vegalite_to_svg(text, allowed_base_urls=[])
        return svg.encode()
    png: bytes = vl_convert.vegalite_to_png(text, scale=2.0, allowed_base_urls=[])
    return png


def cleaned(svg: str, number: int) -> str:
    """Shapes and text alone: no scripts, links, styles, images or events, whatever was drawn.

    >>> cleaned('<svg xmlns="http://www.w3.org/2000/svg"><script>x</script><text onload="x">a&lt;b</text></svg>', 1)
    '<svg><text>a&lt;b</text></svg>'
    """
    root = ElementTree.fromstring(svg)
    _clean(root, f"p{number}-")
    root.tag = "svg"
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _clean(element: ElementTree.Element, prefix: str) -> None:
    kept = {}
    for name, value in element.attrib.items():
        if name not in ATTRIBUTES or USUAL.get(name) == value:
            continue
        if name == "id":
            kept[name] = f"{prefix}{value}"
        elif name == "clip-path":
            kept[name] = f"url(#{prefix}{value.removeprefix('url(#').removesuffix(')')})"
        elif "url(" not in value:
            kept[name] = _rounded(value) if name in COORDINATES else value
    element.attrib.clear()
    element.attrib.update(kept)
    for child in list(element):
        tag = str(child.tag)
        name = tag.removeprefix(SVG)
        if name not in KEPT or not tag.startswith(SVG) or _invisible(child):
            element.remove(child)
            continue
        child.tag = name
        _clean(child, prefix)
        if name == "g" and not len(child):
            element.remove(child)


def _invisible(element: ElementTree.Element) -> bool:
    get: Mapping[str, str] = element.attrib
    return get.get("display") == "none" or ("class" in get and get["class"] == "background" and "stroke" not in get)


def _rounded(text: str) -> str:
    """Numbers with few digits behind the point.

    >>> _rounded("translate(-116.595703125,20.0)")
    'translate(-116.6,20)'
    """
    import re

    def shorter(found: "re.Match[str]") -> str:
        return f"{round(float(found.group()), LONG):g}" if abs(float(found.group())) < 1e5 else found.group()

    return re.sub(r"-?\d+\.\d+(?:e-?\d+)?", shorter, text)


def dark_rules() -> str:
    """Style rules that give every tone of the pictures its counterpart on a dark page."""
    return "".join(
        f'{OURS} [fill="{light}"]{{fill:{dark}}}{OURS} [stroke="{light}"]{{stroke:{dark}}}'
        for light, dark in DARK.items()
    )


def caption(spec: Spec) -> tuple[str, tuple[str, ...], str]:
    """Title, sources and sentence of a picture."""
    title: Any = spec["title"]
    return str(title["text"]), tuple(title.get("subtitle", ())), str(spec["description"])
