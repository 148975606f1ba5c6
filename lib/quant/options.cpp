#include "quant/options.h"

#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "io/files.h"
#include "io/keep_apart.h"

namespace ds::quant {

const std::map<std::string, QuantTarget>& target_names() {
  static const std::map<std::string, QuantTarget> kNames = {{"fp8", QuantTarget::kFp8},
                                                            {"bf16", QuantTarget::kBF16},
                                                            {"gguf:q4_0", QuantTarget::kGgufQ4_0},
                                                            {"gguf:q4_k", QuantTarget::kGgufQ4_K},
                                                            {"gguf:q6_k", QuantTarget::kGgufQ6_K},
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
  switch (target) {
    case QuantTarget::kGgufQ4_0:
    case QuantTarget::kGgufQ4_K:
    case QuantTarget::kGgufQ6_K:
    case QuantTarget::kGgufQ8_0:
    case QuantTarget::kGgufBF16:
      return true;
    case QuantTarget::kFp8:
    case QuantTarget::kBF16:
    case QuantTarget::kExpertsFp8:
      break;
  }
  return false;
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
  for (const std::string& report : reports) {
    const std::filesystem::path path = std::filesystem::path(report).lexically_normal();
    const bool in_out =
        path.parent_path() == std::filesystem::path(o.out + "/").lexically_normal().parent_path();
    if (in_out &&
        (path.extension() == ".safetensors" || file_exists(o.model + "/" + path.filename().string())))
      throw Error(ErrorKind::kUsage, "is one of the files that OUT will hold", report,
                  "give the report another name");
  }
  const auto usage = [](const char* what, const char* where) { throw Error(ErrorKind::kUsage, what, where); };
  if (is_gguf(o.target)) {
    if (o.resume) usage("a GGUF is written in one go: not with --resume", "--to");
  } else {
    if (o.out == "-") usage("- is for GGUF: a folder needs a name", "-o");
    if (o.out.ends_with(".gguf")) usage("names a GGUF, which --to gguf:q8_0 writes", "-o");
  }
}

}  // namespace ds::quant
