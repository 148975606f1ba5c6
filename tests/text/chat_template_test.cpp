#include "text/jinja/chat_template.h"

#include "core/error.h"
#include "core/json_value.h"
#include "doctest/doctest.h"
#include "text_goldens.h"

namespace ds::text {
namespace {

std::string render(const std::string& source, const Json& variables = Json::object()) {
  return ChatTemplate::parse(source, "test").render(variables);
}

// The error's kind and text; fails the test when there is none.
std::pair<ErrorKind, std::string> error_of(const std::string& source) {
  try {
    const std::string text = render(source);
    FAIL_CHECK("rendered: " << text.substr(0, 100));
  } catch (const Error& e) {
    return {e.kind(), e.what()};
  }
  return {ErrorKind::kInternal, ""};
}

}  // namespace

TEST_CASE("chat templates render as transformers does") {
  for (const std::string name : {"deepseek_v3", "deepseek_r1_style", "llama3", "qwen3"}) {
    const ChatTemplate t = ChatTemplate::parse(read_text(kTextGoldens + "chat/" + name + ".jinja"), name);
    const auto records = read_records(kTextGoldens + "chat/" + name + ".jsonl");
    CHECK(records.size() > 50);
    for (const Json& r : records) {
      INFO(name << ": " << dump(*find(r, "variables")));
      CHECK(t.render(*find(r, "variables")) == as_string(*find(r, "rendered")));
    }
  }
}

TEST_CASE("templates render as jinja2 does, and fail where it fails") {
  for (const Json& r : read_records(kTextGoldens + "templates.jsonl")) {
    INFO(as_string(*find(r, "name")) << ": " << dump(*find(r, "variables")));
    std::string text;
    bool failed = false;
    try {
      text = render(as_string(*find(r, "template")), *find(r, "variables"));
    } catch (const Error& e) {
      failed = true;
      INFO(e.what());
      CHECK(e.kind() != ErrorKind::kInternal);
    }
    CHECK(failed == find(r, "rendered")->is_null());
    if (!failed && find(r, "rendered")->is_string()) CHECK(text == as_string(*find(r, "rendered")));
  }
}

TEST_CASE("what Python would print otherwise is refused") {
  for (const std::string source :
       {"{{ [1]|map('string') }}", "{% set g = [1]|select %}{{ g|list }}{{ g|list }}", "{{ [1]|reverse }}",
        "{% macro m(a) %}{% endmacro %}{{ m.arguments }}",
        "{% macro m() %}{{ varargs }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ kwargs }}{% endmacro %}{{ m() }}", "{{ self }}", "{{ 'a'.upper }}", "{{ range }}",
        "{{ range(3)[1:] }}", "{{ range(2) == range(2) }}", "{{ '\\N{BULLET}' }}", "{{ 1e30|int }}",
        "{{ '99999999999999999999'|int }}", "{{ 99999999999999999999 }}"}) {
    INFO(source);
    const auto [kind, what] = error_of(source);
    CHECK(kind == ErrorKind::kBadModel);
    CHECK(what.find("line 1") != std::string::npos);
  }
  for (const std::string source : {"{{ [1].append(2) }}", "{{ {}.update({}) }}", "{{ [1]|select|length }}",
                                   "{{ {}.keys()|tojson }}", "{{ {}.keys() + [] }}", "{{ {}.items()[:1] }}",
                                   "{{ range(2)|tojson }}", "{{ 1|indent }}", "{{ [] in {} }}"}) {
    INFO(source);
    CHECK(error_of(source).first == ErrorKind::kBadData);
  }
  CHECK(render("{{ range(3) }}{{ range(5, 0, -2) }}{{ {'a': 1}.items() }}{{ {'a': 1}.keys() }}") ==
        "range(0, 3)range(5, 0, -2)dict_items([('a', 1)])dict_keys(['a'])");
  CHECK(render(
            "{% if [0]|select %}yes{% endif %}{{ {'a': 1}.keys()[0] }}{{ [].pop }}{{ {'pop': 1}['pop'] }}") ==
        "yes1");
  CHECK(render("{{ \"it's 3.5 a_b é\"|wordcount }}") == "6");
  CHECK(render("{% for i in [1, 2] %}{{ i }}{% continue %}{% else %}e{% endfor %}") == "12e");
  CHECK(render("{% for i in [1, 2] %}{{ i }}{% break %}{% else %}e{% endfor %}") == "1e");
  CHECK(render("{% for i in [1] %}{{ i }}{% else %}e{% endfor %}") == "1");
  CHECK(render("{{ ('<a>'|safe) + '<b>' }}{{ '<' + ('<'|e) }}{{ ('<'|safe) ~ '<' }}") ==
        "<a>&lt;b&gt;&lt;&lt;<<");
}

TEST_CASE("sorting takes upper and lower case for equal, and keeps the order of equals") {
  const std::string list = "['b', 'B', 'a', 'C', 'A', 'c', '_']";
  const auto sorted = [&](const std::string& arguments) {
    return render("{{ (" + list + "|sort" + arguments + ")|join }}");
  };
  CHECK(sorted("") == "_aAbBCc");
  CHECK(sorted("(reverse=true)") == "CcbBaA_");
  CHECK(sorted("(case_sensitive=true)") == "ABC_abc");
  CHECK(sorted("(true, true)") == "cba_CBA");
  CHECK(render("{{ [{'n': 'b', 'i': 1}, {'n': 'A', 'i': 2}, {'n': 'B', 'i': 3}]|sort(attribute='n')|map("
               "attribute='i')|join }}") == "213");
  const std::string dict = "{'b': 'X', 'A': 'y', 'c': 'Z'}";
  CHECK(render("{% for k, v in " + dict + "|dictsort %}{{ k }}{% endfor %}") == "Abc");
  CHECK(render("{% for k, v in " + dict + "|dictsort(true) %}{{ k }}{% endfor %}") == "Abc");
  CHECK(render("{% for k, v in {'b': 1, 'C': 2}|dictsort(case_sensitive=true) %}{{ k }}{% endfor %}") ==
        "Cb");
  CHECK(render("{% for k, v in {'b': 1, 'C': 2}|dictsort %}{{ k }}{% endfor %}") == "bC");
  CHECK(render("{% for k, v in " + dict + "|dictsort(by='value') %}{{ k }}{% endfor %}") == "bAc");
  CHECK(render("{{ ['b', 'B', 'a', 'A']|unique|join }}{{ ['b', 'B']|unique(true)|join }}") == "babB");
  CHECK(render("{{ ['b', 'C', 'A']|min }}{{ ['b', 'C', 'A']|max }}") == "AC");
  CHECK(render("{{ ['b', 'C']|min(case_sensitive=true) }}{{ ['b', 'C']|max(case_sensitive=true) }}") == "Cb");
}

TEST_CASE("a template tells which variables it reads") {
  const ChatTemplate t = ChatTemplate::parse(read_text(kTextGoldens + "chat/qwen3.jinja"), "qwen3");
  CHECK(t.mentions("enable_thinking"));
  CHECK(t.mentions("messages"));
  CHECK_FALSE(t.mentions("thinking"));
  CHECK_FALSE(t.mentions("role"));  // only an attribute
  CHECK_FALSE(ChatTemplate::parse("{% set thinking = 1 %}{# thinking #}thinking", "t").mentions("thinking"));
}

TEST_CASE("raise_exception is the data's fault, with its text") {
  const auto [kind, text] = error_of("{{ raise_exception('roles must alternate') }}");
  CHECK(kind == ErrorKind::kBadData);
  CHECK(text == "roles must alternate");
}

TEST_CASE("what Python has and this interpreter has not is named as such") {
  for (const char* source :
       {"{{ 'a'.partition('b') }}", "{{ 'a'.center }}", "{{ cycler('a') }}", "{{ 10 ** 20 }}",
        "{{ '%x' % 1 }}", "{{ '{:>4}'.format('a') }}", "{{ [1]|batch(2) }}"}) {
    INFO(source);
    const auto [kind, text] = error_of(source);
    CHECK(kind == ErrorKind::kBadModel);
    CHECK(text.find("not supported") != std::string::npos);
  }
  CHECK(render("{{ {'center': 1}.center }}") == "1");
}

TEST_CASE("errors name the line") {
  CHECK(error_of("a\n\n{{ 1 + }}").second.find("line 3") != std::string::npos);
  CHECK(error_of("a\n{{ missing.x }}").second.find("line 2") != std::string::npos);
  for (const char* source : {"{{",
                             "{%",
                             "{#",
                             "{{ 'a }}",
                             "{% if %}",
                             "{% if 1 %}",
                             "{% endif %}",
                             "{% for x %}{% endfor %}",
                             "{{ (1 }}",
                             "{{ [1 }}",
                             "{{ {1 }}",
                             "{{ 1 2 }}",
                             "{% nope %}",
                             "{% set %}",
                             "{% macro %}",
                             "{% break %}",
                             "{{ f(a=1, 2) }}",
                             "{% extends 'x' %}",
                             "{% raw %}",
                             "{{ '\\u12' }}",
                             "{{ 99999999999999999999 }}",
                             "{{ a b }}",
                             "{{ ) }}",
                             "{{ x | }}",
                             "{{ f(*x) }}",
                             "{% for a in b recursive %}{% endfor %}",
                             "{% set true = 1 %}",
                             "\xFF"}) {
    INFO(source);
    CHECK(error_of(source).first == ErrorKind::kBadModel);
  }
}

TEST_CASE("a hostile template is stopped") {
  const std::string deep = "{{ " + std::string(100000, '(') + "1" + std::string(100000, ')') + " }}";
  std::string chain = "{{ 1", nots = "{{ ", blocks;
  for (int i = 0; i < 100000; ++i) chain += "+1", nots += "not ";
  for (int i = 0; i < 10000; ++i) blocks += "{% if 1 %}";
  for (const std::string& source :
       {deep, chain + " }}", nots + "1 }}", blocks, std::string("{{ range(10000000) }}"),
        std::string("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
        std::string("{{ 'a' * 1000000000000 }}"), std::string("{{ [0] * 1000000000000 }}"),
        std::string("{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(100) %}{% set ns.s = ns.s + "
                    "ns.s %}{% endfor %}"),
        std::string("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
        std::string("{% for i in range(99999) %}{{ 'x' * 100000 }}{% endfor %}"),
        std::string("{{ 9223372036854775807 + 1 }}"),
        std::string("{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% "
                    "endfor %}{{ ns.l }}")}) {
    INFO(source.substr(0, 80));
    CHECK(error_of(source).first == ErrorKind::kBadModel);
  }
  // A value that contains itself prints as an error, and is freed.
  CHECK(error_of("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}").first == ErrorKind::kBadData);
  const std::string compare =
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set "
      "ns.b = [ns.b, "
      "ns.b] %}{% endfor %}{{ ns.a == ns.b }}";
  CHECK(error_of(compare).first == ErrorKind::kBadData);
}

}  // namespace ds::text
