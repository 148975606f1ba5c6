#!/usr/bin/env python3
"""templates.py DS_RUN MODEL_FOLDER: chat templates against the Python jinja2 package.

Renders templates of the common families and many small ones, with many conversations, through `DS_RUN MODEL_FOLDER
--render --jsonl --chat-template FILE` and through jinja2's sandbox set up as transformers does it, and compares texts.
Where jinja2 fails, failing is the right answer. Exits 1 when anything differs.
Needs: pip install jinja2. --write-golden FILE stores what jinja2 says, for the tests.
"""
import argparse, json, pathlib, subprocess, sys, tempfile
import jinja2, jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


FAMILIES = {
    "chatml": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "deepseek_llm": "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token }}{% elif message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
    "deepseek_coder": "{%- set ns = namespace(found=false) -%}\n{%- for message in messages -%}\n    {%- if message['role'] == 'system' -%}\n        {%- set ns.found = true -%}\n    {%- endif -%}\n{%- endfor -%}\n{{bos_token}}{%- if not ns.found -%}\n{{'You are an AI programming assistant.\\n'}}\n{%- endif %}\n{%- for message in messages %}\n    {%- if message['role'] == 'system' %}\n{{ message['content'] }}\n    {%- else %}\n        {%- if message['role'] == 'user' %}\n{{'### Instruction:\\n' + message['content'] + '\\n'}}\n        {%- else %}\n{{'### Response:\\n' + message['content'] + '\\n<|EOT|>\\n'}}\n        {%- endif %}\n    {%- endif %}\n{%- endfor %}\n{% if add_generation_prompt %}\n{{'### Response:'}}\n{% endif %}",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    "llama31": "{{- bos_token }}\n{%- if custom_tools is defined %}\n    {%- set tools = custom_tools %}\n{%- endif %}\n{%- if not tools_in_user_message is defined %}\n    {%- set tools_in_user_message = true %}\n{%- endif %}\n{%- if not date_string is defined %}\n    {%- set date_string = \"26 Jul 2024\" %}\n{%- endif %}\n{%- if not tools is defined %}\n    {%- set tools = none %}\n{%- endif %}\n\n{#- This block extracts the system message, so we can slot it into the right place. #}\n{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content']|trim %}\n    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n\n{#- System message + builtin tools #}\n{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n{%- if builtin_tools is defined or tools is not none %}\n    {{- \"Environment: ipython\\n\" }}\n{%- endif %}\n{%- if tools is not none and not tools_in_user_message %}\n    {%- for t in tools %}\n        {{- t | tojson(indent=4) }}\n        {{- \"\\n\\n\" }}\n    {%- endfor %}\n{%- endif %}\n{{- system_message }}\n{{- \"<|eot_id|>\" }}\n{%- if tools_in_user_message and not tools is none %}\n    {%- if messages | length != 0 %}\n        {%- set first_user_message = messages[0]['content']|trim %}\n        {%- set messages = messages[1:] %}\n    {%- else %}\n        {{- raise_exception(\"Cannot put tools in the first user message when there's no first user message!\") }}\n{%- endif %}\n    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}\n    {%- for t in tools %}\n        {{- t | tojson(indent=4) }}\n        {{- \"\\n\\n\" }}\n    {%- endfor %}\n    {{- first_user_message + \"<|eot_id|>\"}}\n{%- endif %}\n\n{%- for message in messages %}\n    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}\n        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}\n    {%- elif 'tool_calls' in message %}\n        {%- if not message.tool_calls|length == 1 %}\n            {{- raise_exception(\"This model only supports single tool-calls at once!\") }}\n        {%- endif %}\n        {%- set tool_call = message.tool_calls[0].function %}\n        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}\n        {{- '{\"name\": \"' + tool_call.name + '\", ' }}\n        {{- '\"parameters\": ' }}\n        {{- tool_call.arguments | tojson }}\n        {{- \"}\" }}\n        {{- \"<|eot_id|>\" }}\n    {%- elif message.role == \"tool\" or message.role == \"ipython\" %}\n        {{- \"<|start_header_id|>ipython<|end_header_id|>\\n\\n\" }}\n        {%- if message.content is mapping or message.content is iterable %}\n            {{- message.content | tojson }}\n        {%- else %}\n            {{- message.content }}\n        {%- endif %}\n        {{- \"<|eot_id|>\" }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n",
    "mistral": "{%- set user_messages = messages | selectattr('role', 'equalto', 'user') | list %}\n{{- bos_token }}\n{%- for message in messages %}\n    {%- if message['role'] == 'user' %}\n        {%- if tools is not none and tools is defined and message == user_messages[-1] %}\n            {{- '[AVAILABLE_TOOLS] [' }}\n            {%- for tool in tools %}\n                {%- set tool = tool.function %}\n                {{- '{\"type\": \"function\", \"function\": {' }}\n                {%- for key, val in tool.items() if key != 'return' %}\n                    {%- if val is string %}\n                        {{- '\"' + key + '\": \"' + val + '\"' }}\n                    {%- else %}\n                        {{- '\"' + key + '\": ' + val|tojson }}\n                    {%- endif %}\n                    {%- if not loop.last %}\n                        {{- ', ' }}\n                    {%- endif %}\n                {%- endfor %}\n                {{- '}}' }}\n                {%- if not loop.last %}{{- ', ' }}{%- else %}{{- ']' }}{%- endif %}\n            {%- endfor %}\n            {{- '[/AVAILABLE_TOOLS]' }}\n        {%- endif %}\n        {{- '[INST] ' + message['content'] + '[/INST]' }}\n    {%- elif message['role'] == 'assistant' and message['content'] is not none %}\n        {{- ' ' + message['content']|trim + eos_token}}\n    {%- endif %}\n{%- endfor %}\n",
    "thinking": "{%- macro render(m, strip=true) -%}{{ m.role|upper }}: {% if strip %}{{ m.content|default('', true)|string|trim }}{% else %}{{ m.content }}{% endif %}{%- endmacro -%}{% for m in messages %}{% generation %}{{ render(m) }}|{{ render(m, strip=false) }}{% endgeneration %}\n{% endfor %}{% if add_generation_prompt %}A{% if enable_thinking is defined and enable_thinking %}<think>{% else %}</think>{% endif %}{% endif %}",
}

