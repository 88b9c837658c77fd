"""Follow the references of JSON schemas.

A module of its own, because most commands read no schema, and its library is slow to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7

from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from referencing._core import Resolver

ERRORS = (Unresolvable, ConfigError, AttributeError, TypeError, ValueError, RecursionError)
"""The errors of a schema that cannot be used: the library raises those of Python for hostile ones."""


def resolver_of(document: Any, uri: str, read: Callable[[str], Any]) -> Resolver[Any]:
    """Return the resolver of a schema with this URI; `read` returns the document of another URI."""

    def retrieve(other: str) -> Resource[Any]:
        return Resource.from_contents(read(other), default_specification=DRAFT7)

    registry: Registry[Any] = Registry(retrieve=retrieve)  # type: ignore[call-arg]
    resource = Resource.from_contents(document, default_specification=DRAFT7)
    resolver: Resolver[Any] = registry.with_resource(uri, resource).resolver(uri)
    return resolver


def reason_of_schema(error: BaseException) -> str:
    """Return why a schema cannot be used; an error of the resolver hides the reason of `read`."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ConfigError):
            return str(found)
        found = found.__cause__
    if isinstance(error, Unresolvable):
        return f"$ref to {error.ref}, which is not there"
    return str(error) or type(error).__name__
