#include "filter/semantic/embedder.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/hash.h"
#include "core/json_value.h"
#include "core/numbers.h"
#include "core/utf8.h"
#include "filter/embedded.h"
#include "filter/text/characters.h"
#include "filter/text/clones.h"
#include "io/json.h"
#include "io/lines.h"
#include "io/safetensors.h"

namespace ds::filter {
namespace {

// out[i] += sum over rows of scale * row[i].
DS_CLONES void sum_rows(const int8_t* table, const float* scales, int dim, const uint32_t* rows, size_t n,
                        float* out) {
  constexpr size_t kAhead = 32;
  for (size_t k = 0; k < n; ++k) {
    if (k + kAhead < n) __builtin_prefetch(table + static_cast<size_t>(rows[k + kAhead]) * dim);
    const int8_t* v = table + static_cast<size_t>(rows[k]) * dim;
    const float scale = scales[rows[k]];
    for (int i = 0; i < dim; ++i) out[i] += scale * static_cast<float>(v[i]);
  }
}

// Highest dot product with any of the n vectors; sixteen partial sums whatever the instruction set.
DS_CLONES float best_dot(const float* list, size_t n, int dim, const float* vector) {
  float best = -1;
  for (size_t r = 0; r < n; ++r) {
    const float* v = list + r * dim;
    float part[16] = {};
    int i = 0;
    for (; i + 16 <= dim; i += 16)
      for (int k = 0; k < 16; ++k) part[k] += v[i + k] * vector[i + k];
    float sum = 0;
    for (; i < dim; ++i) sum += v[i] * vector[i];
    for (int k = 0; k < 16; ++k) sum += part[k];
    best = sum > best ? sum : best;
  }
  return best;
}

constexpr int kMaxDim = 1024;
constexpr size_t kMaxReferences = 1024;

uint64_t pair_hash(uint64_t a, uint64_t b) { return mix_hash(a * 31 + b); }

// The hash of a vocabulary entry as Document hashes the same word.
uint64_t entry_hash(std::string_view text) {
  const LetterTable& table = LetterTable::instance();
  std::vector<uint32_t> chars;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.length == 0) return 0;
    chars.push_back(table.fold(c.code_point));
    text.remove_prefix(c.length);
  }
  if (chars.size() == 2 && (table.flags(chars[0]) & kHan) && (table.flags(chars[1]) & kHan))
    return pair_hash(hash_char(chars[0]), hash_char(chars[1]));
  uint64_t h = kHashSeed;
  for (const uint32_t c : chars) h = (h ^ c) * kHashPrime;
  return mix_hash(h);
}

bool normalise(float* v, int dim) {
  double sum = 0;
  for (int i = 0; i < dim; ++i) sum += static_cast<double>(v[i]) * v[i];
  if (!(sum > 0)) return false;
  const float scale = static_cast<float>(1 / std::sqrt(sum));
  for (int i = 0; i < dim; ++i) v[i] *= scale;
  return true;
}

std::string hex_digest(const void* data, size_t n, uint64_t seed) {
  return hex_of(XXH3_64bits_withSeed(data, n, seed));
}

bool is_folder(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

}  // namespace

std::shared_ptr<Embedder> Embedder::load(const std::string& path) {
  auto e = std::make_shared<Embedder>();
  if (path.empty()) {
    e->load_own(embedded_file("embedder.safetensors"), "shipped embedder");
    e->name_ = "shipped";
  } else if (is_folder(path)) {
    e->load_model2vec(path);
    e->name_ = path;
  } else if (path.size() > 4 && path.substr(path.size() - 4) == ".vec") {
    e->load_vec(path);
    e->name_ = path;
  } else {
    e->load_own(read_file(path, int64_t{1} << 32), path);
    e->name_ = path;
  }
  e->build_index();
  e->digest_ = hex_digest(e->rows_.data(), e->rows_.size(),
                          XXH3_64bits(e->hashes_.data(), e->hashes_.size() * sizeof e->hashes_[0]));
  return e;
}

