"""Opens reports in a browser: no overflow, no message on the console, no violation of accessibility; and pictures.

    apt-get install chromium
    pip install playwright axe-playwright-python pypdf
    python bench/report_browser.py pictures --images A B --features flowers_pool3.npz

Reports are made of two folders of images, of features, of statistics, and of drawn images with hostile names. Each is
opened 1280 and 400 pixels wide, in light and in dark, and printed: all of its text must be in the PDF, and within the
pages. The folder `pictures` gets the reports, pictures of them, and PDFs.
"""

import argparse
import re
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from pypdf import PageObject, PdfReader

import fastfid

HOSTILE = (
    "<script>alert(1)<",
    '"><img src=x onerror=alert(1)>',
    "a\x1b[2Jb",
    "\u202egnp.exe",
    "{{ 7 * 7 }}",
    "'&amp;",
    "\udcff",
)
#: What is printed, as text: headline, sentences, tables, captions, and the words in plots.
PRINTED = "h1, h2, h3, p, th, td, dt, dd, li, figcaption, pre, svg text"
MARGIN = 41.0  # points, 15 mm less rounding
NARROW = 0.4  # of the height of letters: they are wider on average
WIDTHS, SCHEMES = (1280, 400), ("light", "dark")
COMMON = {"model": "inception-v3-random", "dims": 64, "progress": False}


def drawn(folder: Path, names: list[str], low: int, high: int, seed: int) -> Path:
    """Draw a coarse picture for each name."""
    rng = np.random.RandomState(seed)
    for name in names:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.randint(low, high, (4, 4, 3)).astype(np.uint8)
        Image.fromarray(np.kron(coarse, np.ones((16, 16, 1), np.uint8))).save(path)
    return folder


def of_images(out: Path, images: list[str], features: str) -> Iterator[tuple[str, str]]:
    full = fastfid.compare(*images, limit=500, metrics=["fid", "kid", "prdc", "authpct"], report=True, **COMMON)
    yield "full", full.to_html()
    yield "without-thumbnails", full.to_html(thumbnails=False)
    yield "without-evidence", replace(full, evidence=None).to_html()
    known = fastfid.statistics(images[1], limit=500, **COMMON)
    yield "statistics", fastfid.compare(images[0], known, limit=500, report=True, **COMMON).to_html()
    yield "identical", fastfid.compare(images[0], images[0], limit=300, report=True, **COMMON).to_html()


def of_features(out: Path, images: list[str], features: str) -> Iterator[tuple[str, str]]:
    stored = np.load(features)
    rows, labels = stored["features"], stored["labels"]
    few = np.random.RandomState(1).permutation(rows.shape[1])[:64]
    one, other = np.array_split(rows[np.random.RandomState(0).permutation(len(rows))][:, few], 2)
    yield "noise", fastfid.compare(one, other, features=True, report=True).to_html()
    first, second, *_ = np.unique(labels)
    few_rows = (rows[labels == label][:300] for label in (first, second))
    yield "features", fastfid.compare(*few_rows, features=True, report=True).to_html()


def hostile(out: Path, images: list[str], features: str) -> Iterator[tuple[str, str]]:
    names = [f"{name}{i}/{name}{i} {k}" for i, name in enumerate(HOSTILE) for k in range(5)]
    a, b = (drawn(out / f"{HOSTILE[0]} {side}", names, 30 * side, 256, side) for side in (0, 1))
    (a / names[0]).with_name(f"{HOSTILE[1]}.png").write_bytes(b"no image")
    yield "hostile", fastfid.compare(a, b, per_class=True, on_error="skip", report=True, **COMMON).to_html()


def small(out: Path, images: list[str], features: str) -> Iterator[tuple[str, str]]:
    many = [f"class {i:03} {'of a long name ' * (i % 3)}/{k}" for i in range(120) for k in range(3)]
    a, b = (drawn(out / f"classes-{side}", many, 60 * side, 256, side) for side in (0, 1))
    yield "classes", fastfid.compare(a, b, per_class=True, metrics=["fid", "kid"], report=True, **COMMON).to_html()
    tiny = np.random.RandomState(0).randint(0, 256, (2, 2, 32, 32, 3))
    yield "tiny", fastfid.compare(iter(tiny[0]), tiny[1], report=True, **COMMON).to_html()


