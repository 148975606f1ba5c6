#include "ds-finetune/data_commands.h"

#include <charconv>
#include <cstdlib>
#include <iostream>

#include "cli/output.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "io/keep_apart.h"
#include "report/words.h"
#include "train/adapter_folder.h"
#include "train/mask_view.h"
#include "train/privacy.h"
#include "train/run_plot.h"

namespace ds::train {
namespace {

constexpr int kMostTold = 5;  // bad records told one by one

// Reads a data set to its end; `use` is given each document. Says what was read.
int read_all(DataCommandLine& o, const std::function<void(DataSet&, const TrainingDocument&)>& use,
             const std::function<void()>& commit) {
  cli::ProgressLine line(!o.common.quiet && !(o.out == "-" && cli::stdout_is_terminal()));
  int n_told = 0;
  o.data.on_bad = [&](const Error& e) {
    if (o.common.quiet || ++n_told > kMostTold) return;
    line.clear();
    cli::note(e.message());
  };
  o.data.stop = cli::stop_requested;
  cli::stop_on_signals();
  DataSet set(o.folder, o.data);
  TrainingDocument document;
  while (set.next(document)) {
    use(set, document);
    if (line.due()) line.write(std::to_string(set.counts().n_read) + " records");
  }
  line.clear();
  const DataSetCounts& counts = set.counts();
  if (!o.common.quiet)
    for (const std::string& text : counts_text(counts)) cli::note(text);
  if (set.stopped()) return cli::stop_exit_code();
  set.finish();
  commit();
  if (static_cast<double>(counts.n_bad) <= o.max_bad * static_cast<double>(counts.n_read)) return 0;
  cli::note(std::to_string(counts.n_bad) + " of " + std::to_string(counts.n_read) +
            " records are bad: more than --max-bad " + report::short_number(o.max_bad));
  return static_cast<int>(ErrorKind::kBadData);
}

void check_files(const DataCommandLine& o) {
  std::vector<std::string> read = o.data.inputs;
  read.insert(read.end(), {o.folder, o.data.chat_template});
  io::keep_apart({o.out, o.data.bad_lines}, read);
  if (std::find(o.data.inputs.begin(), o.data.inputs.end(), "-") != o.data.inputs.end() &&
      cli::stdin_is_terminal())
    cli::note("reading records from the terminal, one JSON object a line; Ctrl-D ends", !o.common.quiet);
}

void append_list(std::string& out, const char* name, const std::vector<int32_t>& values) {
  out += "\"" + std::string(name) + "\":[";
  char digits[12];
  for (size_t i = 0; i < values.size(); ++i) {
    if (i) out += ',';
    out.append(digits, std::to_chars(digits, digits + sizeof digits, values[i]).ptr);
  }
  out += ']';
}

int prep(DataCommandLine& o) {
  check_files(o);
  cli::OutputFile out(o.out);
  return read_all(
      o,
      [&](DataSet& set, const TrainingDocument& d) {
        std::string line = "{";
        if (!set.record_id().is_null()) line += "\"id\":" + dump(set.record_id()) + ",";
        append_list(line, "input_ids", d.input_ids);
        line += ',';
        append_list(line, "labels", d.labels);
        out.write(line + "}\n");
      },
      [&] { out.commit(); });
}

bool stdout_has_colour() {
  const char *no_color = std::getenv("NO_COLOR"), *term = std::getenv("TERM");
  return cli::stdout_is_terminal() && !(no_color && *no_color) && !(term && std::string(term) == "dumb");
}

int show(DataCommandLine& o) {
  check_files(o);
  MaskView view;
  view.colour = stdout_has_colour();
  int64_t n = 0;
  return read_all(
      o,
      [&](DataSet& set, const TrainingDocument& d) {
        if (n++ >= o.n_shown) return;
        cli::write_stdout("--- " + d.id + ": " + mask_counts(d) + "\n" +
                          mask_text(d, set.text().tokenizer(), view) + "\n");
      },
      [] {});
}

double number_of(const std::string& text, const std::string& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error(ErrorKind::kUsage, "\"" + text + "\" is no number", where);
  return value;
}

// "Q,SIGMA,STEPS"; sigma "?" is the one that is sought.
PrivacyPhase parse_phase(const std::string& text, bool& is_sought) {
  const std::string where = "--phase " + text;
  const std::vector<std::string> parts = cli::split(text, ',');
  if (parts.size() != 3)
    throw Error(ErrorKind::kUsage, "must be Q,SIGMA,STEPS", where, "for example --phase 0.01,1.1,1000");
  is_sought = parts[1] == "?";
  const double steps = number_of(parts[2], where);
  if (steps < 0 || steps > 1e15 || steps != static_cast<double>(static_cast<int64_t>(steps)))
    throw Error(ErrorKind::kUsage, "\"" + parts[2] + "\" is no number of steps", where);
  return {number_of(parts[0], where), is_sought ? 0 : number_of(parts[1], where),
          static_cast<int64_t>(steps)};
}

int privacy(DataCommandLine& o) {
  std::vector<PrivacyPhase> known, sought;
  for (const std::string& text : o.phases) {
    bool is_sought = false;
    const PrivacyPhase phase = parse_phase(text, is_sought);
    (is_sought ? sought : known).push_back(phase);
  }
  if (sought.size() > 1) throw Error(ErrorKind::kUsage, "one sigma can be sought", "--phase");
  if (sought.empty() != (o.epsilon == 0))
    throw Error(ErrorKind::kUsage, "a sigma is sought with both a \"?\" and --epsilon", "--epsilon",
                "for example --phase 0.01,?,1000 --delta 1e-5 --epsilon 3");
  Json found = Json::object();
  if (!sought.empty()) {
    sought[0].noise_multiplier = smallest_noise(known, sought[0], o.delta, o.epsilon);
    found["sigma"] = sought[0].noise_multiplier;
    known.push_back(sought[0]);
  }
  const PrivacySpent spent = privacy_spent(known, o.delta);
  found["epsilon"] = spent.epsilon;
  found["delta"] = o.delta;
  found["order"] = spent.order;
  if (o.json) return cli::write_stdout(dump(found) + "\n"), 0;
  std::string text;
  for (const auto& [name, value] : found.items())
    text += (text.empty() ? "" : "  ") + name + " " + dump(value);
  return cli::write_stdout(text + "\n"), 0;
}

std::string info_text(const Json& info) {
  std::string out = "base " + dump(*find(info, "base_model")) + ", ranks " + dump(*find(info, "ranks")) +
                    ", " + dump(*find(info, "n_modules")) + " modules, " + dump(*find(info, "n_values")) +
                    " values\n";
  for (const Json& m : *find(info, "modules"))
    out += "  " + as_string(*find(m, "name")) + "  rank " + dump(*find(m, "rank")) + ", " +
           dump(*find(m, "in")) + " -> " + dump(*find(m, "out")) + ", scale " +
           report::short_number(find(m, "scale")->get<double>()) + ", norm of the change " +
           report::short_number(find(m, "norm")->get<double>()) + "\n";
  return out;
}

// Exit 1: somebody's loader cannot use one of them.
int lint_adapters(const DataCommandLine& o) {
  bool sound = true;
  std::string out;
  for (const std::string& folder : o.adapters)
    for (const AdapterFinding& f : lint_adapter(AdapterFolder(folder))) {
      sound = sound && !f.error;
      const char* kind = f.error ? "error" : "warning";
      out += o.json ? dump(Json{{"adapter", folder}, {"kind", kind}, {"where", f.where}, {"says", f.says}}) +
                          "\n"
                    : folder + ": " + kind + ": " + f.where + ": " + f.says + "\n";
    }
  cli::write_stdout(out);
  cli::note(out.empty() ? "nothing to say against it" : "", out.empty() && !o.common.quiet);
  return sound ? 0 : 1;
}

int average(const DataCommandLine& o) {
  if (o.out == "-") throw Error(ErrorKind::kUsage, "a folder for the average is needed", "-o");
  io::keep_apart({o.out}, o.adapters);
  std::vector<double> weights;
  for (const std::string& weight : cli::split(o.weights, ','))
    if (!weight.empty()) weights.push_back(number_of(weight, "--weights"));
  const AdapterAverage a = average_adapters(o.adapters, weights, o.out);
  cli::note(std::to_string(o.adapters.size()) + " adapters averaged: rank " + std::to_string(a.rank) + ", " +
                std::to_string(a.n_modules) + " modules, " + std::to_string(a.n_values) + " values",
            !o.common.quiet);
  return 0;
}

int adapter(DataCommandLine& o) {
  if (o.action == "avg") return average(o);
  if (o.action == "lint") return lint_adapters(o);
  for (const std::string& folder : o.adapters) {
    const Json info = adapter_info(AdapterFolder(folder));
    cli::write_stdout(o.json ? dump(info) + "\n" : folder + ": " + info_text(info));
  }
  return 0;
}

int plot(DataCommandLine& o) {
  io::keep_apart({o.html}, {o.run == "-" ? "" : o.run});
  cli::OutputFile html(o.html);
  const RunCurves curves = read_curves(o.run);
  cli::note(std::to_string(curves.n_bad) + " lines are no events", curves.n_bad > 0 && !o.common.quiet);
  if (o.html != "-") cli::write_stdout(curves_text(curves, cli::stdout_columns(80), !o.ascii));
  if (html.wanted()) html.finish(curves_html(curves, o.run == "-" ? "training run" : o.run, o.command_line));
  return 0;
}

const std::map<std::string, TrainOn>& train_on_names() {
  static const std::map<std::string, TrainOn> names = {{"all", TrainOn::kAll}, {"last", TrainOn::kLast}};
  return names;
}
const std::map<std::string, Truncation>& truncation_names() {
  static const std::map<std::string, Truncation> names = {
      {"end", Truncation::kEnd}, {"prompt", Truncation::kPrompt}, {"drop", Truncation::kDrop}};
  return names;
}

// clang-format off
void add_reading(CLI::App& app, DataCommandLine& o, const char* files) {
  app.add_option("FOLDER", o.folder, "Folder of a model or of a tokenizer's files")->required()->type_name("FOLDER");
  app.add_option("FILE", o.data.inputs, files)->type_name("FILE");
  add_data_options(app, o.data);
  app.add_option("--max-bad", o.max_bad, "Exit 65 when more records than this share are bad")->capture_default_str()->check(CLI::Range(0.0, 1.0))->type_name("SHARE");
  cli::add_common_options(app, o.common, {cli::Common::kQuiet});
}

void add_privacy(CLI::App& app, DataCommandLine& o) {
  app.add_option("--phase", o.phases, "So many steps, each document in each with chance Q, noise SIGMA times the clipping norm; several add up. SIGMA ? is sought")->required()->allow_extra_args(false)->type_name("Q,SIGMA,STEPS");
  app.add_option("--delta", o.delta, "The chance that the bound does not hold; below one over the number of documents")->required()->check(CLI::Range(0.0, 1.0))->type_name("D");
  app.add_option("--epsilon", o.epsilon, "What may be spent in all, when a sigma is sought")->check(CLI::PositiveNumber)->type_name("E");
  app.add_flag("--json", o.json, "Machine form");
}

void add_adapter(CLI::App& app, DataCommandLine& o) {
  app.add_option("ACTION", o.action, "info: what is in it; lint: what loaders will refuse or ignore, exit 1 when it cannot be used; avg: the exact mean of several")->required()->check(CLI::IsMember({"info", "lint", "avg"}))->type_name("ACTION");
  app.add_option("DIR", o.adapters, "Folders of adapters in PEFT's layout")->required()->type_name("DIR");
  app.add_option("-o,--out", o.out, "Folder for the average")->type_name("DIR");
  app.add_option("--weights", o.weights, "Of the average, one for each adapter: their documents, say [all alike]")->type_name("W,...");
  app.add_flag("--json", o.json, "Machine form");
  cli::add_common_options(app, o.common, {cli::Common::kQuiet});
}

void add_plot(CLI::App& app, DataCommandLine& o) {
  app.add_option("RUN", o.run, "Events of a run, or its folder; - is stdin")->required()->type_name("RUN");
  app.add_option("--html", o.html, "The curves as a page, light and dark; - is stdout")->type_name("FILE");
  app.add_flag("--ascii", o.ascii, "No block characters");
  cli::add_common_options(app, o.common, {cli::Common::kQuiet});
}
// clang-format on

constexpr const char* kAdapterExamples =
    R"(  ds-finetune adapter info run/last
  ds-finetune adapter lint run/last && cp -r run/last serve/
  ds-finetune adapter avg a/last b/last c/last --weights 800,1200,400 -o round1)";
constexpr const char* kPlotExamples =
    R"(  ds-finetune MODEL tokens.jsonl -o run > events.jsonl; ds-finetune plot events.jsonl
  ds-finetune plot events.jsonl --html run.html)";
