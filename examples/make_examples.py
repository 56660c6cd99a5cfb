"""Writes the example data sets: the same bytes every time. Run it as `python examples/make_examples.py`."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import material as m
import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.leakage import LeakGuard

HERE = Path(__file__).parent
Row = tuple[str | float, ...]


def slots(draw: random.Random) -> dict[str, str]:
    """Draw what the phrasings leave open."""
    return {
        "product": draw.choice(m.PRODUCTS),
        "city": draw.choice(m.CITIES),
        "colour": draw.choice(m.COLOURS),
        "day": draw.choice(m.DAYS),
        "ingredient": draw.choice(m.INGREDIENTS),
        "herb": draw.choice(m.HERBS),
        "n": str(draw.randint(3, 45)),
    }


def inference(draw: random.Random) -> tuple[str, str, str]:
    """Compose (premise, hypothesis, label) with one of three labels."""
    label = draw.choice(("entailment", "neutral", "contradiction"))
    filled = slots(draw)
    premise, hypothesis = draw.choice((number_fact, choice_fact))(draw, filled, label == "entailment")
    if label == "neutral":  # a claim on something the premise does not speak of
        _, other = draw.choice((number_fact, choice_fact))(draw, slots(draw), draw.random() < 0.5)
        if topic_of(other) == topic_of(hypothesis):
            return inference(draw)
        hypothesis = other
    opener = draw.choice(m.OPENERS)
    return opener + premise, sentence(hypothesis), label


def number_fact(draw: random.Random, filled: dict[str, str], holds: bool) -> tuple[str, str]:
    """Compose a premise with a number and a claim about another one, which follows if `holds`."""
    name = draw.choice(sorted(m.NUMBER_FACTS))
    premises, hypotheses = m.NUMBER_FACTS[name]
    rule, low, high = m.NUMBER_RULES[name]
    # Both numbers from one range, so that the claim alone does not tell the label.
    small, large = sorted(draw.sample(range(low, high + 1), 2))
    n, x = (large, small) if (rule == m.AT_MOST) == holds else (small, large)
    values = {**filled, "n": str(n), "x": str(x)}
    return draw.choice(premises).format(**values), draw.choice(hypotheses).format(**values)


def choice_fact(draw: random.Random, filled: dict[str, str], holds: bool) -> tuple[str, str]:
    """Compose a premise that allows one thing and not another, and a claim about one of them."""
    premises, hypotheses, things = m.CHOICE_FACTS[draw.choice(sorted(m.CHOICE_FACTS))]
    a, b = draw.sample(things, 2)
    values = {**filled, "a": a, "b": b, "x": a if holds else b}
    return draw.choice(premises).format(**values), draw.choice(hypotheses).format(**values)


def topic_of(hypothesis: str) -> str:
    """Return which fact a claim speaks of, by its fixed words."""
    return " ".join(word for word in hypothesis.split() if word.islower() and word.isalpha())[:18]


def support(draw: random.Random) -> Row:
    """Compose a row of the primary: two labels, as often the one as the other."""
    wanted = draw.random() < 0.5
    while True:
        premise, hypothesis, label = inference(draw)
        if (label == "entailment") == wanted:
            return premise, hypothesis, "entailment" if wanted else "not_entailment"


def question_pair(draw: random.Random) -> Row:
    """Compose two questions: the same one in other words, or another one, or the same of another thing."""
    first = draw.choice(sorted(m.QUESTIONS))
    filled = slots(draw)
    if draw.random() < 0.5:
        return first.format(**filled), draw.choice(m.QUESTIONS[first]).format(**filled), "1"
    other = first if draw.random() < 0.5 else draw.choice(sorted(m.QUESTIONS))
    return first.format(**filled), draw.choice(m.QUESTIONS[other]).format(**another(draw, filled)), "0"


def another(draw: random.Random, filled: dict[str, str]) -> dict[str, str]:
    """Draw slots that differ in every value from those given."""
    while True:
        found = slots(draw)
        if all(found[name] != filled[name] for name in ("product", "city", "colour", "day")):
            return found


def review(draw: random.Random) -> Row:
    """Compose a sentence of praise or blame."""
    good = draw.random() < 0.5
    topic = draw.choice(m.TOPICS).format(**slots(draw))
    tail = draw.choice(m.TAILS_GOOD if good else m.TAILS_BAD)
    text = f"{topic} {draw.choice(m.PRAISE if good else m.BLAME)} {tail}"
    return text, "positive" if good else "negative"


def similarity(draw: random.Random) -> Row:
    """Compose two scenes; each part that differs costs, other words for the same part cost a little."""
    first, second, score = [], [], 5.0
    for parts, price in ((m.WHO, 1.5), (m.DOES, 1.75), (m.WHERE, 1.25)):
        part = draw.choice(sorted(parts))
        first.append(part)
        kind = draw.choice(("same", "other words", "other"))
        if kind == "other":
            second.append(draw.choice(sorted(set(parts) - {part})))
            score -= price
        else:
            second.append(part if kind == "same" else parts[part])
            score -= 0.25 if kind == "other words" else 0
    return f"{' '.join(first)}.", f"{' '.join(second)}.", max(0.0, score)


def recipe(draw: random.Random) -> Row:
    """Compose a step of a recipe."""
    kind = draw.choice(sorted(m.RECIPES))
    return draw.choice(m.RECIPES[kind]).format(**slots(draw)), kind


def sentence(text: str) -> str:
    """Begin with a capital."""
    return text[0].upper() + text[1:]


def different(make: Callable[[random.Random], Row], seed: int, avoid: set[Row] | None = None) -> Iterator[Row]:
    """Yield rows without end, none twice and none of `avoid`."""
    draw = random.Random(seed)
    seen = set(avoid or ())
    while True:
        row = make(draw)
        if row[:-1] not in seen:
            seen.add(row[:-1])
            yield row


def apart_from(others: list[Row], rows: Iterator[Row]) -> Iterator[Row]:
    """Pass on the pairs that are not nearly one of `others`, so that what is measured on is new."""
    guard = LeakGuard([(str(row[0]), str(row[1])) for row in others], near=True)
    for row in rows:
        if next(guard.find([(str(row[0]), str(row[1]))])) is None:
            yield row


def take(rows: Iterator[Row], count: int) -> list[Row]:
    """Return the next `count` rows."""
    return [next(rows) for _ in range(count)]


def write_delimited(path: Path, header: str, rows: list[Row], delimiter: str = ",") -> None:
    """Write CSV or TSV."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerows([header.split(","), *rows])