void Embedder::load_own(std::string_view bytes, const std::string& where) {
  const auto bad = [&](const std::string& what) -> Error {
    return Error(ErrorKind::kBadModel, what, where, "make one with scripts/make/train_embedder.py");
  };
  if (bytes.size() < 8) throw bad("too short for a safetensors file");
  const uint64_t header_bytes = load_unaligned<uint64_t>(bytes.data());
  if (header_bytes > bytes.size() - 8) throw bad("the header is longer than the file");
  const std::string_view data = bytes.substr(8 + header_bytes);
  const SafetensorsHeader header =
      parse_safetensors_header(bytes.substr(8, header_bytes), data.size(), where);
  const auto find = [&](const char* name, DType dtype, size_t rank) -> const TensorInfo& {
    for (const TensorInfo& t : header.tensors)
      if (t.name == name) {
        if (t.dtype != dtype || t.shape.size() != rank)
          throw bad(std::string(name) + " has an unexpected type or shape");
        return t;
      }
    throw bad(std::string("tensor ") + name + " is missing");
  };
  const TensorInfo& hashes = find("hashes", DType::kI64, 1);
  const TensorInfo& vectors = find("vectors", DType::kI8, 2);
  const TensorInfo& scales = find("scales", DType::kF32, 1);
  const TensorInfo& mean = find("mean", DType::kF32, 2);
  const TensorInfo& references = find("references", DType::kF32, 2);
  const TensorInfo& language = find("reference_language", DType::kI32, 1);
  const int64_t v = hashes.shape[0];
  if (vectors.shape[1] < 1 || vectors.shape[1] > kMaxDim) throw bad("the vectors have an unexpected width");
  dim_ = static_cast<int>(vectors.shape[1]);
  if (v < 1 || vectors.shape[0] != v || scales.shape[0] != v || mean.shape[0] != kScripts ||
      mean.shape[1] != dim_ || references.shape[1] != dim_ || language.shape[0] != references.shape[0])
    throw bad("the tensors' shapes do not fit each other");
  const TensorInfo& calibration = find("calibration", DType::kF32, 1);
  if (calibration.shape[0] != kScripts) throw bad("the tensors' shapes do not fit each other");
  const auto floats = [&](const TensorInfo& t, int64_t begin, int64_t n, std::vector<float>& out) {
    for (int64_t i = 0; i < n; ++i) {
      const float f = load_unaligned<float>(data.data() + t.begin + (begin + i) * sizeof(float));
      if (!std::isfinite(f)) throw bad(t.name + " holds a value that is not finite");
      out.push_back(f);
    }
  };
  std::vector<float> cuts;
  floats(calibration, 0, kScripts, cuts);
  for (int k = 0; k < kScripts; ++k) {
    if (!(cuts[k] > 0 && cuts[k] < 1)) throw bad("calibration is not between 0 and 1");
    cut_[k] = cuts[k];
  }
  hashes_.resize(v);
  std::memcpy(hashes_.data(), data.data() + hashes.begin, v * sizeof(uint64_t));
  rows_.resize(v * dim_);
  std::memcpy(rows_.data(), data.data() + vectors.begin, rows_.size());
  floats(scales, 0, v, scales_);
  for (int k = 0; k < kScripts; ++k) floats(mean, k * dim_, dim_, mean_[k]);
  for (int64_t r = 0; r < references.shape[0]; ++r) {
    const int32_t k = load_unaligned<int32_t>(data.data() + language.begin + r * sizeof(int32_t));
    if (k < 0 || k >= kScripts) throw bad("reference_language holds an unknown language");
    floats(references, r * dim_, dim_, references_[k]);
  }
}

void Embedder::add_row(uint64_t hash, const float* values) {
  float most = 0;
  for (int i = 0; i < dim_; ++i) most = std::max(most, std::fabs(values[i]));
  if (!std::isfinite(most)) return;
  const float scale = most > 0 ? most / 127 : 1;
  hashes_.push_back(hash);
  scales_.push_back(scale);
  for (int i = 0; i < dim_; ++i) rows_.push_back(static_cast<int8_t>(std::lrint(values[i] / scale)));
}

