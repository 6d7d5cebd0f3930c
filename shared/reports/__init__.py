"""A report as a document, in every form that finance asks for."""

from shared.reports.forms import render

__all__ = ["render"]
