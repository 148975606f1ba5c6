#!/usr/bin/env python3
"""Compares ds-filter's quality rules with datatrove's filters, rule by rule, on real documents.

usage: parity_datatrove.py DS_FILTER CORPUS.jsonl VERDICTS.jsonl.gz [--show N]

VERDICTS has one JSON line a document after a heading line: {"id", "gopher_repetition": true | reason, "gopher_quality",
"c4", "fineweb"}: what each datatrove filter with its defaults says of the original text. ds-filter runs with the same
thresholds (profile gopher@datatrove: no guard for n-grams that occur once, C4 with terminal punctuation) and scores
every rule; the first rule that fails in datatrove's order must be the one that datatrove names.
"""
import argparse, collections, gzip, json, subprocess, tempfile, os

ORDER = {
    "gopher_quality": [("s2.gopher.min_words", "<", 50, "gopher_short_doc"), ("s2.gopher.max_words", ">", 100000, "gopher_long_doc"),
                       ("s2.gopher.mean_word_low", "<", 3, "gopher_below_avg_threshold"), ("s2.gopher.mean_word_high", ">", 10, "gopher_above_avg_threshold"),
                       ("s2.gopher.hashes", ">", .1, "gopher_too_many_hashes"), ("s2.gopher.ellipses", ">", .1, "gopher_too_many_ellipsis"),
                       ("s2.gopher.bullet_lines", ">", .9, "gopher_too_many_bullets"), ("s2.gopher.ellipsis_lines", ">", .3, "gopher_too_many_end_ellipsis"),
                       ("s2.gopher.alpha_words", "<", .8, "gopher_below_alpha_threshold"), ("s2.gopher.stop_words", "<", 2, "gopher_enough_stop_words")],
    "gopher_repetition": [("s2.rep.paragraphs", ">", .3, "dup_para_frac"), ("s2.rep.paragraph_chars", ">", .2, "dup_para_char_frac"),
                          ("s2.rep.lines", ">", .3, "dup_line_frac"), ("s2.rep.line_chars", ">", .2, "dup_line_char_frac"),
                          *((f"s2.rep.top{n}", ">", t, f"top_{n}_gram") for n, t in ((2, .2), (3, .18), (4, .16))),
                          *((f"s2.rep.dup{n}", ">", t, f"duplicated_{n}_n_grams") for n, t in zip(range(5, 11), (.15, .14, .13, .12, .11, .10)))],
    "fineweb": [("s2.fineweb.line_punctuation", "<", .12, "line_punct_ratio"), ("s2.fineweb.short_lines", ">", .67, "short_line_ratio"),
                ("s2.fineweb.repeated_lines", ">", .01, "char_dup_ratio"), ("s2.fineweb.newlines", ">", .3, "list_ratio")],
    "c4": [("s2.c4.lorem_ipsum", ">", 0, "lorem_ipsum"), ("s2.c4.curly_bracket", ">", 0, "curly_bracket"), ("s2.c4.sentences", "<", 5, "too_few_sentences")],
}
PROFILE = {"profile": "gopher@datatrove", "stages": ["quality"], "repetition": {"count_guard": False},
           "c4": {"terminal_punctuation": True}, "rules": {"s2.gopher.min_words": {"en": 1e9}}}


def scores(binary, corpus):
    with tempfile.TemporaryDirectory() as d:
        profile, rejects = os.path.join(d, "profile.json"), os.path.join(d, "rejects.jsonl")
        json.dump(PROFILE, open(profile, "w"))
        subprocess.run([binary, corpus, "-o", os.path.join(d, "kept.jsonl"), "--rejects", rejects, "--profile", profile, "--no-short-circuit", "-q"], check=True)
        return {r["id"]: r["ds_filter"]["scores"] for r in map(json.loads, open(rejects, encoding="utf-8"))}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("binary"); ap.add_argument("corpus"); ap.add_argument("verdicts"); ap.add_argument("--show", type=int, default=5)
    a = ap.parse_args()
    ours = scores(a.binary, a.corpus)
    same, differ = collections.Counter(), collections.defaultdict(list)
    verdict_same = collections.Counter()
    for line in gzip.open(a.verdicts, "rt", encoding="utf-8"):
        row = json.loads(line)
        if "id" not in row or row["id"] not in ours: continue
        s = ours[row["id"]]
        for name, rules in ORDER.items():
            mine = True
            for rule, cmp, threshold, reason in rules:
                if rule in s and (s[rule] < threshold if cmp == "<" else s[rule] > threshold): mine = reason; break
            theirs = row[name]
            same[name] += 1
            verdict_same[name] += (mine is True) == (theirs is True)
            if mine != theirs: differ[name].append((row["id"], theirs, mine, s))
    for name in ORDER:
        n = same[name]
        if not n: continue
        print(f"{name}: {n} documents, same verdict {verdict_same[name]} ({100 * verdict_same[name] / n:.2f} %), same reason {n - len(differ[name])} ({100 * (1 - len(differ[name]) / n):.2f} %)")
        for (theirs, mine), k in collections.Counter((t, m) for _, t, m, _ in differ[name]).most_common(8):
            example = next(d for d in differ[name] if (d[1], d[2]) == (theirs, mine))
            print(f"    {k:4d}  datatrove {theirs}, ds-filter {mine}; e.g. {example[0]}")
        for doc, theirs, mine, s in differ[name][:a.show]:
            near = {r: round(s[r], 4) for r, _, _, reason in ORDER[name] if r in s and reason in (theirs, mine)}
            print(f"      {doc}: {near}")


main()
