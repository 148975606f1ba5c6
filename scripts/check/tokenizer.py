#!/usr/bin/env python3
"""tokenizer.py DS_RUN FOLDER... [--mb N] [--seed S]: token ids against the PyPI `tokenizers` package.

For every folder with a tokenizer.json: builds mixed text (prose in many scripts, code, emoji sequences, combining marks,
runs of white space, CRLF, control characters, random Unicode, special-token look-alikes), has `DS_RUN FOLDER --tokenize
--jsonl` encode it and compares ids, with and without special tokens. Exits 1 and prints the first differences.
Needs: pip install tokenizers
"""
import argparse, json, random, subprocess, sys
from tokenizers import Tokenizer

PROSE = [
    "The quick brown fox jumps over the lazy dog. It's 3:45pm; they've paid $1,234.56 (or €99)!",
    "I'LL say: we'Ve been there, don'T you think? she's he'd I'm you're",
    "为什么天空是蓝色的？因为瑞利散射：短波长的光更容易被空气分子散射。", "深度求索（DeepSeek）发布了V3模型，参数量为6710亿。",
    "日本語の文章です。カタカナとひらがな、漢字が混ざっています・ー゛゜々〆〇", "한국어 문장도 있습니다. 가나다라 ㅋㅋㅋ",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.", "Ελληνικά: η γρήγορη αλεπού, Ω και ς.",
    "العربية: السَّلَامُ عَلَيْكُم ١٢٣٤٥٦ ومرحبا", "עברית: שָׁלוֹם עולם", "हिन्दी: नमस्ते दुनिया १२३ क्षत्रिय", "ภาษาไทย: สวัสดีชาวโลก ๑๒๓",
    "Tiếng Việt: Tôi có thể ăn thủy tinh mà không hại gì.", "Türkçe İstanbul ığüşöç IĞÜŞÖÇ", "ქართული ენა", "Հայերեն լեզու", "አማርኛ ፊደል ፩፪፫",
    "བོད་ཡིག", "မြန်မာဘာသာ", "ខ្មែរ", "தமிழ் ௧௨௩", "ᏣᎳᎩ ꮳꮃꭹ", "𐐀𐐁𐐨 𝒜𝔸 𝟘𝟙𝟚 ①②③ Ⅷ ½ ²³ ㊙ ㍿",
]
CODE = [
    "def f(x: int) -> str:\n    return f\"{x:>8}\"\n\n\nclass A(B):\n\tpass\n", "#include <vector>\nint main() { return v[i]->x != 0x1F ? a&&b : ~c; }\r\n",
    "SELECT * FROM t WHERE a='b' AND c<=10; -- comment", "<div class=\"x\">&nbsp;</div><!-- hi -->", "https://example.com/a/b?c=d&e=%20#f user@host.org",
    "```json\n{\"a\": [1, 2.5e-3, null, true]}\n```", "\\begin{equation} \\int_0^\\infty e^{-x^2} dx \\end{equation}", "1234567890123 3.14159 1e10 0xdeadbeef 12,345,678",
]
EMOJI = ["😀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "❤️", "☃", "1️⃣", "\U0001FAE8", "🤷🏻‍♀️"]
MARKS = ["e\u0301", "\u0301", "a\u0323\u0302", "\u0e33", "\u093f", "\u1ab0\u0898", "\u200d", "\ufe0f", "\u20e3", "ﬁ", "Å", "\u212b", "\u1e9b\u0323", "가", "\u1100\u1161\u11a8"]
SPACE = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n ", "\u3000", "\u00a0", "\u2003", "\u2028", "\u2029", "\u0085", "\u180e", "\u200b", "\ufeff", "\v", "\f", " \t \r\n\r\n  "]
CONTROL = ["\x00", "\x01", "\x1c", "\x1f", "\x7f", "\u0080", "\u009f", "\ufffd", "\uffff", "\ue000", "\U000e0001", "\U0010ffff", "\u0378"]
LOOKALIKES = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜", "<think>", "</think>", "<|eot_id|>",
              "<|begin_of_text|>", "<| im_start |>", "<｜tool▁calls▁begin｜>", "｜DSML｜", "<s>", "</s>", "<unk>", "<tool_call>", "<｜▁pad▁｜>", "<<think>>", "<｜place▁holder▁no▁1｜>"]


