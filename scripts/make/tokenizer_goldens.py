#!/usr/bin/env python3
"""tokenizer_goldens.py OUT.json: small tokenizers of every style that lib/text supports, with the ids that the PyPI
`tokenizers` package gives. The styles: DeepSeek LLM/V2, DeepSeek Coder, GPT-2, SmolLM, Qwen2, Llama-3, and one for each
behaviour, normaliser and added-token flag. Needs: pip install tokenizers
"""
import json, pathlib, sys, unicodedata
from tokenizers import Tokenizer, models, pre_tokenizers, decoders, trainers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "check"))
import tokenizer as texts

CORPUS = texts.PROSE + texts.CODE


def cased_letters():
    """An explicit class of all cased letters, as DeepSeek LLM's pattern has one."""
    ranges = []
    for c in range(0x20000):
        if unicodedata.category(chr(c)) in ("Lu", "Ll", "Lt"):
            if ranges and ranges[-1][1] == c - 1: ranges[-1][1] = c
            else: ranges.append([c, c])
    return "".join(chr(a) if a == b else f"{chr(a)}-{chr(b)}" for a, b in ranges)


def split(regex, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: regex}, "behavior": behavior, "invert": invert}


def byte_level(add_prefix_space=False, use_regex=False):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True, "use_regex": use_regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_LLM = sequence(split("[\r\n]"), split(r"\s?[" + cased_letters() + "]+"), split("\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+"), split(r"\s+$"),
                        split("[一-龥ࠀ-一가-퟿]+"), {"type": "Digits", "individual_digits": True}, byte_level())


def added(content, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}


TOKENS = [added("<s>"), added("</s>"), added("<think>", special=False), added("<|a|>"), added("<|a|>b", special=False, normalized=True)]
FLAGS = [added("<s>"), added("<l>", lstrip=True), added("<r>", rstrip=True, special=False), added("<lr>", lstrip=True, rstrip=True), added("word", single_word=True, special=False),
         added("é", normalized=True, special=False), added("<ss>"), added("<", special=False), added("\u212b", normalized=True, special=False)]

