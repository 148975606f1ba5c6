// ds-quantize: a model folder to FP8, back to BF16, or to GGUF; and what that did to it.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <map>

#include "cli.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "infer/model_change.h"
#include "quant/gguf_export.h"
#include "quant/quantize.h"
#include "quant/report.h"
#include "quant/verify.h"

using namespace ds;
using namespace ds::quant;
using namespace ds::bench;

namespace {

const std::map<std::string, QuantTarget> kTargets = {{"fp8", QuantTarget::kFp8},
                                                     {"bf16", QuantTarget::kBF16},
                                                     {"gguf:q8_0", QuantTarget::kGgufQ8_0},
                                                     {"gguf:bf16", QuantTarget::kGgufBF16}};
const std::map<std::string, ScaleKind> kScales = {{"f32", ScaleKind::kF32}, {"pow2", ScaleKind::kPow2}};
const std::map<std::string, QuantRecipe> kRecipes = {
    {"deepseek", QuantRecipe::kDeepseek}, {"deepgemm", QuantRecipe::kDeepgemm}, {"hf", QuantRecipe::kHf}};
const std::map<std::string, NanPolicy> kNanPolicies = {
    {"fail", NanPolicy::kFail}, {"zero", NanPolicy::kZero}, {"keep", NanPolicy::kKeep}};

struct Options {
  QuantizeOptions quantize;
  cli::Machine machine;
  std::string to = "fp8", scales = "f32", recipe = "deepseek", nan_policy = "fail", block = "128x128";
  std::string experts, verify, eval, report, html;
  double min_sqnr = 28;
  bool dry_run = false, quiet = false, histogram = false, no_sync = false;
};

template <class T>
std::string names_of(const std::map<std::string, T>& table) {
  std::string names;
  for (const auto& [name, value] : table) names += (names.empty() ? "" : ", ") + name;
  return names;
}
template <class T>
CLI::Option* add_choice(CLI::App& app, const std::string& flag, std::string& value,
                        const std::map<std::string, T>& table, const std::string& text) {
  return app.add_option(flag, value, text + ": " + names_of(table))
      ->check(CLI::IsMember(table))
      ->capture_default_str()
      ->type_name("NAME");
}

void add_options(CLI::App& app, Options& o) {
  QuantizeOptions& q = o.quantize;
  app.add_option("MODEL", q.model, "Model folder: config.json, *.safetensors, tokenizer")->required();
  app.add_option("-o,--out", q.out, "Folder to write (GGUF: file, - is stdout)")->type_name("OUT");
  add_choice(app, "--to", o.to, kTargets, "Format to write");
  app.add_option("--experts", o.experts,
                 "FP4 experts (V4) to FP8, the same values exactly; all else is copied")
      ->check(CLI::IsMember({"fp8"}))
      ->type_name("fp8");
  app.add_option("--verify", o.verify, "Compare this converted folder with MODEL and judge it")
      ->type_name("OUT");
  app.add_option("--min-sqnr", o.min_sqnr, "--verify exits 1 when a tensor lies below, in dB")
      ->capture_default_str()
      ->type_name("DB");
  app.add_option("--eval", o.eval, "With --verify: perplexity and top-1 agreement of both on this text file")
      ->type_name("FILE");
  add_choice(app, "--scales", o.scales, kScales,
             "Block scales, stored as F32; pow2: powers of two as in V3.1");
  app.add_option("--block", o.block, "Block shape, rows x columns")->capture_default_str()->type_name("RxC");
  add_choice(app, "--recipe", o.recipe, kRecipes, "Whose arithmetic");
  app.add_option("--include", q.include, "Quantise only tensors whose name this regular expression finds")
      ->type_name("REGEX");
  app.add_option("--exclude", q.exclude, "Leave these alone [embeddings, head, norms, routers, as published]")
      ->type_name("REGEX");
  app.add_flag("--requantize", q.requantize, "Encode weights that are FP8 already anew (costs about 3 dB)");
  add_choice(app, "--nan-policy", o.nan_policy, kNanPolicies, "What a NaN or infinity in MODEL does");
  app.add_option("--max-shard-size", q.max_shard_bytes, "Largest file, with kB, MB, GB, KiB, MiB or GiB")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->type_name("SIZE");
  app.add_flag("--keep-shards", q.keep_shards, "Same files as MODEL");
  app.add_flag("--resume", q.resume, "Continue a stopped run of the same command");
  app.add_flag("--force", q.force, "Replace an existing OUT once the new one is complete");
  app.add_flag("--no-sync", o.no_sync,
               "Do not wait for the disk, as cp does not: a power cut may lose files");
  app.add_flag("--dry-run", o.dry_run, "Only show sizes, before and after");
  app.add_option("--report", o.report, "Write a JSON report")->type_name("FILE");
  app.add_option("--html", o.html, "Write a page with histograms")->type_name("FILE");
  app.add_flag("--histogram", o.histogram, "Draw the histogram of codes on stderr");
  app.add_flag("--quiet", o.quiet, "No words but errors");
  cli::add_machine_options(app, o.machine);
}

[[noreturn]] void usage(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kUsage, what, where, "see ds-quantize --help");
}

