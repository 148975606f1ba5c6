// ds-quantize: a model folder to FP8, back to BF16, or to GGUF; and what that did to it.
#include <cmath>
#include <iostream>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/json_value.h"
#include "ds-quantize/options.h"
#include "infer/model_change.h"
#include "model/model.h"
#include "quant/gguf_export.h"
#include "quant/quantize.h"
#include "quant/report.h"
#include "quant/verify.h"

namespace {

using namespace ds;
using namespace ds::quant;

[[noreturn]] void usage(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kUsage, what, where, "see ds-quantize --help");
}

void resolve(QuantizeCommandLine& o) {
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

int run(QuantizeCommandLine& o) {
  resolve(o);
  QuantizeOptions& q = o.quantize;
  // Before the work: they may not open.
  cli::OutputFile json(o.common.report, q.out), html(o.dry_run ? "" : o.html, q.out);
  const std::string text = o.eval.empty() ? "" : io::read_file(o.eval, 64 << 20);
  const Page page{q.model + (o.verify.empty() ? " -> " + q.out : " and " + o.verify), o.command_line};
  cli::ProgressLine line(!o.common.quiet);
  if (line.on()) q.progress = [&](int64_t done, int64_t total) { line.show(done >> 20, total >> 20, "MiB"); };
  const auto opened = open_model(q.model);
  const ModelFolder& model = *opened;
  // What ds-run refuses is not converted.
  const std::string unchecked = o.verify.empty() ? model::check_loadable(opened) : "";
  cli::note(unchecked, !unchecked.empty() && !o.common.quiet);
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
  CLI::App app("", "ds-quantize");
  QuantizeCommandLine o;
  add_options(app, o);
  o.command_line = cli::command_line(argc, argv);
  return cli::run(app, argc, argv, [&] { return run(o); });
}
