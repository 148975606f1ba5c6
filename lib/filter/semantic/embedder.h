// A static text embedder: a vector per word (Chinese: per ideograph and pair of ideographs), summed. Tables
// come from scripts/make/train_embedder.py, from model2vec folders or from fastText .vec files.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "filter/text/document.h"

namespace ds::filter {

class Embedder {
 public:
  // "" is the one that ships. A folder: model2vec (model.safetensors and tokenizer.json). "*.vec": fastText
  // text format. "*.safetensors": our layout. Throws Error{kNoInput}, {kBadModel}.
  static std::shared_ptr<Embedder> load(const std::string& path);

  int dim() const { return dim_; }
  const std::string& name() const { return name_; }
  const std::string& digest() const { return digest_; }  // of the tables: thresholds belong to one embedder

  struct Result {
    double known_share = 0;  // of the features looked up
    int n_units = 0;
  };
  // Unit vector of the text's first max_units units into out[dim()]; zeros when nothing is known.
  Result embed(const Document& doc, int max_units, float* out) const;

  // Replaces the references by these texts' vectors (at most 1024, evenly chosen). Throws Error{kBadData}
  // when none can be embedded.
  void set_references(const std::vector<std::string>& texts, int max_units, const std::string& name);
  const std::string& reference_name() const { return reference_name_; }
  int n_references(Script script) const {
    return static_cast<int>(references_[static_cast<int>(script)].size()) / dim_;
  }
  // Highest cosine to a reference of the document's script; -1 when there is none.
  double cosine(Script script, const float* vector) const;
  // The same on the scale where 0.7 is the calibrated cut: cosines of two embedders mean nothing to each
  // other, so each brings the cosine that separates its domain (0.7 itself when it brings none).
  double score(Script script, const float* vector) const {
    return calibrated(cosine(script, vector), cut_[static_cast<int>(script)]);
  }
  double cut(Script script) const { return cut_[static_cast<int>(script)]; }
  void set_cut(Script script, double cosine) { cut_[static_cast<int>(script)] = cosine; }
  static double calibrated(double cosine, double cut);

 private:
  void load_own(std::string_view bytes, const std::string& where);
  void load_model2vec(const std::string& folder);
  void load_vec(const std::string& path);
  void add_row(uint64_t hash, const float* values);
  void build_index();
  int64_t row(uint64_t hash) const;

  int dim_ = 0;
  std::string name_, digest_, reference_name_ = "shipped";
  std::vector<uint64_t> hashes_;
  std::vector<int8_t> rows_;   // [V, D]
  std::vector<float> scales_;  // [V]
  std::vector<float> mean_[kScripts];
  double cut_[kScripts] = {0.7, 0.7};
  std::vector<float> references_[kScripts];  // [R, D], unit vectors
  struct Slot {
    uint64_t hash = 0;
    uint32_t next_row = 0;  // row + 1; 0: free
  };
  std::vector<Slot> slots_;  // open addressing
};

}  // namespace ds::filter
