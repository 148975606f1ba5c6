// Values of the template language, with Python's behaviour: what they print, what is true, equal, smaller.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"

namespace ds::text::jinja {

struct Node;
class Value;

struct List;
struct Dict;
struct Macro;
struct Loop;
struct Method;
struct Frame;

enum class Kind : uint8_t {
  kUndefined,  // text(): the name, for error messages
  kNone,
  kBool,
  kInt,
  kLongInt,  // text(): the digits of an integer beyond 64 bits; it prints, nothing calculates with it
  kFloat,
  kString,
  kList,
  kTuple,
  kView,  // text(): what Python goes through without its being a list: range(..), dict_keys, generator
  kDict,
  kNamespace,
  kLoop,
  kMacro,
  kMethod,    // a method bound to its object
  kFunction,  // text(): the name of a built-in function
};

// Strings are shared and immutable; containers belong to a Heap and are referred to, as in Python.
class Value {
 public:
  Value() = default;  // undefined, nameless
  static Value undefined(std::string name);
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool v);
  static Value integer(int64_t v);
  static Value long_integer(std::string_view digits);
  static Value real(double v);
  static Value string(std::string v);
  static Value markup(std::string v);  // what |safe and |escape make: escapes what is added to it
  static Value function(std::string name);
  static Value list(List* v, bool tuple = false);
  static Value view(List* v, std::string name);
  static Value dict(Dict* v, bool is_namespace = false);
  static Value loop(Loop* v);
  static Value macro(Macro* v);
  static Value method(Method* v);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_markup() const { return is_string() && as_.integer != 0; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  bool is_range() const { return is(Kind::kView) && text().starts_with("range"); }
  // Can be gone through once; is true whatever it holds; has no length.
  bool is_generator() const { return is(Kind::kView) && !is_range() && !text().starts_with("dict"); }
  bool is_integral() const {
    return kind_ == Kind::kInt || kind_ == Kind::kBool;
  }  // bool is an int in Python
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  int64_t as_int() const { return as_.integer; }  // also 0 or 1 of a bool
  double as_double() const { return kind_ == Kind::kFloat ? as_.real : static_cast<double>(as_.integer); }
  const std::string& text() const;
  List& as_list() const { return *as_.list; }
  Dict& as_dict() const { return *as_.dict; }
  Loop& as_loop() const { return *as_.loop; }
  Macro& as_macro() const { return *as_.macro; }
  Method& as_method() const { return *as_.method; }
  const void* identity() const { return as_.list; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}
  Kind kind_ = Kind::kUndefined;
  union {
    int64_t integer = 0;
    double real;
    List* list;
    Dict* dict;
    Loop* loop;
    Macro* macro;
    Method* method;
  } as_;
  std::shared_ptr<const std::string> text_;
};

struct List {
  std::vector<Value> items;
  bool is_used_up = false;  // of a generator
};
struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in insertion order
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(const Value& key, Value value);
};
struct Method {
  Value object;
  std::string name;
};
struct Loop {
  const std::vector<Value>* items = nullptr;
  size_t index = 0;
  Value last_changed;
};
struct Macro {
  const Node* node = nullptr;
  Frame* scope = nullptr;
};
struct Frame {
  Frame* parent = nullptr;
  std::vector<std::pair<std::string, Value>> names;
};

// Owns the containers of one rendering, so that a list holding itself is no leak.
class Heap {
 public:
  List* list(std::vector<Value> items = {});
  Dict* dict() { return &dicts_.emplace_back(); }
  Loop* loop() { return &loops_.emplace_back(); }
  Macro* macro() { return &macros_.emplace_back(); }
  Method* method(Value object, std::string name);
  Frame* frame(Frame* parent);
  size_t n_macros() const { return macros_.size(); }
  Value from_json(const Json& json);

 private:
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
  std::deque<Loop> loops_;
  std::deque<Macro> macros_;
  std::deque<Method> methods_;
  std::deque<Frame> frames_;
};

// A rendering that fails: caught by ChatTemplate, which adds the line. Data errors blame the variables.
struct Failure {
  std::string what;
  bool unsupported = false;  // the template wants something this interpreter lacks
  bool raised = false;       // raise_exception
};
[[noreturn]] void fail(std::string what);
[[noreturn]] void fail_unsupported(std::string what);

bool truthy(const Value& v);
bool equal(const Value& a, const Value& b);
// Python's <; fails for kinds that have no order.
bool less(const Value& a, const Value& b);
const char* type_name(const Value& v);  // Python's name of the type
std::string to_text(const Value& v);    // str()
std::string to_repr(const Value& v, int depth = 0);
std::string float_repr(double v);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool has_indent = false;
  std::string indent;
  std::string item_separator = ", ", key_separator = ": ";
};
std::string to_json(const Value& v, const JsonStyle& style, int depth = 0);

}  // namespace ds::text::jinja
