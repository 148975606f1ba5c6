// Tokens to a tree: the grammar of Jinja's own parser.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace ds::text::jinja {

// Expressions (jinja_parser.cpp) and statements (jinja_statements.cpp) of one token list.
class Parser {
 public:
  Parser(std::vector<Token> tokens, const std::string& where) : tokens_(std::move(tokens)), where_(where) {}
  Template run();

 private:
  using NodePtr = std::unique_ptr<Node>;

  // Statements, up to a block whose first word is in `ends` (that word is the next token then).
  NodePtr statements(const std::vector<std::string_view>& ends);
  NodePtr statement();
  NodePtr if_statement();
  NodePtr for_statement();
  NodePtr set_statement();
  NodePtr macro_statement();
  NodePtr call_statement();
  NodePtr filter_statement();
  NodePtr with_statement();
  void parameters(Node& macro);
  NodePtr target(bool allow_namespace);
  void end_block(std::string_view word);

  NodePtr expression();  // with the inline if
  NodePtr expression_list(bool with_condition, bool explicit_parentheses);
  NodePtr or_expression();
  NodePtr and_expression();
  NodePtr not_expression();
  NodePtr compare();
  NodePtr sum();
  NodePtr concat();
  NodePtr product();
  NodePtr power();
  NodePtr unary(bool with_filter);
  NodePtr primary();
  NodePtr postfix(NodePtr node);
  NodePtr filters(NodePtr node);
  NodePtr filter(NodePtr operand);
  NodePtr test(NodePtr operand);
  NodePtr subscript(NodePtr object);
  void arguments(Node& call);
  NodePtr dict();

  NodePtr make(NodeKind kind) const;
  // Joins kids and keeps the depth.
  NodePtr make(NodeKind kind, NodePtr a, NodePtr b = nullptr, NodePtr c = nullptr) const;
  void adopt(Node& parent, NodePtr kid) const;

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token take();
  bool at_operator(std::string_view text) const;
  bool at_word(std::string_view text) const;
  bool eat_operator(std::string_view text);
  bool eat_word(std::string_view text);
  void expect_operator(std::string_view text);
  std::string expect_name();
  [[noreturn]] void error(const std::string& what) const { syntax_error(what, peek().line, where_); }
  [[noreturn]] void unexpected(const std::string& wanted) const;

  // Guards the recursion of the parser itself.
  struct Nesting {
    explicit Nesting(Parser& p) : parser(p) {
      if (++parser.nesting_ > 100) parser.error("nested too deeply");
    }
    ~Nesting() { --parser.nesting_; }
    Parser& parser;
  };

  std::vector<Token> tokens_;
  const std::string& where_;
  size_t at_ = 0;
  int nesting_ = 0;
  int n_loops_ = 0;
  std::set<std::string, std::less<>> reads_;
};

}  // namespace ds::text::jinja
