"""Scoring: rows a second, tokenisation included, against the published loop in the same run.

    python benchmarks/speed/scoring.py --data GLUE                             # CPU, the packaged encoder
    python benchmarks/speed/scoring.py --data GLUE --device cuda --width 768   # a GPU, BERT-base's size, random weights

GLUE's rows are drawn in proportion to the tasks' sizes, `--rows` of them; the published loop scores random
`--baseline-rows` of these, because it is slow. Both tell rows a second, in turn. The scores of that part are compared
by rank with the published loop's in float32, column by column; the network is a TD-MTDNN that was trained for one
epoch. What the machine could do is its own bf16 product of matrices, measured beside every turn; the share of it is
told with tokenising in the time and, as where a step finds its tokens made, without.
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


def tokenized(tokenizer: object, tasks: list[kit.Texts]) -> Tokens:
    """Tokenise as a job does."""
    return joined([tokenize(tokenizer, each.text_a, each.text_b, networks.LENGTH) for each in tasks])


def ours(model: MtDnn, tokens: Tokens, device: str) -> np.ndarray:
    """Score as a step does; probabilities [n, T]."""
    machine = describe(device, "auto")
    return score_rows(model, tokens, lambda features: probabilities("ce", model.discriminate(features)), machine)


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
    acts = {
        "published": lambda: kept.update(theirs=published.score(model, made.tokenizer, part, given.device)),
        "tokenising": lambda: kept.update(tokens=tokenized(made.tokenizer, tasks)),
        "scoring": lambda: kept.update(ours=ours(model, kept["tokens"], given.device)),
    }
    kit.in_turn(acts, 1 if given.device == "cuda" else 0)  # a GPU's first pass loads its kernels
    for _ in range(given.turns):
        rates.append(kit.matmul_rate(given.device, torch.bfloat16))
        turns.append({name: took[0] for name, took in kit.in_turn(acts, 1).items()})
    mine = ours(model, tokenized(made.tokenizer, part), given.device)
    in_fp32 = torch.from_numpy(
        kept["theirs"] if given.device == "cpu" else published.score(model, made.tokenizer, part, "cpu")
    )
    rows = {"published": sum(len(each) for each in part), "ours": len(kept["ours"])}
    whole = [turn["tokenising"] + turn["scoring"] for turn in turns]
    speeds = {
        "published": [rows["published"] / turn["published"] for turn in turns],
        "ours": [rows["ours"] / took for took in whole],
        "ours, tokens made": [rows["ours"] / turn["scoring"] for turn in turns],
    }
    work = kit.encoder_flops(model.encoder, kept["tokens"]) / 1e9
    kit.write(
        f"scoring_{given.device}_{given.width}",
        {
            "rows": rows,
            "tokens_per_row": round(len(kept["tokens"].ids) / rows["ours"], 1),
            "rows_per_second": {name: kit.spread(each, 1) for name, each in speeds.items()},
            "ratio": kit.spread(
                [ours / theirs for ours, theirs in zip(speeds["ours"], speeds["published"], strict=True)]
            ),
            "rank_correlation_with_fp32": round(correlation(mine, in_fp32.softmax(1).numpy()), 6),
            "bf16_matmul_gflops": kit.spread(rates, 0),
            "share_of_matmul_rate": kit.spread([work / took / rate for took, rate in zip(whole, rates, strict=True)]),
            "share_of_matmul_rate_tokens_made": kit.spread(
                [work / turn["scoring"] / rate for turn, rate in zip(turns, rates, strict=True)]
            ),
            "machine": about,
        },
        given.results,
    )


if __name__ == "__main__":
    main()
