// ds-finetune: a model folder and records in, an adapter or a tuned model out.
#include "cli/run.h"
#include "ds-finetune/data_commands.h"

int main(int argc, char** argv) {
  using namespace ds;
  CLI::App app("records to training documents, and what surrounds a training run", "ds-finetune");
  train::DataCommandLine line;
  line.command_line = cli::command_line(argc, argv);
  const auto commands = train::data_commands(line);
  app.require_subcommand(1);
  cli::add_commands(app, commands);
  return cli::run(app, argc, argv, [&] { return cli::run_command(app, commands); });
}
