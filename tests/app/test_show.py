"""What the command shows of a job: text as a terminal, and as a log, gets it."""

import io

import pytest
from rich.console import Console

from app.show import arms_table, follow, selection_table, sentences

RUNNING = {"done": 50, "total": 200, "unit": "rows", "per_second": 25.0, "seconds_left": 6.0, "message": "epoch 1 of 3"}


def step(name, status, progress=None, reused=False, seconds=None):
    return {"name": name, "status": status, "progress": progress, "reused": reused, "seconds": seconds}


def state(progress, *steps, left=None):
    return {"progress": progress, "seconds_left": left, "steps": list(steps)}


STATES = [
    state(0.0, step("score 1/1", "succeeded", reused=True), step("target", "queued")),
    state(0.3, step("score 1/1", "succeeded", reused=True), step("target", "running", RUNNING), left=70.0),
    state(1.0, step("score 1/1", "succeeded", reused=True), step("target", "succeeded", seconds=3_725.0)),
]


def shown(draw, terminal=False):
    out = io.StringIO()
    draw(Console(file=out, force_terminal=terminal, width=120, color_system=None))
    return out.getvalue()


def test_a_log_gets_one_line_a_finished_step():
    told = shown(lambda console: follow(STATES, console))
    assert [line.split(maxsplit=2) for line in told.splitlines() if line.strip()] == [
        ["score", "1/1", "done before, reused"],
        ["target", "done", "in 1:02:05"],
    ]


def test_a_terminal_gets_the_step_its_rate_and_the_time_left():
    told = shown(lambda console: follow(STATES[:2], console), terminal=True)
    assert "25 rows/s, 0:06 left, epoch 1 of 3" in told
    assert "about 1:10 left" in told


def test_the_last_state_is_returned():
    assert follow(STATES, Console(file=io.StringIO())) is STATES[-1]


def test_the_selection_is_set_beside_a_random_draw():
    one = {"rows": 2_000, "eligible": 1_500, "selected": 30, "share": 0.3, "random_share": 0.75}
    two = {"rows": 1_000, "eligible": 1_000, "selected": 70, "share": 0.7, "random_share": 0.25}
    told = shown(lambda console: console.print(selection_table({"one": one, "two": two}, "100 rows")))
    rows = [line.split("│") for line in told.splitlines() if "│" in line and "%" in line]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["two", "1,000", "1,000", "70", "70.0 %", "25.0 %", "2.8"],
        ["one", "2,000", "1,500", "30", "30.0 %", "75.0 %", "0.4"],
    ]


@pytest.mark.parametrize(("value", "told"), [(0.695, "69.5"), (None, "-")])
def test_the_arms_are_told_apart_on_the_same_rows(value, told):
    arm = {
        **{"metrics": {"accuracy": value}, "spread": {"accuracy": None}, "repeats": [{}]},
        **{"measured_on": "validation", "rows": {"measured": 277}},
    }
    report = {"arms": {"selection": arm, "primary_only": arm}, "costs": {"selection": {"seconds": 65.0}}}
    text = shown(lambda console: console.print(arms_table(report)))
    assert "on 277 validation rows" in text
    assert [line.split("│")[2].strip() for line in text.splitlines() if "auxiliary" in line] == [told]


def test_several_seeds_are_shown_with_their_spread_and_what_choosing_took():
    selection = {
        **{"metrics": {"accuracy": 0.7}, "spread": {"accuracy": 0.0125}, "repeats": [{}] * 3},
        **{"measured_on": "holdout", "rows": {"measured": 40}},
    }
    alone = {**selection, "metrics": {"accuracy": 0.65}, "spread": {"accuracy": 0.02}}
    report = {"arms": {"selection": selection, "primary_only": alone}, "costs": {"selection": {"seconds": 65.0}}}
    text = shown(lambda console: console.print(arms_table(report)))
    assert "on 40 holdout rows, mean ± standard deviation of 3 seeds" in " ".join(text.split())
    rows = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in text.splitlines() if "│" in line]
    assert rows == [["the selected rows", "70.0 ± 1.2", "1:05"], ["no auxiliary rows", "65.0 ± 2.0"]]


def test_a_report_is_told_with_the_recommendation_first_and_the_notes_last():
    report = {
        "recommendation": "Train with the selected rows.",
        "verdict": ["selected rows helped."],
        "budget_curve": {"recommended": 250, "best": 1000},
        "datasets": {"mnli": {"meaning": "helped", "value": 0.0123}},
        "notes": ["One seed a run."],
    }
    assert sentences(report) == [
        "Train with the selected rows.",
        "A budget of 250 is the smallest within one standard error of the best, 1,000.",
        "mnli: helped (+1.2 points).",
        "Selected rows helped.",
        "One seed a run.",
    ]
