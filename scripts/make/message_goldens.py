#!/usr/bin/env python3
"""message_goldens.py OUT.json: conversations as clients send them, and the prompts that transformers' apply_chat_template makes
of them with templates of every kind. Needs pip install transformers jinja2."""
import json, pathlib, sys, tempfile
from transformers import AutoTokenizer

plain = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
exact = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
reasons = "{% for m in messages %}<{{ m.role }}>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}{% endfor %}"
thinks = "{% for m in messages %}<{{ m.role }}>{% if m.thinking is defined %}[{{ m.thinking }}]{% endif %}{{ m.content }}{% endfor %}"
keys = "{% for m in messages %}{{ m | tojson }}{% endfor %}"
calls = "{% for m in messages %}<{{ m.role }}>{% if m.content is defined %}{{ m.content }}{% else %}-{% endif %}{% for c in m.tool_calls or [] %}[{{ c.function.name }} {{ c.function.arguments | tojson }}]{% endfor %}{% endfor %}"
u = {'role': 'user', 'content': 'Why?'}
say = lambda text, **more: {'role': 'assistant', 'content': text, **more}
call = lambda arguments: {'id': 'c1', 'type': 'function', 'function': {'name': 'f', 'arguments': arguments}}
go_on, keep = {'continue_final_message': True}, {'add_generation_prompt': False}
cases = [
    (plain, [u, say(None, tool_calls=[call({})])], {}), (plain, [u, say(None)], {}), (plain, [{**u, 'name': None}], {'add_generation_prompt': True}),
    (calls, [u, say(None, tool_calls=None)], {}), (calls, [u, say(None, tool_calls=[call({'a': 1})]), {'role': 'tool', 'content': '12', 'tool_call_id': 'c1'}], {}),
    (calls, [u, say('', tool_calls=[call({'x': None})])], {}), (keys, [u, say(None, refusal=None, tool_calls=[call({})])], {}),
    (keys, [u, say('a', reasoning='r')], {}), (keys, [u, say('a', thinking='t', reasoning='r')], {}), (keys, [u, say('a', reasoning_content='c', thinking='t')], {}),
    (keys, [u, say('a', reasoning_content='', reasoning='r')], {}), (keys, [u, say('a', reasoning_content=None, reasoning='r')], {}),
    *[(t, [u, say('a', **{k: 'because'}), {'role': 'tool', 'content': 'r'}], {}) for t in (reasons, thinks) for k in ('reasoning_content', 'reasoning', 'thinking')],
    (plain, [u, say('Because the')], go_on), (plain, [u, say('Because the ')], go_on), (plain, [u, say(' Because\n')], go_on), (exact, [u, say('Because the ')], go_on),
    (exact, [u, say('')], go_on), (exact, [u, u], go_on), (exact, [u, say('x CONTINUE_FINAL_MESSAGE_TAG y')], go_on),
    (reasons, [u, say('', reasoning='so far')], {'continue_final_message': 'reasoning'}), (thinks, [u, say('', reasoning_content='so far ')], {'continue_final_message': 'reasoning_content'}),
    (exact, [u, {'role': 'assistant', 'content': 'Wie, ümläut 世界 und'}], go_on),
]
out = []
with tempfile.TemporaryDirectory() as d:
    vocab = {c: i for i, c in enumerate('ab')}
    model = {'type': 'BPE', 'vocab': vocab, 'merges': [], 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None, 'end_of_word_suffix': None, 'fuse_unk': False, 'byte_fallback': False}
    pathlib.Path(d, 'tokenizer.json').write_text(json.dumps({'version': '1.0', 'added_tokens': [], 'normalizer': None, 'pre_tokenizer': None, 'post_processor': None, 'decoder': None, 'model': model}))
    pathlib.Path(d, 'tokenizer_config.json').write_text(json.dumps({'tokenizer_class': 'PreTrainedTokenizerFast'}))
    t = AutoTokenizer.from_pretrained(d)
for template, messages, how in cases:
    out.append({'template': template, 'messages': messages, **{**keep, **how}, 'rendered': t.apply_chat_template(messages, chat_template=template, tokenize=False, **how)})
pathlib.Path(sys.argv[1]).write_text(json.dumps(out, ensure_ascii=False, indent=1) + '\n')
print(len(out), 'conversations')
