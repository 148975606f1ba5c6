#!/usr/bin/env python3
"""Writes data/filter/en-exceptions.tsv: what spaCy's blank English tokenizer splits by table instead of by rule.

usage: tokenizer_exceptions.py > data/filter/en-exceptions.tsv        (needs spacy; its tables are MIT licensed)

One line per entry: the chunk, then its pieces, tab separated. Entries with white space inside are left out: chunks
never contain any. The published English thresholds were tuned on these words, so the same pieces are wanted.
"""
import sys
import spacy
from spacy.lang.en import English

rules = English().tokenizer.rules
sys.stdout.write(f"# spaCy {spacy.__version__} tokenizer exceptions for English. Copyright ExplosionAI GmbH, MIT licence.\n")
for chunk, pieces in sorted(rules.items()):
    pieces = [next(iter(p.values())) if isinstance(p, str) else p[65] for p in pieces]
    if not any(c.isspace() for c in chunk):
        sys.stdout.write("\t".join([chunk, *pieces]) + "\n")
