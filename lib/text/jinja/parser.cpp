#include "text/jinja/parser.h"

#include <algorithm>
#include <charconv>

namespace ds::text::jinja {
namespace {

constexpr int kMaxTreeDepth = 400;

}  // namespace

Token Parser::take() {
  Token t = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return t;
}
bool Parser::at_operator(std::string_view text) const {
  return peek().type == TokenType::kOperator && peek().text == text;
}
bool Parser::at_word(std::string_view text) const {
  return peek().type == TokenType::kName && peek().text == text;
}
bool Parser::eat_operator(std::string_view text) {
  if (!at_operator(text)) return false;
  take();
  return true;
}
bool Parser::eat_word(std::string_view text) {
  if (!at_word(text)) return false;
  take();
  return true;
}
void Parser::expect_operator(std::string_view text) {
  if (!eat_operator(text)) unexpected("'" + std::string(text) + "'");
}
std::string Parser::expect_name() {
  if (peek().type != TokenType::kName) unexpected("a name");
  return take().text;
}
void Parser::unexpected(const std::string& wanted) const {
  const Token& t = peek();
  std::string found;
  switch (t.type) {
    case TokenType::kText:
      found = "text";
      break;
    case TokenType::kOutputBegin:
      found = "'{{'";
      break;
    case TokenType::kOutputEnd:
      found = "'}}'";
      break;
    case TokenType::kBlockBegin:
      found = "'{%'";
      break;
    case TokenType::kBlockEnd:
      found = "'%}'";
      break;
    case TokenType::kEnd:
      found = "the end of the template";
      break;
    case TokenType::kString:
      found = "a string";
      break;
    default:
      found = "'" + t.text.substr(0, 40) + "'";
  }
  error("expected " + wanted + ", found " + found);
}

Parser::NodePtr Parser::make(NodeKind kind) const {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->line = peek().line;
  return node;
}
Parser::NodePtr Parser::make(NodeKind kind, NodePtr a, NodePtr b, NodePtr c) const {
  NodePtr node = make(kind);
  node->line = a ? a->line : node->line;
  adopt(*node, std::move(a));
  if (b) adopt(*node, std::move(b));
  if (c) adopt(*node, std::move(c));
  return node;
}
void Parser::adopt(Node& parent, NodePtr kid) const {
  if (kid) {
    parent.depth = std::max(parent.depth, kid->depth + 1);
    if (parent.depth > kMaxTreeDepth) error("nested too deeply");
  }
  parent.kids.push_back(std::move(kid));
}

Parser::NodePtr Parser::expression() {
  const Nesting nesting(*this);
  NodePtr node = or_expression();
  while (eat_word("if")) {
    NodePtr test = or_expression();
    NodePtr otherwise = eat_word("else") ? expression() : nullptr;
    NodePtr condition = make(NodeKind::kCondition, std::move(test), std::move(node));
    adopt(*condition, std::move(otherwise));
    node = std::move(condition);
  }
  return node;
}

// One expression, or a tuple when commas follow.
Parser::NodePtr Parser::expression_list(bool with_condition, bool explicit_parentheses) {
  const auto one = [&] { return with_condition ? expression() : or_expression(); };
  const auto at_end = [&] {
    const TokenType t = peek().type;
    return t == TokenType::kOutputEnd || t == TokenType::kBlockEnd || t == TokenType::kEnd ||
           at_operator(")");
  };
  if (at_end()) {
    if (!explicit_parentheses) unexpected("an expression");
    return make(NodeKind::kTuple);
  }
  NodePtr first = one();
  if (!at_operator(",")) return first;
  NodePtr tuple = make(NodeKind::kTuple, std::move(first));
  while (eat_operator(",")) {
    if (at_end() || at_word("in") || at_operator("=")) break;
    adopt(*tuple, one());
  }
  return tuple;
}

Parser::NodePtr Parser::or_expression() {
  NodePtr node = and_expression();
  while (eat_word("or")) node = make(NodeKind::kOr, std::move(node), and_expression());
  return node;
}
Parser::NodePtr Parser::and_expression() {
  NodePtr node = not_expression();
  while (eat_word("and")) node = make(NodeKind::kAnd, std::move(node), not_expression());
  return node;
}
Parser::NodePtr Parser::not_expression() {
  if (!at_word("not")) return compare();
  const Nesting nesting(*this);
  take();
  return make(NodeKind::kNot, not_expression());
}

Parser::NodePtr Parser::compare() {
  NodePtr node = sum();
  NodePtr chain;
  for (;;) {
    static constexpr std::string_view kOperators[] = {"==", "!=", "<", ">", "<=", ">="};
    std::string op;
    for (const std::string_view o : kOperators)
      if (at_operator(o)) op = o;
    if (!op.empty()) {
      take();
    } else if (at_word("in")) {
      take();
      op = "in";
    } else if (at_word("not") && peek(1).type == TokenType::kName && peek(1).text == "in") {
      take();
      take();
      op = "not in";
    } else {
      break;
    }
    if (!chain) chain = make(NodeKind::kCompare, std::move(node));
    chain->names.push_back(op);
    adopt(*chain, sum());
  }
  return chain ? std::move(chain) : std::move(node);
}

Parser::NodePtr Parser::sum() {
  NodePtr node = concat();
  while (at_operator("+") || at_operator("-")) {
    const std::string op = take().text;
    node = make(NodeKind::kBinary, std::move(node), concat());
    node->name = op;
  }
  return node;
}
Parser::NodePtr Parser::concat() {
  NodePtr node = product();
  while (eat_operator("~")) {
    node = make(NodeKind::kBinary, std::move(node), product());
    node->name = "~";
  }
  return node;
}
Parser::NodePtr Parser::product() {
  NodePtr node = power();
  while (at_operator("*") || at_operator("/") || at_operator("//") || at_operator("%")) {
    const std::string op = take().text;
    node = make(NodeKind::kBinary, std::move(node), power());
    node->name = op;
  }
  return node;
}
Parser::NodePtr Parser::power() {
  NodePtr node = unary(true);
  while (eat_operator("**")) {
    node = make(NodeKind::kBinary, std::move(node), unary(true));
    node->name = "**";
  }
  return node;
}
Parser::NodePtr Parser::unary(bool with_filter) {
  const Nesting nesting(*this);
  NodePtr node;
  if (eat_operator("-"))
    node = make(NodeKind::kNegate, unary(false));
  else if (eat_operator("+"))
    node = make(NodeKind::kPlus, unary(false));
  else
    node = primary();
  node = postfix(std::move(node));
  return with_filter ? filters(std::move(node)) : std::move(node);
}

Parser::NodePtr Parser::primary() {
  NodePtr node = make(NodeKind::kConst);
  switch (peek().type) {
    case TokenType::kName: {
      const Token token = take();
      const std::string_view name = token.text;
      if (name == "true" || name == "True" || name == "false" || name == "False") {
        node->constant = Value::boolean(name[0] == 't' || name[0] == 'T');
      } else if (name == "none" || name == "None") {
        node->constant = Value::none();
      } else {
        node->kind = NodeKind::kName;
        node->name = name;
        reads_.insert(token.text);
      }
      return node;
    }
    case TokenType::kString: {
      std::string text = take().text;
      while (peek().type == TokenType::kString) text += take().text;
      node->constant = Value::string(std::move(text));
      return node;
    }
    case TokenType::kInt:
    case TokenType::kFloat: {
      const Token t = take();
      const char *begin = t.text.data(), *end = begin + t.text.size();
      if (t.type == TokenType::kInt) {
        int64_t value = 0;
        if (std::from_chars(begin, end, value).ec != std::errc())
          error("the number " + t.text + " is too large");
        node->constant = Value::integer(value);
      } else {
        double value = 0;
        if (std::from_chars(begin, end, value).ec != std::errc())
          error("the number " + t.text + " is out of range");
        node->constant = Value::real(value);
      }
      return node;
    }
    case TokenType::kOperator: {
      if (eat_operator("(")) {
        node = expression_list(true, true);
        expect_operator(")");
        return node;
      }
      if (eat_operator("[")) {
        node->kind = NodeKind::kList;
        while (!eat_operator("]")) {
          if (!node->kids.empty()) {
            expect_operator(",");
            if (eat_operator("]")) break;
          }
          adopt(*node, expression());
        }
        return node;
      }
      if (at_operator("{")) return dict();
      break;
    }
    default:
      break;
  }
  unexpected("an expression");
}

Parser::NodePtr Parser::dict() {
  NodePtr node = make(NodeKind::kDict);
  expect_operator("{");
  while (!eat_operator("}")) {
    if (!node->kids.empty()) {
      expect_operator(",");
      if (eat_operator("}")) break;
    }
    adopt(*node, expression());
    expect_operator(":");
    adopt(*node, expression());
  }
  return node;
}

Parser::NodePtr Parser::postfix(NodePtr node) {
  for (;;) {
    if (at_operator(".") || at_operator("[")) {
      node = subscript(std::move(node));
    } else if (at_operator("(")) {
      node = make(NodeKind::kCall, std::move(node));
      arguments(*node);
    } else {
      return node;
    }
  }
}

Parser::NodePtr Parser::filters(NodePtr node) {
  for (;;) {
    if (at_operator("|")) {
      node = filter(std::move(node));
    } else if (at_word("is")) {
      node = test(std::move(node));
    } else if (at_operator("(")) {
      node = make(NodeKind::kCall, std::move(node));
      arguments(*node);
    } else {
      return node;
    }
  }
}

Parser::NodePtr Parser::filter(NodePtr operand) {
  expect_operator("|");
  NodePtr node = make(NodeKind::kFilter);
  node->name = expect_name();
  while (eat_operator(".")) node->name += "." + expect_name();
  adopt(*node, std::move(operand));
  if (at_operator("(")) arguments(*node);
  return node;
}

Parser::NodePtr Parser::test(NodePtr operand) {
  take();  // is
  const bool negated = eat_word("not");
  NodePtr node = make(NodeKind::kTest, std::move(operand));
  node->name = expect_name();
  const TokenType t = peek().type;
  const bool argument = t == TokenType::kString || t == TokenType::kInt || t == TokenType::kFloat ||
                        at_operator("[") || at_operator("{") ||
                        (t == TokenType::kName && !at_word("else") && !at_word("or") && !at_word("and"));
  if (at_operator("(")) {
    arguments(*node);
    if (!node->keywords.empty()) error("a test takes no named arguments");
  } else if (argument) {
    if (at_word("is")) error("tests cannot be chained with is");
    // `x is defined if y`, `x is none in z`: words of the surrounding expression, not arguments.
    if (!at_word("if") && !at_word("in") && !at_word("not")) adopt(*node, postfix(primary()));
  }
  return negated ? make(NodeKind::kNot, std::move(node)) : std::move(node);
}

Parser::NodePtr Parser::subscript(NodePtr object) {
  if (eat_operator(".")) {
    if (peek().type == TokenType::kInt) {
      NodePtr index = primary();
      return make(NodeKind::kGetItem, std::move(object), std::move(index));
    }
    NodePtr node = make(NodeKind::kGetAttr, std::move(object));
    node->name = expect_name();
    return node;
  }
  expect_operator("[");
  if (at_operator("]")) unexpected("an index");
  NodePtr start = at_operator(":") ? nullptr : expression();
  if (eat_operator("]")) return make(NodeKind::kGetItem, std::move(object), std::move(start));
  if (at_operator(",")) {
    start = make(NodeKind::kTuple, std::move(start));
    while (eat_operator(",")) {
      if (at_operator("]")) break;
      adopt(*start, expression());
    }
    expect_operator("]");
    return make(NodeKind::kGetItem, std::move(object), std::move(start));
  }
  expect_operator(":");
  NodePtr node = make(NodeKind::kSlice, std::move(object));
  adopt(*node, std::move(start));
  adopt(*node, at_operator(":") || at_operator("]") ? nullptr : expression());
  adopt(*node, eat_operator(":") && !at_operator("]") ? expression() : nullptr);
  expect_operator("]");
  return node;
}

void Parser::arguments(Node& call) {
  expect_operator("(");
  bool first = true;
  while (!eat_operator(")")) {
    if (!first) {
      expect_operator(",");
      if (eat_operator(")")) return;
    }
    first = false;
    if (at_operator("*") || at_operator("**")) error("* and ** arguments are not supported");
    if (peek().type == TokenType::kName && peek(1).type == TokenType::kOperator && peek(1).text == "=") {
      std::string name = take().text;
      take();
      NodePtr value = expression();
      call.depth = std::max(call.depth, value->depth + 1);
      call.keywords.emplace_back(std::move(name), std::move(value));
    } else {
      if (!call.keywords.empty()) error("a positional argument after a named one");
      adopt(call, expression());
    }
  }
  if (call.depth > kMaxTreeDepth) error("nested too deeply");
}

}  // namespace ds::text::jinja
