"""A report as a page that needs nothing else: no script, no font, no other server."""

from collections.abc import Callable, Iterable
from html import escape

from shared.figures.report import Report
from shared.reports import charts, drawing
from shared.reports.drawing import Drawing
from shared.reports.tables import Card, Table, cards, last_tables, subtitle, tables

_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;background:#F4F6F8;color:#1B2733;font:15px/1.5 system-ui,"Segoe UI",Roboto,Arial,sans-serif}
svg,img{font-family:inherit;display:block;width:100%;height:auto}
header{background:#1F3A5F;color:#fff;padding:28px 0}header h1{margin:0;font-size:26px}
header p{margin:4px 0 0;opacity:.85}
.in{max-width:1120px;margin:0 auto;padding:0 24px}
h2{font-size:20px;margin:36px 0 14px}h3{font-size:15px;margin:0 0 8px}
.cards{display:grid;grid-template-columns:repeat(4,1fr);gap:14px}
.card,.box{background:#fff;border:1px solid #E3E8ED;border-radius:8px;padding:14px 16px}
.card span{color:#66727F;font-size:13px}.card b{display:block;font-size:21px;font-variant-numeric:tabular-nums}
.card i{font-style:normal;font-size:12.5px;color:#66727F}.card i.good{color:#1E7F73}.card i.bad{color:#B23A22}
.charts{display:grid;grid-template-columns:1fr 1fr;gap:14px;margin-top:14px}
.box{margin-top:14px;overflow-x:auto}.charts .box{margin:0}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th{color:#66727F;font-weight:500;text-align:right;border-bottom:1px solid #C9D1D9;padding:4px 8px;white-space:nowrap}
td{text-align:right;padding:4px 8px;border-bottom:1px solid #EEF1F4}.t{text-align:left}
footer{color:#66727F;font-size:12.5px;padding:20px 0 40px;overflow-wrap:anywhere}
@media(max-width:800px){.cards{grid-template-columns:1fr 1fr}.charts{grid-template-columns:1fr}}
@media print{body{background:#fff}.box,.card{break-inside:avoid}}
"""
Draw = Callable[[Drawing], str]


def html_page(report: Report) -> bytes:
    """As one HTML file."""
    return page(report, drawing.svg).encode()


def page(report: Report, draw: Draw) -> str:
    """The page, with each chart as `draw` puts it."""
    title = f"Financial figures {report['from']} to {report['to']}"
    body = [
        f"<header><div class=in><h1>Financial figures</h1><p>{escape(subtitle(report))}</p></div></header>",
        "<main class=in>",
        *(part for currency in report["currencies"] for part in _currency(report, currency, draw)),
        "" if report["currencies"] else "<h2>Nothing happened in this period</h2>",
        *(_table(each) for each in last_tables(report)),
        f"<footer>Made at {escape(report['made_at'])}, compared with {report['before']['from']} to "
        f"{report['before']['to']}. Signed with key {escape(report['key_id'])}: {escape(report['signature'])}. "
        "<code>langsense verify-report</code> holds the JSON form to the journal.</footer></main>",
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"{''.join(body)}</body></html>\n"
    )


def _currency(report: Report, currency: str, draw: Draw) -> Iterable[str]:
    figures = report["currencies"][currency]
    yield f"<h2>{currency}</h2><div class=cards>{''.join(map(_card, cards(report, currency)))}</div>"
    drawn = "".join(f"<div class=box>{draw(each)}</div>" for each in charts.of_currency(currency, figures))
    yield f"<div class=charts>{drawn}</div>"
    yield from map(_table, tables(report, currency))


def _card(card: Card) -> str:
    kind = "" if card.good is None else ' class="good"' if card.good else ' class="bad"'
    return (
        f"<div class=card><span>{escape(card.name)}</span><b>{escape(card.value)}</b>"
        f"<i{kind}>{escape(card.change)}</i></div>"
    )


def _table(table: Table) -> str:
    if not table.rows:
        return ""

    def row(cells: Iterable[str], tag: str) -> str:
        made = (
            f"<{tag}{' class=t' if number < table.texts else ''}>{escape(cell)}</{tag}>"
            for number, cell in enumerate(cells)
        )
        return f"<tr>{''.join(made)}</tr>"

    rows = "".join(row(cells, "td") for cells in table.rows)
    return f"<div class=box><h3>{escape(table.title)}</h3><table>{row(table.heads, 'th')}{rows}</table></div>"
