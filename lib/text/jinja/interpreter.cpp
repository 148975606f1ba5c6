#include "text/jinja/interpreter.h"

#include <algorithm>

#include "core/json_value.h"

namespace ds::text::jinja {
namespace {

struct Restore {  // puts a member back when a scope ends, also on failure
  Frame*& place;
  Frame* old;
  explicit Restore(Frame*& p) : place(p), old(p) {}
  ~Restore() { place = old; }
};

}  // namespace

std::string Interpreter::render(const Template& t, const Json& variables) {
  Frame* globals = heap_.frame(nullptr);
  // The last three are known for the sake of the error that calling them gives.
  for (const char* name :
       {"range", "dict", "namespace", "raise_exception", "strftime_now", "cycler", "joiner", "lipsum"})
    globals->names.emplace_back(name, Value::function(name));
  frame_ = heap_.frame(globals);
  if (variables.is_object()) {
    for (const auto& [name, value] : variables.items()) set_name(name, heap_.from_json(value));
  }
  frame_ = heap_.frame(frame_);
  std::string out;
  out_ = &out;
  execute(*t.root);
  return out;
}

void Interpreter::spend(uint64_t steps) {
  n_steps_ += steps;
  if (n_steps_ > limits_.steps) fail_unsupported("the template runs for too long");
}

Value Interpreter::string(std::string text) {
  n_string_bytes_ += text.size();
  if (n_string_bytes_ > limits_.string_bytes || text.size() > limits_.output_bytes)
    fail_unsupported("the template makes too much text");
  return Value::string(std::move(text));
}

void Interpreter::print(std::string_view text) {
  n_output_bytes_ += text.size();
  if (n_output_bytes_ > limits_.output_bytes) fail_unsupported("the template prints too much");
  *out_ += text;
}

Value Interpreter::lookup(const std::string& name) {
  for (const Frame* f = frame_; f; f = f->parent)
    for (const auto& [key, value] : f->names)
      if (key == name) return value;
  if (name == "self" || name == "varargs" || name == "kwargs")
    fail_unsupported("the name '" + name + "' is not supported");
  return Value::undefined("'" + name + "' is undefined");
}

void Interpreter::set_name(const std::string& name, Value value) {
  for (auto& [key, old] : frame_->names) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  frame_->names.emplace_back(name, std::move(value));
}

std::string Interpreter::capture(const Node& body) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  try {
    execute(body);
  } catch (...) {
    out_ = outer;
    throw;
  }
  out_ = outer;
  return text;
}