SNIPPETS = r"""
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 1.5e3 }} {{ 1e20 }} {{ 0.1 + 0.2 }} {{ 10 / 5 }} {{ 1_000 }}
{{ [1, 'a', none, true, 1.0, {'k': [()], 'q': "it's"}] }} {{ (1,) }} {{ (1, 2) }} {{ 'a\tb\n"q"' }} {{ ['a\tb\n"q"\'', '\u00e9\x01\u200b'] }}
{{ 'abc'[1] }}{{ 'abc'[-1] }}{{ 'abcdef'[1:4] }}{{ 'abcdef'[::-1] }}{{ 'abcdef'[::2] }}{{ 'abcdef'[-3:] }}{{ 'abcdef'[:-2] }}{{ 'abcdef'[4:1:-1] }}{{ [1,2,3][5:] }}{{ [1,2,3][-9:2] }}{{ '你好吗'[1:] }}{{ 'abc'[10] }}
{{ 'a' in 'abc' }} {{ 'z' not in 'abc' }} {{ 1 in [1,2] }} {{ 'k' in {'k': 1} }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ none == false }}
{{ 0 or 'x' }} {{ '' and 'y' }} {{ 'a' and 'b' }} {{ not 0 }} {{ not 'a' or 1 }} {{ none or [] or {} }}
{{ 'yes' if 1 else 'no' }} {{ 'yes' if 0 }}|{{ 'a' if 0 else 'b' if 0 else 'c' }}
{{ '  x '|trim }}|{{ 'xxaxx'|trim('x') }}|{{ 'hELLO wORLD'|capitalize }}|{{ 'hello-world foo (bar'|title }}|{{ 'Abc'|upper }}|{{ 'Abc'|lower }}|{{ [1,2]|length }}|{{ 'äö'|length }}|{{ 'a'|count }}
{{ [1,2,3]|join(', ') }} {{ ['a','b']|join }} {{ messages|join('|', attribute='role') }} {{ 'abc'|join('-') }}
{{ 'a-b-c'|replace('-', '+') }} {{ 'a-b-c'|replace('-', '+', 1) }} {{ 'abc'|replace('', '.') }}
{{ {'a': 1, 'b': [1, 2.5, none, true, 'é"\\\n']}|tojson }} {{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ 'é<>&\u2028'|tojson }} {{ 'é😀'|tojson(ensure_ascii=true) }} {{ []|tojson }} {{ {}|tojson(indent=2) }}
{{ {'a': [1, {'b': []}], 'c': {}}|tojson(indent=2) }} {{ [1,2]|tojson(separators=(',', ':')) }} {{ {1: 'a', none: 2, true: 3, 1.5: 4}|tojson }} {{ '\x7f\x00'|tojson }}
{{ missing|default('d') }} {{ ''|default('d') }}|{{ ''|default('d', true) }} {{ none|default('d') }} {{ missing|d }}| {{ 0|default('x', boolean=true) }}
{{ [3,1,2]|first }} {{ [3,1,2]|last }} {{ [3,1,2]|sort }} {{ [3,1,2]|sort(reverse=true) }} {{ ['b','A','c']|sort }} {{ ['b','A','c']|sort(case_sensitive=true) }} {{ messages|sort(attribute='role')|map(attribute='role')|list }} {{ []|first }}|
{{ 'abc'|list }} {{ {'a': 1}|list }} {{ 'abc'|reverse }} {{ [1,2,3]|reverse|list }} {{ [1,1,2,'a','A']|unique|list }} {{ range(5)|list }} {{ range(1, 10, 3)|list }} {{ range(3, 0, -1)|list }}
{{ '3'|int + 1 }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ '3.7'|int }} {{ '1.5'|float }} {{ 'q'|float }} {{ 3|string ~ 'a' }} {{ 3.7|int }} {{ '0x1f'|int(base=16) }} {{ true|int }}
{{ 3.14159|round(2) }} {{ 2.5|round }} {{ 3|round }} {{ 3.7|round(0, 'floor') }} {{ 3.2|round(method='ceil') }} {{ -3|abs }} {{ 1234.5|round(-2) }}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %} {% for k, v in {'b': 1, 'a': 2}|dictsort %}{{ k }}{{ v }}{% endfor %} {% for k, v in {'b': 1, 'a': 2}|items %}{{ k }}{{ v }}{% endfor %} {{ {'b': 3, 'a': 9}|dictsort(by='value') }}
{{ messages|map(attribute='role')|list }} {{ ['a','b']|map('upper')|list }} {{ messages|selectattr('role','equalto','user')|list|length }} {{ messages|rejectattr('role','eq','user')|map(attribute='role')|join(',') }} {{ [1,2,3,4]|select('even')|list }} {{ [1,0,2]|select|list }} {{ [1,none]|reject('none')|list }} {{ messages|selectattr('tool_calls','defined')|list|length }} {{ [{'a':{'b':1}},{}]|map(attribute='a.b', default='-')|list }}
{{ 'x y  z'.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.split(None, 1) }} {{ ' a b  c '.rsplit(None, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a\nb\r\nc'.splitlines() }}
{{ '  x '.strip() }}|{{ '  x '.lstrip() }}|{{ '  x '.rstrip() }}|{{ 'xyxaxy'.strip('xy') }}|{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x','c')) }} {{ 'abc'.upper().lower().title() }} {{ "they're bill's"|title }} {{ "they're bill's".title() }} {{ 'abc'.find('c') }} {{ 'abc'.find('z') }} {{ 'äbc'.find('c') }} {{ 'aXbX'.replace('X', '-', 1) }} {{ 'abca'.count('a') }}
{{ '{} {} {x}'.format(1, 'b', x=2) }} {{ '%s is %d or %.2f%%'|format('a', 3, 1.5) }} {{ '%s' % 'x' }} {{ '%s-%s' % (1, 2) }} {{ '-'.join(['a','b']) }} {{ 'abc'.isdigit() }} {{ '12'.isdigit() }} {{ 'ab'.isalpha() }}
{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 5) }} {{ {'a': 1}.keys()|list }} {{ {'a': 1}.values()|list }} {{ {'a': 1, 'items': 2}['items'] }} {{ {'a': 1}.a }} {{ {'a': 1}['a'] }} {{ {'a': {'b': 2}}.a.b }}
{{ x is defined }} {{ x is undefined }} {{ messages is defined }} {{ 1 is number }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is iterable }} {{ 1 is iterable }} {{ none is none }} {{ true is boolean }} {{ 1 is integer }} {{ 1.0 is float }} {{ true is true }} {{ 1 is true }} {{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 1 is sameas 1 }} {{ 'a' is in 'abc' }} {{ 3 is eq 3 }} {{ 3 is gt 2 }} {{ range is callable }} {{ 'A' is upper }} {{ missing is iterable }}
{{ x is not defined and 1 is not none }} {{ 'b' if x is defined else 'c' }} {{ not x is defined }} {{ 1 is string or 'a' is string }} {{ (x is defined) == false }}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem.role if loop.previtem is defined else '-' }}{{ loop.nextitem.role if not loop.last else '-' }}{{ loop.cycle('a','b') }}{{ loop.changed(m.role) }};{% endfor %}
{% for i in [] %}x{% else %}empty{% endfor %} {% for i in range(10) if i % 2 %}{{ i }}/{{ loop.length }} {% endfor %} {% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% set x = 1 %}{% for i in range(3) %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }} {% set ns = namespace(n=0, l=[]) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.n }} {{ ns.l }} {% if true %}{% set y = 5 %}{% endif %}{{ y }}
{% for i in range(2) %}{{ z is defined }}{% set z = 1 %}{% endfor %} {% set a, b = 1, [2, 3] %}{{ a }}{{ b }} {% for a, (b, c) in [(1, (2, 3))] %}{{ a + b + c }}{% endfor %} {% set t %}block {{ a }}{% endset %}{{ t }}|{% set t | upper | trim %} ab {% endset %}{{ t }}
{% macro f(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, c=3) }}{{ f(1, 2, 3) }}{{ f() }}{{ f(b=9, a=8)|upper }} {% macro g(n) %}{{ n }}{% if n > 0 %}{{ g(n - 1) }}{% endif %}{% endmacro %}{{ g(3) }}
{% macro w() %}<{{ caller() }}>{% endmacro %}{% call w() %}in{% endcall %} {% macro v(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) v([1,2]) %}({{ i }}){% endcall %} {% filter upper %}abc{% endfilter %} {% with a = 5, b = 6 %}{{ a + b }}{% endwith %}
{% raw %}{{ not }} {% here %}{% endraw %} {# comment {{ x }} #}after {{- ' tight ' -}}   end
{{ 'a\
b' }} {{ "\x41\u4f60\n\101\q" }} {{ 'a' 'b' "c" }} {{ 'a' ~ 1 ~ none ~ true }} {{ 'ab' * 3 }} {{ [0] * 2 }} {{ [1] + [2] }} {{ (1,) + (2,) }}
{{ messages[0]['role'] }} {{ messages[0].content }} {{ messages[-1]['role'] }} {{ messages[0]['nope'] }}| {{ messages[0].nope is defined }} {{ messages|length }} {{ messages[1:]|length }} {{ (messages|last).role }} {{ messages[0]|length }} {{ messages.0.role }}
{{ none|map(attribute='a')|list }} {{ none|select|list }} {{ 0|reject|list }} {{ tools|selectattr('type', 'equalto', 'x')|list|length }} {{ false|map('upper')|list }}
{{ none|sort }}
{{ missing.attr }}
{{ missing + 'a' }}
{{ 'a' + 1 }}
{{ none + 'a' }}
{{ messages[0].content.nope.deeper }}
{{ 1 / 0 }}
{{ [1, 'a']|sort }}
{{ raise_exception('no: ' ~ 1) }}
{{ 'a' in 1 }}
{{ missing() }}
{{ {'a': missing}|tojson }}
{{ 'abc'|nofilter }}
{{ messages[0] | tojson }} {{ messages | tojson(indent=1) }} {{ tools | tojson }} {{ tools }}
{% for t in tools or [] %}{{ t.function.name }}{% for n, p in t.function.parameters.properties.items() %} {{ n }}:{{ p.type }}{{ '' if loop.last else ',' }}{% endfor %}{% endfor %}
{{ 'line1\nline2\n\nline3'|indent }}|{{ 'a\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent(width=2, blank=true) }}|{{ '<a href="x">\'&'|e }}|{{ '<b>'|escape|upper }}|{{ 'x'|safe }}
{{ [1,2,3]|sum }} {{ [{'a':1},{'a':2}]|sum(attribute='a') }} {{ [3,1]|min }} {{ [3,1]|max }} {{ []|max }}| {{ 'a b c'|wordcount }} {{ dict(a=1, b='x') }} {{ dict([('k', 1)]) }} {{ namespace(a=1).a }}
{{ 1 if 1 is defined and 1 == 1 else 2 }} {{ -1|abs }} {{ (-1)|abs }} {{ +3 }} {{ --3 }} {{ 2 * -3 }} {{ not true and false }} {{ 'a'.upper() ~ 'b' * 2 }} {{ 2 ~ 1 ~ 'x' }}
   {% if true %}
   indented
   {% endif %}
   {%- if true -%}
   tight
   {%- endif -%}
   x {% if true %} y {% endif %} z
   {{ 'v' }}
   {%+ if true %}plus{% endif +%}

	{# c #}
	end
"""

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Wetter für eine Stadt <b>", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}}, "required": ["city"]}}}]
U, A, S = (lambda c: {"role": "user", "content": c}), (lambda c: {"role": "assistant", "content": c}), (lambda c: {"role": "system", "content": c})
CALL = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2, "x": [1.5, True, None]}}}]}
CONVERSATIONS = [
    {"messages": [U("hi")]}, {"messages": [S("Be brief."), U("  你好\n")], "add_generation_prompt": True},
    {"messages": [U("a"), A("<think>\nlong\n</think>\n\nb"), U("c 'q' \"d\" <x> & {{ y }}")], "add_generation_prompt": True, "enable_thinking": False},
    {"messages": [S("s1"), U("u1"), A("a1"), U("u2"), A("a2")], "enable_thinking": True},
    {"messages": [U("weather?"), CALL, {"role": "tool", "content": "12.5"}, A("It is 12.5")], "tools": TOOLS, "add_generation_prompt": True},
    {"messages": [S("x"), U("weather?")], "tools": TOOLS, "add_generation_prompt": True},
    {"messages": [A("starts"), A("twice"), U("")]}, {"messages": [U("emoji 👨‍👩‍👧 \u2028 \u0000 \x7f")], "add_generation_prompt": True},
]


