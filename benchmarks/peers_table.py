"""The table and the plot of `benchmarks peers`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_BEGIN, _END = "<!-- peers -->", "<!-- /peers -->"


def write_results(document: dict[str, Any], root: Path | None) -> str:
    """Print the results as Markdown; with `root`, also write them into its documentation."""
    text = _table(document)
    if root is not None:
        page = root / "docs" / "explanation" / "peers.md"
        before = page.read_text() if page.exists() else f"{_BEGIN}\n{_END}\n"
        head, rest = before.split(_BEGIN)
        page.write_text(f"{head}{_BEGIN}\n{text}\n{_END}{rest.split(_END)[1]}")
        (root / "docs" / "explanation" / "peers.json").write_text(json.dumps(document, indent=1) + "\n")
        _plot(document["results"], root / "docs" / "img" / "peers.png")
    return text


def _table(document: dict[str, Any]) -> str:
    results = document["results"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(document["versions"].items()))
    size = f"{results[0]['megabytes']:.0f} MB, {results[0]['events']:,} events, best of {document['rounds']}"
    lines = [
        f"{size}; {document['machine']}, Python {document['python']}; {versions}.",
        "",
        "| | cores | MB/s | events/s | CPU s | peak MiB | output MB | wrong in the clean feed | in the damaged feed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        speed = result["megabytes"] / result["seconds"]
        rate = result["events"] / result["seconds"]
        lines.append(
            f"| {result['name']} | {result['cores']} | {speed:.1f} | {rate:,.0f} | {result['cpu']:.0f} "
            f"| {result['peak_mib']:.0f} | {result['output_mb']:.0f} | {_name_wrong(result)} | {result['damaged']} |"
        )
    lines += ["", _floor(document)]
    return "\n".join(lines)


def _floor(document: dict[str, Any]) -> str:
    """Return the floor, and the share of it that this project reaches on one core."""
    floor, first = document["floor"], document["results"][0]
    size, seconds = first["megabytes"], floor["parsing"] + floor["encoding"]
    parts = " and ".join(f"{1e3 * floor[part] / size:.1f}" for part in ("parsing", "encoding"))
    text = (
        "The floor on one core, pyarrow's parse of the same events with their final schema and its Parquet writer, "
        f"nothing else: {size / seconds:.1f} MB/s ({parts} ms a MB)"
    )
    if first["name"] == "pismo_lake" and first["cores"] == 1:
        text += f"; pismo_lake reaches {seconds / first['seconds']:.0%} of it"
    return f"{text}."


def _name_wrong(result: dict[str, Any]) -> str:
    if result["failed"]:
        return f"fails: {result['failed']}"
    wrong = result["wrong"]
    if wrong is None:
        return ""
    said = [
        f"{wrong[name]:,} {what}"
        for name, what in (
            ("lost", "events lost"), ("doubled", "doubled"), ("missing", "values missing"),
            ("digits", "numbers with other digits"), ("retyped", "texts of another type"),
            ("floats", "decimals as doubles"),
        )
        if wrong[name]
    ]  # fmt: skip
    return (", ".join(said) or "nothing") + f" ({wrong['values']:,} values compared)"


def _plot(results: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mine = [result for result in results if result["cores"] == results[0]["cores"] and not result["failed"]]
    mine.sort(key=lambda result: result["megabytes"] / result["seconds"])
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(mine) + 1.2))
    exact = [not _is_inexact(result["wrong"]) for result in mine]
    bars = axes.barh(
        [result["name"] for result in mine], [result["megabytes"] / result["seconds"] for result in mine],
        color=["#1f6f54" if fine else "#c9ccd1" for fine in exact],
    )  # fmt: skip
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_xlabel("MB/s of raw events on one core (green: every value exact)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _is_inexact(wrong: dict[str, int]) -> bool:
    return any(wrong[name] for name in ("lost", "doubled", "missing", "digits", "retyped", "floats"))