Interpreter::Flow Interpreter::run_block(const Node& node) {
  for (const auto& kid : node.kids) {
    const Flow flow = execute(*kid);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::execute(const Node& node) {
  spend(1);
  if (node.kind != NodeKind::kBlock) line_ = node.line;
  switch (node.kind) {
    case NodeKind::kText:
      print(node.constant.text());
      return Flow::kNormal;
    case NodeKind::kOutput:
      print(to_text(evaluate(*node.kids[0])));
      return Flow::kNormal;
    case NodeKind::kBlock:
      return run_block(node);
    case NodeKind::kIf: {
      size_t i = 0;
      for (; i + 1 < node.kids.size(); i += 2)
        if (truthy(evaluate(*node.kids[i]))) return execute(*node.kids[i + 1]);
      return i < node.kids.size() ? execute(*node.kids[i]) : Flow::kNormal;
    }
    case NodeKind::kFor:
      return run_for(node);
    case NodeKind::kSet:
      assign(*node.kids[0], evaluate(*node.kids[1]));
      return Flow::kNormal;
    case NodeKind::kSetBlock:
      run_set_block(node);
      return Flow::kNormal;
    case NodeKind::kMacro: {
      Macro* macro = heap_.macro();
      *macro = {&node, frame_};
      set_name(node.name, Value::macro(macro));
      return Flow::kNormal;
    }
    case NodeKind::kCallBlock:
      run_call_block(node);
      return Flow::kNormal;
    case NodeKind::kFilterBlock: {
      const Value text = string(capture(*node.kids[1]));
      print(to_text(filter(*node.kids[0], &text)));
      return Flow::kNormal;
    }
    case NodeKind::kWith: {
      const Restore restore(frame_);
      // Every value is seen from outside: `with a = 1, b = a` reads the outer a.
      std::vector<Value> values;
      for (size_t i = 1; i + 1 < node.kids.size(); i += 2) values.push_back(evaluate(*node.kids[i + 1]));
      frame_ = heap_.frame(frame_);
      for (size_t i = 0; i < values.size(); ++i) assign(*node.kids[1 + 2 * i], values[i]);
      return execute(*node.kids[0]);
    }
    case NodeKind::kBreak:
      return Flow::kBreak;
    case NodeKind::kContinue:
      return Flow::kContinue;
    default:
      break;
  }
  fail_unsupported("an expression where a statement should be");
}

Interpreter::Flow Interpreter::run_for(const Node& node) {
  const Value iterable = evaluate(*node.kids[1]);
  std::vector<Value> items = iterate(iterable);
  const Restore restore(frame_);
  Frame* const outer = frame_;
  if (node.kids[2]) {
    std::vector<Value> kept;
    frame_ = heap_.frame(outer);
    for (const Value& item : items) {
      assign(*node.kids[0], item);
      if (truthy(evaluate(*node.kids[2]))) kept.push_back(item);
    }
    items = std::move(kept);
    frame_ = outer;
  }
  Loop* loop = heap_.loop();
  List* held = heap_.list(std::move(items));
  loop->items = &held->items;
  Frame* scope = nullptr;
  size_t n_macros = 0;
  bool reached_end = false;  // of the body, in any round; jinja2 runs `else` unless that happened
  for (; loop->index < held->items.size(); ++loop->index) {
    spend(1);
    // Each round starts with no names of its own; only a macro can still need those of the round before.
    if (!scope || heap_.n_macros() != n_macros)
      scope = heap_.frame(outer);
    else
      scope->names.clear();
    n_macros = heap_.n_macros();
    frame_ = scope;
    set_name("loop", Value::loop(loop));
    assign(*node.kids[0], held->items[loop->index]);
    const Flow flow = execute(*node.kids[3]);
    reached_end = reached_end || flow == Flow::kNormal;
    if (flow == Flow::kBreak) break;
  }
  frame_ = outer;
  return node.kids[4] && !reached_end ? execute(*node.kids[4]) : Flow::kNormal;
}

void Interpreter::run_set_block(const Node& node) {
  std::string text;
  {
    const Restore restore(frame_);
    frame_ = heap_.frame(frame_);
    text = capture(*node.kids[1]);
  }
  Value value = string(std::move(text));
  if (node.kids[2]) value = filter(*node.kids[2], &value);
  assign(*node.kids[0], value);
}

void Interpreter::run_call_block(const Node& node) {
  Macro* macro = heap_.macro();
  *macro = {node.kids[1].get(), frame_};
  const Value caller = Value::macro(macro);
  const Node& call = *node.kids[0];
  const Value callee = evaluate(*call.kids[0]);
  Arguments args;
  Keywords keywords;
  for (size_t i = 1; i < call.kids.size(); ++i) args.push_back(evaluate(*call.kids[i]));
  for (const auto& [name, value] : call.keywords) keywords.emplace_back(name, evaluate(*value));
  print(to_text(call_value(callee, args, keywords, &caller)));
}

void Interpreter::assign(const Node& target, const Value& value) {
  switch (target.kind) {
    case NodeKind::kName:
      set_name(target.name, value);
      return;
    case NodeKind::kNamespaceRef: {
      const Value space = lookup(target.name);
      if (!space.is(Kind::kNamespace))
        fail("cannot assign attribute on non-namespace object '" + target.name + "'");
      space.as_dict().set(Value::string(target.names[0]), value);
      return;
    }
    case NodeKind::kTuple: {
      const std::vector<Value> items = iterate(value);
      if (items.size() != target.kids.size())
        fail("cannot unpack " + std::to_string(items.size()) + " values into " +
             std::to_string(target.kids.size()));
      for (size_t i = 0; i < items.size(); ++i) assign(*target.kids[i], items[i]);
      return;
    }
    default:
      fail_unsupported("cannot assign to this expression");
  }
}

}  // namespace ds::text::jinja
