"""The report's page: nothing in it runs or comes from elsewhere, and its figures are the report's."""

from __future__ import annotations

from pathlib import Path

import pytest
from reported import BEST, POINTS, Read, bare_report, counted, report, written

from fastmtl.report.points import MOST_POINTS

HARMLESS = set("html head meta title style body main section h1 h2 p ul ol li dl dt dd code pre b span div".split())
HARMLESS |= set("table caption thead tbody tr th td details summary figure figcaption".split())
HARMLESS |= set("svg g defs path use text clippath rect".split())
HOSTILE = "</script></style></svg><img src=x onerror=alert(1)><script>alert(1)</script>' \"&lt; $x$"
HEADINGS = [
    *("Rows chosen for mine", "Did it help?", "What was asked", "From where the 40 rows came"),
    *("The selection beside other arms", "Would fewer rows do?", "Which datasets helped"),
    *("What to know before trusting it", "How the rows score", "Where the rows lie", "The rows"),
    "How the trainings went",
    *("What choosing took", "Everything that was asked for"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(report(), tmp_path_factory.mktemp("figures"), points=POINTS)


def test_the_page_holds_no_script_and_names_no_address(whole):
    found = Read(whole)
    assert set(found.tags) <= HARMLESS
    assert [value for name, value in found.attributes if name in ("href", "src") and not value.startswith("#")] == []
    assert [name for name, _ in found.attributes if name.startswith("on")] == []
    assert [sign for sign in ("http:", "https:", "//", "@import", "javascript:") if sign in whole] == []
    assert "url(" not in whole.replace("url(#", "")


def test_the_page_forbids_whatever_might_run(whole):
    assert ("http-equiv", "Content-Security-Policy") in Read(whole).attributes
    assert whole.index("default-src &#x27;none&#x27;") < whole.index("<title>")


def test_nothing_in_a_row_or_a_name_is_read_as_html(tmp_path):
    texts = {"text_a": HOSTILE, "text_b": HOSTILE, "label": HOSTILE}
    row = BEST[0]._replace(dataset=HOSTILE, **texts, nearest=(BEST[0].nearest[0]._replace(**texts),))
    about = report(
        **{"primary": HOSTILE, "validation": HOSTILE, "verdict": [HOSTILE], "notes": [HOSTILE]},
        recommendation=HOSTILE,
        selection={"digest": HOSTILE, "counts": {HOSTILE: counted(40, 400)}},
        datasets={HOSTILE: report()["datasets"]["animals"]},
        differences={HOSTILE: report()["differences"]["random"]},
        config={**report()["config"], "method": HOSTILE},
    )
    found = Read(written(about, tmp_path, (row,)))
    assert set(found.tags) <= HARMLESS
    assert [name for name, _ in found.attributes if name.startswith("on")] == []
    assert found.text.count(HOSTILE) >= 15


def test_what_came_of_the_job_stands_first(whole):
    assert Read(whole).headings == HEADINGS


def test_parts_that_were_not_asked_for_are_not_there(tmp_path):
    found = Read(written(bare_report(), tmp_path, (BEST[0]._replace(percentile=None, nearest=()),)))
    left_out = {"The selection beside other arms", "Would fewer rows do?", "Which datasets helped"}
    left_out |= {"What to know before trusting it", "What choosing took", "Where the rows lie"}
    assert found.headings == [each for each in HEADINGS if each not in left_out]
    assert "Ask again with the arm" in found.text and "Why row" not in found.text


def test_the_tables_hold_the_reports_own_numbers(whole):
    tables = Read(whole).tables
    assert tables["How much better the selection is, in points"][1:] == [
        ["primary_only", "+5.0", "+1.2 to +8.8"],
        ["random", "−5.0", "−10.0 to +0.0"],
    ]
    assert tables["What each arm reached, in per cent"][1:] == [
        ["selection", "75.0 ± 1.0", "f1 not defined", "2"],
        ["primary_only", "70.0 ± 1.0", "f1 not defined", "2"],
        ["random", "80.0 ± 1.0", "f1 not defined", "2"],
    ]
    assert tables["accuracy by budget"][1:] == [["20", "74.0", "1.0 ± 2.0"], ["40", "75.0", "0.0 ± 0.0"]]
    assert tables["What each dataset's rows are worth"][1:] == [["animals", "10", "+2.0 (+1.0 to +3.0)", "helped"]]
    assert tables["Chosen rows by dataset, and what could be chosen"][1:] == [
        ["shops", "30 (75.0 %)", "300 (75.0 %)", "300", "0", "2"],
        ["animals", "10 (25.0 %)", "100 (25.0 %)", "100", "20", "0"],
    ]
    assert tables["shops by score"][1:] == [["0.00 to 0.02", "270", "0"], ["0.98 to 1.00", "30", "30"]]
    assert tables["Loss of fine-tuning by epoch"][1] == ["selection", "0.7500, 0.5000"]
    assert tables["Loss of TO-MTDNN by epoch"][1] == ["selection", "0.8000, 0.4000"]
    assert tables["Loss of TD-MTDNN by epoch"][1:] == [["discriminator", "2.5000, 1.2500"]]
    assert tables["Points that are drawn, by dataset"][1:] == [
        ["mine", "2", "0"],
        ["animals", "2", "1"],
        ["shops", "1", "1"],
    ]
    assert tables["What choosing rows took, by arm"][1:] == [["selection", "75 s", "2,553", "880", "3.0 MiB", "none"]]


def test_the_best_rows_say_why_they_were_chosen(whole):
    text = Read(whole).text
    assert "Rank 1 row 4 of shops score 0.9500 label yes refund the order ten days late Why row 4 of shops?" in text
    assert "0.5 % of the rows of shops score higher." in text
    assert "row 7, similarity 0.50, no late" in text
    assert "The first 2 of 40 rows" in text


def test_rows_that_trained_the_method_are_told_of(whole):
    assert "20 rows trained the method that scores, so their scores are biased; they could not be chosen." in whole


def test_what_is_odd_about_a_dataset_is_told(whole):
    assert "shops: 3 rows say what an earlier row says already." in Read(whole).text


def test_of_a_large_map_a_part_is_drawn_and_the_page_says_so(whole):
    assert "Of 4,000 points 5 are drawn; map.parquet holds all." in Read(whole).text


def test_every_table_has_a_caption_and_every_figure_says_what_it_shows(whole):
    found = Read(whole)
    ids = [value for name, value in found.attributes if name == "id"]
    assert found.tags.count("table") == found.tags.count("caption") == len(found.tables)
    assert found.tags.count("svg") == found.attributes.count(("role", "img")) == 9
    assert len(set(ids)) == len(ids) > 50
    told = [value for name, value in found.attributes if name == "aria-label"]
    assert "How much better the selection is. than primary_only +5.0 (+1.2 to +8.8); " in " ".join(told)


def test_the_same_report_is_the_same_bytes(whole, tmp_path):
    assert written(report(), tmp_path, points=POINTS) == whole


def test_a_page_stays_small_whatever_the_job(tmp_path):
    names = [f"{number} " + "&" * 200 for number in range(300)]
    effect = report()["datasets"]["animals"]
    about = report(
        selection={"digest": "d" * 64, "counts": {name: counted(4, 40) for name in names}},
        datasets=dict.fromkeys(names, effect),
        arms={name: report()["arms"]["random"] for name in ("selection", *names[:32])},
        differences=dict.fromkeys(names[:32], effect),
    )
    long = "\U0001f600&" * 10_000
    near = BEST[0].nearest[0]._replace(text_a=long, text_b=long, label=long)
    row = BEST[0]._replace(dataset=names[0], text_a=long, text_b=long, label=long, nearest=(near,) * 3)
    many = MOST_POINTS // 5
    points = {key: POINTS[key] * many for key in ("row", "x", "y", "score", "chosen")}
    points |= {"of": 100_000, "datasets": names, "dataset": list(range(len(names))) * (5 * many // len(names) + 1)}
    points["dataset"] = points["dataset"][: 5 * many]
    assert len(written(about, tmp_path, (row,) * 20, points).encode()) <= 1_250_000


def test_a_file_is_written_for_every_figure(whole, tmp_path: Path):
    written(report(), tmp_path, points=POINTS)
    names = ["shares", "differences", "budget", "datasets", "scores", "map", "method_losses", "target_losses", "losses"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{n}.{k}" for n in names for k in ("png", "svg"))
