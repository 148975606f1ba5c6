// The expressions half of Interpreter.
#include <algorithm>
#include <cmath>
#include <utility>

#include "text/jinja/interpreter.h"

namespace ds::text::jinja {
namespace {

std::string quoted(const Value& v) { return std::string("'") + type_name(v) + " object'"; }

// The sandbox hides what would change its operand.
Value unsafe_attribute(const Value& object, const std::string& name) {
  return Value::undefined("access to attribute '" + name + "' of '" + type_name(object) +
                          "' object is unsafe");
}

// Python's indices of a slice.
std::vector<size_t> slice_indices(int64_t n, const Value& start, const Value& stop, const Value& step_value) {
  const auto integer = [](const Value& v, int64_t otherwise) {
    if (v.is(Kind::kNone)) return otherwise;
    if (!v.is_integral()) fail("slice indices must be integers or None");
    return v.as_int();
  };
  const int64_t step = integer(step_value, 1);
  if (step == 0) fail("slice step cannot be zero");
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  const auto bound = [&](const Value& v, int64_t otherwise) {
    int64_t i = integer(v, otherwise);
    if (v.is(Kind::kNone)) return i;
    if (i < 0) i = i < -n ? -n - 1 + n : i + n;  // at least -1
    return std::clamp(i, low, high);
  };
  const int64_t from = bound(start, step > 0 ? 0 : n - 1), to = bound(stop, step > 0 ? n : -1);
  std::vector<size_t> out;
  if (step > 0) {
    for (int64_t i = from; i < to; i += std::min(step, n + 1)) out.push_back(static_cast<size_t>(i));
  } else {
    for (int64_t i = from; i > to; i += std::max(step, -n - 1)) out.push_back(static_cast<size_t>(i));
  }
  return out;
}

double checked_pow(const Value& a, const Value& b) { return std::pow(a.as_double(), b.as_double()); }

// r is read after the operation that filled it, so it comes by reference.
Value integer_result(bool overflow, const int64_t& r) {
  if (overflow) fail_unsupported("an integer beyond 64 bits is not supported");
  return Value::integer(r);
}

Value arithmetic(const std::string& op, const Value& a, const Value& b) {
  const bool integral = a.is_integral() && b.is_integral();
  const int64_t x = a.as_int(), y = b.as_int();
  const double p = a.as_double(), q = b.as_double();
  int64_t r = 0;
  if (op == "+") return integral ? integer_result(__builtin_add_overflow(x, y, &r), r) : Value::real(p + q);
  if (op == "-") return integral ? integer_result(__builtin_sub_overflow(x, y, &r), r) : Value::real(p - q);
  if (op == "*") return integral ? integer_result(__builtin_mul_overflow(x, y, &r), r) : Value::real(p * q);
  if (op == "**") {
    if (!integral || y < 0) return Value::real(checked_pow(a, b));
    int64_t result = 1;
    for (int64_t i = 0; i < y && result != 0; ++i) {
      if (x == 1 || (x == -1 && i >= 2)) break;
      if (__builtin_mul_overflow(result, x, &result))
        fail_unsupported("an integer beyond 64 bits is not supported");
    }
    if (x == -1) result = y % 2 ? -1 : 1;
    return Value::integer(result);
  }
  if (q == 0) fail("division by zero");
  if (op == "/") return Value::real(p / q);
  if (op == "//") {
    if (!integral) return Value::real(std::floor(p / q));
    if (y == -1) return integer_result(__builtin_sub_overflow(int64_t{0}, x, &r), r);
    return Value::integer(x / y - (x % y != 0 && (x < 0) != (y < 0) ? 1 : 0));
  }
  if (op == "%") {
    if (!integral) {
      double m = std::fmod(p, q);
      if (m != 0 && (m < 0) != (q < 0)) m += q;
      return Value::real(m);
    }
    if (y == -1) return Value::integer(0);
    const int64_t m = x % y;
    return Value::integer(m != 0 && (m < 0) != (y < 0) ? m + y : m);
  }
  fail_unsupported("the operator " + op + " is not supported");
}

}  // namespace

Value Interpreter::evaluate(const Node& node) {
  spend(1);
  line_ = node.line;
  switch (node.kind) {
    case NodeKind::kConst:
      return node.constant;
    case NodeKind::kName:
      return lookup(node.name);
    case NodeKind::kList:
    case NodeKind::kTuple: {
      std::vector<Value> items;
      for (const auto& kid : node.kids) items.push_back(evaluate(*kid));
      return Value::list(heap_.list(std::move(items)), node.kind == NodeKind::kTuple);
    }
    case NodeKind::kDict: {
      Dict* dict = heap_.dict();
      for (size_t i = 0; i + 1 < node.kids.size(); i += 2) {
        const Value key = evaluate(*node.kids[i]);
        if (key.is(Kind::kList) || key.is(Kind::kDict))
          fail(std::string("unhashable type: '") + type_name(key) + "'");
        dict->set(key, evaluate(*node.kids[i + 1]));
      }
      return Value::dict(dict);
    }
    case NodeKind::kGetAttr:
      return get_attribute(evaluate(*node.kids[0]), node.name);
    case NodeKind::kGetItem: {
      const Value object = evaluate(*node.kids[0]);
      return get_item(object, evaluate(*node.kids[1]));
    }
    case NodeKind::kSlice:
      return slice(node);
    case NodeKind::kCall:
      return call(node);
    case NodeKind::kFilter:
      return filter(node, nullptr);
    case NodeKind::kTest: {
      const Value operand = evaluate(*node.kids[0]);
      Arguments args;
      for (size_t i = 1; i < node.kids.size(); ++i) args.push_back(evaluate(*node.kids[i]));
      line_ = node.line;
      return Value::boolean(apply_test(node.name, operand, args));
    }
    case NodeKind::kNot:
      return Value::boolean(!truthy(evaluate(*node.kids[0])));
    case NodeKind::kNegate:
    case NodeKind::kPlus: {
      const Value v = evaluate(*node.kids[0]);
      const bool negate = node.kind == NodeKind::kNegate;
      if (!v.is_number()) {
        if (v.is_undefined()) fail(v.text());
        fail(std::string("bad operand type for unary ") + (negate ? "-" : "+") + ": '" + type_name(v) + "'");
      }
      if (v.is(Kind::kFloat)) return Value::real(negate ? -v.as_double() : v.as_double());
      return negate ? arithmetic("-", Value::integer(0), v) : Value::integer(v.as_int());
    }
    case NodeKind::kBinary: {
      const Value a = evaluate(*node.kids[0]);
      const Value b = evaluate(*node.kids[1]);
      line_ = node.line;
      return binary(node.name, a, b);
    }
    case NodeKind::kAnd: {
      Value a = evaluate(*node.kids[0]);
      return truthy(a) ? evaluate(*node.kids[1]) : a;
    }
    case NodeKind::kOr: {
      Value a = evaluate(*node.kids[0]);
      return truthy(a) ? a : evaluate(*node.kids[1]);
    }
    case NodeKind::kCompare:
      return compare(node);
    case NodeKind::kCondition:
      if (truthy(evaluate(*node.kids[0]))) return evaluate(*node.kids[1]);
      if (node.kids[2]) return evaluate(*node.kids[2]);
      return Value::undefined("the inline if-expression evaluated to false and no else section was defined");
    default:
      break;
  }
  fail_unsupported("a statement where an expression should be");
}

Value Interpreter::compare(const Node& node) {
  Value left = evaluate(*node.kids[0]);
  for (size_t i = 0; i < node.names.size(); ++i) {
    const std::string& op = node.names[i];
    const Value right = evaluate(*node.kids[i + 1]);
    line_ = node.line;
    bool holds = false;
    if (op == "==") {
      holds = equal(left, right);
    } else if (op == "!=") {
      holds = !equal(left, right);
    } else if (op == "in") {
      holds = contains(right, left);
    } else if (op == "not in") {
      holds = !contains(right, left);
    } else {
      if (left.is_undefined()) fail(left.text());
      if (right.is_undefined()) fail(right.text());
      const bool nan = (left.is(Kind::kFloat) && std::isnan(left.as_double())) ||
                       (right.is(Kind::kFloat) && std::isnan(right.as_double()));
      if (op == "<") holds = less(left, right);
      if (op == ">") holds = less(right, left);
      if (op == "<=") holds = !less(right, left) && !nan;
      if (op == ">=") holds = !less(left, right) && !nan;
    }
    if (!holds) return Value::boolean(false);
    left = right;
  }
  return Value::boolean(true);
}

Value Interpreter::binary(const std::string& op, const Value& a, const Value& b) {
  if (op == "~") return string(to_text(a) + to_text(b));
  for (const Value* v : {&a, &b})
    if (v->is_undefined()) fail(v->text());
  if (a.is_number() && b.is_number()) return arithmetic(op, a, b);
  if (op == "+") {
    if (a.is_string() && b.is_string()) {
      if (!a.is_markup() && !b.is_markup()) return string(a.text() + b.text());
      return Value::markup(apply_filter("escape", a, {}, {}).text() +
                           apply_filter("escape", b, {}, {}).text());
    }
    if (a.is_sequence() && a.kind() == b.kind()) {
      std::vector<Value> items = a.as_list().items;
      items.insert(items.end(), b.as_list().items.begin(), b.as_list().items.end());
      spend(items.size());
      return Value::list(heap_.list(std::move(items)), a.is(Kind::kTuple));
    }
  }
  if (op == "*" && (a.is_integral() || b.is_integral())) {
    const Value& thing = a.is_integral() ? b : a;
    const int64_t count = std::max<int64_t>(0, (a.is_integral() ? a : b).as_int());
    if (thing.is_string()) {
      if (thing.text().empty()) return thing;
      if (static_cast<uint64_t>(count) > limits_.output_bytes / thing.text().size())
        fail_unsupported("the template makes too much text");
      std::string out;
      for (int64_t i = 0; i < count; ++i) out += thing.text();
      return string(std::move(out));
    }
    if (thing.is_sequence()) {
      const auto& from = thing.as_list().items;
      if (!from.empty() && static_cast<uint64_t>(count) > limits_.steps / from.size())
        fail_unsupported("the template runs for too long");
      spend(static_cast<uint64_t>(count) * from.size());
      std::vector<Value> items;
      for (int64_t i = 0; i < (from.empty() ? 0 : count); ++i)
        items.insert(items.end(), from.begin(), from.end());
      return Value::list(heap_.list(std::move(items)), thing.is(Kind::kTuple));
    }
  }
  if (op == "%" && a.is_string())
    return apply_filter("format", a, b.is(Kind::kTuple) ? b.as_list().items : Arguments{b}, {});
  fail("unsupported operand types for " + op + ": '" + type_name(a) + "' and '" + type_name(b) + "'");
}

Value Interpreter::get_attribute(const Value& object, const std::string& name) {
  switch (object.kind()) {
    case Kind::kUndefined:
      fail(object.text().empty() ? "the value is undefined" : object.text());
    case Kind::kLoop:
      return loop_attribute(object.as_loop(), name);
    case Kind::kNamespace: {
      const Value* v = object.as_dict().find(name);
      return v ? *v : Value::undefined("namespace object has no attribute '" + name + "'");
    }
    case Kind::kMacro:
      if (name == "name") return Value::string(object.as_macro().node->name);
      fail_unsupported("the attribute '" + name + "' of a macro is not supported");
    default:
      break;
  }
  if (has_method(object, name)) return Value::method(heap_.method(object, name));
  if (is_unsafe_method(object, name)) return unsafe_attribute(object, name);
  if (lacks_method(object, name))
    fail_unsupported(std::string("the method ") + type_name(object) + "." + name + " is not supported");
  if (object.is(Kind::kDict)) {
    if (const Value* v = object.as_dict().find(name)) return *v;
  }
  return Value::undefined(quoted(object) + " has no attribute '" + name + "'");
}

Value Interpreter::get_item(const Value& object, const Value& index) {
  if (object.is_undefined()) fail(object.text().empty() ? "the value is undefined" : object.text());
  if (object.is(Kind::kDict)) {
    if (const Value* v = object.as_dict().find(index)) return *v;
  } else if ((object.is_sequence() || object.is_string() || object.is_range()) && index.is_integral()) {
    const std::vector<std::string_view> letters =
        object.is_string() ? characters(object.text()) : std::vector<std::string_view>();
    spend(letters.size() / 16);
    const int64_t n =
        static_cast<int64_t>(object.is_string() ? letters.size() : object.as_list().items.size());
    int64_t i = index.as_int();
    if (i < 0) i += n;
    if (i >= 0 && i < n) {
      if (object.is_string()) return string(std::string(letters[static_cast<size_t>(i)]));
      return object.as_list().items[static_cast<size_t>(i)];
    }
    return Value::undefined(quoted(object) + " has no element " + std::to_string(index.as_int()));
  }
  if (index.is_string()) {
    if (object.is(Kind::kLoop) || object.is(Kind::kNamespace) || object.is(Kind::kMacro))
      return get_attribute(object, index.text());
    if (has_method(object, index.text())) return Value::method(heap_.method(object, index.text()));
    if (is_unsafe_method(object, index.text())) return unsafe_attribute(object, index.text());
    return Value::undefined(quoted(object) + " has no attribute '" + index.text() + "'");
  }
  return Value::undefined(quoted(object) + " has no element " + to_repr(index));
}

Value Interpreter::slice(const Node& node) {
  const Value object = evaluate(*node.kids[0]);
  const auto part = [&](size_t i) { return node.kids[i] ? evaluate(*node.kids[i]) : Value::none(); };
  const Value start = part(1), stop = part(2), step = part(3);
  if (object.is_undefined()) fail(object.text());
  if (object.is_string()) {
    const auto letters = characters(object.text());
    spend(letters.size() / 16);
    std::string out;
    for (const size_t i : slice_indices(static_cast<int64_t>(letters.size()), start, stop, step))
      out += letters[i];
    return string(std::move(out));
  }
  if (object.is_range()) fail_unsupported("slicing a range is not supported");
  if (!object.is_sequence()) fail(quoted(object) + " is not subscriptable");
  const auto& items = object.as_list().items;
  std::vector<Value> out;
  for (const size_t i : slice_indices(static_cast<int64_t>(items.size()), start, stop, step))
    out.push_back(items[i]);
  spend(out.size());
  return Value::list(heap_.list(std::move(out)), object.is(Kind::kTuple));
}

std::vector<Value> Interpreter::iterate(const Value& v) {
  std::vector<Value> out;
  switch (v.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kList:
    case Kind::kTuple:
      out = v.as_list().items;
      break;
    case Kind::kView:
      if (v.is_generator() && std::exchange(v.as_list().is_used_up, true))
        fail_unsupported("going through a " + v.text() + " twice is not supported");
      out = v.as_list().items;
      break;
    case Kind::kDict:
      for (const auto& [key, value] : v.as_dict().items) out.push_back(key);
      break;
    case Kind::kString:
      for (const std::string_view c : characters(v.text())) out.push_back(string(std::string(c)));
      break;
    default:
      fail(std::string("'") + type_name(v) + "' object is not iterable");
  }
  spend(out.size());
  return out;
}

int64_t Interpreter::length_of(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(v.as_list().items.size());
    case Kind::kView:
      if (v.is_generator()) fail("object of type '" + v.text() + "' has no len()");
      return static_cast<int64_t>(v.as_list().items.size());
    case Kind::kDict:
      return static_cast<int64_t>(v.as_dict().items.size());
    case Kind::kString: {
      const std::string& s = v.text();
      spend(s.size() / 64);
      return std::count_if(s.begin(), s.end(),
                           [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
    }
    case Kind::kLoop:
      return static_cast<int64_t>(v.as_loop().items->size());
    default:
      fail(std::string("object of type '") + type_name(v) + "' has no len()");
  }
}

bool Interpreter::contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kUndefined:
      return false;
    case Kind::kString:
      if (item.is_undefined()) fail(item.text());
      if (!item.is_string())
        fail(std::string("'in <string>' requires string as left operand, not ") + type_name(item));
      spend(container.text().size() / 64);
      return container.text().find(item.text()) != std::string::npos;
    case Kind::kDict:
      if (item.is(Kind::kList) || item.is(Kind::kDict))
        fail(std::string("unhashable type: '") + type_name(item) + "'");
      spend(container.as_dict().items.size());
      return container.as_dict().find(item) != nullptr;
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView: {
      const std::vector<Value> items = iterate(container);
      return std::any_of(items.begin(), items.end(), [&](const Value& v) { return equal(v, item); });
    }
    default:
      fail(std::string("argument of type '") + type_name(container) + "' is not iterable");
  }
}

Value Interpreter::filter(const Node& node, const Value* block_text) {
  Value operand;
  if (node.kids[0])
    operand =
        node.kids[0]->kind == NodeKind::kFilter ? filter(*node.kids[0], block_text) : evaluate(*node.kids[0]);
  else if (block_text)
    operand = *block_text;
  Arguments args;
  Keywords keywords;
  for (size_t i = 1; i < node.kids.size(); ++i) args.push_back(evaluate(*node.kids[i]));
  for (const auto& [name, value] : node.keywords) keywords.emplace_back(name, evaluate(*value));
  line_ = node.line;
  spend(1);
  return apply_filter(node.name, operand, args, keywords);
}

}  // namespace ds::text::jinja
