#!/usr/bin/env python3
"""Repeats a corpus with edits until it is large enough to measure on, with its own duplicates.

usage: big_corpus.py IN.jsonl OUT.jsonl MEGABYTES

Each round shuffles the sentences of every document (its own statistics stay), gives it a new id; one document in 20 is written
again unchanged, one in 20 with one word in 50 replaced. Deterministic.
"""
import json, random, re, sys

docs = [json.loads(l) for l in open(sys.argv[1], encoding="utf-8")]
target, size, n, rng = float(sys.argv[3]) * 1e6, 0, 0, random.Random(6)
with open(sys.argv[2], "w", encoding="utf-8") as out:
    def put(text):
        global size, n
        out.write(json.dumps({"id": f"d{n}", "text": text}, ensure_ascii=False) + "\n")
        n += 1; size += len(text.encode())
    round_ = 0
    while size < target:
        for d in docs:
            if size >= target: break
            text = d["text"]
            if round_:
                parts = re.split(r"(?<=[.!?。！？\n])", text)
                rng.shuffle(parts); text = "".join(parts)
            put(text)
            k = rng.randrange(20)
            if k == 0: put(text)
            elif k == 1:
                words = text.split(" ")
                for _ in range(max(1, len(words) // 50)): words[rng.randrange(len(words))] = f"edit{rng.randrange(10**6)}"
                put(" ".join(words))
        round_ += 1
print(n, "documents,", size / 1e6, "MB of text")
