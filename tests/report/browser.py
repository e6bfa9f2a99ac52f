"""A page in a real browser: what a screen of some width shows of it. Headless Chromium, without a network."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
LOOK = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(
    e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, figure.wide, pre"));
  const luminance = c => { const [r, g, b] = c.match(/\\d+/g).slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92
    : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const paper = getComputedStyle(document.body).backgroundColor;
  const contrast = e => { const both = [luminance(getComputedStyle(e).color), luminance(paper)].sort((a, b) => b - a);
    return (both[0] + .05) / (both[1] + .05); };
  const texts = [...document.querySelectorAll("p, td, th, small, figcaption, a, footer, .unit")];
  top.document.documentElement.setAttribute("data-seen", JSON.stringify({
    width: innerWidth, content: document.documentElement.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 80)),
    pictures: [...document.images].map(i => i.complete && i.naturalWidth > 0 && i.getBoundingClientRect().width),
    scrolled: [...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth + 1).length,
    smallest: Math.min(...texts.map(e => parseFloat(getComputedStyle(e).fontSize))), paper,
    contrast: Math.min(...texts.map(contrast)), asked: performance.getEntriesByType("resource").map(e => e.name)
      .filter(name => !name.startsWith("data:"))}));
});</script>"""


def chromium(profile: Path, *arguments: str) -> str:
    """Run Chromium with a profile of its own; return what it writes."""
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def seen(page: Path, folder: Path, width: int, dark: bool = False) -> dict:
    """Return what a screen shows of a page; a script before the page's own policy looks at it."""
    watched = page.read_text(encoding="utf-8").replace("<head>", f"<head>{LOOK}", 1)
    screen = framed(watched, folder / f"framed-{width}.html", width)
    dom = chromium(folder / f"profile-{width}-{dark}", *_scheme(dark), "--dump-dom", screen.as_uri())
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found is not None, "the page did not load"
    return json.loads(unescape(found[1]))


def framed(content: str, path: Path, width: int, height: int = 900) -> Path:
    """Write a page that shows another in a frame: windows of Chromium are 500 pixels wide at least."""
    style = f"width:{width}px; height:{height}px; border:0; display:block"
    path.write_text(
        '<!DOCTYPE html><html style="color-scheme: light dark"><body style="margin:0">'
        f'<iframe style="{style}" srcdoc="{escape(content)}"></iframe></body></html>',
        encoding="utf-8",
    )
    return path


def screenshot(page: Path, picture: Path, width: int, height: int, dark: bool = False) -> Path:
    """Take a picture of a page."""
    profile = picture.with_suffix(".profile")
    screen = framed(page.read_text(encoding="utf-8"), picture.with_suffix(".html"), width, height)
    chromium(
        profile, *_scheme(dark), f"--window-size={width},{height}", f"--screenshot={picture}", screen.as_uri()
    )
    shutil.rmtree(profile)
    return picture


def printed(page: Path, pdf: Path) -> Path:
    """Print a page."""
    profile = pdf.with_suffix(".profile")
    chromium(profile, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri())
    shutil.rmtree(profile)
    return pdf


def _scheme(dark: bool) -> list[str]:
    return ["--blink-settings=preferredColorScheme=0"] if dark else []
