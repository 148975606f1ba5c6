#!/usr/bin/env python3
"""Compares ds-filter's quality rules with datatrove's filters, rule by rule, on real documents.

usage: parity_datatrove.py DS_FILTER CORPUS.jsonl [--every N] [--show N]      (a Python that has datatrove and spacy)

Both judge every N-th document of the English CORPUS. ds-filter runs with datatrove's thresholds (profile gopher@datatrove:
no guard for n-grams that occur once, C4 with terminal punctuation) and scores every rule; the first rule that fails in
datatrove's order must be the one that datatrove names.
"""
import argparse, collections, json, os, subprocess, tempfile

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


def scores(binary, folder, sample):
    profile, rejects = os.path.join(folder, "profile.json"), os.path.join(folder, "rejects.jsonl")
    json.dump(PROFILE, open(profile, "w"))
    subprocess.run([binary, sample, "-o", os.path.join(folder, "kept.jsonl"), "--rejects", rejects, "--profile", profile, "--no-short-circuit", "-q"], check=True)
    return {r["id"]: r["ds_filter"]["scores"] for r in map(json.loads, open(rejects, encoding="utf-8"))}


def datatrove_filters():
    from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
    return {"gopher_quality": GopherQualityFilter(), "gopher_repetition": GopherRepetitionFilter(), "fineweb": FineWebQualityFilter(), "c4": C4QualityFilter()}


def main():
    from datatrove.data import Document
    ap = argparse.ArgumentParser()
    ap.add_argument("binary"); ap.add_argument("corpus")
    ap.add_argument("--every", type=int, default=3); ap.add_argument("--show", type=int, default=5)
    a = ap.parse_args()
    lines = open(a.corpus, encoding="utf-8").readlines()[::a.every]
    with tempfile.TemporaryDirectory() as d:
        sample = os.path.join(d, "sample.jsonl")
        open(sample, "w", encoding="utf-8").writelines(lines)
        ours = scores(a.binary, d, sample)
    filters = datatrove_filters()
    same, differ = collections.Counter(), collections.defaultdict(list)
    verdict_same = collections.Counter()
    records = [r for r in map(json.loads, lines) if r["id"] in ours]  # what ds-filter takes for Chinese has other rules
    print(f"{len(records)} documents; {len(lines) - len(records)} more are Chinese to ds-filter")
    for record in records:
        s = ours[record["id"]]
        for name, rules in ORDER.items():
            mine = True
            for rule, cmp, threshold, reason in rules:
                if rule in s and (s[rule] < threshold if cmp == "<" else s[rule] > threshold): mine = reason; break
            verdict = filters[name].filter(Document(text=record["text"], id=record["id"]))  # C4's edits the text: a fresh copy
            theirs = verdict if verdict is True else verdict[1]
            same[name] += 1
            verdict_same[name] += (mine is True) == (theirs is True)
            if mine != theirs: differ[name].append((record["id"], theirs, mine, s))
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
