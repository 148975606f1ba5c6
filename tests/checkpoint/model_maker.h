// Small model folders made in tests.
#pragma once
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "core/numbers.h"
#include "core/rng.h"
#include "io/safetensors.h"
#include "io/temp_folder.h"

namespace ds::test {

using namespace io;

struct MadeTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

inline MadeTensor bf16_tensor(const std::string& name, std::vector<int64_t> shape,
                              const std::vector<float>& values) {
  std::string bytes;
  for (const float v : values) {
    const uint16_t h = f32_to_bf16(v);
    bytes.append(reinterpret_cast<const char*>(&h), 2);
  }
  return {name, "BF16", std::move(shape), bytes};
}
inline MadeTensor f32_tensor(const std::string& name, std::vector<int64_t> shape,
                             const std::vector<float>& values) {
  return {name, "F32", std::move(shape),
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * 4)};
}
inline std::vector<float> random_values(int64_t n, uint64_t stream) {
  CounterRng rng(7, stream);
  std::vector<float> values(n);
  for (float& v : values) v = bf16_to_f32(f32_to_bf16(static_cast<float>(rng.next_double() - 0.5)));
  return values;
}

inline void write_shard(const TempFolder& folder, const std::string& name,
                        const std::vector<MadeTensor>& tensors) {
  std::vector<TensorInfo> infos;
  std::string data;
  for (const MadeTensor& t : tensors) {
    TensorInfo info;
    info.name = t.name;
    info.dtype = dtype_from_name(t.dtype);
    info.dtype_name = t.dtype;
    info.shape = t.shape;
    info.end = t.bytes.size();
    infos.push_back(info);
    data += t.bytes;
  }
  const std::string header = make_safetensors_header(infos, {});
  folder.write(name, header + data);
}
inline void write_index(const TempFolder& folder, const std::map<std::string, std::string>& weight_map) {
  std::string text = "{\"metadata\":{},\"weight_map\":{";
  for (const auto& [tensor, file] : weight_map)
    text += (text.back() == '{' ? "\"" : ",\"") + tensor + "\":\"" + file + "\"";
  folder.write("model.safetensors.index.json", text + "}}");
}

}  // namespace ds::test
