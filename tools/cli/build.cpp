#include "cli/build.h"

#include <filesystem>

#include "core/cpu.h"

namespace ds::cli {

std::string version() { return DS_VERSION; }
std::string commit() { return DS_COMMIT; }
std::string compiler() { return DS_COMPILER; }

std::string version_text(const std::string& tool) {
  const CpuFeatures& f = cpu_features();
  std::string text = tool +
                     " (dstools) " DS_VERSION "\ncommit:   " DS_COMMIT "\nbuild:    " DS_COMPILER ", C++" +
                     std::to_string(__cplusplus / 100 % 100) + "\nlevels:  ";
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx})
    text += std::string(" ") + isa_name(isa) + (isa_available(isa) ? "" : " (not on this machine)");
  text += "\ncpu:      " + cpu_model_name();
  text += std::string(f.avx512_bf16 ? ", avx512_bf16" : "") + (f.avx512_vnni ? ", avx512_vnni" : "") +
          (f.avx512_vbmi ? ", avx512_vbmi" : "");
  return text + "\nfeatures: safetensors, gguf, gzip, zstd, cuda not built in\n";
}

std::string data_folder() {
  std::error_code error;
  const auto executable = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    const auto installed = executable.parent_path().parent_path() / "share" / "dstools";
    if (std::filesystem::is_directory(installed, error)) return installed.string();
  }
  return DS_SOURCE_DATA_DIR;
}

}  // namespace ds::cli
