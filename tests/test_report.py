"""The report: its page is well-formed, self-contained and honest; no name or message can inject anything."""

import base64
import io
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.cli.main import main
from fastfid.messages import CODES
from fastfid.metrics.displacement import displacement
from fastfid.metrics.feature_blocks import Given
from fastfid.metrics.frechet import Gaussian, distance, gaussian_from_rows
from fastfid.options import Options
from fastfid.report import chance as deals
from fastfid.report import closest as search
from fastfid.report import html
from fastfid.report.advice import BY_CODE, advice_on
from fastfid.report.command import command_of
from fastfid.report.subsets import Subset, subsets
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}
HOSTILE = [
    "<script>alert(1)<",
    '"><img src=x onerror=alert(1)>',
    "'&amp;{{ 7 * 7 }}",
    "a\x1b[2J\nb",
    "\u202egnp",
    "\udcff",
]


class Page(HTMLParser):
    """The elements of a page; fails where one is not closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.text, self.open, self.elements, self.words = text, [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self):
        return [float(data["value"]) for data in self.of("data")]


def checked(text):
    """Check what every page keeps, and return it parsed."""
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    used = [link["href"].removeprefix("#") for link in page.of("a")]
    used += [name for svg in page.of("svg") for name in svg.get("aria-labelledby", "").split()]
    assert set(used) <= set(ids)
    assert page.of("html") == [{"lang": "en"}]
    assert not {"script", "iframe", "link", "object", "form", "base"} & {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    addresses = [value for _, a in page.elements for name, value in a.items() if name in ("src", "href", "action")]
    assert all(re.match(r"data:image/webp;base64,[A-Za-z0-9+/=]+$|#[a-z-]+$", address) for address in addresses)
    assert not re.search(r"url\(|@import", text)
    assert all(picture["alt"] for picture in page.of("img"))
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        root = ET.fromstring(svg)
        if root.get("aria-hidden") is None:
            title, description = list(root)[:2]
            assert title.text
            assert description.text
            assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
            assert not re.search("nan|inf", svg.replace("infinitely", ""))
            width = float(root.get("viewBox").split()[2])
            for mark in root.iter("{http://www.w3.org/2000/svg}text"):
                long = 6.2 * len(mark.text)  # of 12 pixels high letters
                left = float(mark.get("x")) - {"start": 0, "middle": 0.5, "end": 1}[mark.get("text-anchor")] * long
                assert -1 <= left <= left + long <= width + 1, mark.text
    return page


def rows(seed, n=400, dims=5, shift=0.0):
    return np.random.RandomState(seed).standard_normal((n, dims)).astype(np.float32) + np.float32(shift)


def of_rows(a, b, **options):
    return fastfid.compare(a, b, features=True, report=True, **options)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(stand_in(tmp_path_factory.mktemp("network") / "own.onnx"))


def draw(folder, names, seed=0, size=12):
    """Draw images of one colour each; return the colours by name."""
    colours = {}
    rng = np.random.RandomState(seed)
    for name in names:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colours[name] = rng.randint(0, 256, 3)
        Image.fromarray(np.full((size, size, 3), colours[name], np.uint8)).save(path)
    return colours


@pytest.fixture(scope="module")
def images(tmp_path_factory, network):
    """A comparison of images in two classes, with files that cannot be read."""
    root = tmp_path_factory.mktemp("images")
    names = [f"{kind}/{k:02}" for kind in ("cat", "dog") for k in range(20)]
    colours = [draw(root / side, names, seed) for seed, side in enumerate(("made", "real"))]
    (root / "made" / "cat" / "003.png").write_bytes(b"no image")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        options = {"model": network, "on_error": "skip", "per_class": True, "metrics": ["fid", "kid"]}
        result = fastfid.compare("made", "real", limit=38, seed=3, report=True, **options)
    return result, colours


# --- the page


def test_a_page_of_images(images):
    result, _ = images
    page = checked(result.to_html())
    assert result.fid in page.values()
    assert result.certainty.corrected in page.values()
    assert result.certainty.noise_floor in page.values()
    for scores in result.classes.values():
        assert {scores["fid"].value, scores["kid"].value} <= set(page.values())
    assert all(
        warning.partition(": ")[2] in page.words for warning in result.warnings if warning.split(":")[0] in CODES
    )
    assert result.a.rejected[0] in page.words
    assert "made, 37 images, 1 left out" in page.words
    assert result.citation in page.words
    assert result.provenance.sha256 in page.words
    for heading in ("Warnings", "Scores", "Classes", "Files that were left out", "How it was made"):
        assert heading in page.words


def test_equal_comparisons_give_equal_pages(images, network, tmp_path):
    pages = [of_rows(rows(0), rows(1), metrics=["fid", "kid"]).to_html() for _ in range(2)]
    assert pages[0] == pages[1]
    draw(tmp_path / "a", map(str, range(6)))
    again = [fastfid.compare(tmp_path / "a", tmp_path / "a", model=network, report=True).to_html() for _ in range(2)]
    assert again[0] == again[1]


def test_thumbnails_are_of_the_images_that_they_name(images):
    result, colours = images
    shown = 0
    for pictures, own in zip(result.evidence.pictures, colours, strict=True):
        for picture in pictures.values():
            name = re.search(r"(cat|dog)/\d\d", picture.name)[0]
            file = base64.b64decode(picture.thumbnail.partition(",")[2])
            assert (np.asarray(Image.open(io.BytesIO(file)))[0, 0] == own[name]).all()
            shown += 1
    assert shown > 30


def test_influential_images_are_those_of_the_certainty(images):
    result, _ = images
    for found, values in zip(
        result.evidence.influential, (result.certainty.influence_x, result.certainty.influence_y), strict=True
    ):
        assert [each.value for each in found] == sorted(values, reverse=True)[: len(found)]
        assert all(values[each.row] == each.value for each in found)


def test_a_page_is_small_whatever_the_images(network):
    noise = np.random.RandomState(0).randint(0, 256, (2, 45, 150, 150, 3)).astype(np.uint8)
    noise[1] //= 2  # so that directions are shown, too
    page = fastfid.compare(*noise, model=network, report=True).to_html()
    assert 0.3e6 < len(page.encode()) < 3e6
    assert page.count("<img") > 50


def test_large_images_are_shrunk(network):
    large = np.full((2, 300, 600, 3), 200, np.uint8)
    large[1] = 90
    result = fastfid.compare(large, large[::-1], model=network, report=True)
    for picture in result.evidence.pictures[0].values():
        assert Image.open(io.BytesIO(base64.b64decode(picture.thumbnail.partition(",")[2]))).size == (144, 72)


def test_the_same_pixels_are_told(network, tmp_path):
    draw(tmp_path / "a", map(str, range(4)))
    draw(tmp_path / "b", map(str, range(4)), seed=1)
    (tmp_path / "b" / "copy.png").write_bytes((tmp_path / "a" / "2.png").read_bytes())
    result = fastfid.compare(tmp_path / "a", tmp_path / "b", model=network, report=True)
    page = checked(result.to_html())
    assert page.words.count("the same pixels") == 1
    assert "Exact copies, by the bytes of the images: 0 within A, 0 within B, 1 in both A and B." in page.words
    first = result.evidence.closest["ab"].pairs[0]
    named = [pictures[row].name for pictures, row in zip(result.evidence.pictures, first.rows, strict=True)]
    assert [Path(name).name for name in named] == ["2.png", "copy.png"]


# --- what cannot be shown says so


def test_without_evidence_each_part_says_what_to_ask_for():
    result = fastfid.compare(rows(0), rows(1, shift=1), features=True)
    page = checked(result.to_html())
    assert (
        page.words.count(
            "Not asked for; compare(..., report=True), or --report on the command line, computes this part."
        )
        == 4
    )
    assert "How sure it is was not asked for." in page.words
    assert {result.fid} <= set(page.values())


def test_few_images_have_no_influence_and_say_why():
    page = checked(of_rows(rows(0, n=14), rows(1, n=14)).to_html())
    assert "How sure this is cannot be said" in page.words
    assert page.words.count("The first side has 14 rows of 5 dims, and the corrections need at least 30") == 2
    assert "The first side has 14 images, and subsets need at least 20" in page.words


def test_sets_that_are_the_same():
    same = rows(0)
    page = checked(of_rows(same, same).to_html())
    assert "The sets are too much alike to be independent" in page.words
    assert "The two sides have the same mean and covariance, apart from rounding" in page.words


def test_statistics_are_exactly_known():
    real = fastfid.Statistics(5).update(rows(1, shift=1))
    result = of_rows(rows(0), real)
    page = checked(result.to_html())
    assert "noise floor" not in page.words
    assert result.evidence.subsets[-1].n == (400, None)
    assert result.evidence.influential[1] == ()
    both = checked(of_rows(fastfid.Statistics(5).update(rows(0)), real).to_html())
    assert "Both sides are statistics without their images" in both.words
    assert "No metric that was asked for keeps the features of the images" in both.words


def test_words_stay_within_their_plot():
    result = of_rows(rows(0), rows(1, shift=1))
    many = tuple(Subset((n, n), 3e5) for n in (1_250_000, 12_500_000))
    page = replace(result, evidence=replace(result.evidence, subsets=many)).to_html()
    assert ">100,000,000<" in page
    checked(page)


def test_other_metrics_alone():
    page = checked(of_rows(rows(0), rows(1), metrics=["kid"]).to_html())
    assert not {"number", "origin", "influence"} & {attributes.get("id") for _, attributes in page.elements}
    assert "The FID was not asked for" not in page.words
    assert "Between A and B" in page.words
    one = fastfid.compare(rows(0), features=True, metrics=["vendi"], report=True)
    assert one.scores["vendi"].value in checked(one.to_html()).values()


def test_streams_and_features_have_no_thumbnails(network):
    noise = np.random.RandomState(0).randint(0, 256, (2, 6, 12, 12, 3)).astype(np.uint8)
    result = fastfid.compare(iter(noise[0]), noise[1], model=network, report=True)
    page = checked(result.to_html())
    assert "can be read only once, or only from its start" in page.words
    assert {picture["alt"].partition(" of ")[0] for picture in page.of("img")}
    assert not any(picture.thumbnail for picture in result.evidence.pictures[0].values())
    assert all(picture.thumbnail for picture in result.evidence.pictures[1].values())
    page = checked(of_rows(rows(0), rows(1)).to_html())
    assert page.of("img") == []
    assert "the first side (ndarray) was given without images" in page.words
    assert re.search(r"\brow \d+\b", page.words)


def test_images_that_are_gone_are_named_only(network, tmp_path):
    class Once(fastfid.Source):
        def __init__(self):
            super().__init__("once", 6)
            self.reads = 0

        def read(self, indices):
            self.reads += 1
            if self.reads > 1:
                raise ValueError("gone")
            for index in indices:
                yield fastfid.Item(f"image {index}", lambda index=index: np.full((8, 8, 3), 30 * index, np.uint8))

    noise = np.random.RandomState(0).randint(0, 256, (6, 8, 8, 3))
    with pytest.warns(fastfid.FastFIDWarning, match="once could not be read again for its thumbnails: gone"):
        result = fastfid.compare(Once(), noise, model=network, report=True)
    assert len(checked(result.to_html()).of("img")) > 0


def test_no_thumbnails(images, network, tmp_path):
    result, _ = images
    page = checked(result.to_html(thumbnails=False))
    assert page.of("img") == []
    assert "No pictures: thumbnails were not asked for." in page.words
    draw(tmp_path / "a", map(str, range(4)))
    result = fastfid.compare(tmp_path / "a", tmp_path / "a", model=network, report=True, thumbnails=False)
    assert not any(picture.thumbnail for pictures in result.evidence.pictures for picture in pictures.values())
    with pytest.raises(fastfid.InputError, match="thumbnails=False is about a report, and none is asked for"):
        fastfid.compare("no-such", "no-such", thumbnails=False)


# --- names and messages


@pytest.mark.skipif(sys.platform == "win32", reason="such names are not allowed")
def test_hostile_names_are_text(network, tmp_path):
    names = [f"{name}/{name}{k}" for name in HOSTILE for k in range(3)]
    sides = [tmp_path / f"{HOSTILE[0]}{k}" for k in range(2)]
    for seed, side in enumerate(sides):
        draw(side, names, seed)
        (side / HOSTILE[1] / f"{HOSTILE[1]}.png").write_bytes(b"no image")
    page = checked(fastfid.compare(*sides, model=network, per_class=True, on_error="skip", report=True).to_html())
    assert "<script>alert(1)<" in page.words
    assert r"a\x1b[2J\nb" in page.words
    assert r"\u202egnp" in page.words
    assert r"\udcff" in page.words
    assert "{{ 7 * 7 }}" in page.words
    assert any("onerror=alert(1)>" in picture["alt"] for picture in page.of("img"))
    assert not re.search("[\x1b\u202e\ud800-\udfff]", page.text)


def test_hostile_text_anywhere_is_text():
    plain = of_rows(rows(0), rows(1), metrics=["fid", "kid"])
    evil = '</style></svg><script>alert(1)</script>" onload="x" \'\x00\u2028'
    score = replace(plain.scores["kid"], convention=evil, better=evil, parts={evil: 1.5})
    sure = replace(plain.certainty, reason=evil, standard_error=None)
    hostile = replace(
        plain,
        scores={"fid": replace(plain.scores["fid"], certainty=sure), evil: score},
        classes={evil: {"fid": plain.scores["fid"], evil: score}},
        a=fastfid.Side(evil, 5, (evil,)),
        warnings=(evil, f"size: {evil}"),
        notes=(evil,),
        method=evil,
        command=evil,
        provenance=fastfid.Provenance(evil, evil, evil, 5, evil, evil, 0, {evil: evil}),
        evidence=replace(
            plain.evidence,
            absent=dict.fromkeys(("directions", "subsets", "influential", "closest"), evil),
            influential=(),
            subsets=(),
            shares=(),
            directions=(),
            closest={},
            copies={},
            without=(evil,),
        ),
    )
    page = checked(hostile.to_html())
    assert page.words.count("<script>alert(1)</script>") > 15
    assert "\x00" not in page.text


# --- the file, the notebook, jinja2


def test_a_report_is_written_and_replaced_and_nothing_else(tmp_path):
    result = of_rows(rows(0), rows(1))
    page = result.to_html(tmp_path / "out.html")
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == page
    again = fastfid.compare(rows(0), rows(1), features=True, report=tmp_path / "out.html")
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == again.to_html()
    (tmp_path / "thesis.html").write_text("<p>Years of work")
    for path, text in (("thesis.html", "is no report of fastfid"), (".", "it is a folder"), ("no/out.html", "exist")):
        with pytest.raises(fastfid.InputError, match=text):
            fastfid.compare("no-such-a", "no-such-b", report=tmp_path / path)
        with pytest.raises(fastfid.InputError, match=text):
            result.to_html(tmp_path / path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out.html", "thesis.html"]


def test_without_jinja2(monkeypatch):
    result = fastfid.compare(rows(0), rows(1), features=True)
    monkeypatch.setattr(html, "find_spec", lambda name: None)
    with pytest.raises(fastfid.InputError, match=r"needs the package jinja2: pip install 'fastfid\[report\]'"):
        fastfid.compare("no-such-a", "no-such-b", report=True)
    with pytest.raises(fastfid.InputError, match="jinja2"):
        result.to_html()
    assert result._repr_html_() is None


def test_a_notebook_shows_the_page_in_a_frame():
    result = fastfid.compare(rows(0), rows(1), features=True)
    shown = result._repr_html_()
    assert (
        unescape(re.fullmatch(r'<iframe [^>]*srcdoc="([^"]*)"[^>]*></iframe>', shown, re.DOTALL)[1]) == result.to_html()
    )
    assert 'sandbox=""' in shown


def test_the_command_line(network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, side in enumerate(("my images", "real")):
        draw(tmp_path / side, map(str, range(8)), seed)
    arguments = ["my images", "real", "--model", network, "--limit", "6", "--report", "out.html", "--no-thumbnails"]
    assert main(arguments) == 0
    printed, told = capsys.readouterr()
    assert "fastfid: wrote the report to out.html\n" in told
    page = checked(Path("out.html").read_text(encoding="utf-8"))
    command = re.search(r"fastfid 'my images' .*", page.words)[0]
    assert sorted(shlex.split(command)[1:]) == sorted(arguments)
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out == printed


def test_the_command_of_options():
    secret = {"key": "hush", "secret": "hush"}
    options = Options(
        storage_options=secret, value_range=(-1, 1), quantise="round", endings=["png", "jpg"], report=True
    )
    text = command_of(["s3://me:hush@bucket/a", Path("b.zip")], options)
    assert "hush" not in text
    assert shlex.split(text)[1].endswith("bucket/a")
    assert "--endings png,jpg --value-range -1,1 --quantise round --storage-options ..." in text
    assert text.endswith("--report report.html")
    call = command_of([rows(0), "b"], Options(storage_options=secret, metrics=(fastfid.KID(),), limit=5))
    assert call.startswith("fastfid.compare(ndarray, 'b', limit=5, storage_options=..., metrics=(KID(")
    call = command_of(["a", "b"], Options(baseline=rows(0), seed=4))
    assert call == "fastfid.compare('a', 'b', seed=4, baseline=ndarray)"
    protocol = Options.of({"protocol": "adm", "mode": Options.mode, "dims": Options.dims, "metrics": ("fid",)})
    assert command_of(["a", "b"], protocol) == "fastfid a b --protocol adm"


# --- what is said


def test_what_a_reader_has_to_know_first():
    known = fastfid.Statistics(5).update(rows(1))
    against = {"features": True, "baseline": rows(2)}
    page = fastfid.compare(rows(0), known, report=True, **against).to_html()
    assert "B is statistics without images, and counts as exactly known." in page
    assert "above that of the baseline the baseline (ndarray), between" in page
    made = replace(
        fastfid.compare(rows(0), rows(1), features=True), notes=("made with x: not comparable with published FIDs",)
    )
    assert '<p class="lead">Made with x: not comparable with published FIDs.</p>' in made.to_html()


def test_the_verdict_tells_noise_from_a_difference():
    alike, apart = (of_rows(rows(0), rows(1, shift=shift)) for shift in (0, 1))
    page = checked(alike.to_html())
    assert alike.certainty.p_value > 0.05
    assert "This number may be noise" in page.words
    assert "so nothing here says that the two sets differ" in page.words
    page = checked(apart.to_html())
    assert "The two sets differ" in page.words
    assert apart.certainty.p_value in page.values()


def test_the_interval_of_a_bootstrap_is_in_the_verdict():
    result = of_rows(rows(0, n=14), rows(1, n=14), bootstrap=20)
    page = checked(result.to_html())
    assert f"between {result.interval.low:.6g} and {result.interval.high:.6g}" in page.words
    assert f"95% interval {result.interval.low:.4g} to {result.interval.high:.4g}" in page.words
    assert "How sure this is cannot be said" not in page.words


def test_a_verdict_that_is_not_sure_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a, b = rows(0, n=14), rows(1, n=14)
    way_out = "a comparison with {} has an interval of the FID for any number of images"
    assert way_out.format("bootstrap=100") in of_rows(a, b).to_html()
    np.save("a.npy", a)
    np.save("b.npy", b)
    assert main(["a.npy", "b.npy", "--features", "--report", "out.html"]) == 0
    assert way_out.format("--bootstrap 100") in Path("out.html").read_text(encoding="utf-8")


def cells(page_text, name):
    """Return the texts of the cells of a score."""
    row = re.search(rf'<tr><th scope="row">{name}<.*?</tr>', page_text)[0]
    return [re.sub("<[^>]*>", " ", cell).split() for cell in re.findall("<t[hd].*?</t[hd]>", row)]


def test_a_score_stands_beside_the_value_that_its_limits_are_of():
    result = of_rows(rows(0), rows(1, shift=1), metrics=["fid", "kid", "prdc"])
    for name, sure in (("FID", result.certainty), ("KID", result.scores["kid"].certainty)):
        _, value, without = cells(result.to_html(), name)
        assert float(value[0]) == pytest.approx(sure.value, rel=1e-5)
        assert [without[k] for k in (1, 3, 4, 6)] == ["±", "95%", "limits", "to"]
        found = [float(without[k]) for k in (0, 2, 5, 7)]
        assert found == pytest.approx([sure.corrected, sure.standard_error, sure.low, sure.high], rel=0.1)
    for part, value in result.scores["prdc"].parts.items():
        assert float(cells(result.to_html(), part.capitalize())[1][0]) == pytest.approx(value, abs=1e-5)
    assert ">prdc<" not in result.to_html()


def test_a_kid_has_one_standard_error(tmp_path, monkeypatch, capsys):
    formula = "standard error by a formula"
    assert formula not in of_rows(rows(0), rows(1), metrics=["kid"]).to_html()
    assert formula in fastfid.compare(rows(0), rows(1), features=True, metrics=["kid"]).to_html()
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", rows(0))
    np.save("b.npy", rows(1))
    for more in ([], ["--certainty"]):
        assert main(["a.npy", "b.npy", "--features", "--metrics", "kid", *more]) == 0
        assert len(re.findall("standard.error", capsys.readouterr().out)) == 1


def test_classes_say_what_few_images_do(images):
    result, _ = images
    usual = next(each for each in result.evidence.subsets if min(each.n) >= 17)
    text = checked(result.to_html()).words
    assert f"of {min(usual.n)} images a side, about as many as a class has here" in text
    assert f"it reads {usual.fid:.4g} where that of all images reads {result.fid:.4g}" in text
    without = replace(result, evidence=replace(result.evidence, subsets=()))
    assert "and it grows about as fast as the number of images falls: times 2" in checked(without.to_html()).words
    unsure = replace(without, scores={"fid": replace(result.scores["fid"], certainty=None)})
    assert re.search(
        r"Here a class has \d\d images, and much of its FID may be bias\.", checked(unsure.to_html()).words
    )


def test_every_kind_of_warning_has_advice():
    assert BY_CODE.keys() == CODES.keys()
    assert advice_on("left-out: a: 2 images left out: b; c")[2].startswith("Repair or replace")
    assert advice_on("of no kind: at all") == ("", "of no kind: at all", "")


# --- where a distance comes from


@pytest.mark.parametrize(("n", "m", "dims"), [(40, 50, 6), (5, 7, 10), (9, 60, 10), (60, 4, 10), (3, 4, 30)])
def test_the_parts_of_a_distance_add_up(n, m, dims):
    a, b = (gaussian_from_rows(rows(seed, count, dims, seed).astype(float)) for seed, count in ((0, n), (1, m)))
    found = displacement(a, b)
    assert found.distance == pytest.approx(distance(a, b).value, rel=1e-10)
    assert found.shares.sum() == pytest.approx(1, rel=1e-12)
    assert (np.diff(found.shares) <= 0).all()
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(min(dims, n + m + 1)), atol=1e-12)
    assert ((found.directions @ (a.mu - b.mu)) >= 0).all()


@pytest.mark.parametrize("scale", [1e-120, 1, 1e120])
def test_the_parts_are_those_of_the_directions(scale):
    turn = np.linalg.qr(np.random.RandomState(0).randn(4, 4))[0]
    shift, one, other = np.array([3.0, 0, 0, 0]), np.array([1.0, 1, 3, 0]), np.array([1.0, 1, 1, 0])
    a = Gaussian(scale * (shift @ turn), scale**2 * (turn.T * one**2) @ turn)
    b = Gaussian(np.zeros(4), scale**2 * (turn.T * other**2) @ turn)
    found = displacement(a, b)
    np.testing.assert_allclose(found.shares, [9 / 13, 4 / 13, 0, 0], atol=1e-7)
    np.testing.assert_allclose(np.abs(found.directions[:2] @ turn.T), np.eye(4)[[0, 2]], atol=1e-6)


def first_axis(a, b):
    return displacement(*(gaussian_from_rows(side.astype(float)) for side in (a, b))).directions[0]


def test_directions_hold_the_images_far_along_them():
    a, b = rows(0), rows(1)
    a[:, 2] += 3
    result = of_rows(a, b)
    first = result.evidence.directions[0]
    assert first.share == result.evidence.shares[0] > 0.9
    assert sum(first.counts[0]) == pytest.approx(1)
    along_a, along_b = (side @ first_axis(a, b) for side in (a, b))
    assert first.shift == pytest.approx((along_a.mean() - along_b.mean()) / along_b.std(ddof=1), rel=1e-5)
    assert first.spread == pytest.approx(along_a.std(ddof=1) / along_b.std(ddof=1), rel=1e-5)
    for end, towards in ((first.left, -1), (first.right, 1)):
        for found, along in zip(end.outermost, (along_a, along_b), strict=True):
            assert [each.row for each in found] == np.argsort(-towards * along)[: len(found)].tolist()
            places = (along[[each.row for each in found]] - along_b.mean()) / along_b.std(ddof=1)
            assert [each.value for each in found] == pytest.approx(places.tolist(), rel=1e-4)


def test_each_end_says_which_side_it_belongs_to():
    a, b = rows(0), rows(1)
    a[:, 2] += 3
    words = checked(of_rows(a, b).to_html()).words
    left, right = words.index("Left end, mostly B: 100%"), words.index("Right end, mostly A: 100%")
    assert words.index("Direction 1:") < left < right
    assert re.search(r"The mean of A is [23]\.\d standard deviations of B to the right of B's, and A spreads", words)
    a, b = rows(0), rows(1)
    a[:, 2] *= 5
    words = checked(of_rows(a, b).to_html()).words
    assert len(re.findall("(Left|Right) end, mostly A: (9|100)", words)) == 2
    a[:, 2] = b[:, 2] = 0
    b[:, 3] += 4
    constant = checked(of_rows(a, b).to_html()).words
    assert "Right end, mostly A: 100%" in constant


def test_a_side_of_statistics_has_the_normal_curve_that_it_stands_for():
    a, b = rows(0), rows(1, shift=1)
    result = of_rows(a, fastfid.Statistics(5).update(b))
    words = checked(result.to_html()).words
    assert "A filled, B dashed, a normal curve, since B is statistics." in words
    first = result.evidence.directions[0]
    middles = (np.array(first.edges[1:]) + first.edges[:-1]) / 2
    assert sum(first.counts[1]) == pytest.approx(1)
    assert middles @ first.counts[1] == pytest.approx(0, abs=0.1)
    assert first.left.outermost[1] == ()
    assert "Within A" in words
    assert not re.search("Between A and B|Within B|an image of A that shows", words)


# --- what chance would show as well


def test_noise_is_not_interpreted():
    words = checked(of_rows(rows(0), rows(1)).to_html()).words
    assert "None is interpreted here" in words
    assert "in any set, some images have the largest influence" in words
    assert not re.search("Direction 1|few main causes|the other side has little like them", words)
    words = checked(of_rows(rows(0), rows(1, shift=1)).to_html()).words
    assert "Only the first stands out from chance" in words
    assert "So the difference has few main causes." in words
    assert "the other side has little like them" in words
    assert re.search("Direction 1: .*Right end", words, re.DOTALL)
    assert "Direction 2" not in words


def test_rounding_is_not_interpreted():
    same = rows(0)
    words = checked(of_rows(same, same).to_html()).words
    assert "No image has an influence, apart from rounding" in words
    assert "largest influence: " not in words
    assert "FID∞" not in words
    assert words.count("The FID is 0, apart from rounding") == 1


def test_sets_that_are_not_independent_have_no_measure_of_chance():
    a = rows(0)
    words = checked(of_rows(a, a + 0.01 * rows(1)).to_html()).words
    assert "chance is no measure here" in words


def test_few_rows_have_a_measure_of_chance():
    assert "None is interpreted here" in of_rows(rows(0, n=12), rows(1, n=12)).to_html()
    assert "stands out from chance" in of_rows(rows(0, n=12), rows(1, n=12, shift=3)).to_html()


@pytest.mark.parametrize("work", [2e11, 0])
def test_chance_deals_the_images_of_both_sides(monkeypatch, work):
    monkeypatch.setattr(deals, "_WORK", work)
    a, b = rows(0, n=300), rows(1, n=200)
    b[:, 0] *= 3
    found = deals.chance(Given.of(a, "a"), Given.of(b, "b"), 2.0)
    mixed = np.concatenate([a, b]).astype(float)
    rng, parts = np.random.RandomState(deals._SEED), []
    for _ in range(found.deals):
        first = rng.permutation(500) < 300
        each = displacement(gaussian_from_rows(mixed[first]), gaussian_from_rows(mixed[~first]))
        parts.append(each.distance / 2 * each.shares)
    assert found.shares == pytest.approx(np.mean(parts, axis=0))
    assert found.limit == pytest.approx(max(part[0] for part in parts) * (1 if found.deals == 19 else 2))
    assert found.deals == (19 if work else 1)


@pytest.mark.parametrize("n", [4, 400])
def test_spectra_are_those_of_the_covariances(n):
    a, b = rows(0, n=n), 2 * rows(1)
    result = of_rows(a, b)
    for found, side in zip(result.evidence.spectra, (a, b), strict=True):
        covariance = np.cov(side.astype(float), rowvar=False)
        expected = np.linalg.eigvalsh(covariance)[::-1][: min(len(side) - 1, 5)]
        assert found.values == pytest.approx(expected.tolist(), rel=1e-6)
        assert found.places == tuple(range(1, 1 + len(expected)))
        assert found.total == pytest.approx(np.trace(covariance), rel=1e-6)
    variety = result.evidence.spectra[0].total / result.evidence.spectra[1].total
    assert f"In all, A varies {variety:.3g} times as much as B." in checked(result.to_html()).words


def test_subsets_are_of_these_images():
    a, b = rows(0), rows(1, n=200)
    order_a, order_b = (np.random.RandomState(0).permutation(n) for n in (400, 200))
    whole = fastfid.frechet_distance_from_features(a, b)
    found = subsets(Given.of(a, "a"), Given.of(b, "b"), whole)
    assert found[-1].n == (400, 200)
    assert found[-1].fid == whole
    for each in found[:-1]:
        n, m = each.n
        own = fastfid.frechet_distance_from_features(a[order_a[:n]], b[order_b[:m]])
        assert each.fid == pytest.approx(own, rel=1e-9)


@pytest.mark.parametrize("work", [2e11, 400 * 5 * 30])
def test_closest_pairs(monkeypatch, work):
    monkeypatch.setattr(search, "_WORK", work)
    a, b = rows(0), rows(1)
    a[7] = a[11] = a[300]  # more copies than a search for two neighbours lists
    found = search.closest([a, b])
    asked = found["aa"].searched
    assert asked == (400 if work == 2e11 else 30)
    chosen = np.arange(400) if asked == 400 else np.sort(np.random.RandomState(0).permutation(400)[:30])
    for name, (x, y) in {"ab": (a, b), "aa": (a, a), "bb": (b, b)}.items():
        apart = np.linalg.norm(x[chosen, None].astype(float) - y[None], axis=2)
        if x is y:
            apart[np.arange(len(chosen)), chosen] = np.inf
        assert found[name].typical == pytest.approx(np.median(apart.min(axis=1)), rel=1e-6)
        for pair in found[name].pairs:
            i, j = pair.rows
            assert pair.distance == pytest.approx(np.linalg.norm(x[i].astype(float) - y[j]), rel=1e-6, abs=1e-9)
        assert found[name].pairs[0].distance == pytest.approx(apart.min(), rel=1e-6, abs=1e-9)
        assert len({frozenset(pair.rows) if x is y else pair.rows for pair in found[name].pairs}) == 6
    if asked == 400:
        assert {(7, 11), (7, 300)} <= {pair.rows for pair in found["aa"].pairs}


def test_likely_copies_are_closer_than_chance_brings_images():
    a, b = rows(0, dims=12), rows(1, dims=12)
    assert "likely a copy<" not in of_rows(a, b).to_html()
    a[3] = b[8] + 0.01
    result = of_rows(a, b)
    found = result.evidence.closest["ab"]
    assert [pair.rows for pair in found.pairs if pair.distance < found.limit] == [(3, 8)]
    assert result.to_html().count('<span class="same">likely a copy<') == 1
    assert f"a likely copy is closer than {found.limit:.4g}" in result.to_html()
    a[3] = b[8]
    assert of_rows(a, b).to_html().count('<span class="same">the same features<') == 1
    few = search.closest([a[:40], b[:40]])
    assert few["ab"].limit == 0


def test_the_limit_of_copies_is_rarely_passed_by_chance():
    passed = 0
    for seed in range(40):
        found = search.closest(np.split(rows(seed, n=400, dims=6), 2))["ab"]
        passed += found.pairs[0].distance < found.limit
    assert 0 <= passed <= 6  # 2 are expected


def test_the_docs_explain_every_part(images):
    result, _ = images
    page = re.findall("<h2[^>]*>(.*?)</h2>", result.to_html())
    docs = (Path(__file__).parents[1] / "docs" / "reading-a-report.md").read_text(encoding="utf-8")
    assert page == [heading for heading in re.findall("^## (.*)", docs, re.MULTILINE) if heading in page]
    for text in ("The two sets differ", "This number may be noise", "How sure this is cannot be said"):
        assert f"**{text}**" in docs


def test_the_level_of_the_limits():
    result = of_rows(rows(0), rows(1, shift=1), level=0.99)
    page = checked(result.to_html())
    assert "99% limits" in page.words
    assert "95%" not in page.words
    assert "level=0.99" in result.command