void resolve(Options& o) {
  QuantizeOptions& q = o.quantize;
  q.target = kTargets.at(o.to);
  if (!o.experts.empty()) {
    if (o.to != "fp8") usage("--experts and --to exclude each other", "");
    q.target = QuantTarget::kExpertsFp8;
  }
  q.scales = kScales.at(o.scales);
  q.recipe = kRecipes.at(o.recipe);
  q.nan_policy = kNanPolicies.at(o.nan_policy);
  long long rows = 0, cols = 0;
  char end = 0;
  if (std::sscanf(o.block.c_str(), "%lldx%lld%c", &rows, &cols, &end) != 2)
    usage("is no RxC: " + o.block, "--block");
  q.block_rows = rows, q.block_cols = cols;
  q.sync = !o.no_sync;
  q.isa = parse_isa(o.machine.isa);
  const ThreadBudget budget = default_threads();
  q.n_threads = o.machine.threads ? o.machine.threads : budget.n_threads;
  if (!o.quiet)
    cli::note(std::to_string(q.n_threads) + (q.n_threads == 1 ? " thread (" : " threads (") +
              (o.machine.threads ? "--threads" : budget.reason) + "), " + isa_name(q.isa) + " kernels");
  q.stop = cli::stop_requested;
  if (o.quiet || !cli::stderr_has_colour()) return;
  q.progress = [last = now_ns()](int64_t done, int64_t total) mutable {
    if (now_ns() - last < 100'000'000) return;
    last = now_ns();
    std::fprintf(stderr, "  %.0f %%\033[K\r", 100 * static_cast<double>(done) / static_cast<double>(total));
  };
}

void show_picture(const Options& o, const TensorStats& total) {
  if (o.quiet || !(o.histogram || ::isatty(STDERR_FILENO))) return;
  std::fputs(code_histogram_text(total, 72).c_str(), stderr);
}

Json run_eval(const Options& o, const std::string& text) {
  Json j = Json::Object{};
  EngineOptions engine;
  engine.n_threads = o.quantize.n_threads;
  engine.isa = o.quantize.isa;
  engine.ctx = 512;
  const auto before = Engine::load(o.quantize.model, engine), after = Engine::load(o.verify, engine);
  const ModelChange c = compare_models(*before, *after, text, 512, o.eval);
  j.set("n_tokens", c.n_tokens);
  j.set("perplexity_before", c.perplexity_before);
  j.set("perplexity_after", c.perplexity_after);
  j.set("top1_agreement", c.top1_agreement);
  char line[128];
  std::snprintf(line, sizeof line, "perplexity %.3f -> %.3f, top-1 agreement %.2f %% over %lld tokens",
                c.perplexity_before, c.perplexity_after, 100 * c.top1_agreement,
                static_cast<long long>(c.n_tokens));
  cli::note(line);
  return j;
}

int run_verify(const Options& o, const ModelFolder& model) {
  cli::ReportFile report_file(o.report), html_file(o.html);
  const std::string text = o.eval.empty() ? "" : read_file(o.eval, 64 << 20);
  const VerifyReport report = verify(model, ModelFolder(o.verify), o.quantize);
  const TensorStats total = total_of(report.tensors);
  const auto below = report.below(o.min_sqnr);
  for (const std::string& p : report.problems) cli::note("problem: " + p);
  for (size_t i = 0; i < below.size() && i < 10; ++i)
    cli::note("below " + std::to_string(o.min_sqnr).substr(0, 5) + " dB: " + below[i]->name + ": " +
              quality_text(*below[i]));
  show_picture(o, total);
  if (!o.quiet)
    cli::note(std::to_string(report.tensors.size()) + " tensors compared, " + quality_text(total));
  Json json = verify_json(report, o.min_sqnr);
  if (!o.eval.empty()) json.set("eval", run_eval(o, text));
  report_file.write(json.dump() + "\n");
  html_file.write(report_html(o.verify + " against " + o.quantize.model, report.tensors));
  const bool passed = below.empty() && report.problems.empty();
  if (!o.quiet)
    cli::note(passed ? "passed"
                     : "NOT passed: " + std::to_string(below.size()) + " tensors below the bound, " +
                           std::to_string(report.problems.size()) + " problems");
  return passed ? 0 : 1;
}