constexpr const char* kPrepExamples =
    R"(  ds-finetune prep MODEL qa.jsonl > tokens.jsonl
  zcat chats.jsonl.gz | ds-finetune prep MODEL --train-on last > tokens.jsonl
  ds-finetune prep MODEL --template 'Q: {query}\nA:' --target ' {reply}' faq.jsonl > tokens.jsonl)";
constexpr const char* kShowExamples =
    R"(  ds-finetune show MODEL qa.jsonl
  ds-finetune show MODEL tokens.jsonl -n 100 | less -R)";
constexpr const char* kPrivacyExamples =
    R"(  ds-finetune privacy --phase 0.01,1.1,1000 --delta 1e-5
  ds-finetune privacy --phase 0.01,?,1000 --delta 1e-5 --epsilon 3)";

}  // namespace

AccountedDataSet::AccountedDataSet(const std::string& folder, DataSetOptions options, bool quiet,
                                   cli::ProgressLine& line)
    : quiet_(quiet), line_(line), set_(folder, [&] {
        options.stop = cli::stop_requested;
        options.on_bad = [this](const Error& e) {
          if (quiet_ || ++n_told_ > kMostTold) return;
          line_.clear();
          cli::note(e.message());
        };
        return std::move(options);
      }()) {}

bool AccountedDataSet::next(TrainingDocument& document) {
  if (finished_) return false;
  if (set_.next(document)) return true;
  finished_ = true;
  line_.clear();
  if (!quiet_)
    for (const std::string& text : counts_text(set_.counts())) cli::note(text);
  set_.finish();
  return false;
}

