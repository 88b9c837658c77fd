"""Where each event of a landed file is, and which of its copies wins."""
