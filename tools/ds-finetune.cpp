// ds-finetune: a model folder and records in, an adapter or a tuned model out.
#include <charconv>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "core/json_value.h"
#include "ds-finetune/data_commands.h"
#include "ds-finetune/options.h"

namespace {

using namespace ds;
using namespace ds::train;

[[noreturn]] void usage(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kUsage, what, where, "see ds-finetune --help");
}

double number(const std::string& text, const std::string& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) usage("\"" + text + "\" is no number", where);
  return value;
}

void resolve(TrainCommandLine& o) {
  TrainOptions& t = o.train;
  if (t.model.empty()) t.model = cli::default_model();
  if (t.model.empty()) usage("is missing", "MODEL");
  if (t.out.empty()) usage("is missing", "-o RUN");
  t.parameters.lora = o.method == TrainCommandLine::Method::kLora;
  t.parameters.adapter.seed = t.seed;
  t.activations = o.dtype == TrainCommandLine::Arithmetic::kBF16 ? kernels::Activations::kBF16
                                                                 : kernels::Activations::kF32;
  t.packing = o.packing, t.recompute = o.recompute, t.shuffle = !o.no_shuffle;
  if (!o.betas.empty()) {
    const auto parts = cli::split(o.betas, ',');
    if (parts.size() != 2) usage("B1,B2 was expected", "--betas");
    t.beta1 = number(parts[0], "--betas"), t.beta2 = number(parts[1], "--betas");
    if (t.beta1 < 0 || t.beta1 >= 1 || t.beta2 < 0 || t.beta2 >= 1) usage("lie in [0, 1)", "--betas");
  }
  if (t.dp_noise > 0 && t.dp_clip <= 0) usage("needs --dp-clip", "--dp-noise");
  o.schedule.peak = o.lr >= 0 ? o.lr : t.parameters.lora ? 1e-4 : 2e-5;
  t.rate = [schedule = o.schedule](int64_t step, int64_t n) { return learning_rate(schedule, step, n); };
  t.resume = o.common.resume;
  t.isa = parse_isa(o.common.isa);
  const cli::ThreadChoice threads = cli::choose_threads(o.common);
  t.n_threads = threads.n_threads;
  cli::note(threads.text + ", " + isa_name(t.isa) + " kernels", !o.common.quiet);
  cli::stop_on_signals();
  t.stop = cli::stop_requested;
}

int run(TrainCommandLine& o) {
  resolve(o);
  cli::ProgressLine line(!o.common.quiet);
  int64_t n_steps = 0, first = 0;
  o.train.on_event = [&](const Json& event) {
    cli::write_stdout(dump(event) + "\n");
    cli::standard_output().flush();
    if (event["event"] == "start")
      n_steps = event["steps"].get<int64_t>(), first = event["step"].get<int64_t>();
    if (event["event"] == "step") line.show(event["step"].get<int64_t>(), n_steps, "updates", first);
  };
  AccountedDataSet source(o.train.model, o.data, o.common.quiet, line);
  const TrainReport report = train_model(o.train, source);
  line.clear();
  cli::note(std::to_string(report.n_steps) + " updates, " + std::to_string(report.n_trained) +
                " values trained, loss " + std::to_string(report.first_loss) + " -> " +
                std::to_string(report.last_loss),
            !o.common.quiet);
  return report.stopped ? cli::stop_exit_code() : 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("", "ds-finetune");
  TrainCommandLine o;
  DataCommandLine data;
  data.command_line = cli::command_line(argc, argv);
  add_options(app, o);
  const auto commands = data_commands(data);
  cli::add_commands(app, commands);
  return cli::run(app, argc, argv, [&] { return cli::run_command(app, commands, [&] { return run(o); }); });
}
