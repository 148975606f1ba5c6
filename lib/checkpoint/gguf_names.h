// How GGUF calls what model folders hold, both ways. Source: gguf-py's tensor names.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ds::checkpoint {

// "self_attn.q_proj" <-> "attn_q": parts of a layer that are the same tensor under two names. nullopt:
// neither.
std::optional<std::string> gguf_part(std::string_view published);
std::optional<std::string> published_part(std::string_view gguf);
// "model.norm.weight" <-> "output_norm.weight": what stands outside the layers.
std::optional<std::string> gguf_top(std::string_view published);
std::optional<std::string> published_top(std::string_view gguf);

// Whether the architecture's q and k have the halves of every head interleaved, row by row, as llama.cpp's
// rotation of neighbours wants them.
bool gguf_pairs_rows(std::string_view architecture);
// Where row i of n comes from when that is done, and when it is undone.
constexpr int64_t paired_from(int64_t i, int64_t n, int64_t heads) {
  const int64_t dim = n / heads, r = i % dim;
  return i - r + r % 2 * (dim / 2) + r / 2;
}
constexpr int64_t unpaired_from(int64_t i, int64_t n, int64_t heads) {
  const int64_t dim = n / heads, r = i % dim;
  return i - r + r % (dim / 2) * 2 + r / (dim / 2);
}

}  // namespace ds::checkpoint
