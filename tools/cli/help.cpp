#include "cli/help.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "cli/build.h"
#include "cli/exit_codes.h"
#include "cli/options.h"

namespace ds::cli {
namespace {

// By the example of an option that this tool has.
std::string environment_text(const CLI::App& app) {
  std::vector<const CLI::App*> places = app.get_subcommands([](const CLI::App*) { return true; });
  places.insert(places.begin(), &app);
  for (const CLI::App* place : places)
    for (const CLI::Option* option : place->get_options())
      if (!environment_name(*option).empty() && option->get_items_expected_max() > 0)
        return "Every option is also an environment variable: --" + option->get_lnames()[0] + " is " +
               environment_name(*option) + ". The command line wins.";
  return "";
}

bool is_indented(const std::string& line) { return line.rfind("  ", 0) == 0; }

// Columns of UTF-8 text without wide characters.
size_t columns_of(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

// Words in lines of `columns` at most, all but the first line behind `indent` spaces; the first one has
// `used` columns behind it.
std::string filled(const std::string& text, size_t columns, size_t indent, size_t used) {
  std::istringstream words(text);
  std::string word, out;
  for (bool first = true; words >> word; first = false) {
    if (!first && used + 1 + columns_of(word) > columns) {
      out += "\n" + std::string(indent, ' ');
      used = indent;
    } else if (!first) {
      out += ' ';
      ++used;
    }
    // A list is one word to a shell, and may be longer than a line.
    for (size_t comma;
         used + columns_of(word) > columns &&
         (comma = word.rfind(',', columns > used ? columns - used - 1 : 0)) != std::string::npos;) {
      out += word.substr(0, comma + 1) + "\n" + std::string(indent, ' ');
      word.erase(0, comma + 1);
      used = indent;
    }
    out += word;
    used += columns_of(word);
  }
  return out;
}

// Neighbouring lines are one paragraph, unless they are indented.
struct Paragraph {
  bool literal;
  std::string text;
};
std::vector<Paragraph> paragraphs(const std::string& text) {
  std::vector<Paragraph> out;
  std::istringstream lines(text);
  std::string line;
  bool open = false;
  while (std::getline(lines, line)) {
    if (line.empty()) {
      open = false;
    } else if (open && out.back().literal == is_indented(line)) {
      out.back().text += "\n" + line;
    } else {
      out.push_back({is_indented(line), line});
      open = true;
    }
  }
  return out;
}

// Examples are what is indented; "Examples:" before them is a heading of its own.
bool is_heading_of_examples(const Paragraph& p) { return p.text == "Examples:"; }

std::string summary_of(const CLI::App& app) {
  return app.get_description().substr(0, app.get_description().find('\n'));
}
std::string texts_below_summary(const CLI::App& app) {
  const std::string& all = app.get_description();
  const size_t line = all.find('\n');
  return line == std::string::npos ? "" : all.substr(line + 1);
}

// Where the blanks outside of quotes are that may become line ends: each the begin of a word.
std::vector<std::string> shell_words(const std::string& command) {
  std::vector<std::string> words(1);
  char quote = 0;
  for (const char c : command) {
    if (quote ? c == quote : c == '\'' || c == '"') quote = quote ? 0 : c;
    if (c == ' ' && !quote && !words.back().empty())
      words.emplace_back();
    else if (c != ' ' || quote)
      words.back() += c;
  }
  return words;
}

// An example that is too wide: "  COMMAND   what it does" becomes two lines, a long command several that a
// shell reads as one.
std::string narrow_example(const std::string& line, size_t columns) {
  constexpr size_t kIndent = 6;
  const size_t end = std::min(line.find("  ", line.find_first_not_of(' ')), line.size());
  const std::string comment = line.substr(std::min(line.find_first_not_of(' ', end), line.size()));
  std::string out = " ";
  size_t used = 1;
  bool first = true;
  for (const std::string& word : shell_words(line.substr(2, end - 2))) {
    if (!first && used + 1 + columns_of(word) + 2 > columns) {
      out += " \\\n" + std::string(kIndent - 1, ' ');
      used = kIndent - 1;
    }
    out += " " + word;
    used += 1 + columns_of(word);
    first = false;
  }
  if (comment.empty()) return out;
  return out + "\n" + std::string(kIndent, ' ') + filled(comment, columns, kIndent, kIndent);
}

std::string narrow_examples(const std::string& text, size_t columns) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    out += (out.empty() ? "" : "\n") + (columns_of(line) > columns ? narrow_example(line, columns) : line);
  return out;
}

std::string laid_out(const std::string& text, size_t columns) {
  std::string out;
  bool after_heading = false;
  for (const Paragraph& p : paragraphs(text)) {
    if (!after_heading) out += "\n";
    out += (p.literal ? narrow_examples(p.text, columns) : filled(p.text, columns, 0, 0)) + "\n";
    after_heading = is_heading_of_examples(p);
  }
  return out;
}

std::string full_name(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return (parent ? full_name(*parent) + " " : "") + app.get_name();
}

std::vector<const CLI::Option*> positionals(const CLI::App& app) {
  std::vector<const CLI::Option*> out;
  for (const CLI::Option* option : app.get_options())
    if (option->get_snames().empty() && option->get_lnames().empty()) out.push_back(option);
  return out;
}
std::vector<const CLI::Option*> options_of_group(const CLI::App& app, const std::string& group) {
  std::vector<const CLI::Option*> out;
  for (const CLI::Option* option : app.get_options())
    if ((!option->get_snames().empty() || !option->get_lnames().empty()) && option->get_group() == group)
      out.push_back(option);
  return out;
}
std::vector<const CLI::App*> commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); });
}

