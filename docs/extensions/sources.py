"""Links from pages to files of the checkout outside docs/: each gets a page that shows it.

A file that a page of the site includes is linked to that page.
"""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[2]
PAGES = {  # that show a file outside docs/
    "README.md": "index",
    "CHANGELOG.md": "development/changelog",
    "bench/README.md": "development/bench",
    "enhance_np/models/README.md": "guide/card",
}
LEXERS = {".py": "python", ".toml": "toml", ".cu": "c++", ".js": "javascript", ".md": "markdown"}


class SourceLinks(SphinxTransform):
    default_priority = 100  # before Sphinx collects downloads

    def apply(self):
        for link in [*self.document.findall(addnodes.download_reference)] + [
            found for found in self.document.findall(addnodes.pending_xref)
            if found.get("reftype") == "myst"
        ]:  # fmt: skip
            self.changed(link)

    def changed(self, link):
        page = self.env.docname
        path = ROOT / "docs" / page
        target = (path.parent / link["reftarget"]).resolve()
        if link.get("refdomain") == "doc":
            target = (ROOT / "docs" / f"{link['reftarget']}.md").resolve()
        if not target.is_relative_to(ROOT) or target.is_relative_to(ROOT / "docs"):
            return
        if target.is_dir():
            target /= "__init__.py" if (target / "__init__.py").exists() else "README.md"
        if not target.is_file():
            return  # Sphinx warns of it
        name = target.relative_to(ROOT).as_posix()
        if name in PAGES:
            shown = PAGES[name]
        else:
            shown = f"source/{name}"
            if not hasattr(self.env, "shown_sources"):
                self.env.shown_sources = set()
            self.env.shown_sources.add(name)
        uri = self.app.builder.get_relative_uri(page, shown)
        reference = nodes.reference("", "", *link.children, refuri=uri, internal=True)
        link.replace_self(reference)


def pages(app):
    """(page, context, template) of every file that a link leads to."""
    for name in sorted(getattr(app.env, "shown_sources", ())):
        path = ROOT / name
        code = app.builder.highlighter.highlight_block(
            path.read_text(encoding="utf-8"), LEXERS.get(path.suffix, "text"), linenos="inline"
        )
        title = escape(name)
        yield f"source/{name}", {"title": title, "body": f"<h1>{title}</h1>{code}"}, "page.html"


def setup(app):
    app.add_transform(SourceLinks)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": False}  # env.shown_sources would need to be merged
