#!/usr/bin/env python3
"""datatrove over one JSONL file, as its users would set it up, on one core: Gopher repetition and quality, C4 (English
only: FineWeb-2 leaves it out for Chinese), FineWeb, then MinHash over what is left. Prints CPU seconds and documents kept.

usage: filter_datatrove.py IN.jsonl en|zh      (a Python that has datatrove, and for zh jieba)

Loading datatrove and its tokenizers is not counted.
"""
import os, shutil, sys, tempfile, time
os.environ["OMP_NUM_THREADS"] = "1"
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.word_tokenizers import load_word_tokenizer
from loguru import logger

logger.disable("datatrove")
path, lang = sys.argv[1:3]
words = {"language": {"en": "eng", "zh": "cmn"}[lang]}
chinese = {"min_avg_word_length": 1, "stop_words": list("的年在月是和日了有被人中为他與后也而由")} if lang == "zh" else {}
work = tempfile.mkdtemp()
load_word_tokenizer(words["language"]).word_tokenize("Warm up. 预热。")


def run(steps, tasks=1):
    load_word_tokenizer.cache_clear()  # before the steps are made: the executor copies them, a used tokenizer cannot be
    LocalPipelineExecutor(pipeline=steps(), tasks=tasks, workers=1, logging_dir=tempfile.mkdtemp(dir=work)).run()


def read(folder, name="*.jsonl"):
    return JsonlReader(folder, glob_pattern=name)


def filters():
    yield GopherRepetitionFilter(**words)
    yield GopherQualityFilter(**words, **chinese)
    if lang == "en":
        yield C4QualityFilter(**words, filter_no_terminal_punct=False)
    yield FineWebQualityFilter(**words)


start = time.process_time()
folder, name = os.path.split(os.path.abspath(path))
run(lambda: [read(folder, name), *filters(), JsonlWriter(f"{work}/rules", compression=None)])
rules = time.process_time() - start
run(lambda: [read(f"{work}/rules"), MinhashDedupSignature(output_folder=f"{work}/sig", **words)])
run(lambda: [MinhashDedupBuckets(input_folder=f"{work}/sig", output_folder=f"{work}/buckets")], tasks=14)
run(lambda: [MinhashDedupCluster(input_folder=f"{work}/buckets", output_folder=f"{work}/remove")])
run(lambda: [read(f"{work}/rules"), MinhashDedupFilter(input_folder=f"{work}/remove"), JsonlWriter(f"{work}/kept", compression=None)])
total = time.process_time() - start
kept = sum(1 for name in os.listdir(f"{work}/kept") for _ in open(f"{work}/kept/{name}", "rb"))
print(f"{total:.3f} {rules:.3f} {kept}")
shutil.rmtree(work)
