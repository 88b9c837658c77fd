"""Check texts that services accept in messages, attributes and headers."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEADER = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*", re.ASCII)


def xml_text(body: bytes) -> str | None:
    """Return a body as a text that AWS's services carry unchanged; None if it is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if is_xml_text(text) else None


def is_xml_text(text: str) -> bool:
    """Return whether a text has only characters of XML 1.0, as AWS's services demand.

    >>> is_xml_text("é"), is_xml_text(chr(1))
    (True, False)
    """
    return _NO_XML.search(text) is None


def header_text(text: str) -> str:
    """Return a text as the value of an HTTP header; any other text than plain ASCII is percent-encoded.

    >>> header_text("pix_in-1"), header_text("é")
    ('pix_in-1', '%C3%A9')
    """
    return text if _HEADER.fullmatch(text) else quote(text.encode("utf-8", "surrogatepass"), safe="")


def shown_url(url: str) -> str:
    """Return a URL without its user and its query, which may hold secrets.

    >>> shown_url("https://me:x@example.com/in?token=1")
    'https://example.com/in'
    """
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