def cases():
    templates = dict(FAMILIES)
    lines = SNIPPETS.strip("\n").split("\n")
    end = next(i for i, l in enumerate(lines) if l.startswith("   {% if true %}"))
    i = 0
    while i < end:
        text = lines[i]
        while text.endswith("\\"):
            i += 1
            text += "\n" + lines[i]
        templates[f"snippet{i:02}"] = text
        i += 1
    templates["whitespace"] = "\n".join(lines[end:])
    for name, template in templates.items():
        for conversation in CONVERSATIONS if name in FAMILIES else CONVERSATIONS[3:5]:
            yield name, template, {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": False, "tools": None, **conversation}  # transformers always passes tools


def reference(env, template, variables):
    try:
        return env.from_string(template).render(**variables)
    except Exception:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ds_run", nargs="?")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--write-golden")
    args = parser.parse_args()
    env, everything = environment(), list(cases())
    if args.write_golden:
        with open(args.write_golden, "w", encoding="utf-8") as out:
            for name, template, variables in everything:
                out.write(json.dumps({"name": name, "template": template, "variables": variables, "rendered": reference(env, template, variables)}, ensure_ascii=False) + "\n")
        return
    if not args.folder:
        parser.error("DS_RUN and MODEL_FOLDER are needed")
    bad = 0
    by_name = {}
    for name, template, variables in everything:
        by_name.setdefault(name, (template, []))[1].append(variables)
    with tempfile.TemporaryDirectory() as scratch:
        for name, (template, records) in by_name.items():
            path = pathlib.Path(scratch, name + ".jinja")
            path.write_bytes(template.encode())
            for variables in records:  # one by one, since a refused conversation may end the run
                known = {k: v for k, v in variables.items() if k in ("messages", "add_generation_prompt") or (k == "tools" and v)}
                extra = {k: v for k, v in variables.items() if k not in known and k != "tools"}  # further variables; these win over the model's own
                line = json.dumps({**known, "extra": extra}, ensure_ascii=False) + "\n"
                run = subprocess.run([args.ds_run, args.folder, "--render", "--jsonl", "--chat-template", path], input=line.encode(), capture_output=True)
                want = reference(env, template, variables)
                try:
                    got = json.loads(run.stdout.decode().split("\n")[0]).get("text")
                except ValueError:
                    got = None
                if got != want:
                    bad += 1
                    print(f"{name}: want {want!r}\n  got {got!r} {run.stderr.decode(errors='replace')[-300:]}")
    print(f"{len(everything)} renderings, {bad} differ")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