def write_jsonl(path: Path, header: str, rows: list[Row]) -> None:
    """Write an object a line."""
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(dict(zip(header.split(","), row, strict=True)), ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Write every file."""
    rows = different(support, 1)
    train = take(rows, 300)
    validation = take(apart_from(train, rows), 200)
    write_delimited(HERE / "support_entailment" / "train.csv", "premise,hypothesis,label", train)
    write_delimited(HERE / "support_entailment" / "validation.csv", "premise,hypothesis,label", validation)
    ours = {row[:-1] for row in [*train, *validation]}
    related = take(apart_from(validation, different(inference, 2, ours)), 600)
    write_jsonl(HERE / "policy_inference" / "train.jsonl", "premise,hypothesis,label", related)
    pairs = take(different(question_pair, 3), 500)
    write_delimited(HERE / "question_pairs" / "train.tsv", "question1,question2,label", pairs, delimiter="\t")
    write_delimited(HERE / "review_sentiment" / "train.csv", "sentence,label", take(different(review, 4), 500))
    write_jsonl(HERE / "recipe_steps" / "train.jsonl", "text,label", take(different(recipe, 6), 500))
    scenes = take(different(similarity, 5), 400)
    columns = {
        name: list(values)
        for name, values in zip(("sentence1", "sentence2", "score"), zip(*scenes, strict=True), strict=True)
    }
    (HERE / "phrase_similarity").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), HERE / "phrase_similarity" / "train.parquet", compression="zstd")


if __name__ == "__main__":
    main()
