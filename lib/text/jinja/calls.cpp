// Calls: macros, the loop object, built-in functions.
#include <ctime>

#include "text/jinja/interpreter.h"

namespace ds::text::jinja {

ArgumentReader::ArgumentReader(const char* what, const Arguments& args, const Keywords& keywords,
                               size_t n_max)
    : what_(what), args_(args), keywords_(keywords) {
  if (args.size() > n_max)
    fail(std::string(what) + " takes at most " + std::to_string(n_max) + " arguments, got " +
         std::to_string(args.size()));
}
const Value* ArgumentReader::get(size_t position, std::string_view name) const {
  if (position < args_.size()) return &args_[position];
  for (const auto& [key, value] : keywords_)
    if (key == name) return &value;
  return nullptr;
}
const Value& ArgumentReader::need(size_t position, std::string_view name) const {
  const Value* v = get(position, name);
  if (!v) fail(std::string(what_) + " lacks the argument '" + std::string(name) + "'");
  return *v;
}
int64_t ArgumentReader::integer(size_t position, std::string_view name, int64_t otherwise) const {
  const Value* v = get(position, name);
  if (!v || v->is(Kind::kNone)) return otherwise;
  if (!v->is_integral()) fail(std::string(what_) + ": '" + std::string(name) + "' must be an integer");
  return v->as_int();
}
bool ArgumentReader::flag(size_t position, std::string_view name, bool otherwise) const {
  const Value* v = get(position, name);
  return v ? truthy(*v) : otherwise;
}
const std::string& ArgumentReader::text(size_t position, std::string_view name) const {
  const Value& v = need(position, name);
  if (!v.is_string())
    fail(std::string(what_) + ": '" + std::string(name) + "' must be a string, not " + type_name(v));
  return v.text();
}

Value Interpreter::call(const Node& node) {
  const Value callee = evaluate(*node.kids[0]);
  Arguments args;
  Keywords keywords;
  for (size_t i = 1; i < node.kids.size(); ++i) args.push_back(evaluate(*node.kids[i]));
  for (const auto& [name, value] : node.keywords) keywords.emplace_back(name, evaluate(*value));
  line_ = node.line;
  return call_value(callee, args, keywords, nullptr);
}

Value Interpreter::call_value(const Value& callee, const Arguments& args, const Keywords& keywords,
                              const Value* caller) {
  switch (callee.kind()) {
    case Kind::kMacro:
      return call_macro(callee.as_macro(), args, keywords, caller);
    case Kind::kFunction:
      return call_function(callee.text(), args, keywords);
    case Kind::kMethod:
      if (callee.as_method().object.is(Kind::kLoop))
        return call_loop_function(callee.as_method().object.as_loop(), callee.as_method().name, args);
      return call_method(callee.as_method(), args, keywords);
    case Kind::kUndefined:
      fail(callee.text().empty() ? "the value called is undefined" : callee.text());
    default:
      fail(std::string("'") + type_name(callee) + "' object is not callable");
  }
}

Value Interpreter::call_macro(const Macro& macro, const Arguments& args, const Keywords& keywords,
                              const Value* caller) {
  if (macro_depth_ >= limits_.macro_depth) fail_unsupported("macros call each other too deeply");
  const Node& node = *macro.node;
  struct Scope {
    Interpreter& in;
    Frame* frame;
    explicit Scope(Interpreter& i) : in(i), frame(i.frame_) { ++in.macro_depth_; }
    ~Scope() { --in.macro_depth_, in.frame_ = frame; }
  } scope(*this);
  Frame* frame = heap_.frame(macro.scope);
  if (args.size() > node.names.size())
    fail("macro '" + node.name + "' takes not more than " + std::to_string(node.names.size()) + " arguments");
  for (const auto& [name, value] : keywords) {
    bool known = false;
    for (size_t i = args.size(); i < node.names.size(); ++i) known = known || node.names[i] == name;
    if (!known) fail("macro '" + node.name + "' takes no keyword argument '" + name + "'");
  }
  frame_ = frame;
  for (size_t i = 0; i < node.names.size(); ++i) {
    Value value = Value::undefined("parameter '" + node.names[i] + "' was not provided");
    bool given = i < args.size();
    if (given) value = args[i];
    for (const auto& [name, v] : keywords)
      if (!given && name == node.names[i]) value = v, given = true;
    if (!given && node.kids[i + 1]) value = evaluate(*node.kids[i + 1]);
    set_name(node.names[i], std::move(value));
  }
  if (caller) set_name("caller", *caller);
  return string(capture(*node.kids[0]));
}

Value Interpreter::loop_attribute(const Loop& loop, const std::string& name) {
  const auto& items = *loop.items;
  const int64_t i = static_cast<int64_t>(loop.index), n = static_cast<int64_t>(items.size());
  if (name == "index") return Value::integer(i + 1);
  if (name == "index0") return Value::integer(i);
  if (name == "revindex") return Value::integer(n - i);
  if (name == "revindex0") return Value::integer(n - i - 1);
  if (name == "first") return Value::boolean(i == 0);
  if (name == "last") return Value::boolean(i + 1 == n);
  if (name == "length") return Value::integer(n);
  if (name == "depth") return Value::integer(1);
  if (name == "depth0") return Value::integer(0);
  if (name == "previtem")
    return i > 0 ? items[loop.index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem")
    return i + 1 < n ? items[loop.index + 1] : Value::undefined("there is no next item");
  if (name == "cycle" || name == "changed")
    return Value::method(heap_.method(Value::loop(const_cast<Loop*>(&loop)), name));
  return Value::undefined("loop has no attribute '" + name + "'");
}

Value Interpreter::call_loop_function(Loop& loop, const std::string& name, const Arguments& args) {
  if (name == "cycle") {
    if (args.empty()) fail("no items for cycling given");
    return args[loop.index % args.size()];
  }
  const Value now = tuple(args);
  if (loop.last_changed.is(Kind::kTuple) && equal(loop.last_changed, now)) return Value::boolean(false);
  loop.last_changed = now;
  return Value::boolean(true);
}

Value Interpreter::call_function(const std::string& name, const Arguments& args, const Keywords& keywords) {
  if (name == "raise_exception") {
    const ArgumentReader reader("raise_exception", args, keywords, 1);
    throw Failure{to_text(reader.need(0, "message")), false, true};
  }
  if (name == "namespace" || name == "dict") {
    Dict* out = heap_.dict();
    if (!args.empty()) {
      if (args.size() > 1) fail(name + " takes at most one positional argument");
      if (args[0].is(Kind::kDict)) {
        out->items = args[0].as_dict().items;
      } else {
        for (const Value& pair : iterate(args[0])) {
          const std::vector<Value> two = iterate(pair);
          if (two.size() != 2) fail(name + ": the elements must be pairs");
          out->set(two[0], two[1]);
        }
      }
    }
    for (const auto& [key, value] : keywords) out->set(Value::string(key), value);
    return Value::dict(out, name == "namespace");
  }
  if (name == "range") {
    const ArgumentReader reader("range", args, keywords, 3);
    if (args.empty()) fail("range expected at least 1 argument");
    for (const Value& v : args)
      if (!v.is_integral())
        fail(std::string("'") + type_name(v) + "' object cannot be interpreted as an integer");
    const int64_t start = args.size() > 1 ? args[0].as_int() : 0,
                  stop = args[args.size() > 1 ? 1 : 0].as_int();
    const int64_t step = args.size() > 2 ? args[2].as_int() : 1;
    if (step == 0) fail("range() arg 3 must not be zero");
    std::vector<Value> items;
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
      if (static_cast<int64_t>(items.size()) >= limits_.range_items)
        fail_unsupported("a range with too many items");
      items.push_back(Value::integer(i));
      if (__builtin_add_overflow(i, step, &i)) break;
    }
    spend(items.size());
    const std::string last = step == 1 ? ")" : ", " + std::to_string(step) + ")";
    return Value::view(heap_.list(std::move(items)),
                       "range(" + std::to_string(start) + ", " + std::to_string(stop) + last);
  }
  if (name == "strftime_now") {
    const ArgumentReader reader("strftime_now", args, keywords, 1);
    const std::string& format = reader.text(0, "format");
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    char buffer[512];
    if (format.size() > 200) fail("strftime_now: the format is too long");
    return string(std::string(buffer, std::strftime(buffer, sizeof buffer, format.c_str(), &local)));
  }
  fail_unsupported("the function '" + name + "' is not supported");
}

}  // namespace ds::text::jinja
