#include "ds-finetune/options.h"

#include "ds-finetune/data_commands.h"

namespace ds::train {
namespace {

using cli::Common;
using Method = TrainCommandLine::Method;
using Arithmetic = TrainCommandLine::Arithmetic;

constexpr const char* kDescription =
    R"(tune a model folder on records: an adapter in PEFT's layout, or all of its weights

RUN gets a folder step-N with the adapter or the model and the state to go on from; RUN/last is the newest. stdout
carries events, one JSON object a line; words and progress go to stderr. Records are found out: question and answer,
Alpaca, ShareGPT, messages, prompt and completion, text, or the tokens that prep makes; show shows what is learnt.

Examples:
  ds-finetune MODEL qa.jsonl -o run/                      LoRA, all linear modules
  ds-finetune MODEL - -o run/ --method full < docs.jsonl  all weights
  ds-finetune MODEL docs.jsonl -o run/ --resume           go on after a stop
  ds-finetune MODEL docs.jsonl -o run/ | jq -r 'select(.event=="step") | .loss')";

// An option whose value is on or off.
CLI::Option* add_switch(CLI::App& app, const char* name, bool& value, const char* text) {
  static const std::map<std::string, bool> kOnOff = {{"on", true}, {"off", false}};
  return cli::add_choice(app, name, value, kOnOff, text);
}

}  // namespace

void add_options(CLI::App& app, TrainCommandLine& o) {
  static const std::map<std::string, Method> kMethods = {{"lora", Method::kLora}, {"full", Method::kFull}};
  static const std::map<std::string, Arithmetic> kDTypes = {{"f32", Arithmetic::kF32},
                                                            {"bf16", Arithmetic::kBF16}};
  static const std::map<std::string, bool> kRouter = {{"frozen", false}, {"train", true}};
  static const std::map<std::string, Schedule::WarmupFrom> kWarmups = {
      {"zero", Schedule::WarmupFrom::kZero}, {"first", Schedule::WarmupFrom::kFirst}};
  app.description(kDescription);
  TrainOptions& t = o.train;
  LoraSettings& a = t.parameters.adapter;
  std::string group = "Options";
  const auto option = [&](const char* name, auto& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type)->group(group);
  };
  const auto count = [&](const char* name, int64_t& value, const char* text) {
    return option(name, value, "N", text)->check(CLI::NonNegativeNumber)->capture_default_str();
  };
  const auto number = [&](const char* name, double& value, const char* text) {
    return option(name, value, "X", text)->check(CLI::NonNegativeNumber)->capture_default_str();
  };
  app.add_option("MODEL", t.model, "Folder of the model [$DS_MODEL]")->envname("DS_MODEL");
  app.add_option("DATA", o.data.inputs, "Records; - is stdin, which is read where none is given")
      ->type_name("FILE");
  option("-o,--out", t.out, "RUN", "Folder of the run");
  cli::add_choice(app, "--method", o.method, kMethods, "What is trained")->group(group);
  cli::add_common_options(app, o.common, {Common::kQuiet});
  add_data_options(app, o.data);
  group = "Adapter";
  count("--rank", a.rank, "Rank of LoRA's matrices")->check(CLI::PositiveNumber);
  number("--alpha", a.alpha, "Its scale is alpha / rank");
  app.add_flag("--rslora", a.rslora, "Scale alpha / sqrt(rank) instead")->group(group);
  option("--targets", a.targets, "WHAT", "Modules: auto, attn, ffn, experts, or a regular expression")
      ->capture_default_str();
  option("--init-adapter", a.init_adapter, "DIR",
         "Begin with this adapter; its rank, alpha and modules count");
  group = "Learning";
  option("--lr", o.lr, "X", "Learning rate [1e-4 of an adapter, 2e-5 of a model]")
      ->check(CLI::NonNegativeNumber);
  cli::add_choice(app, "--schedule", o.schedule.kind, schedule_names(), "Of the learning rate")->group(group);
  count("--warmup", o.schedule.n_warmup, "Updates over which the rate rises to --lr");
  cli::add_choice(app, "--warmup-from", o.schedule.warmup_from, kWarmups,
                  "Rate of the first update: 0, or --lr over --warmup")
      ->group(group);
  number("--min-lr", o.schedule.min_ratio, "Where the rate ends, as a share of --lr")
      ->check(CLI::Range(0.0, 1.0));
  count("--decay", o.schedule.n_decay, "Last updates over which wsd falls, 0: a fifth of all");
  count("--epochs", t.epochs, "Passes over the data");
  count("--steps", t.steps, "Updates, in place of epochs");
  count("--batch", t.batch, "Documents that run together")->check(CLI::PositiveNumber);
  count("--accumulation", t.accumulation, "Batches of an update")->check(CLI::PositiveNumber);
  app.add_flag("--no-shuffle", o.no_shuffle, "The data in its own order, every epoch")->group(group);
  option("--seed", t.seed, "N", "Of shuffling, of a new adapter, of noise")->capture_default_str();
  option("--betas", o.betas, "B1,B2", "AdamW's")->default_str("0.9,0.999");
  number("--eps", t.eps, "AdamW's");
  number("--weight-decay", t.weight_decay, "AdamW's, of matrices");
  number("--clip", t.clip, "Norm that a gradient is clipped to, 0: none");
  cli::add_choice(app, "--router", t.parameters.train_router, kRouter, "Weights of experts' routers")
      ->group(group);
  number("--dp-clip", t.dp_clip, "DP-SGD: norm that each document's gradient is clipped to, 0: none");
  number("--dp-noise", t.dp_noise, "DP-SGD: noise, in units of --dp-clip");
  group = "Running";
  cli::add_choice(app, "--dtype", o.dtype, kDTypes, "What activations are rounded to in products")
      ->group(group);
  add_switch(app, "--packing", o.packing, "Documents of a batch in one step; the same numbers")->group(group);
  add_switch(app, "--recompute", o.recompute, "Keep only layers' inputs: less memory, more time, same bits")
      ->group(group);
  option("--grads", t.grads, "FILE", "The first update's gradients as safetensors, before clipping");
  count("--save-every", t.save_every, "Updates between checkpoints, 0: one at the end");
  count("--keep", t.keep, "Checkpoints that stay, 0: all");
  cli::add_common_options(app, o.common, {Common::kResume, Common::kThreads, Common::kIsa});
  app.get_option("--resume")->group(group);
}

}  // namespace ds::train
