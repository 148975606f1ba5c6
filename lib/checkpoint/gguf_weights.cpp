#include "checkpoint/gguf_weights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>

#include "checkpoint/format.h"
#include "checkpoint/gguf_names.h"
#include "core/error.h"
#include "core/numbers.h"

namespace ds::checkpoint {
namespace {

using Place = GgufTensorPlace;

[[noreturn]] void bad(const GgufParts& parts, const Place& t, const std::string& what) {
  throw Error(ErrorKind::kBadModel, what,
              parts.files[static_cast<size_t>(t.file)].path + ": tensor " + t.name,
              "the file is damaged, or made by a converter that is not known here");
}

// ---- what is made ----

struct Recipe {
  enum class Kind { kUnpairRows, kJoinKeyValue } kind;
  Place from, values;  // values: attn_v_b
  int64_t heads = 0;
  DType dtype = DType::kUnknown;  // of what kJoinKeyValue makes
  uint64_t offset = 0;            // in the made file
};

// Values [begin, begin + n) of a tensor, whole blocks.
void read_floats(const std::vector<WeightFile>& files, const Place& t, int64_t begin, int64_t n,
                 std::vector<std::byte>& bytes, float* to) {
  const WeightFile& file = files[static_cast<size_t>(t.file)];
  bytes.resize(t.bytes_of(n));
  read_at(file.fd.get(), bytes.data(), bytes.size(), t.offset + t.bytes_of(begin), file.path);
  (t.blocks ? t.blocks : format_of(t.dtype))->decode_row(bytes.data(), n, to);
}

void encode(DType dtype, const std::vector<float>& values, std::vector<std::byte>& out) {
  out.resize(values.size() * static_cast<size_t>(dtype_bytes(dtype)));
  if (dtype == DType::kF32) {
    std::memcpy(out.data(), values.data(), out.size());
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = dtype == DType::kBF16 ? f32_to_bf16(values[i]) : f32_to_f16(values[i]);
    std::memcpy(out.data() + 2 * i, &bits, 2);
  }
}

class MadeFile {
 public:
  // Rows (of a vector: elements) of `from` in the order in which models are published.
  uint64_t unpair(const Place& from, int64_t heads) {
    return add({Recipe::Kind::kUnpairRows, from, {}, heads, from.dtype, 0}, from.bytes);
  }
  uint64_t join(const Place& keys, const Place& values, DType dtype) {
    const int64_t n = keys.rows() * keys.cols() + values.rows() * values.cols();
    return add({Recipe::Kind::kJoinKeyValue, keys, values, keys.shape[0], dtype, 0},
               static_cast<uint64_t>(n * dtype_bytes(dtype)));
  }
  bool empty() const { return recipes_.empty(); }

  // Its file, of full length and not written yet.
  WeightFile open(const std::string& path) {
    WeightFile file;
    file.path = path;
    file.bytes = static_cast<int64_t>(bytes_);
    file.fd = FileHandle(::memfd_create("dstools-rearranged", MFD_CLOEXEC));
    if (file.fd.get() < 0 || ::ftruncate(file.fd.get(), file.bytes) != 0)
      throw Error(ErrorKind::kOs, "no memory file for rearranged tensors: " + os_error(), path);
    return file;
  }
  // files.back() is the one that open() gave.
  void write(const std::vector<WeightFile>& files) {
    std::call_once(written_, [&] {
      for (const Recipe& r : recipes_)
        r.kind == Recipe::Kind::kUnpairRows ? write_unpaired(files, r) : write_joined(files, r);
    });
  }

 private:
  uint64_t add(Recipe recipe, uint64_t bytes) {
    constexpr uint64_t kAlignment = 64;
    recipe.offset = bytes_;
    bytes_ = (bytes_ + bytes + kAlignment - 1) / kAlignment * kAlignment;
    recipes_.push_back(std::move(recipe));
    return recipes_.back().offset;
  }

  static void write_unpaired(const std::vector<WeightFile>& files, const Recipe& r) {
    const Place& t = r.from;
    const WeightFile& file = files[static_cast<size_t>(t.file)];
    const int64_t n = t.shape[0];
    const uint64_t head_bytes = t.bytes / static_cast<uint64_t>(r.heads),
                   row_bytes = t.bytes / static_cast<uint64_t>(n);
    std::vector<std::byte> in(head_bytes), out(head_bytes);
    for (int64_t h = 0; h < r.heads; ++h) {
      const uint64_t at = static_cast<uint64_t>(h) * head_bytes;
      read_at(file.fd.get(), in.data(), in.size(), t.offset + at, file.path);
      for (int64_t i = 0; i < n / r.heads; ++i)
        std::memcpy(out.data() + static_cast<uint64_t>(i) * row_bytes,
                    in.data() + static_cast<uint64_t>(unpaired_from(i, n / r.heads, 1)) * row_bytes,
                    row_bytes);
      write_at(files.back().fd.get(), out.data(), out.size(), r.offset + at, file.path);
    }
  }

