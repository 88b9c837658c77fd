"""Register the pages of the lake with Airflow, if these plugins are a checkout.

An installed package registers them itself, by its entry point. Airflow would report a second plugin of the same name.
"""

from __future__ import annotations

from importlib.metadata import entry_points

if not any(entry.value.startswith("pismo.ui.") for entry in entry_points(group="airflow.plugins")):
    from pismo.ui.plugin import PismoPages  # noqa: F401 - Airflow looks for the class in this module
