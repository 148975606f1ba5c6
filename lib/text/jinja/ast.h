// The parsed template. One node type; `kids` by kind as listed.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "text/jinja/value.h"

namespace ds::text::jinja {

enum class NodeKind : uint8_t {
  // expressions
  kConst,      // constant
  kName,       // name
  kList,       // items
  kTuple,      // items
  kDict,       // key, value, key, value ...
  kGetAttr,    // object; name
  kGetItem,    // object, index
  kSlice,      // object, start, stop, step (each but the first may be null)
  kCall,       // callee, arguments...; keywords
  kFilter,     // operand (null: the text of a filter block), arguments...; name, keywords
  kTest,       // operand, arguments...; name
  kNot,        // operand
  kNegate,     // operand
  kPlus,       // operand
  kBinary,     // left, right; name is the operator
  kAnd,        // left, right
  kOr,         // left, right
  kCompare,    // operands...; names are the operators between them
  kCondition,  // test, then, otherwise (may be null)
  // statements
  kText,         // constant
  kOutput,       // expression
  kBlock,        // statements...
  kIf,           // condition, block, condition, block ..., otherwise (may be absent)
  kFor,          // target, iterable, filter (may be null), body, otherwise (may be null)
  kSet,          // target, value
  kSetBlock,     // target, body, filter (may be null)
  kMacro,        // body, defaults... (null: none); name; names are the parameters
  kCallBlock,    // call, the caller as a kMacro
  kFilterBlock,  // filter, body
  kWith,         // body, target, value, target, value ...
  kBreak,
  kContinue,
  kNamespaceRef,  // a target: name of the namespace; names[0] the attribute
};

struct Node {
  NodeKind kind = NodeKind::kConst;
  int line = 1;
  int depth = 1;  // of the tree below, limited by the parser
  std::string name;
  Value constant;
  std::vector<std::unique_ptr<Node>> kids;
  std::vector<std::string> names;
  std::vector<std::pair<std::string, std::unique_ptr<Node>>> keywords;
};

struct Template {
  std::unique_ptr<Node> root;                // a kBlock
  std::set<std::string, std::less<>> reads;  // every variable name in an expression
};

// Throws Error{kBadModel} naming the line.
Template parse_template(std::string_view source, const std::string& where);

}  // namespace ds::text::jinja
