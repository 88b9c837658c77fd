"""Tell Airflow what the installed wheel adds to it; the plugins folder without the wheel works too."""

from pismo.provider.info import get_provider_info

__all__ = ["get_provider_info"]
