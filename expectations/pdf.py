"""The page of a report as PDF, for who signs on paper: unfolded, without the queries; of long lists where they are."""

import re
from pathlib import Path

from expectations.report_folders import manifest_hash
from sevenfold.errors import SevenfoldError

MARGIN = 14 / 25.4 * 72  # of 14 mm, in points
# Beside the page's own style for paper. The renderer knows no grid, and nothing of what is folded. It shrinks the whole
# book to what sticks out of a page, so nothing may: long words break, and no cell keeps to one line. It leaves a
# heading alone at a page's foot, unless the room of what follows is the heading's own.
STYLE = """
@page {{
    size: A4; margin: 14mm 14mm 18mm;
    @bottom-left {{ content: "{footer}"; font: 7pt sans-serif; color: #555; width: 440pt; }}
    @bottom-right {{ content: "Page " counter(page) " of " counter(pages); font: 7pt sans-serif; color: #555; }}
}}
table {{ font-size: 8pt; }}
.caption {{ color: #5d6763; margin: 2mm 0 -31mm; }}
h2, h3 {{ margin-bottom: -40mm; padding-bottom: 42mm; break-inside: avoid; }}
.caption {{ padding-bottom: 32mm; break-inside: avoid; }}
.pair > div, table.sign {{ break-inside: avoid; }}
#signature {{ break-before: page; }}
.caption, thead th, .badge, td small, .rule, td.moment, code, table tr.said td {{ font-size: 7.5pt; }}
.scroll table:has(thead th:nth-child(10)) :is(th, td, .rule, small, code) {{ font-size: 7pt; }}
td small, td.moment, .badge, #access th code {{ white-space: normal; }}
code.hash, code.path {{ display: inline; }}
.query, .long .scroll {{ display: none; }}
.paper {{ display: inline; }}
.summary {{ color: #555; margin: 2mm 0; }}
.tiles {{ display: block; }}
.tiles div {{ display: inline-block; width: 29%; margin: 0 1% 3mm 0; vertical-align: top; }}
.trouble dl div {{ display: table-row; font-size: 8.5pt; line-height: 1.35; }}
.trouble dt, .trouble dd {{ display: table-cell; padding: 1pt 8pt 1pt 0; }}
.trouble .rule {{ font-size: 8.5pt; }}
.trouble dt {{ white-space: nowrap; }}
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
    # The width that fits is reckoned by these margins, whatever the style says.
    margins = plutoprint.PageMargins(MARGIN, MARGIN, MARGIN, MARGIN)
    book = plutoprint.Book(plutoprint.PAGE_SIZE_A4, margins)
    # Text, no address: what is rendered can ask for nothing.
    html = _breakable(_unfolded(_without_links(page.read_text(encoding="utf-8"))))
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


def _breakable(html: str) -> str:
    """Paths, hashes and names with places where a line may end; the renderer finds none in them by itself."""

    def broken(found: re.Match[str]) -> str:
        return found[1] + re.sub(r"[/_-]|[^\s&;/_-]{12}", r"\g<0><wbr>", found[2])

    return re.sub(r"(<(?:code|small)\b[^>]*>)([^<]+)", broken, html)


def _unfolded(html: str) -> str:
    """What is folded on the page as plain blocks, each under the words that unfold it there; captions before tables.

    Of a table that begins between its caption and its head the renderer prints the head twice, one over the other.
    """
    for tag, plain in (("details", "div"), ("summary", 'p class="summary"')):
        html = html.replace(f"<{tag} ", f"<{plain} ").replace(f"<{tag}>", f"<{plain}>")
        html = html.replace(f"</{tag}>", f"</{plain.split()[0]}>")
    return re.sub(r"(<table[^>]*>)\s*<caption>(.*?)</caption>", r'<p class="caption">\2</p>\1', html, flags=re.DOTALL)
