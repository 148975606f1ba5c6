#!/usr/bin/env python3
"""Perplexity and KL divergence of `ds-bench eval` against independent computations.

    check_eval.py golden BUILD             every golden checkpoint: numpy on the golden's own logits
    check_eval.py model BUILD FOLDER OTHER [--text FILE] [--window 256] [--tokens 1024]
                                           torch and transformers in float32 on two model folders of one tokenizer

Windows, begin token, the 64 kept tokens with their rest, and the sums are computed here anew from the definitions in
lib/bench/eval.h. Prints both values of each; exits 1 where they differ by more than the rounding of float32 logits.
golden needs numpy, model torch and transformers, too.
"""
import argparse
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOP = 64
n_failed = n_passed = 0


def check(what, ours, theirs, tolerance):
    global n_failed, n_passed
    good = bool(abs(ours - theirs) <= tolerance)
    n_passed, n_failed = n_passed + good, n_failed + (not good)
    print(f"{what}: ds-bench {ours:.7g}, here {theirs:.7g}, difference {ours - theirs:+.1e}{'' if good else '  WRONG'}")


def log_softmax(logits):
    x = logits.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def nll(log_p, ids):
    """log_p [T, V] of the tokens before, ids [T+1]."""
    return -log_p[np.arange(len(ids) - 1), ids[1:]].sum()


def divergence(log_p, log_q):
    """KL over the 64 likeliest tokens of p, what is left as one more; mean over rows. And over the whole vocabulary."""
    rows, full = [], []
    for p, q in zip(log_p, log_q):
        top = np.argsort(-p, kind="stable")[:TOP]
        kl = float((np.exp(p[top]) * (p[top] - q[top])).sum())
        rest_p, rest_q = 1 - np.exp(p[top]).sum(), 1 - np.exp(q[top]).sum()
        if rest_p > 1e-9:
            kl += rest_p * (np.log(rest_p) - np.log(max(rest_q, 1e-12)))
        rows.append(max(0.0, kl))
        full.append(float((np.exp(p) * (p - q)).sum()))
    return float(np.mean(rows)), float(np.mean(full))


def evaluate(build, *arguments):
    done = subprocess.run([str(build / "ds-bench"), "eval", *map(str, arguments), "--quiet"], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"ds-bench eval {' '.join(map(str, arguments))} ended with {done.returncode}")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return records[0], [r for r in records if r["type"] == "item"]


