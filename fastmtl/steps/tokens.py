"""Tokens: the rows of a shard as token ids, for steps that go over them more than once.

Reads   the tokenizer of the `discriminator` step, and the rows of one shard
Writes  ids.npy, types.npy, offsets.npy and tokens.json (see fastmtl/stored.py), in the order of the pieces

Nothing is computed with torch.
"""

from __future__ import annotations

import json

from fastmtl import stored
from fastmtl.datasets import dataset_of
from fastmtl.model import MODEL_FILE, load_tokenizer
from fastmtl.plan import Json, StepSpec, Workspace, folders
from fastmtl.reading import read_span
from fastmtl.telling import Counted
from fastmtl.tokens import joined


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Tokenize."""
    (training,) = folders(workspace, spec)
    about = json.loads((training / "model" / MODEL_FILE).read_text())
    tokenizer, max_length = load_tokenizer(training / "model"), about["encoder"]["max_length"]
    told = Counted(workspace.progress, sum(stop - start for _, start, stop in spec.params["pieces"]))
    parts = []
    for digest, start, stop in spec.params["pieces"]:
        parts.append(read_span(dataset_of(workspace, digest), start, stop, tokenizer, max_length))
        told.add(stop - start)
    tokens = joined(parts)
    stored.write(workspace.output, tokens)
    return {"rows": len(tokens), "tokens": len(tokens.ids)}
