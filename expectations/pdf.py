"""The page of a report as PDF, for who signs on paper: unfolded, without the queries; of long lists where they are."""

import re
from pathlib import Path

from expectations.report_folders import manifest_hash
from sevenfold.errors import SevenfoldError

# Beside the page's own style for paper. The renderer knows no grid, and nothing of what is folded.
STYLE = """
@page {{
    size: A4; margin: 14mm 14mm 18mm;
    @bottom-left {{ content: "{footer}"; font: 6.5pt sans-serif; color: #555; }}
    @bottom-right {{ content: "Page " counter(page) " of " counter(pages); font: 6.5pt sans-serif; color: #555; }}
}}
.query, .long .scroll {{ display: none; }}
.paper {{ display: inline; }}
.summary {{ color: #555; margin: 2mm 0; }}
.tiles {{ display: block; }}
.tiles div {{ display: inline-block; width: 29%; margin: 0 1% 3mm 0; vertical-align: top; }}
.trouble dl div {{ display: table-row; }}
.trouble dt, .trouble dd {{ display: table-cell; padding: 1pt 8pt 1pt 0; }}
"""


def write_pdf(page: Path, target: Path) -> Path:
    """Write a report's page as PDF; each sheet names the manifest that vouches for the page.

    Raises:
        SevenfoldError: The renderer is not installed, or has nowhere to write.
    """
    try:
        import plutoprint
    except ImportError:
        raise SevenfoldError(
            "A PDF needs the package plutoprint, which is not installed here: `pip install plutoprint`, or print "
            f"{page} from a browser."
        ) from None
    footer = f"{page.parent.name}, SHA-256 of its manifest: {manifest_hash(page.parent)}"
    book = plutoprint.Book(plutoprint.PAGE_SIZE_A4)
    # Text, no address: what is rendered can ask for nothing.
    html = _unfolded(_without_links(page.read_text(encoding="utf-8")))
    book.load_html(html, STYLE.format(footer=footer))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        book.write_to_pdf(str(target))
    except (OSError, plutoprint.Error) as error:
        raise SevenfoldError(f"{target} cannot be written: {error}.") from None
    return target


def _without_links(html: str) -> str:
    """On paper a link leads nowhere, and the renderer complains of each."""
    return re.sub(r'(<a[^>]*?) href="[^"]*"', r"\1", html)


def _unfolded(html: str) -> str:
    """What is folded on the page as plain blocks, each under the words that unfold it there."""
    for tag, plain in (("details", "div"), ("summary", 'p class="summary"')):
        html = html.replace(f"<{tag} ", f"<{plain} ").replace(f"<{tag}>", f"<{plain}>")
        html = html.replace(f"</{tag}>", f"</{plain.split()[0]}>")
    return html