REPORTS = (of_images, of_features, hostile, small)


def look_at(browser: Browser, file: Path) -> list[str]:
    """Take pictures of a page, print it, and return what is wrong."""
    wrong: list[str] = []
    for width in WIDTHS:
        for scheme in SCHEMES:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            where = f"{file.stem} {width} {scheme}"
            page.on("console", lambda message, where=where: wrong.append(f"{where}: console: {message.text}"))
            page.on("pageerror", lambda error, where=where: wrong.append(f"{where}: error: {error}"))
            page.on("dialog", lambda dialog, where=where: wrong.append(f"{where}: dialog: {dialog.message}"))
            page.on("request", lambda r, where=where: r.url.startswith("http") and wrong.append(f"{where}: {r.url}"))
            page.goto(file.resolve().as_uri())
            page.screenshot(path=file.with_name(f"{file.stem}-{width}-{scheme}.png"), full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                wrong.append(f"{where}: {wide} pixels wide")
            found = Axe().run(page).response["violations"]
            for violation in found:
                at = "; ".join(node["html"][:120] for node in violation["nodes"][:3])
                wrong.append(f"{where}: {violation['id']}: {violation['help']}: {at}")
            if (width, scheme) == (WIDTHS[0], "dark"):
                wrong.extend(f"{file.stem} printed: {text}" for text in printed(page, file.with_suffix(".pdf")))
            page.close()
    return wrong


def printed(page: Page, file: Path) -> Iterator[str]:
    """Print a page, and yield what is missing in the PDF or cut."""
    page.pdf(path=file, format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "15mm"))
    pages = PdfReader(file).pages
    if not pages:
        yield "no pages"
    found = squeezed("".join(each.extract_text() for each in pages))
    page.emulate_media(media="print")
    shown = page.eval_on_selector_all(PRINTED, "all => all.filter(e => e.checkVisibility()).map(e => e.textContent)")
    for text in dict.fromkeys(map(squeezed, shown)):
        if text not in found:
            yield f"not in the PDF: {text[:80]}"
    for number, each in enumerate(pages, 1):
        yield from (f"page {number}: {text!r} is cut" for text in outside(each))


def squeezed(text: str) -> str:
    """Return a text without what a PDF changes: spaces, ends of lines, ligatures, and marks of writing direction."""
    return re.sub(r"[^0-9A-Za-z.%]", "", unicodedata.normalize("NFKC", text))


def outside(page: PageObject) -> list[str]:
    """Return the texts that reach out of the margins of a page, as far as the mean width of letters tells."""
    found: list[str] = []
    width, height = float(page.mediabox.width), float(page.mediabox.height)

    def visit(text: str, user: list[float], matrix: list[float], font: object, size: float) -> None:
        x = matrix[4] * user[0] + matrix[5] * user[2] + user[4]
        y = matrix[4] * user[1] + matrix[5] * user[3] + user[5]
        end = x + NARROW * size * abs(user[0] * matrix[0]) * len(text.strip())
        inside = MARGIN <= x <= end <= width - MARGIN and MARGIN <= y <= height - MARGIN
        if text.strip() and not inside:
            found.append(text.strip())

    page.extract_text(visitor_text=visit)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", nargs=2, required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--only", choices=[make.__name__ for make in REPORTS])
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    typed = parser.parse_args()
    typed.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    files = []
    made = (make for make in REPORTS if typed.only in (None, make.__name__))
    for name, page in (each for make in made for each in make(typed.out, typed.images, typed.features)):
        files.append(typed.out / f"{name}.html")
        files[-1].write_text(page)
        print(f"{name}: {len(page.encode()) / 1e6:.2f} MB", flush=True)
    wrong: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=typed.chromium, args=["--no-sandbox"])
        for file in files:
            wrong += look_at(browser, file)
        browser.close()
    print("\n".join(wrong) or f"{len(files)} reports, {len(WIDTHS) * len(SCHEMES)} views each: nothing wrong")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