// Whole words and ideographs of the vocabulary are used; continuation pieces ("##ing") never stand alone and
// are left out, so words outside the vocabulary count as unknown.
void Embedder::load_model2vec(const std::string& folder) {
  const SafetensorsFile file(folder + "/model.safetensors");
  const TensorInfo* table = file.find("embeddings");
  if (!table) table = file.find("embedding.weight");
  if (!table || table->shape.size() != 2 || (table->dtype != DType::kF32 && table->dtype != DType::kF16) ||
      table->shape[1] < 1 || table->shape[1] > kMaxDim)
    throw Error(ErrorKind::kBadModel, "expected a tensor embeddings [V, D] of F32 or F16", file.path());
  const std::string where = folder + "/tokenizer.json";
  const Json tokenizer = parse_json(read_file(where, int64_t{1} << 30), where, ErrorKind::kBadModel);
  const Json* model = find(tokenizer, "model");
  const Json* vocab = model ? find(*model, "vocab") : nullptr;
  if (!vocab || (!vocab->is_object() && !vocab->is_array()))
    throw Error(ErrorKind::kBadModel, "model.vocab is missing", where);
  dim_ = static_cast<int>(table->shape[1]);
  const int64_t v = table->shape[0];
  const std::byte* data = file.data(*table).data();
  std::vector<float> row_values(dim_);
  const auto add = [&](std::string_view token, int64_t id) {
    if (id < 0 || id >= v || token.substr(0, 2) == "##") return;
    if (token.substr(0, 3) == "\xE2\x96\x81") token.remove_prefix(3);
    if (token.empty()) return;
    for (int i = 0; i < dim_; ++i)
      row_values[i] = table->dtype == DType::kF32
                          ? load_unaligned<float>(data + (id * dim_ + i) * 4)
                          : f16_to_f32(load_unaligned<uint16_t>(data + (id * dim_ + i) * 2));
    add_row(entry_hash(token), row_values.data());
  };
  if (vocab->is_object()) {
    for (const auto& [token, id] : vocab->items())
      if (is_int(id)) add(token, as_int(id));
  } else {
    int64_t id = 0;  // Unigram: a list of [token, score]
    for (const Json& entry : *vocab) {
      if (entry.is_array() && !entry.empty() && entry[0].is_string()) add(as_string(entry[0]), id);
      ++id;
    }
  }
  if (hashes_.empty()) throw Error(ErrorKind::kBadModel, "no vocabulary entry has a vector", where);
}

// "count dim", then a word and its numbers a line.
void Embedder::load_vec(const std::string& path) {
  LineReader lines(path);
  const auto first = lines.next();
  long long count = 0;
  if (!first || std::sscanf(std::string(*first).c_str(), "%lld %d", &count, &dim_) != 2 || dim_ < 1 ||
      dim_ > kMaxDim)
    throw Error(ErrorKind::kBadModel, "expected 'count dim' in the first line", lines.where());
  std::vector<float> values(dim_);
  while (const auto line = lines.next()) {
    const size_t space = line->find(' ');
    if (space == line->npos || space == 0) continue;
    const std::string numbers(line->substr(space));
    const char* at = numbers.c_str();
    for (int i = 0; i < dim_; ++i) {
      char* end = nullptr;
      values[i] = std::strtof(at, &end);
      if (end == at)
        throw Error(ErrorKind::kBadModel, "expected " + std::to_string(dim_) + " numbers", lines.where());
      at = end;
    }
    add_row(entry_hash(line->substr(0, space)), values.data());
  }
  if (hashes_.empty()) throw Error(ErrorKind::kBadModel, "no vectors", path);
}

void Embedder::build_index() {
  size_t size = 1024;
  while (size < hashes_.size() * 2) size *= 2;
  slots_.assign(size, {});
  for (size_t r = 0; r < hashes_.size(); ++r) {
    size_t s = hashes_[r] & (size - 1);
    while (slots_[s].next_row && slots_[s].hash != hashes_[r]) s = (s + 1) & (size - 1);
    if (!slots_[s].next_row) slots_[s] = {hashes_[r], static_cast<uint32_t>(r + 1)};
  }
}

