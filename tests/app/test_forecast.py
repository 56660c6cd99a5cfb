"""Which measurements a step is foretold from."""

from __future__ import annotations

import pytest

from app.forecast import Basis, Forecast
from app.measurements import CALIBRATION, Log, Seen
from fastmtl.lengths import RowLengths
from fastmtl.size import Size
from fastmtl.workload import Work, features, scored, trained

SMALL, LARGE = Size(23_000_000, 11_000_000, 2_304), Size(108_000_000, 86_000_000, 9_216)
START, STEP, ARITHMETIC = 4.0, 2.0, 0.005
ROWS = RowLengths(10_000, tuple(float(x) for x in range(5, 69)), 150.0, 0.0)
GIB = 2**30


def training(rows: int) -> Work:
    return trained(ROWS, rows, 32, 4) + Work(steps=rows / 32)


def seen(kind: str, work: Work, encoder: str = "small", size: Size | None = SMALL, times: float = 1.0) -> Seen:
    """A measurement on a machine that always takes the same for the same."""
    start, steps, arithmetic = features(kind, work, size)
    seconds = times * (START * start + STEP * steps + ARITHMETIC * arithmetic)
    return Seen("a machine, fp32", kind, encoder, work, size, 1, seconds, GIB, 4, "auto")


def log(*with_torch: Seen, same_precision: bool = True, without: tuple[Seen, ...] = ()) -> Log:
    return Log("a machine, fp32", same_precision, with_torch, without)


TARGETS = [seen("target", training(rows)) for rows in (100, 300, 900)]
SCORES = [seen("score", scored(ROWS, rows)) for rows in (500, 2_000, 5_000)]
CALIBRATED = [
    Seen("a machine, fp32", CALIBRATION, "small", Work(), SMALL, 1, START, None, 4, "auto"),
    seen(CALIBRATION, training(128)),
    seen(CALIBRATION, training(64)),
    seen(CALIBRATION, scored(ROWS, 128)),
]
WANTED = training(600)
TRUE = seen("target", WANTED).seconds


@pytest.mark.parametrize(
    ("measured", "basis", "count"),
    [
        ([*TARGETS, *SCORES, *CALIBRATED], Basis.MEASURED, 3),
        ([*SCORES, *CALIBRATED], Basis.RELATED, 7),
        (CALIBRATED, Basis.RELATED, 4),
    ],
)
def test_the_closest_measurements_there_are_tell_the_seconds(measured: list[Seen], basis: Basis, count: int):
    found = Forecast(log(*measured), "small", SMALL).of("target", WANTED, with_torch=True)
    assert (found.basis, found.measurements) == (basis, count)
    assert found.seconds is not None
    assert found.seconds.expected == pytest.approx(TRUE, rel=0.15)
    assert found.seconds.low < TRUE < found.seconds.high


def test_another_encoder_is_reckoned_by_its_size():
    true = seen("target", WANTED, "large", LARGE).seconds
    found = Forecast(log(*TARGETS, *CALIBRATED), "large", LARGE).of("target", WANTED, with_torch=True)
    assert (found.basis, found.measurements) == (Basis.SCALED, 3)
    assert found.seconds is not None
    assert found.seconds.low < true < found.seconds.high
    own = Forecast(log(*TARGETS, *CALIBRATED), "small", SMALL).of("target", WANTED, with_torch=True).seconds
    assert own is not None
    assert own.high / own.low < found.seconds.high / found.seconds.low


def test_the_size_of_an_encoder_that_is_not_here_is_known_from_its_measurements():
    assert Forecast(log(*TARGETS), "small", None).of("target", WANTED, with_torch=True).seconds is not None
    assert Forecast(log(*TARGETS), "large", None).of("target", WANTED, with_torch=True) == (None, None, Basis.NONE, 0)


def test_a_kind_that_is_slower_than_the_others_is_so_in_what_is_foretold():
    slow = [seen("finetune", training(rows), times=2.0) for rows in (100, 200, 300, 400)]
    found = Forecast(log(*slow, *TARGETS), "small", SMALL).of("finetune", training(250), with_torch=True).seconds
    assert found is not None
    assert found.expected == pytest.approx(2 * seen("target", training(250)).seconds, rel=0.1)


def test_another_precision_makes_a_wide_band_and_says_that_it_is_only_related():
    forecasts = [Forecast(log(*TARGETS, same_precision=same), "small", SMALL) for same in (True, False)]
    same, other = (each.of("target", WANTED, with_torch=True) for each in forecasts)
    assert (same.basis, other.basis) == (Basis.MEASURED, Basis.RELATED)
    assert same.seconds and other.seconds
    assert other.seconds.high / other.seconds.low > 1.5 * same.seconds.high / same.seconds.low


def test_steps_without_torch_are_told_from_their_own_like():
    plain = Seen("a machine", "leakage", "", Work(read=1e6), None, 1, 3.0, GIB)
    forecast = Forecast(log(*TARGETS, without=(plain,)), "small", SMALL)
    same = forecast.of("leakage", Work(read=1e6), with_torch=False)
    other = forecast.of("select top", Work(read=1e3), with_torch=False)
    assert (same.basis, other.basis) == (Basis.MEASURED, Basis.RELATED)
    assert same.seconds and other.seconds
    assert same.seconds.expected == pytest.approx(3.0, rel=0.1)
    assert 0 < other.seconds.expected < 3.0
    assert Forecast(log(*TARGETS), "small", SMALL).of("leakage", Work(), with_torch=False).basis is Basis.NONE


def test_memory_is_told_too_and_grows_with_the_largest_batch():
    grown = [
        Seen(each.device, each.kind, each.encoder, each.work, SMALL, 1, each.seconds, peak, 4, "auto")
        for each, peak in (
            (seen("target", trained(ROWS, 600, batch, 4)), GIB + batch * 30 * 2**20) for batch in (4, 16, 64)
        )
    ]
    forecast = Forecast(log(*grown), "small", SMALL)
    peaks = [forecast.of("target", trained(ROWS, 600, batch, 4), with_torch=True).peak_bytes for batch in (8, 32)]
    assert [peak and peak.expected for peak in peaks] == pytest.approx(
        [GIB + batch * 30 * 2**20 for batch in (8, 32)], rel=0.15
    )


def test_what_is_doubted_of_the_tokens_is_doubted_of_the_seconds_but_not_of_the_start():
    doubted = Work(**{**vars(WANTED), "doubted_tokens": 0.5 * WANTED.tokens})
    forecast = Forecast(log(*TARGETS), "small", SMALL)
    sure, unsure = (forecast.of("target", work, with_torch=True).seconds for work in (WANTED, doubted))
    assert sure and unsure
    assert unsure.high > sure.high
    started = forecast.of("target", Work(), with_torch=True).seconds
    assert started is not None
    assert started.expected == pytest.approx(START, rel=0.2)
