#!/usr/bin/env python3
"""Greedy answers of ds-run against transformers in float32 on the same folder: equal token by token.

    compare_transformers.py BUILD FOLDER [-n 48] [--threads N]

24 prompts: questions in English and other languages, code, long texts, through the chat template. Where the two
part, the margin is printed: how much the reference preferred its token over ours, in logits. Prints
"N passed, N failed" and exits 1 on any difference. Needs torch and transformers.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

PASSAGE = (
    "The lighthouse stood on a narrow strip of rock, half a mile from the village. Every evening the keeper "
    "climbed its 112 steps with a can of oil, trimmed the wick and wrote the weather into a book. In the winter of "
    "1883 a storm broke the glass, and for three nights the keeper, his daughter and two fishermen held a sail "
    "against the wind so that the flame would not go out. Nineteen ships passed in those nights; none of them knew. "
)
PROMPTS = [
    "What is the capital of France?",
    "Why is the sky blue?",
    "List three uses for a brick.",
    "What is 17 + 25?",
    "Give me a recipe for pancakes.",
    "Who wrote Romeo and Juliet, and when?",
    "Explain gravity to a five-year-old in two sentences.",
    "Write a haiku about autumn leaves.",
    "Translate 'good morning' into Spanish.",
    "What is the difference between a list and a tuple in Python?",
    "Write a Python function that checks whether a number is prime.",
    "What does this do?\n\n```c\nfor (int i = 0; i < n; ++i)\n    sum += a[i] * b[i];\n```",
    "Fix this: SELECT name FORM users WHER id = 3;",
    "为什么天空是蓝色的?",
    "Quelle est la capitale de l'Italie ?",
    "¿Cómo se dice 'gracias' en inglés?",
    "Was ist der Unterschied zwischen Äpfeln und Birnen?",
    "日本の首都はどこですか。",
    "Привет! Как дела?",
    "Reply with emojis only: 🎉 🐙 🚲",
    "   odd    spacing\tand\n\n\nlines   ",
    "Summarise in one sentence:\n\n" + PASSAGE,
    "How many ships passed?\n\n" + PASSAGE * 4,
    "Who held the sail, and why? Answer briefly.\n\n" + PASSAGE * 12,
]


def ours(build, folder, n_tokens, threads):
    records = "".join(
        json.dumps({"id": i, "messages": [{"role": "user", "content": prompt}], "max_tokens": n_tokens,
                    "output_ids": True}) + "\n" for i, prompt in enumerate(PROMPTS))
    command = [str(build / "ds-run"), str(folder), "--jsonl", "--temperature", "0"]
    if threads:
        command += ["--threads", str(threads)]
    done = subprocess.run(command, input=records.encode(), stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    # Split at "\n" only: answers may hold other line separators.
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("-n", type=int, default=48)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()

    start = time.time()
    answers = ours(args.build, args.folder, args.n, args.threads)
    seconds_ours = time.time() - start
    if len(answers) != len(PROMPTS):
        sys.exit(f"{len(PROMPTS)} prompts went in, {len(answers)} answers came out")

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_grad_enabled(False)
    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    model = AutoModelForCausalLM.from_pretrained(args.folder, torch_dtype=torch.float32, attn_implementation="eager")
    model.eval()
    stop = model.generation_config.eos_token_id
    stop = set(stop if isinstance(stop, list) else [stop])

    def without_stop(ids):
        return ids[:-1] if ids and ids[-1] in stop else ids

    n_failed, smallest_margin = 0, float("inf")
    start = time.time()
    for i, (prompt, answer) in enumerate(zip(PROMPTS, answers)):
        text = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False,
                                             add_generation_prompt=True)
        prompt_ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        out = model.generate(prompt_ids, attention_mask=torch.ones_like(prompt_ids), do_sample=False,
                             max_new_tokens=args.n, output_logits=True, return_dict_in_generate=True)
        want = without_stop(out.sequences[0, prompt_ids.shape[1]:].tolist())
        top = [torch.topk(step[0].float(), 2).values for step in out.logits]
        smallest_margin = min([smallest_margin] + [float(t[0] - t[1]) for t in top])
        got = without_stop(answer["output_ids"]) if "output_ids" in answer else None
        if answer.get("id") != i or got is None:
            problem = f"unexpected record {json.dumps(answer)[:300]}"
        elif answer["usage"]["prompt_tokens"] != prompt_ids.shape[1]:
            problem = f"prompt of {answer['usage']['prompt_tokens']} tokens, transformers has {prompt_ids.shape[1]}"
        elif got != want:
            at = next((k for k, pair in enumerate(zip(got, want)) if pair[0] != pair[1]), min(len(got), len(want)))
            logits = out.logits[min(at, len(out.logits) - 1)][0].float()
            margin = f"{float(logits.max() - logits[got[at]]):.4g}" if at < len(got) else "an early end"
            problem = (f"token {at} differs, margin {margin}\n    ours:         {tokenizer.decode(got)!r}\n"
                       f"    transformers: {tokenizer.decode(want)!r}")
        else:
            problem = ""
        n_failed += bool(problem)
        print(f"{'FAILED' if problem else 'equal '} {prompt_ids.shape[1]:5d} + {len(want):2d} tokens  "
              f"{prompt[:48]!r}{': ' + problem if problem else ''}", flush=True)
    print(f"ds-run {seconds_ours:.1f} s, transformers {time.time() - start:.1f} s (with logits kept); "
          f"smallest margin of the reference {smallest_margin:.3g}")
    print(f"{len(PROMPTS) - n_failed} passed, {n_failed} failed")
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
