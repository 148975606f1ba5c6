#include "cli/completions.h"

#include <algorithm>
#include <vector>

#include "cli/options.h"

namespace ds::cli {
namespace {

// What follows an option.
enum class Follows { kNothing, kChoice, kFile, kWord };

struct Row {
  std::vector<std::string> names;
  Follows follows;
  std::vector<std::string> choices;
  std::string says;  // one short line
};
struct Words {
  std::string command, says;  // "" is the tool itself
  std::vector<Row> rows;
};

bool is_file(const std::string& value) {
  for (const char* kind : {"FILE", "PATH", "DIR", "OUT", "MODEL", "FOLDER"})
    if (value.find(kind) != std::string::npos) return true;
  return false;
}

// Nothing of it means anything inside quotes of a shell or a list of zsh.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, text.find(';')))
    out += std::string("'\"`$\\[]:").find(c) == std::string::npos ? c : ' ';
  return out;
}

Words words_of(const CLI::App& app, const std::string& command) {
  Words words{command, plain(app.get_description().substr(0, app.get_description().find('\n'))), {}};
  for (const CLI::Option* option : app.get_options()) {
    const OptionTexts texts = texts_of(*option);
    if (texts.names.empty()) continue;
    const Follows follows = texts.value.empty()      ? Follows::kNothing
                            : !texts.choices.empty() ? Follows::kChoice
                            : is_file(texts.value)   ? Follows::kFile
                                                     : Follows::kWord;
    words.rows.push_back({texts.names, follows, texts.choices, plain(option->get_description())});
  }
  return words;
}

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}
std::string long_names(const Words& words) {
  std::string out;
  for (const Row& row : words.rows)
    for (const auto& name : row.names)
      if (name.starts_with("--")) out += (out.empty() ? "" : " ") + name;
  return out;
}
std::string command_names(const std::vector<Words>& all) {
  std::vector<std::string> names;
  for (const Words& words : all)
    if (!words.command.empty()) names.push_back(words.command);
  return joined(names, " ");
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

// `mapfile` keeps a folder with a space in its name one word; readline then quotes it.
constexpr const char* kBash = R"(# bash completion of @TOOL@
@FUNCTION@() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} head= command= options= i
  # bash takes "=" and ":" for words of their own
  if [[ $cur == = ]]; then cur=
  elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $cur == : ]]; then head=$prev: cur= prev=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $prev == : ]]; then head=${COMP_WORDS[COMP_CWORD-2]}: prev=${COMP_WORDS[COMP_CWORD-3]}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${COMP_WORDS[i]} in @COMMANDS_BAR@) command=${COMP_WORDS[i]}; break ;; esac
  done
  COMPREPLY=()
  case "$command $prev" in
@VALUES@  esac
  if [[ $cur == -* ]]; then
    case $command in
@OPTIONS@    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  if [[ -z $command ]]; then
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W '@COMMANDS@' -- "$cur")
  fi
}
complete -o filenames -F @FUNCTION@ @TOOL@
)";

std::string bash(const std::string& tool, const std::string& function, const std::vector<Words>& all) {
  std::string values, options;
  for (const Words& words : all) {
    options += "      '" + words.command + "') options='" + long_names(words) + "' ;;\n";
    for (const Row& row : words.rows) {
      if (row.follows == Follows::kNothing) continue;
      std::vector<std::string> patterns;
      for (const auto& name : row.names) patterns.push_back("'" + words.command + " " + name + "'");
      std::string action = "return ;;";
      if (row.follows == Follows::kChoice)
        action = "mapfile -t COMPREPLY < <(compgen -W '" + joined(row.choices, " ") +
                 "' -- \"$head$cur\"); COMPREPLY=(\"${COMPREPLY[@]#\"$head\"}\"); return ;;";
      if (row.follows == Follows::kFile)
        action = "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;";
      values += "    " + joined(patterns, "|") + ") " + action + "\n";
    }
  }
  const std::string commands = command_names(all);
  std::string script = replaced(kBash, "@FUNCTION@", function);
  script = replaced(script, "@TOOL@", tool);
  script = replaced(script, "@COMMANDS_BAR@", commands.empty() ? "''" : replaced(commands, " ", "|"));
  script = replaced(script, "@COMMANDS@", commands);
  return replaced(replaced(script, "@VALUES@", values), "@OPTIONS@", options);
}

std::string zsh_arguments(const Words& words) {
  std::string out;
  for (const Row& row : words.rows) {
    for (const auto& name : row.names) {
      out += " \\\n    '*" + name + "[" + row.says + "]";
      if (row.follows == Follows::kChoice)
        out += ":value:(" + replaced(joined(row.choices, " "), ":", "\\:") + ")";
      if (row.follows == Follows::kFile) out += ":file:_files";
      if (row.follows == Follows::kWord) out += ":value: ";
      out += "'";
    }
  }
  return out;
}

std::string zsh(const std::string& tool, const std::string& function, const std::vector<Words>& all) {
  std::string out = "#compdef " + tool + "\n" + function + "() {\n";
  if (all.size() > 1) {
    out += "  local -a commands=(";
    for (const Words& words : all)
      if (!words.command.empty()) out += "\n    '" + words.command + ":" + words.says + "'";
    out += ")\n  local word command=\n  for word in ${words[2,CURRENT-1]}; do\n    case $word in " +
           replaced(command_names(all), " ", "|") +
           ") command=$word; break ;; esac\n  done\n  case $command in\n";
    for (const Words& words : all)
      if (!words.command.empty())
        out += "  " + words.command + ") _arguments" + zsh_arguments(words) +
               " \\\n    '*:file:_files'; return ;;\n";
    out += "  esac\n  [[ ${words[CURRENT]} == -* ]] || _describe command commands\n";
  }
  return out + "  _arguments" + zsh_arguments(all[0]) +
         " \\\n    '*:file:_files'\n}\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then " + function +
         " \"$@\"; else compdef " + function + " " + tool + "; fi\n";
}

std::string fish(const std::string& tool, const std::vector<Words>& all) {
  const std::string commands = command_names(all);
  std::string out;
  for (const Words& words : all) {
    std::string begin = "complete -c " + tool;
    if (!words.command.empty()) {
      out += begin + " -n 'not __fish_seen_subcommand_from " + commands + "' -a " + words.command + " -d '" +
             words.says + "'\n";
      begin += " -n '__fish_seen_subcommand_from " + words.command + "'";
    } else if (!commands.empty()) {
      begin += " -n 'not __fish_seen_subcommand_from " + commands + "'";
    }
    for (const Row& row : words.rows) {
      out += begin;
      for (const auto& name : row.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (row.follows == Follows::kChoice) out += " -x -a '" + joined(row.choices, " ") + "'";
      if (row.follows == Follows::kFile) out += " -r -F";
      if (row.follows == Follows::kWord) out += " -x";
      out += " -d '" + row.says + "'\n";
    }
  }
  return out;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::vector<Words> all = {words_of(app, "")};
  for (const CLI::App* sub : app.get_subcommands({})) {
    all.push_back(words_of(*sub, sub->get_name()));
    if (!sub->get_fallthrough()) continue;  // else the tool's own options may follow, too
    for (const Row& row : all[0].rows)
      if (row.names.back() != "--help") all.back().rows.push_back(row);
  }
  std::string function = "_" + app.get_name();
  std::replace(function.begin(), function.end(), '-', '_');
  if (shell == "zsh") return zsh(app.get_name(), function, all);
  if (shell == "fish") return fish(app.get_name(), all);
  return bash(app.get_name(), function, all);
}

}  // namespace ds::cli