std::string synopsis(const CLI::App& app) {
  std::string text = full_name(app);
  if (!commands(app).empty()) text += app.get_require_subcommand_min() > 0 ? " COMMAND" : " [COMMAND]";
  text += " [OPTION]...";
  auto words = positionals(app);
  if (app.get_parent() && app.get_fallthrough())  // the tool's own may follow a command
    for (const CLI::Option* p : positionals(*app.get_parent())) words.push_back(p);
  for (const CLI::Option* p : words) {
    const std::string name = texts_of(*p).positional + (p->get_items_expected_max() > 1 ? "..." : "");
    text += p->get_required() ? " " + name : " [" + name + "]";
  }
  return text;
}

std::string heading(const OptionTexts& texts) {
  if (texts.names.empty()) return texts.positional;
  std::string out;
  for (const auto& name : texts.names) out += (out.empty() ? "" : ", ") + name;
  return texts.value.empty() ? out : out + " " + texts.value;
}

constexpr size_t kTextColumn = 27;

std::string row(const std::string& head, const std::string& says, size_t columns) {
  std::string out = "  " + head;
  const size_t used = columns_of(out);
  if (used + 2 > kTextColumn)
    out += "\n" + std::string(kTextColumn, ' ');
  else
    out += std::string(kTextColumn - used, ' ');
  return out + filled(says, columns, kTextColumn, kTextColumn) + "\n";
}

std::string exit_code_rows(size_t columns) {
  std::string out = "\nExit codes:\n";
  for (const ExitCode& code : exit_codes()) {
    std::string line = "  " + std::string(code.code);
    line += std::string(9 - line.size(), ' ');
    out += line + filled(code.meaning, columns, 9, 9) + "\n";
  }
  return out;
}

// roff

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string roff_paragraph(const Paragraph& p) {
  std::istringstream lines(p.text);
  std::string line, out = p.literal ? ".PP\n.nf\n" : ".PP\n";
  while (std::getline(lines, line)) out += "\\&" + escaped(line) + "\n";  // \& : a leading dot is no request
  return out + (p.literal ? ".fi\n" : "");
}

