"""The toolkit recordlinkage 0.16 with its unsupervised classifier ECM, and connected components.

Runs in an environment of its own. Usage: recordlinkage_peer.py ecm SET RECORDS OUT.

As in its documentation ("Data deduplication", "Classification algorithms"): blocks on single fields, Jaro-Winkler of at
least 0.85 for names, Damerau-Levenshtein of at least 0.85 for what is typed, equality for the rest; ECM over the binary
comparisons. The blocks are those of the generic Splink recipe, so that neither has an advantage there.
"""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import recordlinkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

METHODS = {"name": "jarowinkler", "identifier": "damerau_levenshtein", "phone": "damerau_levenshtein"}
METHODS |= {"address": "damerau_levenshtein", "email": "damerau_levenshtein"}
METHODS |= {"birth_date": "damerau_levenshtein"}


def blocks(fields: dict[str, str]) -> list[list[str]]:
    """Fields whose agreement makes a pair worth a look."""
    of = {
        kind: [column for column, found in fields.items() if found == kind]
        for kind in ("identifier", "email", "phone", "name", "birth_date", "postal_code")
    }
    anchors = of["birth_date"] + of["postal_code"]
    single = [[column] for kind in ("identifier", "email", "phone") for column in of[kind]]
    names = [of["name"][:2]] if len(of["name"]) > 1 else []
    return [
        *single,
        *names,
        *map(list, itertools.product(anchors, of["name"])),
        *([anchors[:2]] if anchors[1:] else []),
    ]


def compare(table: pd.DataFrame, fields: dict[str, str]) -> pd.DataFrame:
    """Binary agreement of every field, of every pair in a block."""
    index = recordlinkage.Index()
    for block in blocks(fields):
        index.block(block)
    comparison = recordlinkage.Compare()
    for column, kind in fields.items():
        if kind in METHODS:
            comparison.string(column, column, method=METHODS[kind], threshold=0.85, label=column)
        else:
            comparison.exact(column, column, label=column)
    return comparison.compute(index.index(table), table)


if __name__ == "__main__":
    _, _, _, records, out = sys.argv
    fields = json.loads(Path(records).with_suffix(".json").read_text(encoding="utf-8"))
    fields = {column: kind.removeprefix("compact_") for column, kind in fields.items()}
    table = pd.read_parquet(records).sort_values("record_id").reset_index(drop=True)
    # A constant field has no two levels for ECM to learn from.
    features = compare(table, fields)
    features = features.loc[:, features.nunique() > 1]
    links = recordlinkage.ECMClassifier().fit_predict(features)
    left, right = links.get_level_values(0).to_numpy(), links.get_level_values(1).to_numpy()
    graph = coo_array((np.ones(len(links)), (left, right)), shape=(len(table), len(table)))
    _, labels = connected_components(graph, directed=False)
    pd.DataFrame({"record_id": table["record_id"], "cluster": labels.astype(str)}).to_parquet(out, index=False)
