"""Define the connection type `pismo`: a feed to check before there is a delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from pismo_lake.settings.deliveries import Delivery

_USUAL_IDENTITY = {"s3": "aws_default", "sftp": "sftp_default", "gcs": "google_cloud_default"}


class PismoHook(BaseHook):
    """Check access to a feed; deliveries name their feed in their file, not by this connection."""

    conn_name_attr = "pismo_conn_id"
    default_conn_name = "pismo_default"
    conn_type = "pismo"
    hook_name = "Pismo"

    def __init__(self, pismo_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pismo_conn_id = pismo_conn_id

    def get_conn(self) -> Delivery:
        """Return the feed that the connection names, as a delivery that has no place for files.

        Raises:
            ConfigError: A field is missing or wrong.
        """
        from pydantic import ValidationError

        from pismo_lake.errors import ConfigError
        from pismo_lake.settings.channels import SOURCES, Channel, Environment
        from pismo_lake.settings.deliveries import Delivery

        given = {name: value for name, value in self.get_connection(self.pismo_conn_id).extra_dejson.items() if value}
        try:
            channel = Channel(given.get("channel", "s3"))
            wanted = SOURCES[channel].__dataclass_fields__.keys() & {
                "pismo_account_id",
                "region",
                "bucket",
                "endpoint_url",
            }
            return Delivery(
                name="connection",
                organisation=str(given["organisation"]),
                environment=Environment(given.get("environment", "sandbox")),
                channel=channel,
                conn_id=str(given.get("conn_id", _USUAL_IDENTITY[channel])),
                source=SOURCES[channel](**{name: given[name] for name in wanted & given.keys()}),
                landing="landing",
                lake="lake",
                ledger_url="sqlite://",
            )
        except KeyError as error:
            msg = f"connection {self.pismo_conn_id}: {error.args[0]} is missing"
            raise ConfigError(msg) from None
        except ValidationError as error:
            # its own text has the values
            problems = (f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
            msg = f"connection {self.pismo_conn_id}: {'; '.join(problems)}"
            raise ConfigError(msg) from None
        except ValueError as error:
            msg = f"connection {self.pismo_conn_id}: {error}"
            raise ConfigError(msg) from None

    def test_connection(self) -> tuple[bool, str]:
        """Run the doctor's checks of a feed for the *Test* button.

        Returns:
            Whether no check failed, and the results of all checks.
        """
        from pismo.checks.check import State
        from pismo.checks.doctor import examine_source
        from pismo_lake.errors import ConfigError

        try:
            checks = list(examine_source(self.get_conn()))
        except ConfigError as error:
            return False, str(error)
        lines = [f"{check.name}: {check.state.value}, {check.seen}" for check in checks]
        return not any(check.state is State.FAIL for check in checks), "; ".join(lines)
