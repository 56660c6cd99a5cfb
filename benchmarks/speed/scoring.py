"""Scoring: rows a second, tokenisation included, against the published loop in the same run.

    python benchmarks/speed/scoring.py --data GLUE                             # CPU, the packaged encoder
    python benchmarks/speed/scoring.py --data GLUE --device cuda --width 768   # a GPU, BERT-base's size, random weights

GLUE's rows are drawn in proportion to the tasks' sizes, `--rows` of them; the published loop scores random
`--baseline-rows` of these, because it is slow. Both tell rows a second, in turn. The scores of that part are compared
by rank with the published loop's in float32, column by column; the network is a TD-MTDNN that was trained for one
epoch. What the machine could do is its own bf16 product of matrices, measured beside every turn.
"""

from __future__ import annotations

import kit
import networks
import numpy as np
import published
import torch
from scipy.stats import spearmanr

from fastmtl.device import describe, make_deterministic
from fastmtl.losses import probabilities
from fastmtl.model import MtDnn
from fastmtl.scoring import score_rows
from fastmtl.tokens import Tokens, joined, tokenize


def ours(model: MtDnn, tokenizer: object, tasks: list[kit.Texts], device: str) -> tuple[np.ndarray, Tokens]:
    """Tokenise and score, as the steps of a job do; probabilities [n, T]."""
    tokens = joined([tokenize(tokenizer, each.text_a, each.text_b, networks.LENGTH) for each in tasks])
    found = score_rows(
        model, tokens, lambda features: probabilities("ce", model.discriminate(features)), describe(device, "auto")
    )
    return found, tokens


def correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Return the least rank correlation over the columns."""
    return min(float(spearmanr(left[:, task], right[:, task]).statistic) for task in range(left.shape[1]))


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=kit.Path, required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--baseline-rows", type=int, default=1_000)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, choices=(384, 768), default=384)
    given = parser.parse_args()
    make_deterministic()
    about = kit.machine(given.device)
    made = networks.checkpoint(given.width)
    few = [kit.read(given.data, task, 100, seed=1) for task in kit.TASKS]
    model, sources = networks.td_mtdnn(made, few)
    networks.trained(model, sources, describe(given.device, "auto"))
    tasks = kit.in_proportion(given.data, given.rows)
    share = given.baseline_rows / sum(len(each) for each in tasks)
    part = [kit.some(each, max(2, round(share * len(each)))) for each in tasks]

    turns, rates, kept = [], [], {}
    for _ in range(given.turns):
        rates.append(kit.matmul_rate(given.device, torch.bfloat16))
        turns.append(
            kit.in_turn(
                {
                    "published": lambda: kept.update(theirs=published.score(model, made.tokenizer, part, given.device)),
                    "ours": lambda: kept.update(ours=ours(model, made.tokenizer, tasks, given.device)),
                },
                1,
            )
        )
    scores, tokens = kept["ours"]
    mine, _ = ours(model, made.tokenizer, part, given.device)
    in_fp32 = torch.from_numpy(
        kept["theirs"] if given.device == "cpu" else published.score(model, made.tokenizer, part, "cpu")
    )
    rows = {"published": sum(len(each) for each in part), "ours": len(scores)}
    speeds = {name: [rows[name] / turn[name][0] for turn in turns] for name in rows}
    work = kit.encoder_flops(model.encoder, tokens) / 1e9
    kit.write(
        f"scoring_{given.device}_{given.width}",
        {
            "rows": rows,
            "tokens_per_row": round(len(tokens.ids) / len(scores), 1),
            "rows_per_second": {name: kit.spread(each, 1) for name, each in speeds.items()},
            "ratio": kit.spread(
                [ours / theirs for ours, theirs in zip(speeds["ours"], speeds["published"], strict=True)]
            ),
            "rank_correlation_with_fp32": round(correlation(mine, in_fp32.softmax(1).numpy()), 6),
            "bf16_matmul_gflops": kit.spread(rates, 0),
            "share_of_matmul_rate": kit.spread(
                [work / turn["ours"][0] / rate for turn, rate in zip(turns, rates, strict=True)]
            ),
            "machine": about,
        },
        given.results,
    )


if __name__ == "__main__":
    main()
