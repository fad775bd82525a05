"""Reads docs/performance/scale-predictions.csv. Not a test by itself (no execute bit)."""
import csv
import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path=os.path.join(TOP, "docs/performance/scale-predictions.csv")):
    """{(clusters a side, users a cluster): {column: number}}"""
    with open(path) as f:
        rows = csv.DictReader(line for line in f if not line.startswith("#"))
        return {(int(r["side"]), int(r["users"])): {k: float(v) for k, v in r.items()} for r in rows}