  static void write_joined(const std::vector<WeightFile>& files, const Recipe& r) {
    const int64_t R = r.from.shape[1], Dn = r.from.shape[2], Dv = r.values.shape[1];
    std::vector<std::byte> bytes;
    std::vector<float> keys(static_cast<size_t>(R * Dn));  // [R, Dn]
    std::vector<float> head(static_cast<size_t>((Dn + Dv) * R));
    for (int64_t h = 0; h < r.heads; ++h) {
      read_floats(files, r.from, h * R * Dn, R * Dn, bytes, keys.data());
      for (int64_t k = 0; k < Dn; ++k)
        for (int64_t c = 0; c < R; ++c)
          head[static_cast<size_t>(k * R + c)] = keys[static_cast<size_t>(c * Dn + k)];
      read_floats(files, r.values, h * Dv * R, Dv * R, bytes, head.data() + Dn * R);
      encode(r.dtype, head, bytes);
      write_at(files.back().fd.get(), bytes.data(), bytes.size(),
               r.offset + static_cast<uint64_t>(h) * bytes.size(), files.back().path);
    }
  }

  std::vector<Recipe> recipes_;
  uint64_t bytes_ = 0;
  std::once_flag written_;
};

// ---- what is published ----

class Publisher {
 public:
  explicit Publisher(GgufParts parts) : parts_(std::move(parts)), arch_(parts_.architecture()) {}

  WeightFiles publish() {
    for (const Place& t : parts_.tensors) add(t);
    out_.files = std::move(parts_.files);
    if (!made_->empty()) {
      out_.files.push_back(made_->open(parts_.path));
      out_.make_last = [made = made_](const std::vector<WeightFile>& files) { made->write(files); };
    }
    std::stable_sort(out_.tensors.begin(), out_.tensors.end(),
                     [](const StoredTensor& a, const StoredTensor& b) {
                       return a.file != b.file ? a.file < b.file : a.offset < b.offset;
                     });
    return std::move(out_);
  }

 private:
  int64_t heads(const char* key, int64_t absent) const {
    const Json* n = find(parts_.metadata, arch_ + ".attention." + key);
    return n && is_int(*n) ? as_int(*n) : absent;
  }
  int64_t n_heads() const { return heads("head_count", 0); }
  int64_t n_kv_heads() const { return heads("head_count_kv", n_heads()); }

  void add(const Place& t) {
    if (const auto top = published_top(t.name)) return put(*top, t);
    std::string_view rest = t.name;
    if (rest == "rope_freqs.weight") return;  // the config says it
    const size_t dot = rest.find('.', 4), end = rest.rfind('.');
    const bool is_layer = rest.starts_with("blk.") && dot != rest.npos && end > dot && dot > 4 && dot <= 10 &&
                          std::all_of(rest.begin() + 4, rest.begin() + static_cast<ptrdiff_t>(dot),
                                      [](char c) { return c >= '0' && c <= '9'; });
    if (!is_layer) bad(parts_, t, "is not known of architecture " + arch_);
    add_to_layer("model.layers." + std::string(rest.substr(4, dot - 4)) + ".",
                 std::string(rest.substr(dot + 1, end - dot - 1)), std::string(rest.substr(end)), t);
  }

  // kind: ".weight" or ".bias".
  void add_to_layer(const std::string& layer, const std::string& part, const std::string& kind,
                    const Place& t) {
    if (part == "attn_q") return put_rotated(layer + "self_attn.q_proj" + kind, t, n_heads());
    if (part == "attn_k") return put_rotated(layer + "self_attn.k_proj" + kind, t, n_kv_heads());
    if (part == "attn_qkv") return put_fused(layer + "self_attn.", kind, t);
    if (part == "attn_k_b") return put_joined(layer + "self_attn.kv_b_proj" + kind, t);
    if (part == "attn_v_b") return;  // beside attn_k_b
    if (part == "attn_rot_embd") return;
    if (part == "exp_probs_b") return put(layer + "mlp.gate.e_score_correction_bias", t);
    for (const char* which : {"gate", "up", "down"})
      if (part == "ffn_" + std::string(which) + "_exps") return put_experts(layer, which, kind, t);
    const auto known = published_part(part);
    if (!known) bad(parts_, t, "is not known of architecture " + arch_);
    put(layer + *known + kind, t);
  }

