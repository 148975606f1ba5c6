#!/usr/bin/env python3
"""Answers judged by ds-bench eval against the PyPI package math-verify, on some 1200 strings of our own.

usage: python3 -m venv V && V/bin/pip install math-verify && V/bin/python scripts/check/answers_math_verify.py BUILD

A difference in a kind of ARGUED is one where we mean to differ, for the reason given there; any other is a failure.
"""
import json, logging, random, subprocess, sys, tempfile
from math_verify import parse, verify

logging.disable(logging.CRITICAL)
ARGUED = {
    "thin thousands": "\\, separates thousands in LaTeX; it reads a product",
    "mixed thousands": "so do its other blanks and {,}, in any mixture; it reads products and lists",
    "grouped decimals": "decimals are grouped, too; it reads a product",
    "list": "no marked number: the last one of a list counts; it takes the list for one answer",
    "coordinates": "where one number is asked for (1,234) is it; it reads a pair",
    "apostrophe thousands": "1'234 is a Swiss 1234; it reads 1",
    "underscore thousands": "1_234 is how programs write 1234; it reads 1",
    "point thousands": "1.234.567 is a German 1234567; it reads a decimal",
    "slash": "9/7 before a full stop is a fraction; it reads the 7 with the stop",
    "minus sign": "U+2212 is a minus sign; it drops it",
    "dollars": "\\$ before a number is a currency; it takes it for the end of a formula",
    "full width": "full-width digits are what a Chinese keyboard types; it reads none",
    "chinese numerals": "it reads no Chinese numerals; a person does",
    "vulgar fraction": "½ and 3½ are how keyboards write 1/2 and 7/2; it reads no such sign",
    "raised digits": "10⁶ is 10^6; it reads 10",
    "million": "1.5 million is 1500000; it reads the 1.5",
    "cents": "1.234,56 is a German 1234.56; it reads a list",
    "mixed chinese": "1万2千 and 3又1/2 are numbers to a person; it reads the last digits",
    "hash before": "#### marks the answer (GSM8K); it takes the last number",
}
random.seed(7)


