"""What `--save` writes for a family of processors: the tables, and the plot of ratio against size beside them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

from machine import family
from report import LEGEND, PEERS, Row, failures, render, tally

INDEX = Path(__file__).with_name("RESULTS.md")
RESULTS = Path(__file__).with_name("results")
COLOURS = {"numpy": "tab:blue", "torch": "tab:orange", "torch.compile": "tab:red", "jax.jit": "tab:green"}


def save(
    description: str,
    tables: Mapping[str, Sequence[Row]],
    curves: Mapping[str, Sequence[Row]],
    memory: str,
    notes: Sequence[str],
) -> None:
    """Writes both files: the machine, the date, every table, what failed, memory, the notes, and the plot."""
    name = family()
    plot = RESULTS / f"{name}.svg"
    draw(curves, plot)
    everything = [row for rows in tables.values() for row in rows]
    paragraphs = (
        "# Benchmark results",
        f"Written by `make bench ARGS=--save` on {datetime.date.today().isoformat()}.",
        description,
        LEGEND,
        tally(everything),
        f"![ratio against size]({plot.name})",
        *(f"## {title}\n\n{render(rows)}" for title, rows in tables.items()),
        f"## memory\n\n```text\n{memory.strip()}\n```",
        "\n".join(f"- {note}" for note in (*failures(everything), *notes)),
    )
    (RESULTS / f"{name}.md").write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    write_index()


def write_index() -> None:
    """RESULTS.md: what each family's file begins with."""
    parts = ["# Benchmark results"]
    for path in sorted(RESULTS.glob("*.md")):
        _, written, description, _, counted, *_ = path.read_text(encoding="utf-8").split("\n\n")
        parts += [f"## [{path.stem}]({RESULTS.name}/{path.name})", written, description, counted]
    INDEX.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def draw(curves: Mapping[str, Sequence[Row]], plot: Path) -> None:
    """The peers' times over relaxdsl's against the size: a panel for each curve."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "relaxdsl"  # the same figures give the same file
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(curves) // 2, 2, figsize=(11, 4 * (len(curves) // 2)), squeeze=False)
    for panel, (title, rows) in zip(panels.flat, curves.items(), strict=True):
        for peer in PEERS:
            points = [(int(row.workload), row.ratio(peer)) for row in rows if row.seconds and peer in row.peers]
            if points:
                panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=peer, color=COLOURS[peer])
        panel.axhline(1, color="black", linewidth=1)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_major_formatter("{x:g}×")
        panel.set(title=title, xlabel="n", ylabel="peer's time / relaxdsl's")
        panel.grid(alpha=0.3)
        panel.legend()
    figure.tight_layout()
    figure.savefig(plot, metadata={"Date": None})