// clang-format off
void add_data_options(CLI::App& app, DataSetOptions& d) {
  const char* group = "Data";
  app.add_option_function<std::string>("--format", [&d](const std::string& name) { d.format = record_format_names().at(name); }, "Of the records [found out]")->check(CLI::IsMember(record_format_names()))->type_name("NAME")->group(group);
  app.add_option("--template", d.prompt, "Prompt with the record's members in braces [of question and answer: 问题:{question}\\n答案:]")->type_name("TEXT")->group(group);
  app.add_option("--target", d.target, "What is learnt behind --template [{answer}, {output} or {completion}]")->type_name("TEXT")->group(group);
  app.add_flag("--chat", d.as_chat, "Question and answer through the chat template")->group(group);
  app.add_option("--chat-template", d.chat_template, "Chat template in place of the model's")->type_name("FILE")->group(group);
  cli::add_choice(app, "--train-on", d.train_on, train_on_names(), "Replies of a conversation that are learnt")->group(group);
  app.add_option("--max-len", d.max_tokens, "Most tokens of a document [any number]")->check(CLI::Range(int64_t{2}, int64_t{1} << 31))->type_name("N")->group(group);
  cli::add_choice(app, "--truncation", d.truncation, truncation_names(), "What a longer one loses: its end, the prompt's beginning, or itself")->group(group);
  app.add_flag("--parse-special", d.parse_special, "The text of special tokens in the data is those tokens")->group(group);
  app.add_option("--bad-lines", d.bad_lines, "File for the records that became no documents")->type_name("FILE")->group(group);
}
// clang-format on

