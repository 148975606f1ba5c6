// The statements half of Parser.
#include <algorithm>

#include "text/jinja/parser.h"

namespace ds::text::jinja {

Template parse_template(std::string_view source, const std::string& where) {
  return Parser(tokenize(source, where), where).run();
}

Template Parser::run() {
  Template out;
  out.root = statements({});
  out.reads = std::move(reads_);
  return out;
}

Parser::NodePtr Parser::statements(const std::vector<std::string_view>& ends) {
  const Nesting nesting(*this);
  NodePtr body = make(NodeKind::kBlock);
  for (;;) {
    switch (peek().type) {
      case TokenType::kEnd:
        if (!ends.empty()) error("the template ends where {% " + std::string(ends.back()) + " %} is missing");
        return body;
      case TokenType::kText: {
        NodePtr text = make(NodeKind::kText);
        text->constant = Value::string(take().text);
        adopt(*body, std::move(text));
        break;
      }
      case TokenType::kOutputBegin: {
        take();
        NodePtr value = expression_list(true, false);
        if (peek().type != TokenType::kOutputEnd) unexpected("'}}'");
        take();
        adopt(*body, make(NodeKind::kOutput, std::move(value)));
        break;
      }
      case TokenType::kBlockBegin: {
        take();
        if (peek().type == TokenType::kName && std::find(ends.begin(), ends.end(), peek().text) != ends.end())
          return body;
        if (NodePtr node = statement()) adopt(*body, std::move(node));
        break;
      }
      default:
        unexpected("text or a tag");
    }
  }
}

void Parser::end_block(std::string_view word) {
  if (!word.empty() && !eat_word(word)) unexpected(std::string(word));
  if (peek().type != TokenType::kBlockEnd) unexpected("'%}'");
  take();
}

Parser::NodePtr Parser::statement() {
  const Token word = peek();
  if (word.type != TokenType::kName) unexpected("a statement");
  take();
  if (word.text == "if") return if_statement();
  if (word.text == "for") return for_statement();
  if (word.text == "set") return set_statement();
  if (word.text == "macro") return macro_statement();
  if (word.text == "call") return call_statement();
  if (word.text == "filter") return filter_statement();
  if (word.text == "with") return with_statement();
  if (word.text == "generation") {  // marks answers for training masks; prints as if it were not there
    end_block("");
    NodePtr body = statements({"endgeneration"});
    end_block("endgeneration");
    return body;
  }
  if (word.text == "break" || word.text == "continue") {
    if (n_loops_ == 0) syntax_error(word.text + " outside of a loop", word.line, where_);
    NodePtr node = make(word.text == "break" ? NodeKind::kBreak : NodeKind::kContinue);
    end_block("");
    return node;
  }
  syntax_error("the statement '" + word.text.substr(0, 40) + "' is unknown or not supported", word.line,
               where_);
}

Parser::NodePtr Parser::if_statement() {
  NodePtr node = make(NodeKind::kIf);
  adopt(*node, expression_list(false, false));
  for (;;) {
    end_block("");
    adopt(*node, statements({"elif", "else", "endif"}));
    if (eat_word("elif")) {
      adopt(*node, expression_list(false, false));
      continue;
    }
    if (eat_word("else")) {
      end_block("");
      adopt(*node, statements({"endif"}));
    }
    end_block("endif");
    return node;
  }
}

Parser::NodePtr Parser::for_statement() {
  NodePtr node = make(NodeKind::kFor);
  adopt(*node, target(false));
  if (!eat_word("in")) unexpected("'in'");
  adopt(*node, expression_list(false, false));
  adopt(*node, eat_word("if") ? expression() : nullptr);
  if (at_word("recursive")) error("recursive loops are not supported");
  end_block("");
  ++n_loops_;
  adopt(*node, statements({"else", "endfor"}));
  --n_loops_;
  NodePtr otherwise;
  if (eat_word("else")) {
    end_block("");
    otherwise = statements({"endfor"});
  }
  adopt(*node, std::move(otherwise));
  end_block("endfor");
  return node;
}

// name, name.attribute, or several names (in parentheses or not).
Parser::NodePtr Parser::target(bool allow_namespace) {
  const Nesting nesting(*this);
  const auto one = [&]() -> NodePtr {
    if (eat_operator("(")) {
      NodePtr inner = target(false);
      expect_operator(")");
      return inner;
    }
    NodePtr name = make(NodeKind::kName);
    name->name = expect_name();
    static constexpr std::string_view kReserved[] = {"true", "True", "false", "False", "none", "None"};
    if (std::find(std::begin(kReserved), std::end(kReserved), name->name) != std::end(kReserved))
      error("cannot assign to " + name->name);
    return name;
  };
  NodePtr first = one();
  if (allow_namespace && first->kind == NodeKind::kName && eat_operator(".")) {
    first->kind = NodeKind::kNamespaceRef;
    first->names.push_back(expect_name());
    return first;
  }
  if (!at_operator(",")) return first;
  NodePtr tuple = make(NodeKind::kTuple, std::move(first));
  while (eat_operator(",")) {
    if (at_word("in") || at_operator("=") || at_operator(")")) break;
    adopt(*tuple, one());
  }
  return tuple;
}

Parser::NodePtr Parser::set_statement() {
  NodePtr node = make(NodeKind::kSet);
  adopt(*node, target(true));
  if (eat_operator("=")) {
    adopt(*node, expression_list(true, false));
    end_block("");
    return node;
  }
  node->kind = NodeKind::kSetBlock;
  NodePtr chain;
  while (at_operator("|")) chain = filter(std::move(chain));
  end_block("");
  adopt(*node, statements({"endset"}));
  adopt(*node, std::move(chain));
  end_block("endset");
  return node;
}

void Parser::parameters(Node& macro) {
  expect_operator("(");
  while (!eat_operator(")")) {
    if (!macro.names.empty()) {
      expect_operator(",");
      if (eat_operator(")")) return;
    }
    macro.names.push_back(expect_name());
    const bool has_default = eat_operator("=");
    if (!has_default && !macro.kids.empty() && macro.kids.back())
      error("a parameter without default after one with");
    adopt(macro, has_default ? expression() : nullptr);
  }
}

Parser::NodePtr Parser::macro_statement() {
  NodePtr node = make(NodeKind::kMacro);
  node->name = expect_name();
  parameters(*node);
  end_block("");
  const int loops = std::exchange(n_loops_, 0);
  NodePtr body = statements({"endmacro"});
  n_loops_ = loops;
  end_block("endmacro");
  adopt(*node, std::move(body));
  std::rotate(node->kids.begin(), node->kids.end() - 1, node->kids.end());  // the body comes first
  return node;
}

Parser::NodePtr Parser::call_statement() {
  NodePtr node = make(NodeKind::kCallBlock);
  NodePtr caller = make(NodeKind::kMacro);
  caller->name = "caller";
  if (at_operator("(")) parameters(*caller);
  NodePtr call = unary(false);
  if (call->kind != NodeKind::kCall) error("expected a call");
  end_block("");
  const int loops = std::exchange(n_loops_, 0);
  NodePtr body = statements({"endcall"});
  n_loops_ = loops;
  end_block("endcall");
  adopt(*caller, std::move(body));
  std::rotate(caller->kids.begin(), caller->kids.end() - 1, caller->kids.end());
  adopt(*node, std::move(call));
  adopt(*node, std::move(caller));
  return node;
}

Parser::NodePtr Parser::filter_statement() {
  // Written as `filter upper`, without the bar.
  NodePtr node = make(NodeKind::kFilterBlock);
  NodePtr chain = make(NodeKind::kFilter);
  chain->name = expect_name();
  adopt(*chain, nullptr);
  if (at_operator("(")) arguments(*chain);
  while (at_operator("|")) chain = filter(std::move(chain));
  end_block("");
  adopt(*node, std::move(chain));
  adopt(*node, statements({"endfilter"}));
  end_block("endfilter");
  return node;
}

Parser::NodePtr Parser::with_statement() {
  NodePtr node = make(NodeKind::kWith);
  std::vector<NodePtr> pairs;
  while (peek().type != TokenType::kBlockEnd) {
    if (!pairs.empty()) expect_operator(",");
    pairs.push_back(target(false));
    expect_operator("=");
    pairs.push_back(expression());
  }
  end_block("");
  adopt(*node, statements({"endwith"}));
  for (NodePtr& part : pairs) adopt(*node, std::move(part));
  end_block("endwith");
  return node;
}

}  // namespace ds::text::jinja
