"""Start each kind of store on this machine, with access to it past the storage layer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import pytest
import requests
from azure.storage.blob import BlobServiceClient
from google.auth.credentials import AnonymousCredentials
from tests.waiting import until

from pismo_lake import storage
from pismo_sandbox.gcp.storage import free_port, running_gcs
from pismo_sandbox.s3.odd_store import KEY, SECRET, OddStore, running_store

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "our-lake"
KINDS = ("local", "s3", "gs", "abfss")
AZURITE = Path(__file__).parents[1] / ".azurite" / "node_modules" / ".bin" / "azurite-blob"
AZURE_ACCOUNT, AZURE_KEY = "ourlake", "b3VyLWxha2UncyBrZXksIG5vdCBhIHJlYWwgb25l"


class Hand(Protocol):
    """Act in a store as another program."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""

    def delete(self, name: str) -> None:
        """Remove a file."""

    def names(self) -> list[str]:
        """All names of files in the place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A root for tests, the hand of others in it, and how a process connects to it."""

    kind: str
    root: str
    hand: Hand
    options: dict[str, Any]

    def configure(self) -> None:
        """Connect this process."""
        configure(self.kind, self.options)

    def process(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a program in another process, with `storage` connected to this place.

        The program finds `arguments` in `sys.argv`.
        """
        start = (
            "import json, sys; from tests.stores import configure; from pismo_lake import storage;"
            "configure(sys.argv[1], json.loads(sys.argv[2]));"
        )
        path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
        command = [sys.executable, "-c", f"{start}\n{code}", self.kind, json.dumps(self.options), *arguments]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
        )


def configure(kind: str, options: dict[str, Any]) -> None:
    """Connect this process to a kind of store."""
    if kind == "s3":
        storage.configure("s3", lambda: options)
    if kind == "abfss":
        storage.configure("abfss", lambda: options)
    if kind == "gs":
        google = {"project": "our-project", "credentials": AnonymousCredentials(), "client_options": options}  # type: ignore[no-untyped-call]
        storage.configure("gs", lambda: google)


class _Azure:
    def __init__(self, options: dict[str, Any]) -> None:
        self._container = BlobServiceClient(**options).get_container_client(BUCKET)
        self._container.create_container()

    def put(self, name: str, data: bytes) -> None:
        folder = {"hdi_isfolder": "true"} if name.endswith("/") else {}
        # as a hierarchical namespace shows a folder
        self._container.upload_blob(name.rstrip("/"), data, overwrite=True, metadata=folder)

    def delete(self, name: str) -> None:
        self._container.delete_blob(name)

    def names(self) -> list[str]:
        return sorted(self._container.list_blob_names())


@contextmanager
def running_azurite(folder: Path) -> Iterator[dict[str, Any]]:
    """Run the emulator, in memory, with an account of ours; give the options of a client."""
    port = free_port()
    log = folder / "azurite.log"
    command = [
        AZURITE,
        "--inMemoryPersistence",
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
        "--skipApiVersionCheck",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--disableTelemetry"], stdout=output, stderr=output, cwd=folder,
            env=os.environ | {"AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"},
        )  # fmt: skip
    try:
        until(lambda: b"successfully listen" in log.read_bytes() or process.poll() is not None, log.read_text)
        yield {"account_url": f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}", "credential": AZURE_KEY}
    finally:
        process.terminate()
        process.wait()


class _Disk:
    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delete(self, name: str) -> None:
        (self._root / name).unlink()

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self._root)) for path in self._root.rglob("*") if path.is_file())


class _S3:
    def __init__(self, store: OddStore) -> None:
        self._client, self._bucket = store.other(), store.bucket

    def put(self, name: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=name, Body=data)

    def delete(self, name: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=name)

    def names(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        return sorted(one["Key"] for page in pages for one in page.get("Contents", ()))


class _Google:
    def __init__(self, endpoint: str) -> None:
        self._endpoint, self._objects = endpoint, f"{endpoint}/storage/v1/b/{BUCKET}/o"

    def put(self, name: str, data: bytes) -> None:
        upload = f"{self._endpoint}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(name, safe='')}"
        requests.post(upload, data=data, timeout=60).raise_for_status()

    def delete(self, name: str) -> None:
        requests.delete(f"{self._objects}/{quote(name, safe='')}", timeout=60).raise_for_status()

    def names(self) -> list[str]:
        return sorted(one["name"] for one in requests.get(self._objects, timeout=60).json().get("items", ()))


@contextmanager
def running_place(kind: str, folder: Path) -> Iterator[Place]:
    """Serve a store of a kind until the block ends."""
    if kind == "local":
        yield Place(kind, str(folder), _Disk(folder), {})
    elif kind == "s3":
        with running_store() as store:
            region = {"region_name": "us-east-1"}
            options = {"key": KEY, "secret": SECRET, "endpoint_url": store.endpoint, "client_kwargs": region}
            yield Place(kind, f"s3://{store.bucket}", _S3(store), options)
    elif kind == "abfss":
        if not AZURITE.exists():
            pytest.skip("no Azurite on this machine: scripts/azurite installs it")
        with running_azurite(folder) as options:
            host = f"{BUCKET}@{AZURE_ACCOUNT}.dfs.core.windows.net"
            yield Place(kind, f"abfss://{host}", _Azure(options), options)
    else:
        with running_gcs() as gcs:
            requests.post(f"{gcs.endpoint}/storage/v1/b", json={"name": BUCKET}, timeout=30).raise_for_status()
            yield Place(kind, f"gs://{BUCKET}", _Google(gcs.endpoint), {"api_endpoint": gcs.endpoint})
