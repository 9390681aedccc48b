"""From matplotlib's SVG, a file of its own, to one that can stand inline in a page."""

import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator, Mapping

# Okabe & Ito's palette, distinct to colour-blind readers, the two darkest first. Black is left for the page's own ink.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

# A hundredth of a point is finer than a screen shows, and saves a third of the page.
_HUNDREDTHS = re.compile(r"(\.\d\d)\d+")
_COMMAND = re.compile(r" ?([A-Za-z]) ?")
_REFERENCE = re.compile(r"^#(\S+)$|url\(#([^)]+)\)")


def inline(svg: str, name: str, *, alt: str) -> str:
    """Matplotlib's SVG without what a page must not have twice (ids, styles) and in the page's colours and font."""
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    short = _short_ids(root, name)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = dict(_attributes(element.attrib, short))
        if element.text and not element.text.strip():
            element.text = None
        element.tail = None
    _gather_styles(root)
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib = {
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "aria-label": alt,
        "fill": "currentColor",
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    return ET.tostring(root, encoding="unicode").replace(" />", "/>")


def _short_ids(root: ET.Element, name: str) -> dict[str, str]:
    """A short name, the page's only one, for every id that something in the figure refers to."""
    values = (value for element in root.iter() for value in element.attrib.values())
    used = dict.fromkeys(direct or through for value in values for direct, through in _REFERENCE.findall(value))
    return {old: f"f{zlib.crc32(name.encode()):x}.{place}" for place, old in enumerate(used)}


def _gather_styles(element: ET.Element) -> None:
    """Says once, of a group, the style that all of its members have: a figure has a thousand dots and five styles."""
    members = [child for child in element if child.tag != "defs"]
    for child in members:
        _gather_styles(child)
    styles = {child.get("style") for child in members}
    if element.tag != "g" or "style" in element.attrib or len(styles) != 1:
        return
    style = styles.pop()
    # Opacity is not inherited: a group is faded as a whole.
    if style and not any(entry.startswith("opacity") for entry in style.split(";")):
        element.set("style", style)
        for child in members:
            del child.attrib["style"]


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _attributes(attributes: Mapping[str, str], short: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in attributes.items():
        match _local(key):
            case "id":
                if value in short:
                    yield "id", short[value]
            case "href":
                if value.startswith("#"):
                    yield "href", f"#{short[value[1:]]}"
                elif value.startswith("data:"):
                    yield "href", value
            case "style":
                if style := _restyled(value, short):
                    yield "style", style
            case "d":
                yield "d", _COMMAND.sub(r"\1", _HUNDREDTHS.sub(r"\1", " ".join(value.split())))
            case "x" | "y" as local:
                yield local, _HUNDREDTHS.sub(r"\1", value)
            case local:
                yield local, _renamed(value, short)


def _renamed(value: str, short: Mapping[str, str]) -> str:
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{short[found[1]]})", value)


def _restyled(style: str, short: Mapping[str, str]) -> str:
    """A style in the page's terms: black is its ink, white its paper, a grey in between; DejaVu Sans is its font."""
    kept = []
    for entry in _renamed(style, short).split(";"):
        key, _, value = (part.strip() for part in entry.partition(":"))
        if key == "font-family" and value.startswith("'DejaVu Sans'"):
            continue
        if key in ("fill", "stroke", "stop-color"):
            value = _page_colour(value)
        if key:
            kept.append(f"{key}:{value}")
    return ";".join(kept)


def _page_colour(colour: str) -> str:
    if colour in PALETTE:
        return f"var(--c{PALETTE.index(colour)},{colour})"
    grey = re.fullmatch(r"#(..)\1\1", colour)
    if not grey:
        return colour
    match int(grey[1], 16):
        case 0:
            return "currentColor"
        case 255:
            return "var(--card,#fff)"
        case level:
            return f"color-mix(in srgb,currentColor {100 - level * 100 / 255:.0f}%,var(--card,#fff))"
