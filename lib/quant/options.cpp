#include "quant/options.h"

#include <cstdio>

#include "core/error.h"
#include "io/keep_apart.h"

namespace ds::quant {

const std::map<std::string, QuantTarget>& target_names() {
  static const std::map<std::string, QuantTarget> kNames = {{"fp8", QuantTarget::kFp8},
                                                            {"bf16", QuantTarget::kBF16},
                                                            {"gguf:q8_0", QuantTarget::kGgufQ8_0},
                                                            {"gguf:bf16", QuantTarget::kGgufBF16}};
  return kNames;
}
const std::map<std::string, ScaleKind>& scale_names() {
  static const std::map<std::string, ScaleKind> kNames = {{"f32", ScaleKind::kF32},
                                                          {"pow2", ScaleKind::kPow2}};
  return kNames;
}
const std::map<std::string, QuantRecipe>& recipe_names() {
  static const std::map<std::string, QuantRecipe> kNames = {
      {"deepseek", QuantRecipe::kDeepseek}, {"deepgemm", QuantRecipe::kDeepgemm}, {"hf", QuantRecipe::kHf}};
  return kNames;
}
const std::map<std::string, NanPolicy>& nan_policy_names() {
  static const std::map<std::string, NanPolicy> kNames = {
      {"fail", NanPolicy::kFail}, {"zero", NanPolicy::kZero}, {"keep", NanPolicy::kKeep}};
  return kNames;
}

bool is_gguf(QuantTarget target) {
  return target == QuantTarget::kGgufQ8_0 || target == QuantTarget::kGgufBF16;
}

void set_block(QuantizeOptions& options, const std::string& text, const std::string& where) {
  long long rows = 0, cols = 0;
  char end = 0;
  if (std::sscanf(text.c_str(), "%lldx%lld%c", &rows, &cols, &end) != 2)
    throw Error(ErrorKind::kUsage, "is no RxC, rows x columns: " + text, where, "128x128 is usual");
  options.block_rows = rows;
  options.block_cols = cols;
}

void check_output_fits(const QuantizeOptions& o, const std::vector<std::string>& reports,
                       const std::vector<std::string>& others_read) {
  std::vector<std::string> read = others_read;
  read.push_back(o.model);
  keep_apart(reports, read);
  const auto usage = [](const char* what, const char* where) { throw Error(ErrorKind::kUsage, what, where); };
  if (is_gguf(o.target)) {
    if (o.resume) usage("a GGUF is written in one go: not with --resume", "--to");
  } else {
    if (o.out == "-") usage("- is for GGUF: a folder needs a name", "-o");
    if (o.out.ends_with(".gguf")) usage("names a GGUF, which --to gguf:q8_0 writes", "-o");
  }
}

}  // namespace ds::quant
