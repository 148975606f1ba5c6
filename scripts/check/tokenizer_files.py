#!/usr/bin/env python3
"""tokenizer_files.py DS_RUN [N] [--seed S] [--golden OUT.json]: folders whose tokens are told by several files, against
transformers. Makes N small folders (tokenizer.json with a post-processor, tokenizer_config.json, special_tokens_map.json,
added_tokens.json, agreeing or not) and compares ids with and without what the tokenizer adds, and a rendered conversation.
--golden writes folders and answers instead, for tests/text. Needs pip install transformers jinja2. Last line: counts."""
import argparse, json, pathlib, random, subprocess, sys, tempfile

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('ds_run'), p.add_argument('n', nargs='?', type=int, default=100)
p.add_argument('--seed', type=int, default=1), p.add_argument('--golden')
a = p.parse_args()
from transformers import AutoTokenizer

def alphabet():
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) if b in own else chr(256 + [x for x in range(256) if x not in own].index(b)) for b in range(256)]

NAMES = ['<|bos|>', '<|eos|>', '<tool_call>', '<x>', 'word', '<|pad|>', 'Ärger']
TEMPLATE = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}{% if pad_token %}{{ pad_token }}{% endif %}"

def token(rng, content, special=None):
    flag = lambda: rng.random() < .3
    special = flag() if special is None else special
    return dict(content=content, single_word=flag(), lstrip=flag(), rstrip=flag(), normalized=False if special else flag(), special=special)

def folder(rng):
    some = lambda: [n for n in NAMES if rng.random() < .4]
    chance = lambda x: rng.random() < x
    vocab = {c: i for i, c in enumerate(alphabet())}
    own = ['<|bos|>', '<|eos|>', *[n for n in some() if n not in ('<|bos|>', '<|eos|>')]]
    added = [dict(id=256 + i, **token(rng, n, True if i < 2 else None)) for i, n in enumerate(own)]
    special = lambda n: {'SpecialToken': {'id': n, 'type_id': 0}}
    text = {'Sequence': {'id': 'A', 'type_id': 0}}
    pair = [text, {'Sequence': {'id': 'B', 'type_id': 1}}]
    ids = {n: {'id': n, 'ids': [256 + i], 'tokens': [n]} for i, n in enumerate(own)}
    bytes_ = {'type': 'ByteLevel', 'add_prefix_space': True, 'trim_offsets': False, 'use_regex': True}
    template = lambda *single: {'type': 'TemplateProcessing', 'single': list(single), 'pair': pair, 'special_tokens': ids}
    posts = [None, bytes_, template(text), template(special('<|bos|>'), text), template(special('<|bos|>'), text, special('<|eos|>')),
             {'type': 'Sequence', 'processors': [bytes_, template(special('<|bos|>'), text)]},
             {'type': 'Sequence', 'processors': [template(special('<|bos|>'), text), template(special('<|eos|>'), text, special('<|eos|>'))]},
             {'type': 'RobertaProcessing', 'sep': ['<|eos|>', 257], 'cls': ['<|bos|>', 256], 'trim_offsets': True, 'add_prefix_space': False},
             {'type': 'BertProcessing', 'sep': ['<|eos|>', 257], 'cls': ['<|bos|>', 256]}]
    out = {'tokenizer.json': {
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added, 'normalizer': rng.choice([None, {'type': 'NFC'}, {'type': 'Lowercase'}]),
        'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': True},
        'post_processor': rng.choice(posts), 'decoder': {'type': 'ByteLevel', 'add_prefix_space': True, 'trim_offsets': True, 'use_regex': True},
        'model': {'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None, 'end_of_word_suffix': None, 'fuse_unk': False,
                  'byte_fallback': False, 'ignore_merges': False, 'vocab': vocab, 'merges': []}}}
    name = lambda n: rng.choice([n, {k: v for k, v in token(rng, n, True).items() if k != 'special'}])
    config = {'tokenizer_class': 'PreTrainedTokenizerFast', 'chat_template': TEMPLATE, 'clean_up_tokenization_spaces': False}
    named = {'bos_token': '<|bos|>', 'eos_token': '<|eos|>', 'pad_token': '<|pad|>'}
    for k, v in named.items():
        if chance(.5): config[k] = v if chance(.5) else {'__type': 'AddedToken', **token(rng, v, True)}
    if chance(.3): config['additional_special_tokens'] = some()
    if chance(.4): config['added_tokens_decoder'] = {str(256 + i): token(rng, n) for i, n in enumerate(own + [n for n in some() if n not in own])}
    out['tokenizer_config.json'] = config
    if chance(.5): out['special_tokens_map.json'] = {k: name(v) for k, v in named.items() if chance(.7)}
    if chance(.5): out['added_tokens.json'] = {n: 256 + (own + [m for m in NAMES if m not in own]).index(n) for n in some()}
    return out

