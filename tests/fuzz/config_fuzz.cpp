// A golden model folder under a config.json that was tampered with: refused with Error{kBadModel}, or the
// model loads and answers two tokens without touching a byte it should not. Input: a byte that picks the
// folder, then lines "key value", each setting a key of config.json to a JSON value.
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"
#include "io/json.h"
#include "model/model.h"

namespace fs = std::filesystem;
using namespace ds;
using namespace ds::infer;

namespace {

struct Case {
  std::string folder;  // config.json is written here, the weights are links
  Json config;
};

std::vector<Case> make_cases() {
  std::string root = (fs::temp_directory_path() / "config-fuzz-XXXXXX").string();
  static const fs::path kept = ::mkdtemp(root.data());
  std::atexit([] {
    std::error_code ignored;
    fs::remove_all(kept, ignored);
  });
  std::vector<Case> cases;
  for (const auto& entry : fs::directory_iterator(fs::path(DS_SOURCE_DIR) / "tests/golden/arch")) {
    const fs::path folder = kept / entry.path().filename();
    fs::create_directory(folder);
    for (const auto& file : fs::directory_iterator(entry.path()))
      if (file.path().filename() != "config.json")
        fs::create_symlink(file.path(), folder / file.path().filename());
    const std::string config = (entry.path() / "config.json").string();
    cases.push_back({folder.string(), parse_json(read_file(config), config)});
  }
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.folder < b.folder; });
  return cases;
}

void answer(const Model& model) {
  static ThreadPool pool(1);
  constexpr int64_t kContext = 16;
  const int64_t V = model.config().vocab_size;
  // A model whose scratch does not fit is refused by the plan, before this.
  const int64_t n_floats = model.workspace_floats(kContext, kContext, 1);
  if (n_floats > 64 << 20 || V > 1 << 20) return;
  if (KvPool::bytes(model.cache_streams(), {1, kContext, kContext, 64, DType::kF32}) > 256 << 20) return;
  KvPool cache_pool(model.cache_streams(), {1, kContext, kContext, 64, DType::kF32});
  KvSequence cache(cache_pool);
  Arena arena(n_floats);
  const Context context{&pool, arena, {}};
  std::vector<float> logits(V);
  const int32_t tokens[] = {1, 0, static_cast<int32_t>(V - 1)};
  for (const size_t begin : {size_t{0}, size_t{2}}) {  // a prefill of two, then a decode step
    const std::span<const int32_t> part(tokens + begin, begin ? 1 : 2);
    const Segment segment{&cache, static_cast<int64_t>(part.size())};
    const auto last = static_cast<int32_t>(part.size()) - 1;
    model.forward(context, part, {&segment, 1}, {&last, 1}, logits.data());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  static const std::vector<Case> cases = make_cases();
  if (n == 0) return 0;
  const Case& base = cases[bytes[0] % cases.size()];
  Json config = base.config;
  const std::string edits(reinterpret_cast<const char*>(bytes) + 1, n - 1);
  for (size_t at = 0; at < edits.size();) {
    const size_t end = std::min(edits.find('\n', at), edits.size());
    const std::string line = edits.substr(at, end - at);
    at = end + 1;
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    try {
      config[line.substr(0, space)] = parse_json(line.substr(space + 1), "edit");
    } catch (const Error&) {
    }
  }
  std::ofstream(base.folder + "/config.json", std::ios::binary) << dump(config);
  try {
    answer(*load_model(open_model(base.folder)));
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kBadModel && e.kind() != ErrorKind::kBadData) throw;
  }
  return 0;
}
