"""Figures of the ledger: what counts as what, and how totals become a report.

It stands on plain values, so that the service that keeps totals and whoever recomputes them from the journal say the
same by the same words: `rules` what a row counts as, `facts` the sums that a period's figures are made of, `figures`
the figures, `report` the signed document.
"""
