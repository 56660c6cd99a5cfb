"""Draws the figures of docs/how-it-works.md.

    python docs/figures.py

They are ours, after the paper's picture of its framework; nothing is copied. The same script writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
INK, MUTED, LINE, PANEL = "#1d2733", "#5b6773", "#8a97a5", "#ffffff"
PRIMARY, AUXILIARY, SHARED, TOLD = "#0072B2", "#E69F00", "#e8eef4", "#00664d"
TASKS = (("primary", PRIMARY), ("auxiliary 1", AUXILIARY), ("auxiliary T−1", AUXILIARY))


class Canvas:
    """A picture in pixels; y falls."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size, self._title = (width, height), title
        self._parts: list[str] = []

    def box(self, x: int, y: int, width: int, height: int, text: str, fill: str, ink: str = INK) -> None:
        """Draw a box with lines of text in its middle."""
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{LINE}"/>'
        )
        lines = text.split("\n")
        for index, line in enumerate(lines):
            self.text(x + width // 2, y + height // 2 + 5 + 17 * index - 17 * (len(lines) - 1) // 2, line, ink)

    def text(self, x: int, y: int, text: str, ink: str = INK, anchor: str = "middle", weight: str = "normal") -> None:
        """Write a line."""
        style = f'text-anchor="{anchor}" font-weight="{weight}" fill="{ink}"'
        self._parts.append(f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>')

    def arrow(self, *points: tuple[int, int]) -> None:
        """Draw a line from point to point, with a head at its end."""
        path = " ".join(f"{x},{y}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{MUTED}" stroke-width="1.5" marker-end="url(#head)"/>'
        )

    def bar(self, x: int, y: int, width: int, fill: str, *, kept: bool = True) -> None:
        """Draw a row of data as a bar."""
        shade = "1" if kept else "0.3"
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="10" rx="2" fill="{fill}" opacity="{shade}"/>'
        )

    def svg(self) -> str:
        """Return the picture."""
        width, height = self._size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="Helvetica, Arial, sans-serif" font-size="14"><title>{escape(self._title)}</title>'
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{MUTED}"/></marker></defs>'
            f'<rect width="{width}" height="{height}" rx="8" fill="{PANEL}"/>'
        )
        return head + "\n" + "\n".join(self._parts) + "\n</svg>\n"


def td_mtdnn() -> Canvas:
    """Draw one encoder, a head a task, and the discriminator that tells the tasks apart."""
    canvas = Canvas(840, 300, "TD-MTDNN: a shared encoder with one head a task and a task discriminator")
    canvas.text(100, 30, "at most 500 rows of each task", MUTED)
    for index, (name, colour) in enumerate(TASKS):
        top = 50 + 80 * index
        canvas.box(20, top, 160, 56, name, colour, "#ffffff" if colour == PRIMARY else INK)
        canvas.arrow((180, top + 28), (250, top + 28))
        canvas.box(500, top, 150, 40, f"head of {name}", SHARED)
        canvas.arrow((410, top + 20), (500, top + 20))
        canvas.arrow((650, top + 20), (710, top + 20))
    canvas.box(250, 50, 160, 216, "shared encoder\n\nh(x)", SHARED)
    canvas.box(710, 50, 110, 200, "task loss\n\nof the row's\nown task", PANEL)
    canvas.box(500, 262, 150, 32, "task discriminator", TOLD, "#ffffff")
    canvas.arrow((330, 266), (330, 278), (500, 278))
    canvas.arrow((650, 278), (708, 278))
    canvas.text(765, 283, "which task?")
    return canvas


def selection() -> Canvas:
    """Draw how every auxiliary row is scored, and the best N of one pool kept."""
    canvas = Canvas(840, 270, "Scoring and selection: the best N rows of one pool")
    canvas.text(95, 30, "every auxiliary row", MUTED)
    for index, (top, shade) in enumerate(((50, "auxiliary 1"), (150, "auxiliary T−1"))):
        canvas.text(95, top + 78, shade)
        for row in range(5):
            canvas.bar(30, top + 13 * row, 130 - 14 * ((row * 3 + index) % 4), AUXILIARY)
    canvas.arrow((175, 130), (235, 130))
    canvas.box(235, 90, 150, 80, "task discriminator\nof TD-MTDNN", TOLD, "#ffffff")
    canvas.arrow((385, 130), (465, 130))
    canvas.text(425, 118, "s(x)", INK)
    canvas.text(560, 30, "one pool, best first", MUTED)
    for row in range(12):
        canvas.bar(480, 50 + 15 * row, 170 - 12 * row, AUXILIARY, kept=row < 5)
    canvas.arrow((660, 124), (475, 124))
    canvas.text(668, 129, "N", INK, "start", "bold")
    canvas.arrow((655, 70), (715, 70))
    canvas.box(715, 45, 110, 56, "the N rows", AUXILIARY)
    canvas.text(560, 250, "left out: rows that trained it, and rows that stand among those measured on", MUTED)
    return canvas


def to_mtdnn() -> Canvas:
    """Draw the target-oriented network, then the primary alone, then the report."""
    canvas = Canvas(840, 250, "TO-MTDNN, fine-tuning and the report, with an arm without auxiliary rows beside it")
    canvas.box(20, 30, 150, 50, "primary", PRIMARY, "#ffffff")
    canvas.box(20, 95, 150, 40, "the N rows", AUXILIARY)
    canvas.arrow((170, 55), (230, 70))
    canvas.arrow((170, 115), (230, 95))
    canvas.box(230, 45, 150, 76, "TO-MTDNN\na fresh encoder", SHARED)
    canvas.arrow((380, 83), (430, 83))
    canvas.box(430, 45, 150, 76, "fine-tuning\non the primary", SHARED)
    canvas.arrow((580, 83), (640, 105))
    canvas.box(20, 175, 150, 50, "primary alone", PRIMARY, "#ffffff")
    canvas.arrow((170, 200), (230, 200))
    canvas.box(230, 165, 350, 70, "the same, with as many optimiser steps\nand the same seeds", SHARED)
    canvas.arrow((580, 200), (640, 150))
    canvas.box(640, 85, 180, 86, "rows that no training\nhas seen, read once:\ndid the rows help?", TOLD, "#ffffff")
    return canvas


FIGURES: dict[str, Callable[[], Canvas]] = {
    "how-td-mtdnn.svg": td_mtdnn,
    "how-selection.svg": selection,
    "how-to-mtdnn.svg": to_mtdnn,
}

if __name__ == "__main__":
    for name, draw in FIGURES.items():
        (FOLDER / name).write_text(draw().svg())
