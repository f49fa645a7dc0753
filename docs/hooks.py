"""Builds the site from `docs/` and from the pages at the project's root (`mkdocs.yml`).

On GitHub a link is relative to its file. On the site all pages are in one folder, and the source
code is not there. So links are rewritten, and those to source files become plain text.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
ROOT_PAGES = {
    ROOT / "README.md": "index.md",
    **{
        ROOT / name: name
        for name in ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
    },
}

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_IMAGE = re.compile(r'\b(src|srcset)="([^"]+)"')
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_OUT_OF_ITS_LIST = re.compile(r"\n\n {1,3}(\S.*)")
_IN_THE_ITEM_BEFORE = re.compile(r"\n {4}[^\s*-].*\n((?:\d+\.|[-*]) .*)")

log = get_plugin_logger("hooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the project's root."""
    for path, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the page's links for the site.

    MkDocs parses lists more strictly than GitHub: warn about lines that would be misplaced.
    """
    text = _CODE.sub("", markdown)
    for line in _OUT_OF_ITS_LIST.findall(text):
        log.warning(f"{page.file.src_uri}: indent this by four spaces: {line}")
    for line in _IN_THE_ITEM_BEFORE.findall(text):
        log.warning(f"{page.file.src_uri}: put an empty line before this: {line}")
    folder = Path(page.file.abs_src_path or "").parent

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        place = _place_on_site(folder, target)
        return text if place is None else f"[{text}]({place}{anchor})"

    def image(match: re.Match[str]) -> str:
        if not (folder / match[2]).exists():
            log.warning(f"{page.file.src_uri}: there is no image {match[2]}")
        return f'{match[1]}="{_place_on_site(folder, match[2])}"'

    return _IMAGE.sub(image, _LINK.sub(link, markdown))


def _place_on_site(folder: Path, target: str) -> str | None:
    """Return the path of a link's target on the site; None if it is a source file."""
    if "://" in target or target.startswith("mailto:"):
        return target
    path = (folder / target).resolve()
    if path in ROOT_PAGES:
        return ROOT_PAGES[path]
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return None if path.exists() else target  # MkDocs warns that there is no such page
