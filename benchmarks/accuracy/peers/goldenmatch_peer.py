"""GoldenMatch 3.22: configured by itself, in the two ways it offers.

Runs in an environment of its own. Usage: goldenmatch_peer.py MODE SET RECORDS OUT.

MODE zero is `dedupe_df(table)`, its quick start; probabilistic is `dedupe_df(table, config=
auto_configure_probabilistic_df(table))`, the Fellegi-Sunter model that its own comparison with Splink uses.
"""

import sys

import goldenmatch
import pyarrow as pa
from pyarrow import parquet

if __name__ == "__main__":
    _, mode, _, records, out = sys.argv
    table = parquet.read_table(records).sort_by("record_id")
    given = table.drop_columns(["record_id"])
    # It asks for consent where it doubts its own configuration; a run that refuses to answer cannot be compared.
    if mode == "zero":
        result = goldenmatch.dedupe_df(given, allow_red_config=True, confidence_required=False)
    else:
        result = goldenmatch.dedupe_df(given, config=goldenmatch.auto_configure_probabilistic_df(given))
    cluster_of = {row: str(key) for key, cluster in result.clusters.items() for row in cluster["members"]}
    clusters = [cluster_of.get(row, f"alone {row}") for row in range(table.num_rows)]
    parquet.write_table(pa.table({"record_id": table["record_id"], "cluster": clusters}), out)