// What is indented goes to `examples`, all else is returned.
std::string roff_texts(const std::string& text, std::string& examples) {
  std::string out;
  for (const Paragraph& p : paragraphs(text)) {
    if (is_heading_of_examples(p)) continue;
    (p.literal ? examples : out) += roff_paragraph(p);
  }
  return out;
}

std::string roff_options(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    const OptionTexts texts = texts_of(*option);
    out += ".TP\n.B " + escaped(heading(texts)) + "\n\\&" + escaped(texts.says) + "\n";
  }
  return out;
}

}  // namespace

std::string help_text(const CLI::App& app, int columns_of_terminal) {
  const size_t columns = std::clamp(columns_of_terminal, 40, 120);
  const CLI::App* tool = app.get_parent();
  std::string out = filled(full_name(app) + ": " + summary_of(app), columns, 2, 0) + "\n\n" +
                    filled("Usage: " + synopsis(app), columns, 7, 0) + "\n";
  out += laid_out(texts_below_summary(app), columns);
  if (!positionals(app).empty()) out += "\nArguments:\n";
  for (const CLI::Option* p : positionals(app)) {
    const OptionTexts texts = texts_of(*p);
    out += row(texts.positional, texts.says, columns);
  }
  if (!commands(app).empty()) out += "\nCommands, each with a --help of its own:\n";
  for (const CLI::App* sub : commands(app)) out += row(sub->get_name(), summary_of(*sub), columns);
  for (const std::string& group : app.get_groups()) {
    const auto options = options_of_group(app, group);
    if (options.empty() || group.empty()) continue;
    out += "\n" + group + ":\n";
    for (const CLI::Option* option : options) {
      const OptionTexts texts = texts_of(*option);
      out += row(heading(texts), texts.says, columns);
    }
  }
  out += laid_out(app.get_footer(), columns);
  if (tool && app.get_fallthrough())
    out += "\n" +
           filled("The options of " + full_name(*tool) + " itself may follow, too: see " + full_name(*tool) +
                      " --help.",
                  columns, 0, 0) +
           "\n";
  if (tool) return out;
  return out + "\n" + filled(environment_text(app), columns, 0, 0) + "\n" + exit_code_rows(columns);
}

std::string man_page(const CLI::App& app) {
  std::string examples;
  std::string out = ".TH " + escaped(app.get_name()) + " 1 \"\" \"dstools " + version() + "\"\n.SH NAME\n" +
                    escaped(app.get_name()) + " \\- " + escaped(summary_of(app)) + "\n.SH SYNOPSIS\n";
  out += ".B " + escaped(synopsis(app)) + "\n";
  out += ".SH DESCRIPTION\n\\&" + escaped(summary_of(app)) + "\n" +
         roff_texts(texts_below_summary(app), examples);
  out += ".SH OPTIONS\n" + roff_options(app);
  if (!commands(app).empty()) out += ".SH COMMANDS\n";
  for (const CLI::App* sub : commands(app)) {
    out += ".SS " + escaped(synopsis(*sub)) + "\n\\&" + escaped(summary_of(*sub)) + "\n" +
           roff_texts(texts_below_summary(*sub), examples) + roff_texts(sub->get_footer(), examples) +
           roff_options(*sub);
  }
  const std::string notes = roff_texts(app.get_footer(), examples);
  if (!notes.empty()) out += ".SH NOTES\n" + notes;
  if (!examples.empty()) out += ".SH EXAMPLES\n" + examples;
  out += ".SH ENVIRONMENT\n" + escaped(environment_text(app)) + "\n.SH EXIT STATUS\n";
  for (const ExitCode& code : exit_codes())
    out += ".TP\n.B " + escaped(code.code) + "\n" + escaped(code.meaning) + "\n";
  out += ".SH SEE ALSO\n";
  std::string others;
  for (const char* name : {"ds-filter", "ds-finetune", "ds-quantize", "ds-run", "ds-bench"})
    if (app.get_name() != name) others += (others.empty() ? ".BR " : ",\n.BR ") + escaped(name) + " (1)";
  return out + others + "\n";
}

}  // namespace ds::cli