def samples():
    def number():
        return random.choice([random.randint(2, 99), random.randint(100, 99999), random.randint(10**6, 10**8)])

    for _ in range(16):
        n, big = number(), random.randint(1000000, 99999999)
        wrong = n + random.randint(1, 9)
        a, b = random.randint(1, 9), random.choice([2, 4, 5, 8])
        c = random.choice([3, 7, 9])
        group = f"{big:,}"
        yield "plain", f"The answer is {n}.", str(n)
        yield "plain wrong", f"The answer is {wrong}.", str(n)
        yield "boxed", f"Thus \\boxed{{{n}}}.", str(n)
        yield "boxed wrong", f"Thus \\boxed{{{wrong}}}.", str(n)
        yield "boxed dollars", f"So $\\boxed{{{n}}}$ is it.", str(n)
        yield "comma thousands", f"The answer is {group}.", str(big)
        yield "boxed thousands", f"$\\boxed{{{group}}}$", str(big)
        yield "latex thousands", f"$\\boxed{{{group.replace(',', '{,}')}}}$", str(big)
        yield "thin thousands", "$\\boxed{" + group.replace(",", "\\,") + "}$", str(big)
        parts = group.split(",")
        marks = random.choices(["\\,", "\\;", "\\!", "{,}", ",", "{\\,}", ",\\!", "~"], k=len(parts) - 1)
        if any(m != "~" and m != "," for m in marks):
            mixed = parts[0] + "".join(m + p for m, p in zip(marks, parts[1:]))
            yield "mixed thousands", "$\\boxed{" + mixed + "}$", str(big)
        yield "list", f"The answers are {n % 999 + 1}, {big % 900 + 100}.", str(big % 900 + 100)
        yield "coordinates", f"The total is ({n % 9 + 1},{big % 900 + 100}).", str((n % 9 + 1) * 1000 + big % 900 + 100)
        yield "grouped decimals", f"$\\boxed{{{a}.{big % 900 + 100}\\,{n % 90 + 100}}}$", f"{a}.{big % 900 + 100}{n % 90 + 100}"
        yield "blank thousands", f"The answer is {group.replace(',', ' ')}.", str(big)
        yield "apostrophe thousands", "The answer is " + group.replace(",", "'") + ".", str(big)
        yield "underscore thousands", f"The answer is {group.replace(',', '_')}.", str(big)
        yield "point thousands", f"The answer is {group.replace(',', '.')}.", str(big)
        yield "fraction", f"$\\boxed{{\\frac{{{a}}}{{{c}}}}}$", f"{a}/{c}"
        yield "fraction wrong", f"$\\boxed{{\\frac{{{a + 1}}}{{{c}}}}}$", f"{a}/{c}"
        yield "short frac", f"$\\boxed{{\\frac{a}{c}}}$", f"{a}/{c}"
        yield "slash", f"The answer is {a}/{c}.", f"{a}/{c}"
        yield "decimal of fraction", f"The answer is {a / b}.", f"{a}/{b}"
        yield "negative", f"$\\boxed{{-{n}}}$", str(-n)
        yield "negative wrong", f"$\\boxed{{{n}}}$", str(-n)
        yield "minus sign", f"The answer is \u2212{n}.", str(-n)
        yield "dollars", f"The answer is \\${n}.", str(n)
        yield "trailing zeros", f"The answer is {n}.50.", f"{n}.5"
        yield "leading zeros", f"The answer is 00{n}.", str(n)
        yield "full width", "答案是" + "".join(chr(0xFEE0 + ord(d)) for d in str(n)) + "。", str(n)
        yield "chinese numerals", f"答案是{'二三四五六七八九'[a % 8]}十{'一二三四五六七八九'[a - 1]}。", str((a % 8 + 2) * 10 + a)
        yield "chinese numerals", f"共计{'贰叁肆伍陆柒捌玖'[a % 8]}拾{'壹贰叁肆伍陆柒捌玖'[a - 1]}元整", str((a % 8 + 2) * 10 + a)
        yield "vulgar fraction", f"The answer is {'½¼¾'[c % 3]}.", ["1/2", "1/4", "3/4"][c % 3]
        yield "vulgar fraction", f"The answer is {n}½.", f"{2 * n + 1}/2"
        yield "power", f"$\\boxed{{{a}^{{{b}}}}}$", str(a**b)
        yield "raised digits", f"The answer is 10{'⁰¹²³⁴⁵⁶⁷⁸⁹'[a]}.", str(10**a)
        # Digits that are no number, and words: "one" and "two" are seldom the answer. Both read none.
        yield "zero below wrong", f"$\\frac{{{n}}}{{0}}$", str(n)
        yield "time wrong", f"At {a}:{a + 10}.", str(a + 10)
        yield "word wrong", f"The answer is {'two three four five six seven eight nine ten'.split()[a - 1]}.", str(a + 1)
        yield "marked before", f"The answer is {n}. I checked it in {a} steps.", str(n)
        yield "hash before", f"#### {n}\n\nAsk me {a} more.", str(n)
        yield "power of ten", f"$\\boxed{{{a} \\times 10^{{3}}}}$", str(a * 1000)
        yield "percent", f"$\\boxed{{{a * 10}\\%}}$", str(a * 10)
        yield "unit", f"$\\boxed{{{n} \\text{{ cm}}}}$", str(n)
        yield "equation", f"$\\boxed{{x = {n}}}$", str(n)
        # Expressions: right as a whole, never by a digit of theirs.
        for kind, expression in [
            ("root", f"{a}\\sqrt{{{c}}}"), ("root of fraction", f"\\frac{{\\sqrt{{{c}}}}}{{{b}}}"), ("pi", f"{a}\\pi"),
            ("term", f"{a + 1}x"), ("power of x", f"x^{{{c}}}"), ("sum", f"x+{a}"), ("pair", f"({a}, {c})"),
            ("imaginary", f"{a}+{c}i"), ("logarithm", f"\\log {c + 2}"),
        ]:
            yield kind, f"$\\boxed{{{expression}}}$", expression
            for digit in (a, c):
                yield kind + " wrong", f"$\\boxed{{{expression}}}$", str(digit)
        yield "unit squared", f"$\\boxed{{{n}\\text{{ m}}^2}}$", str(n)
        yield "million", f"The answer is {a}.5 million.", str(a * 1000000 + 500000)
        yield "cents", f"The answer is {a}.{n % 900 + 100},{b}5.", f"{a}{n % 900 + 100}.{b}5"
        yield "mixed chinese", f"共{a}万{b}千", str(a * 10000 + b * 1000)
        yield "mixed chinese", f"答案是{a}又{1}/{b}", f"{a * b + 1}/{b}"


def main():
    kinds = list(samples())
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/set.jsonl", "w") as out:
            for i, (_, text, gold) in enumerate(kinds):
                out.write(json.dumps({"id": f"q{i}", "prompt": text, "answer": gold, "match": "number"}) + "\n")
        lines = subprocess.run([sys.argv[1] + "/ds-bench", "eval", "--cmd", "cat", "--set", folder + "/set.jsonl", "-q"],
                               capture_output=True, text=True, check=True).stdout.splitlines()
    ours = {r["id"]: r["correct"] for r in map(json.loads, lines) if r["type"] == "item"}
    n_same, argued, unargued = 0, {}, []
    for i, (kind, text, gold) in enumerate(kinds):
        theirs = verify(parse(f"${gold}$" if "\\" in gold or "x" in gold or "i" in gold or "," in gold else gold), parse(text))
        wanted = not kind.endswith("wrong")
        if ours[f"q{i}"] != wanted:
            unargued.append((kind, text, gold, "WE ARE WRONG"))
        elif ours[f"q{i}"] == theirs:
            n_same += 1
        elif kind in ARGUED:
            argued[kind] = argued.get(kind, 0) + 1
        else:
            unargued.append((kind, text, gold, f"ours {ours[f'q{i}']}, math-verify {theirs}"))
    print(f"{len(kinds)} strings: {n_same} alike, {sum(argued.values())} differ as argued, {len(unargued)} otherwise")
    for kind, n in argued.items():
        print(f"  {n:3} {kind}: {ARGUED[kind]}")
    for row in unargued:
        print("  ", *map(repr, row))
    sys.exit(bool(unargued))


if __name__ == "__main__":
    main()
