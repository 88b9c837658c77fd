"""Describe the installed wheel to Airflow; the plugins folder works without the wheel too."""

from pismo.provider.info import get_provider_info

__all__ = ["get_provider_info"]
