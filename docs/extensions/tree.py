"""The order of the site's pages.

Sphinx wants a table of contents within the pages. It is added here when they are read, so that the
pages stay plain Markdown, which any viewer shows.
"""

# page: {caption: the pages below it, in order}
TREE = {
    "index": {"": "guide/README how_to/README learn/README reference/README development/README"},
    "guide/README": {
        "Use": "guide/predict guide/python archive headers guide/try",
        "Trust": "confidence evaluate compare guide/card",
        "Train": "guide/train training_on_many",
        "See": "gallery/README chapter",
    },
    "how_to/README": {
        "With HMI": "how_to/cut_out how_to/full_disk how_to/archive",
        "With others": "how_to/retrain instruments how_to/instrument how_to/keras",
        "In the code": "how_to/kernel",
    },
    "learn/README": {
        "Begin": "learn/glossary learn/exercises inspect/README",
        "Derive": "learn/layers/README learn/optics",
        "Run": "learn/notebooks/backprop_by_hand learn/notebooks/deconvolving_hmi",
        "Teach": "learn/teacher",
    },
    "learn/layers/README": {
        "": "learn/layers/padding learn/layers/convolution learn/layers/winograd "
        "learn/layers/batchnorm learn/layers/activation learn/layers/upsampling "
        "learn/layers/residual learn/layers/loss learn/layers/adam learn/layers/network",
    },
    "reference/README": {
        "": "reference/commands reference/python reference/layers reference/network",
    },
    "development/README": {
        "": "CONTRIBUTING layout speed engines cuda cuda-mutants development/bench "
        "development/changelog CODE_OF_CONDUCT",
    },
}
SHORT = {"learn/README": "Learn"}  # titles for the top of the page


def appended(page: str) -> str:
    """The tables of contents of a page, as MyST."""
    found = []
    for caption, pages in TREE.get(page, {}).items():
        head = f":caption: {caption}\n" if caption else ""
        listed = "\n".join(
            f"{SHORT[name]} </{name}>" if name in SHORT else f"/{name}" for name in pages.split()
        )
        found.append(f"\n```{{toctree}}\n:hidden:\n{head}\n{listed}\n```\n")
    return "\n".join(found)


def setup(app):
    def read(app, page, source):
        source[0] += appended(page)

    app.connect("source-read", read)
    return {"parallel_read_safe": True}
