"""A report as a document, in every form that finance asks for."""

from shared.reports.forms import render
from shared.reports.mail import mailed

__all__ = ["mailed", "render"]
