#include "ds-quantize/options.h"

namespace ds::quant {
namespace {

using cli::Common;

constexpr const char* kDescription =
    R"(convert a model folder to FP8 with block scales, as DeepSeek publishes it, and back

FP8 that is there already passes through; embeddings, head, norms and routers stay as published. Files appear whole,
config.json last. What ds-run refuses is not converted. GGUF is one file for llama.cpp.

Examples:
  ds-quantize base/ -o fp8/                    BF16, F16 or F32 -> FP8
  ds-quantize base/ --dry-run                  only the sizes
  ds-quantize base/ --verify fp8/ --eval text  compare, and judge
  ds-quantize base/ -o m.gguf --to gguf:q4_k   as llama-quantize's Q4_K_M
  ds-quantize base/ -o - --to gguf:q8_0 | ssh box 'cat > base.gguf'
  ds-quantize m.gguf -o base/ --to bf16        a folder of a GGUF)";

}  // namespace

void add_options(CLI::App& app, QuantizeCommandLine& o) {
  app.description(kDescription);
  QuantizeOptions& q = o.quantize;
  std::string group = "Options";
  const auto option = [&](const char* name, auto& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type)->group(group);
  };
  const auto choice = [&](const char* name, auto& value, const auto& table, const char* text) {
    return cli::add_choice(app, name, value, table, text)->group(group);
  };
  const auto flag = [&](const char* name, bool& value, const char* text) {
    app.add_flag(name, value, text)->group(group);
  };
  app.add_option("MODEL", q.model, "Folder of the model [$DS_MODEL]")->envname("DS_MODEL")->required();
  auto* out = option("-o,--out", q.out, "OUT", "Folder to write (GGUF: a file, - is stdout)");
  auto* to = choice("--to", q.target, target_names(), "Format to write");
  flag("--dry-run", o.dry_run, "Only show sizes, before and after");
  option("--html", o.html, "FILE", "Report of the run as a page with histograms; - is stdout");
  flag("--histogram", o.histogram, "Draw the histogram of codes on stderr");
  cli::add_common_options(app, o.common, {Common::kReport, Common::kQuiet});
  group = "Weights";
  option("--include", q.include, "REGEX", "Quantise only tensors whose name this regular expression finds");
  option("--exclude", q.exclude, "REGEX", "Leave these alone [embeddings, head, norms, routers]");
  choice("--scales", q.scales, scale_names(), "Block scales, stored as F32; pow2 as in V3.1");
  option("--block", o.block, "RxC", "Block shape, rows x columns")->capture_default_str();
  choice("--recipe", q.recipe, recipe_names(), "Whose arithmetic");
  option("--experts", o.experts, "NAME", "FP4 experts (V4) to this, without loss; all else is copied")
      ->check(CLI::IsMember({"fp8"}))
      ->excludes(to);
  flag("--requantize", q.requantize, "Encode weights that are FP8 already anew (costs about 3 dB)");
  choice("--nan-policy", q.nan_policy, nan_policy_names(), "A NaN or infinity in MODEL");
  group = "Checks, instead of converting";
  auto* verify =
      option("--verify", o.verify, "OUT", "Judge this converted folder against MODEL")->excludes(out);
  option("--min-sqnr", o.min_sqnr, "DB",
         "--verify exits 1 when a tensor's SQNR (signal to quantisation noise) lies below")
      ->capture_default_str();
  option("--eval", o.eval, "FILE", "With --verify: perplexity and agreement on this text")->needs(verify);
  group = "Running";
  option("--max-shard-size", q.max_shard_bytes, "SIZE", "Largest file, with kB, MB, GB, KiB, MiB or GiB")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::PositiveNumber)
      ->default_str("5GB");
  flag("--keep-shards", q.keep_shards, "Same files as MODEL");
  flag("--force", q.force, "Replace an existing OUT once the new one is complete");
  flag("--no-sync", o.no_sync, "Do not wait for the disk: a power cut may lose files");
  cli::add_common_options(app, o.common, {Common::kResume, Common::kThreads, Common::kIsa});
  app.get_option("--resume")->group(group);
}

}  // namespace ds::quant
