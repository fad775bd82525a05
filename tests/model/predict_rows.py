"""Reads docs/performance/scale-predictions.csv. Not a test by itself (no execute bit)."""
import csv
import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


PATH = os.path.join(TOP, "docs/performance/scale-predictions.csv")


def read(routing):
    """{(clusters a side, users a cluster): {column: number}} of clients that route so ("group", "spread")."""
    with open(PATH) as f:
        rows = [r for r in csv.DictReader(line for line in f if not line.startswith("#")) if r.pop("routing") == routing]
        return {(int(r["side"]), int(r["users"])): {k: float(v) for k, v in r.items()} for r in rows}
