"""What the commands have in common: which lake, landing zone and ledger, and what a date is."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pismo_lake import storage
from pismo_lake.contract_rules import ContractRules
from pismo_lake.deliveries import find_delivery
from pismo_lake.encryption import LakeKey
from pismo_lake.errors import ConfigError
from pismo_lake.layout import PublishDay, root_of
from pismo_lake.ledger import Ledger
from pismo_lake.privacy import Privacy, PrivacyKey, load_privacy
from pismo_lake.settings import LakeSettings


def add_lake_options(command: argparse.ArgumentParser) -> None:
    """The options that say which lake a command is about."""
    command.add_argument(
        "--deliveries", default=os.environ.get("PISMO_DELIVERIES"), metavar="FILE",
        help="take all that is not given of --delivery from a deliveries file (PISMO_DELIVERIES)",
    )  # fmt: skip
    command.add_argument("--lake", default=os.environ.get("PISMO_LAKE"), help="lake root (PISMO_LAKE)")
    command.add_argument("--landing", default=os.environ.get("PISMO_LANDING"), help="landing root (PISMO_LANDING)")
    command.add_argument("--ledger", default=os.environ.get("PISMO_LEDGER_URL"), help="URL (PISMO_LEDGER_URL)")
    command.add_argument(
        "--contracts", default=os.environ.get("PISMO_CONTRACTS"), metavar="FOLDER",
        help="JSON Schemas, <domain>/<event>-<version>.json (PISMO_CONTRACTS)",
    )  # fmt: skip
    command.add_argument(
        "--privacy", default=os.environ.get("PISMO_PRIVACY"), metavar="POLICY",
        help="strict or a policy file (PISMO_PRIVACY); its key is PISMO_PRIVACY_KEY, <key id>:<secret>",
    )  # fmt: skip
    command.add_argument(
        "--kms-key", default=os.environ.get("PISMO_LAKE_KMS_KEY"), metavar="KEY",
        help="encrypt the lake's files: id, ARN or alias of an AWS KMS key (PISMO_LAKE_KMS_KEY)",
    )  # fmt: skip
    command.add_argument("--delivery", help="name of the delivery (local)")


def opened(options: argparse.Namespace, *, new: bool = False) -> tuple[LakeSettings, Ledger]:
    """Settings and ledger; landing and ledger stand beside a local lake where they are not given.

    `ConfigError` where there is no such ledger, unless it may be a `new` one: what reads an empty ledger finds
    nothing wrong, and nothing at all.
    """
    settings, url = _of_deliveries(options) if _from_file(options) else _of_options(options)
    if not new:
        _refuse_missing(url)
    ledger = Ledger.open(url)
    ledger.run = "command line"
    return settings, ledger


def known(settings: LakeSettings, ledger: Ledger) -> None:
    """`ConfigError` where the ledger has no file of the delivery in the lake: nothing is amiss with a misspelt name."""
    there = ledger.deliveries(settings.lake)
    if settings.delivery not in there:
        told = f"it knows {', '.join(there)}" if there else "it knows no other"
        msg = f"the ledger has no file of delivery {settings.delivery!r} in {settings.lake} ({told})"
        raise ConfigError(msg)


def day(text: str) -> str:
    """A publish day as an argument."""
    try:
        return str(PublishDay.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def jobs(text: str) -> int:
    """A number of processes as an argument."""
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is not 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _from_file(options: argparse.Namespace) -> bool:
    # a lake that is named is the one that is meant, whatever the environment says of deliveries
    return bool(options.deliveries and options.delivery and not options.lake)


def _of_options(options: argparse.Namespace) -> tuple[LakeSettings, str]:
    if not options.lake:
        msg = "--lake is missing, or --deliveries with --delivery"
        raise ConfigError(msg)
    # a lake is known by its name: the same one wherever the command is called
    lake = root_of(options.lake)
    landing = root_of(options.landing) if options.landing else f"{lake}-landing"
    if not options.ledger and not storage.is_local(lake):
        msg = "--ledger is missing: a lake in an object store has no place for an SQLite file"
        raise ConfigError(msg)
    rules = ContractRules(folder=options.contracts)
    privacy, key = _privacy(options.privacy), _key(options.kms_key)
    name = options.delivery or "local"
    settings = LakeSettings(name, landing, lake, contracts=rules, privacy=privacy, key=key)
    return settings, options.ledger or f"sqlite:///{lake}-ledger.db"


def _of_deliveries(options: argparse.Namespace) -> tuple[LakeSettings, str]:
    """As the DAGs have it; what is in Airflow's connections comes from the environment here."""
    delivery = find_delivery(options.deliveries, options.delivery)
    url = options.ledger or delivery.ledger_url
    if not url:
        msg = f"the ledger of {delivery.name} is in Airflow's connection {delivery.ledger_conn_id}: give --ledger"
        raise ConfigError(msg)
    policy = _privacy(options.privacy or delivery.privacy)
    settings = replace(delivery.settings, privacy=policy, key=_key(options.kms_key or delivery.lake_kms_key))
    if options.landing:
        settings = replace(settings, landing=root_of(options.landing))
    return settings, url


def _refuse_missing(url: str) -> None:
    try:
        parsed = make_url(url)
    except ArgumentError:
        return  # whoever opens it says what is wrong with it
    path = parsed.database if parsed.get_backend_name() == "sqlite" else None
    if path and path != ":memory:" and not Path(path).exists():
        msg = f"there is no ledger {path}: is it the right lake, and the right --ledger?"
        raise ConfigError(msg)


def _key(kms_key: str | None) -> LakeKey | None:
    """The KMS key that files of the lake are encrypted with, reached by the machine's own AWS settings."""
    return LakeKey(kms_key, _kms) if kms_key else None


def _kms() -> Any:
    import boto3

    return boto3.client("kms")


def _privacy(policy: str | None) -> Privacy | None:
    """The policy named on the command line, with the key of the environment: a command line is seen by others."""
    if not policy:
        return None
    key = os.environ.get("PISMO_PRIVACY_KEY")
    return load_privacy(policy, PrivacyKey.parse(key) if key else None).checked()
