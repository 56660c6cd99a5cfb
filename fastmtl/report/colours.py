"""The colours of figures, by what they stand for: the web page's, and those of report.css.

A figure is drawn in these, the light ones. Inside the report's page each becomes the style sheet's variable of the
same name, which the dark scheme has another colour for.
"""

from __future__ import annotations

PANEL, INK, MUTED, LINE = "#ffffff", "#1a2330", "#526072", "#d5dce6"
CHOSEN, POOL, CUT, GOOD, BAD = "#1f5fbf", "#a4b1c2", "#a8201a", "#176b40", "#a8201a"
SERIES = (CHOSEN, "#c2681a", "#17804b", "#8a3ab9", "#b0215e", "#5a6b00")

VARIABLES = {
    PANEL: "panel",
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    CHOSEN: "chosen",
    POOL: "pool",
    CUT: "cut",
    GOOD: "good",
    **{colour: f"series-{number}" for number, colour in enumerate(SERIES) if number},
}
"""Names of the style sheet's variables; two that share a colour in both schemes share a name."""