  StoredTensor& put_at(const std::string& name, const Place& t, std::vector<int64_t> shape, int file,
                       uint64_t offset, uint64_t bytes) {
    StoredTensor s;
    s.info.name = name;
    s.info.dtype = t.dtype;
    s.info.dtype_name = t.type_name;
    s.info.shape = std::move(shape);
    s.info.end = bytes;
    s.file = file;
    s.offset = offset;
    s.blocks = t.blocks;
    out_.tensors.push_back(std::move(s));
    return out_.tensors.back();
  }
  int made_file() const { return static_cast<int>(parts_.files.size()); }
  void put(const std::string& name, const Place& t) { put_at(name, t, t.shape, t.file, t.offset, t.bytes); }

  void put_rotated(const std::string& name, const Place& t, int64_t heads) {
    if (!gguf_pairs_rows(arch_)) return put(name, t);
    if (t.shape.empty() || heads < 1 || t.shape[0] % (2 * heads) != 0)
      bad(parts_, t, "does not divide into " + std::to_string(heads) + " heads of pairs");
    put_at(name, t, t.shape, made_file(), made_->unpair(t, heads), t.bytes);
  }

  // Rows of q, k and v, one after the other.
  void put_fused(const std::string& attention, const std::string& kind, const Place& t) {
    const int64_t all = n_heads() + 2 * n_kv_heads(), rows = t.shape.empty() ? 0 : t.shape[0];
    if (n_heads() < 1 || n_kv_heads() < 1 || n_heads() > rows || n_kv_heads() > rows || rows % all != 0)
      bad(parts_, t, "does not divide into the heads of q, k and v");
    Place part = t;
    for (const char* which : {"q", "k", "v"}) {
      const int64_t heads = *which == 'q' ? n_heads() : n_kv_heads();
      part.shape[0] = rows / all * heads;
      part.bytes = t.bytes / static_cast<uint64_t>(all) * static_cast<uint64_t>(heads);
      const std::string name = attention + which + "_proj" + kind;
      *which == 'v' ? put(name, part) : put_rotated(name, part, heads);
      part.offset += part.bytes;
    }
  }

  void put_experts(const std::string& layer, const std::string& which, const std::string& kind,
                   const Place& t) {
    if (t.shape.size() != 3)
      bad(parts_, t, "has shape " + shape_text(t.shape) + ", [E, out, in] was expected");
    const int64_t E = t.shape[0];
    const uint64_t bytes = t.bytes / static_cast<uint64_t>(E);
    for (int64_t e = 0; e < E; ++e)
      put_at(layer + "mlp.experts." + std::to_string(e) + "." + which + "_proj" + kind, t,
             {t.shape[1], t.shape[2]}, t.file, t.offset + static_cast<uint64_t>(e) * bytes, bytes);
  }

  void put_joined(const std::string& name, const Place& keys) {
    const Place* values = parts_.find(keys.name.substr(0, keys.name.find("attn_k_b")) + "attn_v_b.weight");
    if (!values) bad(parts_, keys, "has no attn_v_b beside it");
    const auto &k = keys.shape, &v = values->shape;
    if (k.size() != 3 || v.size() != 3 || k[0] != v[0] || k[1] != v[2])
      bad(parts_, keys,
          "has shape " + shape_text(k) + " and attn_v_b " + shape_text(v) +
              ", [H, Rkv, Dn] and [H, Dv, Rkv] were expected");
    Place made = keys;
    made.blocks = nullptr;
    made.dtype = !keys.blocks && keys.dtype == values->dtype ? keys.dtype : DType::kF32;
    const std::string type(dtype_name(made.dtype));
    const int64_t rows = k[0] * (k[2] + v[1]);
    StoredTensor& s = put_at(name, made, {rows, k[1]}, made_file(), made_->join(keys, *values, made.dtype),
                             static_cast<uint64_t>(rows * k[1] * dtype_bytes(made.dtype)));
    s.info.dtype_name = type;
  }

  GgufParts parts_;
  std::string arch_;
  WeightFiles out_;
  std::shared_ptr<MadeFile> made_ = std::make_shared<MadeFile>();
};

}  // namespace

WeightFiles gguf_weights(const std::string& path) {
  return Publisher(open_gguf(path, GgufArrays::kSkipLong)).publish();
}

}  // namespace ds::checkpoint
