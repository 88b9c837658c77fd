"""Make HTML for people: one style, one set of charts and tables, for reports and pages."""

from pismo_lake.html.render import environment

__all__ = ["environment"]
