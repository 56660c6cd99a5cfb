"""How the trainings went, on the report's page: what the method trained, TO-MTDNN, and fine-tuning."""

from __future__ import annotations

from fastmtl.plan import Json
from fastmtl.report.figures import MOST_CURVES
from fastmtl.report.markup import Column, Markup, element
from fastmtl.report.sections import Columns, View, drawn, numbers_table, section

TOLD = {
    "method_losses": "Of what the methods trained to score the rows.",
    "target_losses": "Of TO-MTDNN, on the primary and each arm's rows; the mean over its repetitions.",
    "losses": "Of fine-tuning on the primary alone, the last training of every arm; the mean over its repetitions.",
}


def trained(view: View) -> Markup | None:
    """Make the section; nothing where no training is known."""
    parts = [_losses(view, name, told) for name, told in TOLD.items() if name in view.numbers]
    return section("How the trainings went", *parts) if parts else None


def _losses(view: View, name: str, told: str) -> Markup:
    found = view.numbers[name]
    lines = [{**each, "name": line_name(each)} for each in found["lines"]]
    said = "; ".join(f"{each['name']} from {each['losses'][0]:.3g} to {each['losses'][-1]:.3g}" for each in lines)
    columns: Columns = (
        Column("Step" if "step" in lines[0] else "Arm", lambda each: each["name"]),
        Column("Loss, epoch by epoch", lambda each: ", ".join(f"{loss:.4f}" for loss in each["losses"])),
    )
    beside = numbers_table(found["title"], columns, lines)
    return element(
        "div",
        element("p", told),
        drawn(view, name, said, min(len(lines), MOST_CURVES), len(lines), beside),
        class_="part",
    )


def line_name(line: Json) -> str:
    """Return what a curve is called: its arm, or its step."""
    name: str = line.get("arm") or line["step"]
    return name