def random_char(r):
    while True:
        top = r.choice([0x80, 0x250, 0x900, 0x3100, 0xA000, 0x10000, 0x20000, 0x110000])
        c = r.randrange(top)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def piece(r, special):
    kind = r.randrange(12)
    if kind < 4: return r.choice(PROSE)
    if kind == 4: return r.choice(CODE)
    if kind == 5: return "".join(r.choice(EMOJI) for _ in range(r.randrange(1, 5)))
    if kind == 6: return r.choice("abcéкأक가字") + "".join(r.choice(MARKS) for _ in range(r.randrange(1, 6)))
    if kind == 7: return r.choice(SPACE) * r.choice([1, 1, 2, 3, 7, 40])
    if kind == 8: return r.choice(CONTROL)
    if kind == 9: return "".join(random_char(r) for _ in range(r.randrange(1, 12)))
    if kind == 10: return r.choice(special + LOOKALIKES)
    words = r.choice(PROSE + CODE).split()
    return "".join(r.choice(words)[: r.randrange(1, 9)] + r.choice(SPACE + ["", "", "'s", "-", "_", "..."]) for _ in range(r.randrange(1, 8)))


def record(r, special):
    if r.random() < 0.02:  # one long piece
        return r.choice(["a", " ", "\n", "中", "7", "ab", "é", "!", "\u0301", "x\n", "😀"]) * r.randrange(100, 4000)
    return "".join(piece(r, special) + r.choice(["", " ", "", "\n"]) for _ in range(r.randrange(1, 30)))


def check(ds_run, folder, megabytes, seed):
    reference = Tokenizer.from_file(f"{folder}/tokenizer.json")
    added = reference.get_added_tokens_decoder()
    special = [t.content for t in added.values()][:200] or ["<s>"]
    r = random.Random(seed)
    records, size = [], 0
    while size < megabytes * 1e6:
        text = record(r, special)
        size += len(text.encode())
        records.append({"id": len(records), "text": text, "parse_special": r.random() < 0.7})
    lines = "".join(json.dumps(x, ensure_ascii=r.random() < 0.5) + "\n" for x in records)
    run = subprocess.run([ds_run, folder, "--tokenize", "--jsonl"], input=lines.encode(), capture_output=True)
    if run.returncode:
        print(f"{folder}: exit {run.returncode}: {run.stderr.decode(errors='replace')[-500:]}")
        return False
    answers = [json.loads(line) for line in run.stdout.decode().split("\n") if line]
    bad = abs(len(answers) - len(records))
    n_ids = 0
    for flag in (True, False):  # the flag is a property of the reference tokenizer, so in two passes
        reference.encode_special_tokens = not flag
        for want, got in zip(records, answers):
            if want["parse_special"] != flag:
                continue
            ids = reference.encode(want["text"], add_special_tokens=False).ids
            n_ids += len(ids)
            if got.get("ids") != ids or got.get("id") != want["id"]:
                bad += 1
                if bad <= 3:
                    at = next((i for i, (a, b) in enumerate(zip(ids, got.get("ids") or [])) if a != b), -1)
                    print(f"{folder}: record {want['id']} parse_special={flag} differs at id {at}: {want['text'][:200]!r}\n"
                          f"  want {ids[max(0, at - 2):at + 6]} got {(got.get('ids') or [])[max(0, at - 2):at + 6]}"
                          f" after {reference.decode(ids[max(0, at - 4):at], skip_special_tokens=False)!r}")
    print(f"{folder}: {len(records)} records, {size / 1e6:.1f} MB, {n_ids} ids, {bad} differ")
    return bad == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ds_run")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--mb", type=float, default=2.0, help="megabytes of text per tokenizer")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    results = [check(args.ds_run, folder, args.mb, args.seed) for folder in args.folders]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