int64_t Embedder::row(uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t s = hash & mask;; s = (s + 1) & mask) {
    if (!slots_[s].next_row) return -1;
    if (slots_[s].hash == hash) return slots_[s].next_row - 1;
  }
}

Embedder::Result Embedder::embed(const Document& doc, int max_units, float* out) const {
  Result result;
  std::fill(out, out + dim_, 0.0f);
  struct Feature {
    uint64_t hash;
    bool unit;  // no pair
  };
  thread_local std::vector<Feature> features;  // scratch, kept between calls
  thread_local std::vector<uint32_t> rows;
  features.clear();
  rows.clear();
  size_t n = 0;
  if (doc.script == Script::kHan) {
    // Ideographs and pairs of neighbours; Latin letters among them belong to no feature.
    const Word* before = nullptr;
    for (const Word& w : doc.words) {
      if (!(doc.flags[w.begin] & kHan)) continue;
      if (n == static_cast<size_t>(max_units)) break;
      ++n;
      features.push_back({w.hash, true});
      if (before && before->begin + 1 == w.begin)
        features.push_back({pair_hash(before->hash, w.hash), false});
      before = &w;
    }
  } else {
    n = std::min<size_t>(doc.shingle_units.size(), max_units);
    for (size_t i = 0; i < n; ++i) features.push_back({doc.shingle_units[i], true});
  }
  // The table is larger than the near caches: slots are asked for before they are needed.
  constexpr size_t kAhead = 16;
  rows.resize(features.size());
  size_t n_rows = 0;
  int known = 0;
  for (size_t i = 0; i < features.size(); ++i) {
    if (i + kAhead < features.size())
      __builtin_prefetch(&slots_[features[i + kAhead].hash & (slots_.size() - 1)]);
    const int64_t r = row(features[i].hash);
    // Written in any case, counted when it is one: half of the pairs are, and no branch guesses which.
    rows[n_rows] = static_cast<uint32_t>(r);
    n_rows += r >= 0;
    known += r >= 0 && features[i].unit;
  }
  sum_rows(rows_.data(), scales_.data(), dim_, rows.data(), n_rows, out);
  result.n_units = static_cast<int>(n);
  result.known_share = n ? static_cast<double>(known) / static_cast<double>(n) : 0;
  if (!normalise(out, dim_)) return result;
  const auto& mean = mean_[static_cast<int>(doc.script)];
  if (!mean.empty())
    for (int i = 0; i < dim_; ++i) out[i] -= mean[i];
  normalise(out, dim_);
  return result;
}

void Embedder::set_references(const std::vector<std::string>& texts, int max_units, const std::string& name) {
  for (auto& r : references_) r.clear();
  const size_t step = std::max<size_t>(1, (texts.size() + kMaxReferences - 1) / kMaxReferences);
  Document doc;
  std::vector<float> v(dim_);
  size_t n = 0;
  for (size_t i = 0; i < texts.size(); i += step) {
    doc.text = texts[i];
    prepare(doc);
    if (embed(doc, max_units, v.data()).known_share == 0) continue;
    auto& list = references_[static_cast<int>(doc.script)];
    list.insert(list.end(), v.begin(), v.end());
    ++n;
  }
  if (n == 0)
    throw Error(ErrorKind::kBadData, "no reference text has a word the embedder knows", name,
                "give texts of the languages that the embedder was made for");
  reference_name_ = name;
  for (double& cut : cut_) cut = 0.7;  // the shipped calibration belongs to the shipped references
}

double Embedder::calibrated(double cosine, double cut) {
  // Two straight lines through (0, 0), (cut, 0.7), (1, 1): monotone, so nothing is decided but the scale.
  return cosine < cut ? cosine * 0.7 / cut : 0.7 + (cosine - cut) * 0.3 / (1 - cut);
}

double Embedder::cosine(Script script, const float* vector) const {
  const auto& list = references_[static_cast<int>(script)];
  return best_dot(list.data(), list.size() / dim_, dim_, vector);
}

}  // namespace ds::filter
