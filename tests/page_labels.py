"""Find the parts of a page that a screen reader cannot name, or that a keyboard cannot reach."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})
_FIELDS = frozenset({"input", "select", "textarea"})
_NAMED = frozenset({"a", "button", "h1", "h2", "h3", "label", "summary", "svg"})


class _Reader(HTMLParser):
    """Keeps the open elements, and collects the faults; `headings` counts the main ones."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.headings = 0
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        shown = f"{self.get_starttag_text()} in line {self.getpos()[0]}"
        named = bool(given.get("aria-label") or given.get("aria-labelledby")) or given.get("aria-hidden") == "true"
        if tag in _FIELDS and given.get("type") != "hidden" and not named and "label" not in dict(self._open):
            self.faults.append(f"no label: {shown}")
        if tag == "img" and "alt" not in given:
            self.faults.append(f"no text instead of the picture: {shown}")
        if tag == "nav" and not named:
            self.faults.append(f"no name: {shown}")
        if tag == "html" and not given.get("lang"):
            self.faults.append(f"no language: {shown}")
        if int(given.get("tabindex") or 0) > 0 or "autofocus" in given:
            self.faults.append(f"another order for the keyboard: {shown}")
        if any(name.startswith("on") for name in given) or (tag == "a" and not given.get("href")):
            self.faults.append(f"not for the keyboard: {shown}")
        self.headings += tag == "h1"
        if tag not in _VOID:
            self._open.append((tag, named))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # others are elements of a drawing, which have no content
        if tag in _VOID:
            self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self._open = [(tag, True) for tag, _ in self._open]

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            found, named = self._open.pop()
            if found in _NAMED and not named:
                self.faults.append(f"a nameless {found} that ends in line {self.getpos()[0]}")
            if found == tag:
                return


def find_faults(html: str) -> list[str]:
    """Return a line for each part of a page that a screen reader cannot name, or that a keyboard cannot reach."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.faults + ([] if reader.headings == 1 else [f"{reader.headings} main headings"])