int run_gguf(const Options& o, const ModelFolder& model) {
  if (!o.html.empty()) usage("the histograms are of FP8 codes: not for GGUF", "--html");
  if (o.quantize.resume) usage("a GGUF is written in one go: not with --resume", "");
  if (o.quantize.out == "-" && o.report == "-") usage("stdout holds one thing", "--report");
  if (o.quantize.out == "-" && cli::stdout_is_terminal() && !o.dry_run)
    usage("is a terminal, and a GGUF is no text", "stdout");
  cli::ReportFile report_file(o.report, o.quantize.out);
  QuantizeOptions options = o.quantize;
  if (o.dry_run) options.out.clear();
  const GgufReport r = export_gguf(model, options);
  report_file.write(gguf_json(r).dump() + "\n");
  if (o.quiet) return 0;
  for (const std::string& n : r.notes) cli::note("note: " + n);
  std::string text = std::to_string(r.n_tensors) + " tensors, " + size_text(r.bytes_planned);
  if (!o.dry_run) text += " in " + std::to_string(r.seconds).substr(0, 5) + " s";
  cli::note(text);
  return 0;
}

int run_quantize(const Options& o, const ModelFolder& model) {
  cli::ReportFile report_file(o.report, o.quantize.out);
  const QuantizePlan plan = plan_quantize(model, o.quantize);
  if (!o.quiet) {
    cli::note(quantize_plan_text(plan));
    for (const std::string& n : plan.notes) cli::note("note: " + n);
  }
  if (o.dry_run) {
    report_file.write(quantize_plan_json(plan).dump() + "\n");
    return 0;
  }
  cli::ReportFile html_file(o.html, o.quantize.out);
  const QuantizeReport report = quantize(model, plan, o.quantize);
  const TensorStats total = total_of(report.tensors);
  show_picture(o, total);
  if (!o.quiet) {
    cli::note(quantize_text(report));
  }
  report_file.write(quantize_json(plan, report).dump() + "\n");
  html_file.write(report_html(o.quantize.model + " as " + o.to, report.tensors));
  return 0;
}

int body(Options& o) {
  if (o.quantize.out.empty() && o.verify.empty() && !o.dry_run)
    usage("one of -o OUT, --verify OUT, --dry-run is needed", "");
  if (!o.quantize.out.empty() && !o.verify.empty()) usage("-o and --verify exclude each other", "");
  if (!o.eval.empty() && o.verify.empty()) usage("--eval goes with --verify", "");
  if (!std::isfinite(o.min_sqnr)) usage("is no number of dB", "--min-sqnr");
  if (o.report == "-" && o.html == "-") usage("stdout holds one thing", "--html");
  resolve(o);
  if (!o.to.starts_with("gguf")) {
    if (o.quantize.out == "-") usage("- is for GGUF: a folder needs a name", "-o");
    if (o.quantize.out.ends_with(".gguf")) usage("names a GGUF, which --to gguf:q8_0 writes", "-o");
  }
  cli::stop_on_signals();
  try {
    const ModelFolder model(o.quantize.model);
    if (!o.verify.empty()) return run_verify(o, model);
    const QuantTarget to = o.quantize.target;
    const bool gguf = to == QuantTarget::kGgufQ8_0 || to == QuantTarget::kGgufBF16;
    return gguf ? run_gguf(o, model) : run_quantize(o, model);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kInterrupted) throw;
    cli::note(e.message());
    return cli::stop_exit_code();
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Converts a model folder to FP8 with block scales, as DeepSeek publishes it, and back.",
               "ds-quantize");
  Options options;
  add_options(app, options);
  return cli::run(app, argc, argv, [&] { return body(options); });
}