std::vector<cli::Command> data_commands(DataCommandLine& o) {
  return {
      {"prep", "Records to tokens and masks, as JSON lines", kPrepExamples,
       [&o](CLI::App& app) {
         add_reading(app, o, "Records; - is stdin, which is read where none is given");
         app.add_option("-o,--out", o.out, "Output file")->capture_default_str()->type_name("FILE");
       },
       [&o] { return prep(o); }},
      {"show", "What of each document is trained, for the eye", kShowExamples,
       [&o](CLI::App& app) {
         add_reading(app, o, "Records, or the tokens that prep made; - is stdin");
         app.add_option("-n,--documents", o.n_shown, "So many are shown, all are counted")
             ->capture_default_str()
             ->check(CLI::NonNegativeNumber)
             ->type_name("N");
       },
       [&o] { return show(o); }},
      {"privacy", "What differentially private training spends, or the noise it needs", kPrivacyExamples,
       [&o](CLI::App& app) { add_privacy(app, o); }, [&o] { return privacy(o); }},
      {"adapter", "Looks into adapters, judges them, averages them", kAdapterExamples,
       [&o](CLI::App& app) { add_adapter(app, o); }, [&o] { return adapter(o); }},
      {"plot", "Loss and learning rate of a run", kPlotExamples, [&o](CLI::App& app) { add_plot(app, o); },
       [&o] { return plot(o); }},
  };
}

}  // namespace ds::train
