#!/usr/bin/env python3
"""Trains the static text embedder of ds-filter's semantic stage and its default references; writes safetensors.

usage: train_embedder.py EN.jsonl ZH.jsonl OUT.safetensors        (numpy and scipy; about 3 minutes on one core)

Features: English lower-cased words without accents; Chinese single ideographs and pairs of neighbours. No tokenizer
is needed at run time: a feature is the 64-bit hash that lib/filter/text/document.h defines. Per language: counts of
neighbours within 5 places, positive pointwise mutual information (context counts to the power 0.75), truncated SVD,
rows times the square root of the singular values, then smoothed inverse frequency a/(a+p) as the row's weight. Text
vector: sum of rows, minus the language's mean document direction, normalised. References: spherical k-means over
document vectors of the training text. Deterministic: fixed seeds, sorted vocabulary. Tensors:
  hashes    I64 [V]     ascending by unsigned value is not needed; the reader builds its own table
  vectors   I8  [V, D]  with scales F32 [V]: row = vectors * scale (the frequency weight is inside)
  mean      F32 [2, D]  unit direction subtracted from the normalised sum: en, zh
  calibration F32 [2] cosine below which 1 % of held-out training texts (every fifth) fall: en, zh; it is what the
                      filter's 0.7 stands for
  references F32 [R, D] unit vectors; reference_language I32 [R]: 0 en, 1 zh
"""
import json, re, struct, sys, unicodedata
import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

DIM, WINDOW, VOCAB, K_REF, SIF_A, MIN_COUNT, LOSS = 64, 5, {"en": 14000, "zh": 14000}, 256, 1e-3, 5, 0.01
MASK = (1 << 64) - 1


def mix(h):
    h ^= h >> 32
    h = h * 0x9E3779B97F4A7C15 & MASK
    return h ^ h >> 29


def hash_text(s):
    h = 14695981039346656037
    for c in s: h = (h ^ ord(c)) * 1099511628211 & MASK
    return mix(h)


def hash_pair(a, b): return mix((hash_text(a) * 31 + hash_text(b)) & MASK)


WORD = re.compile(r"[^\W\d_]+")


def fold(s): return "".join(c for c in unicodedata.normalize("NFD", s.lower()) if unicodedata.category(c) != "Mn")


def features(text, lang):
    if lang == "en": return WORD.findall(fold(text))
    out = []
    for run in re.findall("[\u4e00-\u9fff]+", text):
        for i, c in enumerate(run):
            out.append(c)
            if i + 1 < len(run): out.append(run[i:i + 2])
    return out


def feature_hash(f, lang): return hash_pair(*f) if lang == "zh" and len(f) == 2 else hash_text(f)


