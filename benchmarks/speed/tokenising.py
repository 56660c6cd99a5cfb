"""Tokenising: rows a second against the tokenizer in a plain loop, a row at a time.

python benchmarks/speed/tokenising.py --data GLUE
"""

from __future__ import annotations

import kit
import networks

from fastmtl.tokens import tokenize


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=kit.Path, required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    given = parser.parse_args()
    about = kit.machine()
    tokenizer = networks.checkpoint(384).tokenizer
    tasks = kit.in_proportion(given.data, given.rows)
    rows = sum(len(texts) for texts in tasks)

    def plain() -> None:
        for texts in tasks:
            second = texts.text_b or [None] * len(texts)
            for pair in zip(texts.text_a, second, strict=True):
                tokenizer(*pair, truncation=True, max_length=networks.LENGTH)

    def ours() -> None:
        for texts in tasks:
            tokenize(tokenizer, texts.text_a, texts.text_b, networks.LENGTH)

    took = kit.in_turn({"plain": plain, "ours": ours}, given.turns)
    result = {
        "rows": rows,
        "rows_per_second": {name: kit.spread([rows / each for each in found], 0) for name, found in took.items()},
        "ratio": kit.spread([theirs / mine for theirs, mine in zip(took["plain"], took["ours"], strict=True)]),
        "machine": about,
    }
    kit.write("tokenising", result, given.results)


if __name__ == "__main__":
    main()
