import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from encoding.core.errors import DataError
from encoding.drawing.dimensions import draw_correlations
from encoding.drawing.report import (
    Code,
    DataTable,
    Picture,
    Report,
    Section,
    Text,
    render_report,
    save_figure,
    write_report,
)

EVIL = "<script>alert('x')</script>\" onload=\"y & <b>"


class Page(HTMLParser):
    """Collects tags with their attributes, and the text of cells."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def report(table):
    figure = draw_correlations(np.eye(2), ["a", "b"], ["c", "d"], significant=np.eye(2, dtype=bool), title="T")
    frame = pd.DataFrame({"region": ["V1", "b-c"], "r": [0.12345, np.nan], "n": [12345, -2], "ok": [True, False]})
    return Report(
        "Two spaces",
        "three subjects",
        (("subjects", "3"), ("seed", "0")),
        ("alphas at the edge",),
        (
            Section("Overview", (Picture(figure, "dots", "group picture", file="group/n 1.png"),), "Answer first."),
            Section(
                "Subjects",
                (
                    Picture(figure, "dots of 01", "one", subject="sub-01"),
                    Picture(figure, "dots of 02", "two", subject="sub-02"),
                ),
                columns=2,
            ),
            Section("Only one", (Text("about one", subject="sub-01"),)),
            Section("Tables", (DataTable(frame, "regions", formats={"r": ".2f"}),)),
            Section("Methods", (Text("First.\n\nSecond."), Code("seed = 0", "run.toml")), folded=True),
        ),
    )


def test_nothing_is_asked_from_a_network(report):
    text = render_report(report)
    page = Page(text)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name) or ""
            assert not re.match(r"(?i)\s*(https?:|//|ftp:)", value), (tag, value[:80])
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", text)
    assert {attributes.get("rel") for attributes in page.all("link")} == {"icon"}
    assert not any("src" in attributes for attributes in page.all("script"))


def test_every_picture_has_alt_text_size_and_its_file(report):
    page = Page(render_report(report))
    pictures = [image for image in page.all("img") if "src" in image]
    assert [image["alt"] for image in pictures] == ["dots", "dots of 01", "dots of 02"]
    for image in pictures:
        head, data = image["src"].split(",")
        assert head == "data:image/webp;base64"
        opened = Image.open(io.BytesIO(base64.b64decode(data)))
        assert opened.size == (int(image["width"]), int(image["height"])) == (1440, opened.height)
    assert any(link.get("href") == "group/n%201.png" for link in page.all("a"))


def test_same_report_gives_the_same_bytes_and_stays_small(report, tmp_path):
    one = write_report(report, tmp_path / "a" / "report.html")
    other = write_report(report, tmp_path / "b" / "report.html")
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size < 400_000
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["report.html"]
    bare = render_report(Report("empty"))
    assert len(bare) < 40_000


def test_text_of_the_user_never_becomes_markup():
    frame = pd.DataFrame({EVIL: [EVIL, EVIL]})
    figure = Figure(figsize=(1, 1))
    page = render_report(
        Report(
            EVIL,
            EVIL,
            ((EVIL, EVIL),),
            (EVIL,),
            (
                Section(
                    EVIL,
                    (
                        Picture(figure, EVIL, EVIL, subject=EVIL, file=EVIL),
                        DataTable(frame, EVIL, subject=EVIL, file=EVIL),
                        Text(EVIL, subject=EVIL),
                        Code(EVIL, EVIL, subject=EVIL),
                    ),
                    EVIL,
                ),
            ),
        )
    )
    parsed = Page(page)
    assert len(parsed.all("script")) == 1
    assert not parsed.all("b")
    assert not any("onload" in attributes for _, attributes in parsed.tags)
    assert "<script>alert" not in page


def test_links_cannot_leave_the_page_by_a_scheme():
    block = DataTable(pd.DataFrame({"a": [1]}), file="javascript:alert(1)")
    links = Page(render_report(Report("t", sections=(Section("s", (block,)),)))).all("a")
    assert not any(link["href"].startswith("javascript:") for link in links)


def test_navigation_leads_to_every_section_and_warnings_stand_first(report):
    text = render_report(report)
    page = Page(text)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    targets = [link["href"][1:] for link in page.all("a") if link["href"].startswith("#")]
    assert set(targets) <= ids
    assert [f"s{k}" for k in range(1, 6)] == [target for target in targets if re.fullmatch(r"s\d+", target)]
    assert text.index("alphas at the edge") < text.index("<h2>Overview</h2>")
    sections = page.all("details")
    assert ["open" in part for part in sections] == [True, True, True, True, False]


def test_without_scripts_all_subjects_are_shown_and_the_selector_is_not(report):
    page = Page(render_report(report))
    tagged = [attributes for _, attributes in page.tags if "data-for" in attributes]
    assert [attributes["data-for"] for attributes in tagged] == ["sub-01", "sub-02", "sub-01"]
    assert not any("hidden" in attributes or "style" in attributes for attributes in tagged)
    (selector,) = [attributes for attributes in page.all("div") if attributes.get("id") == "subjects"]
    assert "hidden" in selector
    assert [button["data-subject"] for button in page.all("button")] == ["", "sub-01", "sub-02"]
    only = [part.get("data-only") for part in page.all("details")]
    assert only == [None, "sub-01 sub-02", "sub-01", None, None]


def test_numbers_are_formatted_sorted_by_value_and_downloadable(report):
    text = render_report(report)
    page = Page(text)
    cells = page.all("td")
    assert [cell.get("data-v") for cell in cells] == [None, "0.12345", "12345.0", None, None, "", "-2.0", None]
    assert ">0.12<" in text
    assert ">12,345<" in text
    assert ">\N{MINUS SIGN}2<" in text
    assert ">b-c<" in text
    (link,) = [a["href"] for a in page.all("a") if a["href"].startswith("data:text/csv")]
    csv = pd.read_csv(io.BytesIO(base64.b64decode(link.split(",")[1])))
    assert csv["r"].iloc[0] == 0.12345
    assert csv["region"].tolist() == ["V1", "b-c"]


def test_long_tables_are_cut_only_when_a_file_has_the_rest():
    frame = pd.DataFrame({"value": np.arange(5000)})
    with pytest.raises(DataError, match="'all': 5000 rows are more than the 2000"):
        render_report(Report("t", sections=(Section("s", (DataTable(frame, "all"),)),)))
    text = render_report(Report("t", sections=(Section("s", (DataTable(frame, "all", file="all.tsv"),)),)))
    assert "the last 3,000 only in the file" in text
    assert text.count("<tr>") == 2001


def test_tables_take_half_of_a_printed_page_where_they_fit():
    few = pd.DataFrame({"region": ["V1_left"], "r": [0.1]})
    many = few.assign(**{f"a_longer_column_{k}": "0.012 (0.001 to 0.023)" for k in range(6)})
    text = render_report(Report("t", sections=(Section("s", (DataTable(few, "few"), DataTable(many, "many"))),)))
    classes = re.findall(r'<figure class="(table[^"]*)"', text)
    assert classes == ["table", "table wide"]
    assert "V1_<wbr>left" in text  # names may be broken at their underscores
    assert "a_<wbr>longer_<wbr>column_<wbr>0" in text


def test_pictures_from_disk_are_shown_on_white(tmp_path):
    path = tmp_path / "clear.png"
    Image.new("RGBA", (40, 20), (255, 0, 0, 0)).save(path)
    text = render_report(Report("t", sections=(Section("s", (Picture(path, "clear"),)),)))
    data = re.search(r"base64,([^\"]+)\"", text).group(1)
    assert Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def test_blocks_that_cannot_be_shown_are_named(tmp_path):
    def render(block):
        return render_report(Report("t", sections=(Section("s", (block,)),)))

    with pytest.raises(DataError, match="'cap': alt text is empty"):
        Picture(Figure(), " ", "cap")
    with pytest.raises(DataError, match=r"'.svg' cannot be shown"):
        render(Picture("a.svg", "alt"))
    with pytest.raises(DataError, match=r"none.png: there is no such file"):
        render(Picture(tmp_path / "none.png", "alt"))
    with pytest.raises(DataError, match=r"formats name \['x'\], but the columns are \['a'\]"):
        render(DataTable(pd.DataFrame({"a": [1]}), "cap", formats={"x": ".2f"}))


def test_figures_can_be_saved_from_here_too(tmp_path):
    assert save_figure(Figure(figsize=(1, 1)), tmp_path / "f.png").stat().st_size > 100