def train(path, lang):
    docs = [features(json.loads(line)["text"], lang) for line in open(path, encoding="utf-8")]
    counts = {}
    for d in docs:
        for f in d: counts[f] = counts.get(f, 0) + 1
    vocab = sorted((f for f in counts if counts[f] >= MIN_COUNT), key=lambda f: (-counts[f], f))[:VOCAB[lang]]
    index = {f: i for i, f in enumerate(vocab)}
    v = len(vocab)
    ids = [np.array([index.get(f, -1) for f in d], dtype=np.int64) for d in docs]
    total = sum(counts.values())
    flat = np.concatenate([np.concatenate([d, np.full(2 * WINDOW, -1)]) for d in ids])
    co = sp.csr_matrix((v, v), dtype=np.float32)
    reach = WINDOW if lang == "en" else 2 * WINDOW
    for step in range(1, reach + 1):
        a, b = flat[:-step], flat[step:]
        ok = (a >= 0) & (b >= 0)
        co += sp.csr_matrix((np.ones(ok.sum(), np.float32), (a[ok], b[ok])), shape=(v, v))
    co = (co + co.T).tocoo()
    row = np.bincount(co.row, co.data, v); col = row ** 0.75; col /= col.sum()
    pmi = np.log(co.data / np.maximum(row[co.row], 1) / col[co.col])
    keep = pmi > 0
    m = sp.csr_matrix((pmi[keep], (co.row[keep], co.col[keep])), shape=(v, v))
    u, s, _ = svds(m, k=DIM, random_state=np.random.default_rng(1), v0=np.ones(v) / np.sqrt(v))
    order = np.argsort(-s)
    u = u[:, order] * np.sqrt(s[order])
    u *= np.sign(u[np.abs(u).argmax(axis=0), np.arange(DIM)])          # SVD leaves signs open
    p = np.array([counts[f] for f in vocab]) / total
    rows = (u * (SIF_A / (SIF_A + p))[:, None]).astype(np.float32)
    scale = np.abs(rows).max(axis=1) / 127
    q = np.rint(rows / scale[:, None]).astype(np.int8)
    rows = q * scale[:, None]
    vec = np.stack([rows[d[d >= 0]].sum(axis=0) if (d >= 0).any() else np.zeros(DIM) for d in ids])
    norm = np.linalg.norm(vec, axis=1)
    ok = norm > 0
    vec = vec[ok] / norm[ok][:, None]
    mean = vec.mean(axis=0)
    x = vec - mean
    x /= np.linalg.norm(x, axis=1)[:, None]
    held = np.arange(len(x)) % 5 == 0                                    # not seen by the references
    ref = kmeans(x[~held])
    best = (x[held] @ ref.T).max(axis=1)
    cut = float(np.quantile(best, LOSS))
    print(f"{lang}: {len(docs)} documents, {total} features, vocabulary {v} covers {sum(counts[f] for f in vocab) / total:.3f}; "
          f"singular values {s[order][0]:.1f} .. {s[order][-1]:.1f}; best cosine of held-out documents: p1 {cut:.3f} p5 {np.quantile(best, .05):.3f} median {np.median(best):.3f}", flush=True)
    hashes = np.array([feature_hash(f, lang) for f in vocab], dtype=np.uint64)
    assert len(set(hashes.tolist())) == v
    return hashes, q, scale.astype(np.float32), mean.astype(np.float32), ref.astype(np.float32), np.float32(cut)


def kmeans(x):
    rng = np.random.default_rng(7)
    c = x[rng.choice(len(x), K_REF, replace=False)]
    for _ in range(40):
        nearest = (x @ c.T).argmax(axis=1)
        for k in range(K_REF):
            member = x[nearest == k]
            if len(member): c[k] = member.sum(axis=0) / np.linalg.norm(member.sum(axis=0))
    return c


def write(path, tensors, metadata):
    names, at, header = {"I64": np.int64, "I8": np.int8, "F32": np.float32, "I32": np.int32}, 0, {"__metadata__": metadata}
    for name, (dtype, t) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}; at += t.nbytes
    text = json.dumps(header).encode(); text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for dtype, t in tensors.values(): f.write(np.ascontiguousarray(t, dtype=names[dtype]).tobytes())


def main():
    parts = [train(sys.argv[1], "en"), train(sys.argv[2], "zh")]
    hashes, q, scale, mean, ref, cut = zip(*parts)
    lang = np.concatenate([np.full(len(r), i, np.int32) for i, r in enumerate(ref)])
    write(sys.argv[3], {
        "hashes": ("I64", np.concatenate(hashes).view(np.int64)), "scales": ("F32", np.concatenate(scale)),
        "mean": ("F32", np.stack(mean)), "calibration": ("F32", np.array(cut, np.float32)), "references": ("F32", np.concatenate(ref)), "reference_language": ("I32", lang),
        "vectors": ("I8", np.concatenate(q))},
        {"format": "ds-static-embedder-1", "dim": str(DIM), "made_by": "scripts/make/train_embedder.py",
         "trained_on": "Debian documentation packages, English and Chinese", "features": "fnv1a words; han characters and pairs"})


main()
