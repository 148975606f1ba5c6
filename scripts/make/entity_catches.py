#!/usr/bin/env python3
"""Writes data/filter/entities-test-{en,zh}-drop.txt: the base sentences and the same in disguise.

Each disguise takes every k-th base sentence, so that the sets hold at least 200 lines per language and every kind of
evasion that stage 3 claims to see through is in them. Deterministic.
"""
import pathlib

DATA = pathlib.Path(__file__).resolve().parents[2] / "data" / "filter"
HOMOGLYPH = str.maketrans("aeopcyxi", "аеорсухі")
FULL = {c: chr(c + 0xFEE0) for c in range(0x21, 0x7F)}
to_traditional = {}
for line in open(DATA / "han-simplify.tsv", encoding="utf-8"):
    if not line.startswith("#"):
        t, s = line.rstrip("\n").split("\t")
        if len(s) == 1: to_traditional.setdefault(s, t)


def han(c): return "\u4e00" <= c <= "\u9fff"


def between(s, mark, step):
    out, n = "", 0
    for i, c in enumerate(s):
        out += c
        if han(c) and i + 1 < len(s) and han(s[i + 1]):
            n += 1
            if n % step == 0: out += mark
    return out


def spaced(word): return " ".join(word)


en = [("full width", lambda s: s.translate(FULL)), ("homoglyphs", lambda s: s.lower().translate(HOMOGLYPH)), ("upper case", str.upper),
      ("zero width", lambda s: "".join(c + ("\u200b" if c.isalpha() else "") for c in s)), ("soft hyphens", lambda s: "".join(c + ("\u00ad" if c in "aeiou" else "") for c in s)),
      ("hyphens", lambda s: s.replace(" ", "-")), ("accents", lambda s: s.replace("o", "ö").replace("e", "é"))]
zh = [("traditional", lambda s: "".join(to_traditional.get(c, c) for c in s)), ("symbols between", lambda s: between(s, "*", 2)),
      ("blanks between", lambda s: between(s, " ", 1)), ("zero width", lambda s: between(s, "\u200b", 1)), ("dots between", lambda s: between(s, "·", 3)),
      ("full width", lambda s: s.translate(FULL)), ("brackets between", lambda s: between(s, "【", 2))]
for lang, disguises in (("en", en), ("zh", zh)):
    base = [l for l in open(DATA / f"entities-test-{lang}-drop-base.txt", encoding="utf-8").read().split("\n") if l]
    lines = list(base)
    for k, (name, f) in enumerate(disguises):
        lines += [f(s) for i, s in enumerate(base) if i % 3 == k % 3]
    (DATA / f"entities-test-{lang}-drop.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(lang, len(base), "base,", len(lines), "lines")
