// Any bytes as a folder's config.json and model.safetensors, through the quantiser's reader: refused, or
// every tensor's coding fits its bytes and its values can be read.
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "core/error.h"
#include "quant/bands.h"
#include "quant/conversion_plan.h"

using namespace ds;
using namespace ds::quant;

namespace {

struct Folder {
  std::string path;
  Folder() {
    std::string pattern = "/tmp/dstools-fuzz-XXXXXX";
    path = ::mkdtemp(pattern.data());
  }
};

void write(const std::string& path, const char* bytes, size_t n) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes, static_cast<std::streamsize>(n));
}

}  // namespace

// Input: [u8 length of config][config][model.safetensors].
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  static const Folder folder;
  if (n < 1 || n < 1 + static_cast<size_t>(bytes[0])) return 0;
  const char* text = reinterpret_cast<const char*>(bytes);
  write(folder.path + "/config.json", text + 1, bytes[0]);
  write(folder.path + "/model.safetensors", text + 1 + bytes[0], n - 1 - bytes[0]);
  try {
    const ModelFolder model(folder.path);
    for (const StoredTensor& t : model.tensors()) {
      const WeightCoding c = model.coding(t);
      if (!c.problem.empty() || c.rows < 1 || c.cols < 1 || c.rows * c.cols > 1 << 16) continue;
      BandScratch scratch;
      std::vector<float> values(c.rows * c.cols);
      if (c.is_scaled()) read_values(model, t, c, Isa::kScalar, 0, c.rows, 0, c.cols, scratch, values.data());
    }
    for (const QuantTarget target : {QuantTarget::kFp8, QuantTarget::kBF16, QuantTarget::kExpertsFp8}) {
      QuantizeOptions options;
      options.target = target;
      try {
        const QuantizePlan plan = plan_quantize(model, options);
        for (const PlannedShard& shard : plan.shards)
          for (const QuantStep& step : shard.steps) {
            std::vector<BandJob> jobs;
            if (step.source->bytes() < 1 << 20) add_jobs(step, jobs);
            BandScratch scratch;
            for (const BandJob& job : jobs) convert_band(model, options, job, scratch);
          }
      } catch (const Error&) {
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
