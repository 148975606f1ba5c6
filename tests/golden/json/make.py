#!/usr/bin/env python3
"""Writes cases.jsonl: texts by the rules of RFC 8259, each with what Python's json makes of it.
usage: make.py > cases.jsonl

A line has "text" (or "hex", where the bytes are no UTF-8) and, unless the text is to be refused, "value": the
document with every scalar as a tagged string, so that a reader's own numbers are not what it is judged by:
"i:" and an integer's digits, "f:" and a float in hexadecimal, "s:" and a text, "true", "false", "null".
Stricter than Python, which reads more than the RFC: no NaN, no Infinity, no half of a surrogate pair, no float
beyond a double's range, no more than 500 levels."""
import json
import sys

NUMBERS = """0 -0 1 -1 10 123456789 0.0 -0.0 0.5 1.0 -2.5 0.1000 1e0 1E5 1e+5 1e-5 1.5e3 100.0e-2 0e0 0e999 -0e-0
9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809
12345678901234567890 18446744073709551615 18446744073709551616 -18446744073709551616
340282366920938463463374607431768211455 1000000000000000019884624838656 9223372036854775807.0 1e19 1.8446744073709552e19
1e308 1.7976931348623157e308 1e309 -1e309 1e400 1e-400 5e-324 2.4703282292062327e-324 2.4703282292062328e-324
2.2250738585072011e-308 0.1 0.30000000000000004 123456789012345678.5 0.000001 1e16 1e21 1e22 123456789123456789123456789.5
00 01 -01 +1 1. .5 -.5 - -- 1e 1e+ 1.e1 1.5e 0x10 1_000 1,5 0b1 1f 1e5.5 ١ １ NaN -NaN Infinity -Infinity inf""".split()
NUMBERS += ["9" * 100, "-" + "9" * 1000, "0." + "3" * 400, "1" + "0" * 308, "1" + "0" * 309, "1" + "0" * 400 + ".0"]
STRINGS = [r'""', r'"a"', r'"\"\\\/\b\f\n\r\t"', r'"\u0000"', r'"\u0041\u00e9\u4e2d"', r'"\ud83d\ude00"', '"中文 😀"', '"\x7f"',
           r'"\uD83D\uDE00"', r'"\ud800"', r'"\udc00"', r'"\ud83dx"', r'"\ud83d\u0041"', r'"\ude00\ud83d"', r'"\u12"', r'"\u12g4"',
           r'"\x41"', r'"\a"', r'"\'"', r'"\U0041"', '"', '"a', '"\\"', '"\\', '"\n"', '"\t"', '"\x00"', '"\x1f"', "'a'", '\u201ca\u201d',
           '"\u2028\u2029\ufeff\uffff"', '"\U0010ffff"', '"' + 'long ' * 500 + '"']
BYTES = [b'"\xff"', b'"\xc0\xaf"', b'"\xe4\xb8"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xf8\x88\x80\x80\x80"', b'"\x80"',
         b'\xff', b'{"\xe4":1}', b'[1]\xa0', b'\xfe\xff\x00[', b'"a\xe4\xb8\xad\xe4"']
STRUCTURES = ['', ' ', 'null', 'true', 'false', 'Null', 'TRUE', 'nul', 'nulll', 'truefalse', '[]', '{}', ' [ ] ', '\t{\r\n}\n', '[1,2]',
              '[1 2]', '[1,]', '[,1]', '[,]', '[1', '1]', '[', ']', '[[]', '[]]', '[}', '{]', '{', '}', '{"a":1}', '{"a":1,}', '{,}', '{"a"}',
              '{"a":}', '{:1}', '{a:1}', "{'a':1}", '{1:1}', '{null:1}', '{"a" 1}', '{"a"::1}', '{"a":1 "b":2}', '{"a":1;"b":2}', '{"a":1}x',
              '{} {}', '1 2', '[1]\x00', '[1]\x0b', '\x0c[1]', '\u00a0[1]', '[1]//', '[1]/**/', '#[1]', '{"":0}', '{"a":{"b":[{"c":[]}]}}',
              '{"a":1,"a":2}', '{"a":1,"b":2,"a":3}', '{"a":{"x":1},"a":[2]}', '{"\\u0061":1,"a":2}', '[{"k":1,"k":2,"k":3}]',
              '{' + ','.join(f'"k{i % 40}":{i}' for i in range(100)) + '}', '{' + ','.join(f'"k{i}":{i}' for i in range(40)) + '}',
              '[' * 500 + ']' * 500, '[' * 501 + ']' * 501, '{"a":' * 500 + '1' + '}' * 500, '{"a":' * 501 + '1' + '}' * 501, '[' * 400,
              '[1.0,"x",null,true,{"a":[]}]', '[18446744073709551616,1,"a",0.5,9007199254740993]', '{"id":123456789012345678901234567890}']
WRAPPED = ['[{}]', ' {}\n', '{{"a":{}}}', '[{},1]']


sys.setrecursionlimit(10000)


def refuse(name):
    raise ValueError(name)


def finite(text):
    value = float(text)
    return value if abs(value) != float('inf') else refuse(text)


def integer(text):
    finite(text)  # as large as a double at most
    return int(text)


def tagged(v):
    if isinstance(v, dict): return {k: tagged(x) for k, x in v.items()}
    if isinstance(v, list): return [tagged(x) for x in v]
    if isinstance(v, str): return 's:' + v
    if isinstance(v, bool) or v is None: return {True: 'true', False: 'false', None: 'null'}[v]
    return 'i:%d' % v if isinstance(v, int) else 'f:' + v.hex()


def depth(v):
    return 1 + max([depth(x) for x in (v.values() if isinstance(v, dict) else v)], default=0) if isinstance(v, (dict, list)) else 0


def case(raw):
    out = {}
    try:
        out['text'] = raw.decode()
    except UnicodeDecodeError:
        out['hex'] = raw.hex()
    try:
        value = json.loads(raw.decode(), parse_constant=refuse, parse_float=finite, parse_int=integer)
        json.dumps(value, ensure_ascii=False).encode()  # fails on half a pair
        if depth(value) <= 500: out['value'] = tagged(value)
    except (ValueError, RecursionError):
        pass
    # A golden that nests as deep as its case could not be read itself.
    if 'value' in out and depth(value) > 100: out['value'] = 'deep'
    return out


scalars = [t.encode() for t in NUMBERS + STRINGS] + BYTES
texts = scalars + [t.encode() for t in STRUCTURES]
texts += [w.format('\0').encode().replace(b'\0', t) for t in scalars if b'\0' not in t and len(t) < 100 for w in WRAPPED]
for text in texts:
    print(json.dumps(case(text), ensure_ascii=True))
