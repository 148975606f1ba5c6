// ds-quantize: a model folder to FP8, back to BF16, or to GGUF.
#include <cstdio>
#include <map>

#include "cli.h"
#include "core/cpu.h"
#include "quant/quantize.h"

using namespace ds;

namespace {

const std::map<std::string, QuantTarget> kTargets = {{"fp8", QuantTarget::kFp8},
                                                     {"bf16", QuantTarget::kBF16},
                                                     {"gguf:q8_0", QuantTarget::kGgufQ8_0},
                                                     {"gguf:bf16", QuantTarget::kGgufBF16}};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Converts a model folder to FP8 with block scales, as DeepSeek publishes it, and back.",
               "ds-quantize");
  QuantizeOptions o;
  cli::Machine machine;
  app.add_option("MODEL", o.model, "Model folder")->required();
  app.add_option("-o,--out", o.out, "Folder to write")->required();
  app.add_option("--to", o.target, "Format")->transform(CLI::CheckedTransformer(kTargets));
  cli::add_machine_options(app, machine);
  return cli::run(app, argc, argv, [&] {
    o.isa = parse_isa(machine.isa);
    o.n_threads = machine.threads ? machine.threads : default_threads().n_threads;
    o.stop = cli::stop_requested;
    cli::stop_on_signals();
    const Checkpoint model(o.model);
    const Plan plan = make_plan(model, o);
    const QuantizeReport report = quantize(model, plan, o);
    const TensorStats total = total_of(report.tensors);
    cli::note(std::to_string(report.tensors.size()) + " tensors, SQNR " + std::to_string(total.sqnr_db()));
    return 0;
  });
}
