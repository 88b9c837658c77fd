"""Name a database by its Airflow connection."""

from __future__ import annotations

from airflow.sdk import BaseHook

_DRIVERS = {"postgres": "postgresql", "sqlite": "sqlite"}


def database_url(conn_id: str) -> str:
    """Return the SQLAlchemy URL of a connection to a database, with its password.

    Raises:
        ConfigError: the connection is of another type.
    """
    from pismo_lake.errors import ConfigError

    connection = BaseHook.get_connection(conn_id)
    if connection.conn_type not in _DRIVERS:
        msg = f"connection {conn_id}: type {connection.conn_type!r}, allowed: {', '.join(_DRIVERS)}"
        raise ConfigError(msg)
    from sqlalchemy.engine import URL

    url = URL.create(
        _DRIVERS[connection.conn_type],
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
    )
    return url.render_as_string(hide_password=False)
