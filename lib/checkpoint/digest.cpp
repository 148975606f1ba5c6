#include "checkpoint/digest.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>

#include "checkpoint/gguf_file.h"
#include "checkpoint/locate.h"
#include "core/sha256.h"
#include "io/files.h"

namespace ds::checkpoint {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kWholeBytes = 64 << 20, kSampleBytes = 1 << 20;

// The files that make the model, by name.
std::map<std::string, std::string> files_of(const std::string& place) {
  std::map<std::string, std::string> files;
  if (is_gguf_file(place)) {
    for (const WeightFile& part : open_gguf(place, io::GgufArrays::kSkipLong).files)
      files[part.name] = part.path;
    return files;
  }
  std::error_code error;
  for (fs::recursive_directory_iterator it(place, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename(), ending = it->path().extension();
    if (name.starts_with('.')) it.disable_recursion_pending();
    const bool counts = ending == ".json" || ending == ".safetensors" || ending == ".jinja";
    if (counts && !name.starts_with('.') && it->is_regular_file(error))
      files[it->path().lexically_relative(place)] = it->path();
  }
  return files;
}

bool holds_weights(const std::string& path) { return path.ends_with(".safetensors") || is_gguf_file(path); }

}  // namespace

std::string model_digest(const std::string& name) {
  const auto files = files_of(locate_model(name));
  int64_t n_weight_bytes = 0;
  for (const auto& [file, path] : files)
    if (holds_weights(path)) n_weight_bytes += static_cast<int64_t>(fs::file_size(path));
  Sha256 digest;
  for (const auto& [file, path] : files) {
    const io::MappedFile mapped(path);
    const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
    digest.update(file + ":" + std::to_string(bytes.size()) + "\n");
    if (n_weight_bytes <= kWholeBytes || bytes.size() <= 2 * kSampleBytes) {
      digest.update(bytes);
    } else {
      digest.update(bytes.substr(0, kSampleBytes));
      digest.update(bytes.substr(bytes.size() - kSampleBytes));
    }
  }
  return (n_weight_bytes <= kWholeBytes ? "sha256:" : "sampled-sha256:") + digest.hex();
}

}  // namespace ds::checkpoint
