// The commands of ds-finetune around a training run: what its data becomes, what
// its privacy costs, how it went, and what to do with its adapters.
#pragma once
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/progress.h"
#include "train/data_set.h"

namespace ds::train {

struct DataCommandLine {
  cli::CommonOptions common;
  std::string folder;  // model or tokenizer
  DataSetOptions data;
  std::string out = "-";
  double max_bad = 1;               // more bad records than this share are an error
  int64_t n_shown = 5;              // of show
  std::vector<std::string> phases;  // of privacy
  double delta = 0, epsilon = 0;
  std::string action, weights;  // of adapter
  std::vector<std::string> adapters;
  std::string run, html, command_line;  // of plot
  bool json = false, ascii = false;
};

// The data set of a training run: at its end it says what it was made of, and refuses one of which nothing
// would be learnt.
class AccountedDataSet : public DocumentSource {
 public:
  AccountedDataSet(const std::string& folder, DataSetOptions options, bool quiet, cli::ProgressLine& line);
  bool next(TrainingDocument& document) override;

 private:
  bool quiet_, finished_ = false;
  int n_told_ = 0;
  cli::ProgressLine& line_;
  DataSet set_;
};

// How records become documents: the options that prep, show and a training run share.
void add_data_options(CLI::App& app, DataSetOptions& options);

std::vector<cli::Command> data_commands(DataCommandLine& line);

}  // namespace ds::train
