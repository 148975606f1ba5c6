// ds-quantize: a model folder to FP8, back to BF16, or to GGUF; and what that did to it.
#include <cmath>
#include <iostream>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/json_value.h"
#include "infer/model_change.h"
#include "quant/gguf_export.h"
#include "quant/quantize.h"
#include "quant/report.h"
#include "quant/verify.h"

namespace {

using namespace ds;
using namespace ds::quant;
using cli::Common;

constexpr const char* kDescription =
    R"(convert a model folder to FP8 with block scales, as DeepSeek publishes it, and back

FP8 that is there already passes through; embeddings, head, norms and routers stay as published. Files appear whole,
config.json last. GGUF is one file for llama.cpp.

Examples:
  ds-quantize base/ -o fp8/                    BF16, F16 or F32 -> FP8
  ds-quantize base/ --dry-run                  only the sizes
  ds-quantize base/ --verify fp8/ --eval text  compare, and judge
  ds-quantize base/ -o - --to gguf:q8_0 | ssh box 'cat > base.gguf')";

struct Options {
  QuantizeOptions quantize;
  cli::CommonOptions common;
  std::string block = "128x128", experts, verify, eval, html, command_line;
  double min_sqnr = 28;
  bool dry_run = false, histogram = false, no_sync = false;
};

void add_options(CLI::App& app, Options& o) {
  QuantizeOptions& q = o.quantize;
  const auto option = [&](const char* name, auto& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type);
  };
  app.add_option("MODEL", q.model, "Folder of the model [$DS_MODEL]")->envname("DS_MODEL")->required();
  auto* out = option("-o,--out", q.out, "OUT", "Folder to write (GGUF: a file, - is stdout)");
  auto* to = cli::add_choice(app, "--to", q.target, target_names(), "Format to write");
  option("--experts", o.experts, "NAME", "FP4 experts (V4) to this, without loss; all else is copied")
      ->check(CLI::IsMember({"fp8"}))
      ->excludes(to);
  auto* verify =
      option("--verify", o.verify, "OUT", "Judge this converted folder against MODEL")->excludes(out);
  option("--min-sqnr", o.min_sqnr, "DB", "--verify exits 1 when a tensor lies below")->capture_default_str();
  option("--eval", o.eval, "FILE", "With --verify: perplexity and agreement on this text")->needs(verify);
  cli::add_choice(app, "--scales", q.scales, scale_names(), "Block scales, stored as F32; pow2 as in V3.1");
  option("--block", o.block, "RxC", "Block shape, rows x columns")->capture_default_str();
  cli::add_choice(app, "--recipe", q.recipe, recipe_names(), "Whose arithmetic");
  option("--include", q.include, "REGEX", "Quantise only tensors whose name this regular expression finds");
  option("--exclude", q.exclude, "REGEX", "Leave these alone [embeddings, head, norms, routers]");
  app.add_flag("--requantize", q.requantize, "Encode weights that are FP8 already anew (costs about 3 dB)");
  cli::add_choice(app, "--nan-policy", q.nan_policy, nan_policy_names(), "A NaN or infinity in MODEL");
  option("--max-shard-size", q.max_shard_bytes, "SIZE", "Largest file, with kB, MB, GB, KiB, MiB or GiB")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--keep-shards", q.keep_shards, "Same files as MODEL");
  app.add_flag("--force", q.force, "Replace an existing OUT once the new one is complete");
  app.add_flag("--no-sync", o.no_sync, "Do not wait for the disk: a power cut may lose files");
  app.add_flag("--dry-run", o.dry_run, "Only show sizes, before and after");
  option("--html", o.html, "FILE", "Report of the run as a page with histograms; - is stdout");
  app.add_flag("--histogram", o.histogram, "Draw the histogram of codes on stderr");
  cli::add_common_options(app, o.common,
                          {Common::kReport, Common::kResume, Common::kQuiet, Common::kThreads, Common::kIsa});
}

[[noreturn]] void usage(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kUsage, what, where, "see ds-quantize --help");
}

void resolve(Options& o) {
  QuantizeOptions& q = o.quantize;
  if (q.out.empty() && o.verify.empty() && !o.dry_run)
    usage("one of -o OUT, --verify OUT, --dry-run is needed", "");
  if (!std::isfinite(o.min_sqnr)) usage("is no number of dB", "--min-sqnr");
  if (o.common.report == "-" && (o.html == "-" || q.out == "-")) usage("stdout holds one thing", "--report");
  if (!o.experts.empty()) q.target = QuantTarget::kExpertsFp8;
  set_block(q, o.block, "--block");
  if (is_gguf(q.target) && !o.html.empty()) usage("the histograms are of FP8 codes: not for GGUF", "--html");
  if (is_gguf(q.target) && q.out == "-" && cli::stdout_is_terminal() && !o.dry_run)
    usage("is a terminal, and a GGUF is no text", "stdout");
  q.sync = !o.no_sync;
  q.resume = o.common.resume;
  check_output_fits(q, {o.common.report, o.html}, {o.verify, o.eval});
  q.isa = parse_isa(o.common.isa);
  const cli::ThreadChoice threads = cli::choose_threads(o.common);
  q.n_threads = threads.n_threads;
  cli::note(threads.text + ", " + isa_name(q.isa) + " kernels", !o.common.quiet);
  cli::stop_on_signals();
  q.stop = cli::stop_requested;
}

int run(Options& o) {
  resolve(o);
  QuantizeOptions& q = o.quantize;
  // Before the work: they may not open.
  cli::OutputFile json(o.common.report, q.out), html(o.dry_run ? "" : o.html, q.out);
  const std::string text = o.eval.empty() ? "" : io::read_file(o.eval, 64 << 20);
  const Page page{q.model + (o.verify.empty() ? " -> " + q.out : " and " + o.verify), o.command_line};
  cli::ProgressLine line(!o.common.quiet);
  if (line.on()) q.progress = [&](int64_t done, int64_t total) { line.show(done >> 20, total >> 20, "MiB"); };
  const ModelFolder model(q.model);
  RunSummary summary;
  if (!o.verify.empty()) {
    summary = verify_summary(verify(model, ModelFolder(o.verify), q), o.min_sqnr, page);
    if (!text.empty()) {
      const auto change = infer::compare_folders(q.model, o.verify, q.n_threads, q.isa, text, o.eval);
      summary.words.push_back(infer::change_text(change));
      summary.json["eval"] = infer::change_json(change);
    }
  } else if (is_gguf(q.target)) {
    if (o.dry_run) q.out.clear();
    summary = gguf_summary(export_gguf(model, q));
  } else {
    const QuantizePlan plan = plan_quantize(model, q);
    for (const std::string& words : plan_summary(plan).words) cli::note(words, !o.common.quiet);
    summary = o.dry_run ? plan_summary(plan) : quantize_summary(plan, quantize(model, plan, q), page);
    if (o.dry_run) summary.words.clear();  // said already
  }
  line.clear();
  for (const std::string& words : summary.faults) cli::note(words);
  if (!o.common.quiet && (o.histogram || cli::stderr_is_animated())) std::cerr << summary.picture;
  for (const std::string& words : summary.words) cli::note(words, !o.common.quiet);
  json.finish(dump(summary.json) + "\n");
  html.finish(summary.html);
  return summary.passed ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kDescription, "ds-quantize");
  Options o;
  add_options(app, o);
  o.command_line = cli::command_line(argc, argv);
  return cli::run(app, argc, argv, [&] { return run(o); });
}
