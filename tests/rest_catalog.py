"""Serve a catalog by the REST protocol of Iceberg, over pyiceberg's catalog in SQL, with a token or a credential.

No server of the protocol can be had as a package for tests. This one has the part that pyiceberg's client uses: the
configuration, a token, namespaces, and to list, load, create and commit tables.
"""

from __future__ import annotations

import json
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from pyiceberg.catalog.rest import (
    ConfigResponse,
    CreateTableRequest,
    ListNamespaceResponse,
    ListTableResponseEntry,
    ListTablesResponse,
    NamespaceResponse,
    TableResponse,
)
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
)
from pyiceberg.table import CommitTableRequest, StagedTable
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyiceberg.typedef import IcebergBaseModel

WAREHOUSE = "lake_of_tests"
CLIENT, SECRET = "airflow", "hush-hush"
TOKEN = "token-of-the-catalog"
_STATUS = {
    NoSuchTableError: 404, NoSuchNamespaceError: 404, NamespaceAlreadyExistsError: 409, CommitFailedException: 409,
}  # fmt: skip


class RestCatalog(ThreadingHTTPServer):
    """The server; it notes each request, and refuses those without the token."""

    daemon_threads = True

    def __init__(self, folder: Path, **store: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        place = {"uri": f"sqlite:///{folder}/served.db", "warehouse": f"file://{folder}/served"}
        self.catalog = SqlCatalog("served", **place, **store)
        self.one_at_a_time, self.requests = threading.Lock(), list[str]()

    @property
    def port(self) -> int:
        """The port on the loopback address."""
        return self.server_address[1]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> IcebergBaseModel | None:
        """Return the answer to a request; None has no content."""
        match method, path.removeprefix("/v1/").split("/"):
            case "GET", ["config"]:
                assert query.get("warehouse", [WAREHOUSE]) == [WAREHOUSE], query
                return ConfigResponse()
            case "GET", ["namespaces"]:
                return ListNamespaceResponse(namespaces=self.catalog.list_namespaces())
            case "POST", ["namespaces"]:
                asked = NamespaceResponse.model_validate_json(body)
                self.catalog.create_namespace(asked.namespace)
                return asked
            case "GET", ["namespaces", space]:
                self.catalog.load_namespace_properties(unquote(space))
                return NamespaceResponse(namespace=(unquote(space),))
            case "GET", ["namespaces", space, "tables"]:
                found = self.catalog.list_tables(unquote(space))
                return ListTablesResponse(
                    identifiers=[ListTableResponseEntry(name=name[-1], namespace=name[:-1]) for name in found]
                )
            case "POST", ["namespaces", space, "tables"]:
                return self._stage(unquote(space), CreateTableRequest.model_validate_json(body))
            case "GET", ["namespaces", space, "tables", name]:
                table = self.catalog.load_table((unquote(space), unquote(name)))
                return TableResponse(metadata_location=table.metadata_location, metadata=table.metadata)
            case "POST", ["namespaces", space, "tables", name]:
                return self._commit((unquote(space), unquote(name)), CommitTableRequest.model_validate_json(body))
        raise NotImplementedError(method, path)

    def _stage(self, space: str, asked: CreateTableRequest) -> IcebergBaseModel:
        """Return the metadata of a new table; the commit makes it."""
        assert asked.stage_create
        staged = self.catalog.create_table_transaction(
            (space, asked.name), asked.table_schema, location=asked.location, properties=asked.properties
        )
        return TableResponse(metadata=staged.table_metadata)

    def _commit(self, name: tuple[str, str], asked: CommitTableRequest) -> IcebergBaseModel:
        try:
            table = self.catalog.load_table(name)
        except NoSuchTableError:
            # the requirements of a new table say that there is none
            table = StagedTable(name, None, "", None, self.catalog)  # type: ignore[arg-type]
        return self.catalog.commit_table(table, asked.requirements, asked.updates)


class _Handler(BaseHTTPRequestHandler):
    server: RestCatalog

    def do_GET(self) -> None:
        self._take("GET")

    def do_POST(self) -> None:
        self._take("POST")

    def _take(self, method: str) -> None:
        place, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(f"{method} {place.path}")
        if place.path == "/v1/oauth/tokens":
            asked = parse_qs(body.decode())
            if (asked["client_id"], asked["client_secret"]) == ([CLIENT], [SECRET]):
                token = {"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600}
                self._send(200, json.dumps(token))
            else:
                self._send(401, json.dumps({"error": "invalid_client", "error_description": "no such client"}))
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "NotAuthorizedException", "no token")
        else:
            try:
                with self.server.one_at_a_time:
                    answer = self.server.answer(method, place.path, parse_qs(place.query), body)
            except tuple(_STATUS) as error:
                self._refuse(_STATUS[type(error)], type(error).__name__, str(error))
            else:
                self._send(200, answer.model_dump_json(by_alias=True) if answer is not None else "")

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._send(status, json.dumps({"error": {"message": message, "type": kind, "code": status}}))

    def _send(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_rest_catalog(folder: Path, **store: str) -> Iterator[RestCatalog]:
    """Run a catalog on a free port, which keeps its table of tables in a folder; `store` opens S3."""
    server = RestCatalog(folder, **store)
    with closing(server.catalog), serving(server):
        yield server
