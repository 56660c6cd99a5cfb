"""Numbers as the report's page says them: the same words as the web page's."""

from __future__ import annotations

PERCENT = 100
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def count(number: int) -> str:
    """12345 as `12,345`."""
    return f"{number:,}"


def many(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """0.123 as `12.3 %`."""
    return f"{PERCENT * share:.1f} %"


def points(value: float) -> str:
    """0.019 as `+1.9`, with a real minus."""
    return f"{PERCENT * value:+.1f}".replace("-", "−")


def figure(mean: float | None, spread: float | None = None) -> str:
    """`61.2 ± 0.8`, in per cent."""
    if mean is None:
        return "not defined"
    return f"{PERCENT * mean:.1f}" + ("" if spread is None else f" ± {PERCENT * spread:.1f}")


def score(value: float) -> str:
    """Show a score with as many digits as tell two apart."""
    size = abs(value)
    return f"{value:.1f}" if size >= 100 else f"{value:.4f}" if size >= 0.001 or value == 0 else f"{value:.2e}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 1.5 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 2 * DAY else f"{seconds / DAY:.1f} days"


def size(nbytes: float) -> str:
    """Bytes as people say them."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while nbytes >= 1024 and len(units) > 1:
        nbytes /= 1024
        units.pop(0)
    return f"{nbytes:.1f} {units[0]}" if units[0] != "B" and nbytes < 10 else f"{nbytes:.0f} {units[0]}"


def capital(text: str) -> str:
    """Begin a sentence with a capital letter."""
    return text[:1].upper() + text[1:]


def short(text: str, most: int) -> str:
    """Cut a text that is longer than so many characters, and show that it was cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