STYLES = {
    "deepseek_llm": dict(pre=DEEPSEEK_LLM, tokens=TOKENS),
    "deepseek_coder": dict(pre=sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), split(r"\p{N}"), byte_level()), tokens=TOKENS),
    "gpt2": dict(pre=byte_level(False, True), tokens=TOKENS[:1]),
    "gpt2_prefix_space": dict(pre=byte_level(True, True), tokens=TOKENS[:3]),
    "smollm": dict(pre=sequence({"type": "Digits", "individual_digits": True}, byte_level(False, True)), tokens=TOKENS),
    "qwen2": dict(pre=sequence(split(QWEN), byte_level()), normalizer={"type": "NFC"}, tokens=FLAGS),
    "llama3": dict(pre=sequence(split(QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|")), byte_level()), ignore_merges=True, tokens=TOKENS),
    "o200k_general_engine": dict(pre=sequence(split(O200K), byte_level()), tokens=TOKENS[:1]),
    "removed": dict(pre=sequence(split(r"\s+", "Removed"), byte_level(True)), tokens=FLAGS),
    "merged_previous": dict(pre=sequence(split(r"[ ,.]", "MergedWithPrevious"), byte_level())),
    "merged_next": dict(pre=sequence(split(r" |\p{P}", "MergedWithNext"), byte_level())),
    "contiguous": dict(pre=sequence(split(r"[\p{L}]", "Contiguous"), byte_level())),
    "inverted": dict(pre=sequence(split(r"\p{L}+|\p{N}+", "Removed", True), byte_level())),
    "literal": dict(pre=sequence(split("a", "MergedWithNext", kind="String"), split("..", kind="String"), byte_level())),
    "digits_together": dict(pre=sequence({"type": "Digits", "individual_digits": False}, {"type": "Punctuation", "behavior": "Isolated"}, byte_level())),
    "punctuation": dict(pre=sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(False, True))),
    "lookbehind": dict(pre=sequence(split(r"(?<=\p{Ll})(?=\p{Lu})|_|(?:ab)+"), byte_level())),
    "words": dict(pre=sequence(split(r"\w+"), split(r"\b", "MergedWithPrevious"), split(r"[\w]+(?<!x)", "MergedWithNext"), byte_level())),
    "normalizers": dict(pre=byte_level(False, True), tokens=FLAGS[:5], normalizer={"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "NFKC"}, {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"String": "th"}, "content": "TH"}, {"type": "Replace", "pattern": {"Regex": r"\d+"}, "content": "#"}, {"type": "Prepend", "prepend": "_"}]}),
    "nfd": dict(pre=byte_level(False, True), normalizer={"type": "NFD"}),
    "missing_bytes": dict(pre=byte_level(False, True), drop=list("zäé中"), tokens=TOKENS[:1]),
    "unknown_token": dict(pre=byte_level(False, True), drop=list("zäé中"), unk="<unk>", tokens=TOKENS[:1]),
    "fused_unknown": dict(pre=byte_level(False, True), drop=list("zäé中"), unk="<unk>", fuse=True, tokens=TOKENS[:1]),
}

CASES = CORPUS + texts.EMOJI + texts.MARKS + texts.SPACE + texts.CONTROL + [
    "", "<s>a<s>", "<s", "<<s>>", "a <think> b</think>", "<|a|>b<|a|>c", " <l> x <r> y <lr>  z\n<lr>\n", "word words sword word.word _word word", "<ss><s>s<", "e\u0301 é E\u0301 \u212b Å",
    "a" * 300, " " * 200, "ab" * 200, "中" * 150, "\n" * 50 + "x", "12345678 1 22 333", "  leading", "trailing  ", " \u3000 \u00a0x", "don't DON'T ſ'ſ 'S'T", "camelCaseHTTPServer_abab_x", "THe thing 42 times", "10½kg x² y³ z¹ ¼¾ a₂ ⑴ ½",
    "zebra é ä 中 zz", "x\r\ny\r\n\r\nz", "...a..b.", "\ufeffBOM", "I'm  \n  you're", "\u180ex \u180e", "١٢٣ ४५६ Ⅷ½", "\U00011938 \u0898a\u0301", "𞤀𞤢 ǅ ﬃ", "a\u2028b\u2029c\u0085d",
]


def alphabet():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    out, extra = {}, 0
    for b in range(256):
        out[b] = chr(b) if b in printable else chr(256 + (extra := extra + 1) - 1)
    return out


def build(style):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(CORPUS * 3, trainers.BpeTrainer(vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(trained.to_str())["model"]
    vocab = sorted(model["vocab"], key=model["vocab"].get)
    letters = alphabet()
    dropped = {letters[b] for c in style.get("drop", []) for b in c.encode()}
    vocab = [t for t in vocab if not set(t) & dropped]
    merges = [m for m in model["merges"] if m[0] in vocab and m[1] in vocab and "".join(m) in vocab]
    if style.get("ignore_merges"):
        vocab += ["Ġhasn't", "Ġthe", "HTTP"]  # not reachable by merges
        vocab = list(dict.fromkeys(vocab))
    if style.get("unk"): vocab.append(style["unk"])
    model.update(vocab={t: i for i, t in enumerate(vocab)}, merges=merges, unk_token=style.get("unk"), fuse_unk=style.get("fuse", False), ignore_merges=style.get("ignore_merges", False))
    if style.get("ignore_merges"): model["merges"] = [" ".join(m) for m in merges]  # the older spelling
    tokens = [{"id": len(vocab) + i, **t} for i, t in enumerate(style.get("tokens", []))]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": style.get("normalizer"), "pre_tokenizer": style["pre"], "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, "model": model}


def main():
    out = []
    for name, style in STYLES.items():
        data = build(style)
        reference = Tokenizer.from_str(json.dumps(data))
        cases = []
        for flag in (True, False):
            reference.encode_special_tokens = not flag
            for text in CASES:
                if flag or "<" in text:
                    ids = reference.encode(text, add_special_tokens=False).ids
                    cases.append([text, flag, ids, reference.decode(ids, skip_special_tokens=False)])
        out.append({"name": name, "tokenizer": data, "cases": cases})
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=False, separators=(",", ":"))
    print(len(out), "tokenizers", sum(len(x["cases"]) for x in out), "cases")


if __name__ == "__main__":
    main()
