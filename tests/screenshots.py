"""Write pictures of the pages for the documentation, each with the text that it shows: `make screenshots`.

    python -m tests.screenshots [folder with a lake that `make_page_lake` has made]

A test compares the texts with the pages of today, so that an old picture is found.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from html import unescape
from pathlib import Path

import uvicorn
from tests.page_lake import ROOT, make_page_lake
from tests.page_server import allow_everything, page_app
from tests.shots import LOOKS, browser
from tests.waiting import PATIENCE

PICTURES = ROOT / "docs" / "img" / "pages"
DELIVERY = "deliveries/cards_production"
PAGES = {
    "overview": "",
    "delivery": DELIVERY,
    "day": f"{DELIVERY}/days/2026-03-04",
    "today": f"{DELIVERY}/days/2026-03-05",
    "files": f"{DELIVERY}/files?hour=2026-03-05T09",
    "events": f"{DELIVERY}/events?event_id=7928dfe3-9863-4a43-bb3a-051292397545",
    "types": f"{DELIVERY}/types",
    "run": f"{DELIVERY}/run?dag=close&publish_day=2026-03-04&force=true",
    "started": f"{DELIVERY}/started?dag=close&run=manual__2026-03-05T10:19:00",
    "type": f"{DELIVERY}/types?event=pix/pix_in-1",
}
"""The addresses below /pismo/ by the name of the picture."""
TALLEST = 1600
"""The pictures end there: a long page shows its beginning."""


def visible_text(html: str, folder: Path) -> str:
    """Return the text of a page, a line for each piece, without the folder of the lake."""
    body = re.sub(r"<(style|title)\b.*?</\1>", "", html, flags=re.DOTALL)
    pieces = (unescape(piece).strip() for piece in re.split(r"<[^>]+>", body))
    return "\n".join(re.sub(r"\s+", " ", piece) for piece in pieces if piece).replace(str(folder), "/srv") + "\n"


def main() -> int:
    """Make the lake, serve it, and take the pictures."""
    given = Path(sys.argv[1]) if sys.argv[1:] else None
    folder = given or Path(tempfile.mkdtemp(prefix="pismo"))
    deliveries = given / "deliveries.yaml" if given else make_page_lake(folder)
    allow_everything(str(deliveries))
    # a proxy of the machine must not be asked for a page of the machine
    os.environ["NO_PROXY"] = "127.0.0.1"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(page_app(str(deliveries)), log_level="warning"))
        threading.Thread(target=server.run, args=([listener],), daemon=True).start()
        while not server.started:
            time.sleep(0.05)
        _take(f"http://127.0.0.1:{listener.getsockname()[1]}/pismo/", folder)
        server.should_exit = True
    if given is None:
        shutil.rmtree(folder)
    return 0


def _take(base: str, folder: Path) -> None:
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    with browser() as started:
        for look in LOOKS:
            context = started.new_context(viewport={"width": look.width, "height": 700}, color_scheme=look.scheme)
            page = context.new_page()
            page.set_default_timeout(PATIENCE * 1000)
            for name, path in PAGES.items():
                html = page.goto(base + path).text()
                height = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST)
                clip = {"x": 0, "y": 0, "width": look.width, "height": height}
                file = PICTURES / f"{name}-{look.name}.png"
                page.screenshot(path=file, full_page=True, clip=clip)
                _shrink(file)
                (PICTURES / f"{name}.txt").write_text(visible_text(html, folder))


def _shrink(file: Path) -> None:
    """Keep 256 colours, which is enough for letters and bars, and half of the bytes."""
    from PIL import Image

    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