def texts(rng):
    piece = lambda: rng.choice([*NAMES, ' ', '  ', '\n', 'a', 'b ', 'ÄRGER', 'words', '世界', '\u3000'])
    return [''.join(piece() for _ in range(rng.randrange(1, 9))) for _ in range(6)]

def reference(path, cases):
    t = AutoTokenizer.from_pretrained(path)
    t.verbose = False
    chat = [{'role': 'user', 'content': 'hi'}]
    # Ours is put around a text only where it does not stand there already: one BOS, not two.
    around = t.encode('a')
    before, after = around[:around.index(97)], around[around.index(97) + 1:]
    def framed(x):
        ids, full = t.encode(x, add_special_tokens=False), t.encode(x)
        assert full == before + ids + after
        if ids[:len(before)] != before: ids = before + ids
        if len(ids) < len(before) + len(after) or ids[len(ids) - len(after):] != after: ids = ids + after
        return ids
    return {'cases': [{'text': x, 'ids': t.encode(x, add_special_tokens=False), 'framed': framed(x)} for x in cases],
            'rendered': t.apply_chat_template(chat, tokenize=False)}

rng, bad, n, goldens = random.Random(a.seed), [], 0, []
for i in range(a.n):
    files, cases = folder(rng), texts(rng)
    with tempfile.TemporaryDirectory() as d:
        for f, j in files.items(): pathlib.Path(d, f).write_text(json.dumps(j, ensure_ascii=False))
        want = reference(d, cases)
        if a.golden:
            base = {k: files['tokenizer.json'].pop(k) for k in ('pre_tokenizer', 'decoder', 'model')}
            goldens.append({'files': files, **want}); continue
        records = [{'id': k, 'text': c['text'], 'add_special': framed} for k, c in enumerate(want['cases']) for framed in (False, True)]
        run = lambda mode, records: subprocess.run([a.ds_run, d, mode, '--jsonl'], input=''.join(json.dumps(r) + '\n' for r in records).encode(), capture_output=True)
        got = run('--tokenize', records)
        ids = [json.loads(l).get('ids') for l in got.stdout.splitlines()]
        wanted = [c[k] for c in want['cases'] for k in ('ids', 'framed')]
        render = run('--render', [{'messages': [{'role': 'user', 'content': 'hi'}], 'add_generation_prompt': False}])
        rendered = json.loads(render.stdout.splitlines()[0]).get('text') if render.stdout else render.stderr.decode()
        n += len(wanted) + 1
        wrong = [(r, g, w) for r, g, w in zip(records, ids, wanted) if g != w] if len(ids) == len(wanted) else [got.stderr.decode()]
        if rendered != want['rendered']: wrong.append((rendered, want['rendered']))
        if wrong:
            bad.append(i); print(f'folder {i}:', *wrong[:3], sep='\n  ')
            print('  ', {f: {k: v for k, v in j.items() if k not in ('model', 'decoder', 'chat_template', 'pre_tokenizer')} for f, j in files.items()})
if a.golden:
    pathlib.Path(a.golden).write_text(json.dumps({'base': base, 'folders': goldens}, ensure_ascii=False, separators=(',', ':')) + '\n')
    print(f'{len(goldens)} folders written'); sys.exit()
print(f'{n} answers, {len(bad)} of {a.n} folders differ'); sys.exit(bool(bad))
