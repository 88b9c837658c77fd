"""Make HTML for people: one style, one set of charts and tables, for reports and pages."""