def read_tensors(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        header, data = json.loads(f.read(n)), f.read()
    types = {"I64": np.int64, "F32": np.float32}
    return {name: np.frombuffer(data[v["data_offsets"][0]:v["data_offsets"][1]], types[v["dtype"]]).reshape(v["shape"])
            for name, v in header.items() if v["dtype"] in types}


def byte_characters():
    """The printable stand-ins of byte-level BPE: byte -> character."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    out, extra = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in out:
            out[b] = chr(256 + extra)
            extra += 1
    return out


def with_tokenizer(golden, ids, vocab_size, folder):
    """The golden with a tokenizer by which a text of printable characters is exactly `ids`. Returns the text."""
    of_id = {int(i): 33 + n for n, i in enumerate(sorted(set(ids.tolist())))}
    assert len(of_id) <= 94
    free_bytes = [b for b in range(256) if b not in of_id.values()]
    free_ids = [i for i in range(vocab_size) if i not in of_id]
    characters = byte_characters()
    vocab = {characters[b]: i for i, b in of_id.items()} | {characters[b]: i for b, i in zip(free_bytes, free_ids)}
    for file in golden.iterdir():
        if file.suffix == ".safetensors" and file.name.startswith("model") or file.suffix == ".json":
            (folder / file.name).symlink_to(file)
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": []}}))
    return "".join(chr(of_id[int(i)]) for i in ids)


def write_baseline(path, log_p, ids, window):
    """A baseline file written by this script: layout as in lib/bench/perplexity.cpp, no begin token."""
    hash_of = lambda data: hashlib.sha256(data).hexdigest()
    name = hash_of((hash_of(np.asarray(ids, "<i4").tobytes()) + str(window) + "-").encode())
    with open(path, "wb") as f:
        f.write(b"DSKLD1\n\0" + name.encode() + struct.pack("<qii", len(log_p), TOP, log_p.shape[1]))
        for row in log_p:
            top = np.argsort(-row, kind="stable")[:TOP]
            rest = max(1 - np.exp(row[top]).sum(), 1e-30)
            f.write(top.astype("<i4").tobytes() + row[top].astype("<f4").tobytes() + struct.pack("<f", np.log(rest)))


def baseline_error(path, log_p):
    """Largest error of a log-probability that ds-bench stored."""
    data, width = path.read_bytes(), 8 * TOP + 4
    worst = 0.0
    assert len(data) == 88 + len(log_p) * width
    for n, row in enumerate(log_p):
        at = 88 + n * width
        kept, values = np.frombuffer(data, "<i4", TOP, at), np.frombuffer(data, "<f4", TOP, at + 4 * TOP)
        worst = max(worst, np.abs(values - row[kept]).max(), np.sort(row)[-TOP] - row[kept].min())
    return float(worst)


def golden(build):
    window = 256
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for folder in sorted((ROOT / "tests/golden/arch").iterdir()):
            if not (folder / "golden.safetensors").exists():
                continue
            tensors = read_tensors(folder / "golden.safetensors")
            ids, logits = tensors["input_ids.2"], tensors["logits.2"]
            made, text, base = (scratch / (folder.name + end) for end in ("", ".txt", ".kld"))
            made.mkdir()
            text.write_text(with_tokenizer(folder, ids, logits.shape[1], made))
            common = [made, "--set", "kld", "--text", text, "--window", window]
            _, items = evaluate(build, *common, "--write-baseline", base)
            assert len(items) == 1 and items[0]["n_out"] == len(ids) - 1, items
            log_q = log_softmax(logits)[:-1]
            check(f"{folder.name}: nll per token", items[0]["nll"] / (len(ids) - 1), nll(log_q, ids) / (len(ids) - 1), 5e-6)
            check(f"{folder.name}: stored log-probabilities, largest error", baseline_error(base, log_q), 0, 2e-4)
            # Another model's distribution, as far from this one's as a coarse quantization's.
            log_p = log_softmax(logits + rng.normal(0, 0.3, logits.shape))[:-1]
            write_baseline(base, log_p, ids, window)
            _, items = evaluate(build, *common, "--baseline", base)
            kept, full = divergence(log_p, log_q)
            check(f"{folder.name}: KL to a disturbed one (whole vocabulary {full:.6f})", items[0]["kld"], kept, 5e-6)


def model(build, arguments):
    import torch
    import transformers

    torch.set_num_threads(2)
    folders = [arguments.folder, arguments.other]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[0])
    text = arguments.text.read_text()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:arguments.tokens]
    with tempfile.TemporaryDirectory() as scratch:
        base = pathlib.Path(scratch) / "base.kld"
        common = ["--text", arguments.text, "--window", arguments.window, "--text-tokens", arguments.tokens]
        head, first = evaluate(build, folders[0], "--set", "kld", *common, "--write-baseline", base)
        _, second = evaluate(build, folders[1], "--set", "kld", *common, "--baseline", base)
        print(head["target"]["convention"], f"- {base.stat().st_size / 1e6:.2f} MB of baseline")
    begin = [tokenizer.bos_token_id] if "begin token first" in head["target"]["convention"] else []
    if begin:  # of the chat template's own first token where the tokenizer adds none
        chat = tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False) if tokenizer.chat_template else ""
        plain = tokenizer("a")["input_ids"]
        begin = plain[:1] if len(plain) > len(tokenizer("a", add_special_tokens=False)["input_ids"]) else tokenizer(
            chat, add_special_tokens=False)["input_ids"][:1]
    room = arguments.window - len(begin)
    windows = [begin + ids[at:at + room] for at in range(0, len(ids), room)]
    windows = [w for w in windows if len(w) > 1]
    log_ps = []
    for folder, items in zip(folders, (first, second)):
        net = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.no_grad():
            log_ps.append([log_softmax(net(torch.tensor([w])).logits[0].numpy())[:-1] for w in windows])
        assert len(items) == len(windows), (len(items), len(windows))
        n = sum(len(w) - 1 for w in windows)
        assert [i["n_out"] for i in items] == [len(w) - 1 for w in windows]
        theirs = [nll(p, np.array(w)) for p, w in zip(log_ps[-1], windows)]
        for i, (item, t) in enumerate(zip(items, theirs)):
            check(f"{folder.name} window {i}: nll per token", item["nll"] / item["n_out"], t / item["n_out"], 2e-4)
        ours = float(np.exp(sum(i["nll"] for i in items) / n))
        check(f"{folder.name}: perplexity", ours, float(np.exp(sum(theirs) / n)), 2e-4 * ours)
    for i, (item, p, q) in enumerate(zip(second, *log_ps)):
        kept, full = divergence(p, q)
        check(f"{folders[1].name} against {folders[0].name} window {i}: KL (whole vocabulary {full:.6f})", item["kld"], kept, 2e-5 + 1e-3 * kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["golden", "model"])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path, nargs="?")
    parser.add_argument("other", type=pathlib.Path, nargs="?")
    parser.add_argument("--text", type=pathlib.Path, default=ROOT / "README.md")
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=1024)
    arguments = parser.parse_args()
    if arguments.what == "model" and not arguments.other:
        parser.error("model compares two folders")
    golden(arguments.build) if arguments.what == "golden" else model(arguments.build, arguments)
    print(f"{n_passed} passed, {n_failed} failed")
    sys.exit(n_failed > 0 or n_passed == 0)


main()
