// Runs a parsed template. One Interpreter per rendering.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"

namespace ds::text::jinja {

// What a template may use up before it is stopped.
struct Limits {
  size_t output_bytes = size_t{64} << 20;
  size_t string_bytes = size_t{512} << 20;  // all strings ever made
  uint64_t steps = 20'000'000;              // evaluated nodes and touched items
  int64_t range_items = 100'000;            // as in jinja2's sandbox
  int macro_depth = 50;
};

using Arguments = std::vector<Value>;
using Keywords = std::vector<std::pair<std::string, Value>>;

class Interpreter {
 public:
  explicit Interpreter(const Limits& limits = {}) : limits_(limits) {}

  std::string render(const Template& t, const Json& variables);
  int line() const { return line_; }  // where the last failure happened

  // For the filters, tests and methods (jinja_filters.cpp, jinja_tests.cpp, jinja_methods.cpp):
  Value apply_filter(const std::string& name, const Value& operand, const Arguments& args,
                     const Keywords& keywords);
  bool apply_test(const std::string& name, const Value& operand, const Arguments& args);
  Value call_method(const Method& method, const Arguments& args, const Keywords& keywords);
  static bool has_method(const Value& object, std::string_view name);
  // Whether the sandbox refuses that method, since it changes its object.
  static bool is_unsafe_method(const Value& object, std::string_view name);
  // Whether Python has that method and this interpreter has not.
  static bool lacks_method(const Value& object, std::string_view name);

  // Attribute first (foo.bar) or item first (foo['bar']); undefined when there is neither.
  Value get_attribute(const Value& object, const std::string& name);
  Value get_item(const Value& object, const Value& index);
  // What `for` goes through; fails for what is not iterable.
  std::vector<Value> iterate(const Value& v);
  int64_t length_of(const Value& v);
  bool contains(const Value& container, const Value& item);
  Value binary(const std::string& op, const Value& a, const Value& b);
  Value string(std::string text);  // counts towards the limit
  Value list(std::vector<Value> items) { return Value::list(heap_.list(std::move(items))); }
  Value tuple(std::vector<Value> items) { return Value::list(heap_.list(std::move(items)), true); }
  Heap& heap() { return heap_; }
  void spend(uint64_t steps);

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  Flow execute(const Node& node);
  Flow run_block(const Node& node);
  Flow run_for(const Node& node);
  void run_set_block(const Node& node);
  void run_call_block(const Node& node);
  std::string capture(const Node& body);
  void print(std::string_view text);
  void assign(const Node& target, const Value& value);
  void set_name(const std::string& name, Value value);
  Value lookup(const std::string& name);

  Value evaluate(const Node& node);
  Value compare(const Node& node);
  Value call(const Node& node);
  Value slice(const Node& node);
  Value filter(const Node& node, const Value* block_text);
  Value call_value(const Value& callee, const Arguments& args, const Keywords& keywords, const Value* caller);
  Value call_macro(const Macro& macro, const Arguments& args, const Keywords& keywords, const Value* caller);
  Value call_function(const std::string& name, const Arguments& args, const Keywords& keywords);
  Value call_loop_function(Loop& loop, const std::string& name, const Arguments& args);
  Value loop_attribute(const Loop& loop, const std::string& name);

  Limits limits_;
  Heap heap_;
  Frame* frame_ = nullptr;
  std::string* out_ = nullptr;
  uint64_t n_steps_ = 0;
  size_t n_string_bytes_ = 0;
  size_t n_output_bytes_ = 0;
  int macro_depth_ = 0;
  int line_ = 1;
};

// Arguments of a built-in: by position, then by name.
class ArgumentReader {
 public:
  ArgumentReader(const char* what, const Arguments& args, const Keywords& keywords, size_t n_max);
  const Value* get(size_t position, std::string_view name) const;
  const Value& need(size_t position, std::string_view name) const;
  int64_t integer(size_t position, std::string_view name, int64_t otherwise) const;
  bool flag(size_t position, std::string_view name, bool otherwise) const;
  const std::string& text(size_t position, std::string_view name) const;

 private:
  const char* what_;
  const Arguments& args_;
  const Keywords& keywords_;
};

// Unicode text, in code points.
std::vector<std::string_view> characters(std::string_view text);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);  // Python's str.title
// Python's strip with optional character set.
std::string strip(std::string_view text, const Value* chars, bool left, bool right);
std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t count);

}  // namespace ds::text::jinja
