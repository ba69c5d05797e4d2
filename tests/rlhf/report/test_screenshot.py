"""The page as a browser paints it: claims about pixels, as wide as a desktop and as a phone, on light and dark paper.

One picture a colour scheme is taken, with the page in two frames side by side. A script outside the page measures where
each figure lies; what is there is then read off the picture.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import made_up_run as made_up
import pytest
from PIL import Image

from rlhf.report import build

WIDTHS = {"desktop": 1200, "phone": 360}
TALL = 12_000
"""Pixels: more than the page is high, with the rows that went unfolded on the desktop."""
SCRIPT = """() => {
  const found = {title: document.title};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument;
    page.querySelectorAll(".samples").forEach(d => d.open = frame.id == "desktop");
    const left = frame.offsetLeft, top = frame.offsetTop;
    const box = e => { const b = e.getBoundingClientRect(); return [left + b.left, top + b.top, b.width, b.height]; };
    const all = which => [...page.querySelectorAll(which)].filter(e => e.checkVisibility()).map(box);
    frame.height = page.documentElement.scrollHeight;
    found.title += page.title;
    const kinds = ["graph", "chart", "spread", "map", "track:has(.interval)"];
    found[frame.id] = {
      width: page.documentElement.scrollWidth, height: page.documentElement.scrollHeight,
      figures: Object.fromEntries(kinds.map(k => [k, all("svg." + k)])),
      bars: Object.fromEntries(["all", "lost", "kept"].map(k => [k, all("rect.bar." + k)])),
      says: all("h1, h2, p.quiet, .fall .label, .landmarks li"),
    };
  }
  return found;
}"""

Colour = tuple[int, int, int]
MAGENTA: Colour = (255, 0, 255)
PAINTERS = [
    "<style>* { background: #ff00ff !important }</style>",
    "</style><style>body, section { background: #ff00ff !important }",
    "<script>document.title = 'ff00ff'; document.body.style.background = '#ff00ff'</script>",
    "<img src=x onerror=\"document.body.style.background = '#ff00ff'\">",
    "<div style='position: fixed; inset: 0; background: #ff00ff'>over all</div>",
    "<svg xmlns='http://www.w3.org/2000/svg'><rect width='9999' height='9999' fill='#ff00ff'/></svg>",
]
"""Texts of rows."""


class Picture:
    """A screenshot, and where things lie on it."""

    def __init__(self, image: Image.Image, found: dict[str, Any]) -> None:
        self.image, self.found = image, found

    def colours(self, box: list[float]) -> Counter[Colour]:
        """Colour -> pixels of a box."""
        left, top, width, height = box
        part = self.image.crop((round(left), round(top), round(left + width), round(top + height)))
        return Counter({colour: n for n, colour in part.getcolors(part.width * part.height)})


@pytest.fixture(scope="module", params=["light", "dark"])
def picture(request: pytest.FixtureRequest, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Picture:
    folder = tmp_path_factory.mktemp(request.param)
    manifests = made_up.manifests()
    samples = [{"dropped by": "roles", "reason": "repeated_role", "text": t, "evidence": t} for t in PAINTERS]
    manifests["curated"]["examples"] = samples + [{"prompt": t, "answers": [t], "verdict": t} for t in PAINTERS]
    manifests["report"]["examples"] = [{"prompt": t, "answers": {"a": t}, "verdict": t} for t in PAINTERS[:2]]
    build(made_up.record(chats="cached"), manifests, folder / "page.html")
    frames = "".join(f'<iframe id="{k}" src="page.html" width="{w}" height="900"></iframe>' for k, w in WIDTHS.items())
    style = "body { margin: 0; display: flex; align-items: flex-start } iframe { border: 0; flex: none }"
    (folder / "frames.html").write_text(f"<!doctype html><style>{style}</style><body>{frames}", encoding="utf-8")
    shot = folder / "shot.png"
    with browser.new_page(viewport={"width": 1560, "height": TALL}, color_scheme=request.param) as page:
        page.goto((folder / "frames.html").as_uri())
        measured = page.evaluate(SCRIPT)
        page.screenshot(path=shot)
    assert all(measured[frame]["height"] <= TALL for frame in WIDTHS), {k: measured[k]["height"] for k in WIDTHS}
    return Picture(Image.open(shot).convert("RGB"), measured)


def light(colour: Colour) -> float:
    """Relative luminance (WCAG 2.2), 0 to 1."""
    parts = [c / 255 for c in colour]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """Contrast ratio of two colours (WCAG 2.2): 1 to 21."""
    a, b = sorted((light(one), light(other)))
    return (b + 0.05) / (a + 0.05)


def paper_and_ink(colours: Counter[Colour]) -> tuple[Colour, Colour]:
    """The most frequent colour, and the one that stands out most against it."""
    paper = colours.most_common(1)[0][0]
    return paper, max(colours, key=lambda c: contrast(c, paper))


def test_the_paper_is_light_or_dark_as_the_reader_likes_it(picture: Picture, request: pytest.FixtureRequest) -> None:
    paper, _ = picture.colours([0, 0, 1560, 60]).most_common(1)[0]
    dark = request.node.callspec.params["picture"] == "dark"
    assert (light(paper) < 0.05) if dark else (light(paper) > 0.8)


@pytest.mark.parametrize("frame", WIDTHS)
def test_nothing_is_wider_than_the_frame(picture: Picture, frame: str) -> None:
    assert picture.found[frame]["width"] <= WIDTHS[frame]


@pytest.mark.parametrize("frame", WIDTHS)
@pytest.mark.parametrize("kind", ["graph", "chart", "spread", "map", "track:has(.interval)"])
def test_each_figure_is_painted(picture: Picture, frame: str, kind: str) -> None:
    """Something other than the paper, that can be told from it: 3 to 1, as WCAG 2.2 asks of graphics."""
    boxes = [box for box in picture.found[frame]["figures"][kind] if box[2] > 0 and box[3] > 0]
    assert boxes
    for box in boxes:
        colours = picture.colours(box)
        paper, ink = paper_and_ink(colours)
        assert contrast(paper, ink) >= 3, (frame, kind, box)
        assert sum(n for c, n in colours.items() if contrast(paper, c) > 1.5) >= 20, (frame, kind, box)


@pytest.mark.parametrize("frame", WIDTHS)
def test_kept_and_dropped_have_colours_of_their_own(picture: Picture, frame: str) -> None:
    bars = picture.found[frame]["bars"]
    shades: dict[str, Colour] = {}
    for kind in ("all", "lost", "kept"):
        for left, top, width, height in bars[kind]:
            if width >= 4 and height >= 4:
                bar = picture.colours([left, top, width, height]).most_common(1)[0][0]
                around = picture.colours([left - 2, top - 2, width + 4, height + 4])
                assert max(contrast(bar, c) for c in around) >= 3, (kind, bar)
                assert all(abs(a - b) <= 2 for a, b in zip(shades.setdefault(kind, bar), bar, strict=True))
    lost, kept = shades["lost"], shades["kept"]
    assert lost[0] > lost[1] + 40 and kept[1] > kept[0] + 40  # red, and teal
    for box in picture.found[frame]["figures"]["map"][1:2]:
        colours = picture.colours(box)
        assert sum(n for c, n in colours.items() if c[0] > c[1] + 40) > 20, "dropped rows are on the map"
        assert sum(n for c, n in colours.items() if c[1] > c[0] + 40) > 20, "kept rows are on the map"


@pytest.mark.parametrize("frame", WIDTHS)
def test_text_can_be_read(picture: Picture, frame: str) -> None:
    """4.5 to 1 between the letters and what they stand on."""
    boxes = [box for box in picture.found[frame]["says"] if box[2] > 8 and box[3] > 8 and box[1] + box[3] < TALL]
    assert len(boxes) > 20
    for box in boxes:
        assert contrast(*paper_and_ink(picture.colours(box))) >= 4.5, box


def test_a_hostile_row_paints_nothing(picture: Picture) -> None:
    """Each of the rows would turn the page to magenta if it were more than text."""
    assert MAGENTA not in picture.colours([0, 0, *picture.image.size])
    assert "ff00ff" not in picture.found["title"]
