#include "quant/verify.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include "core/clock.h"
#include "core/error.h"
#include "core/json_value.h"
#include "core/parallel.h"
#include "io/json.h"
#include "quant/bands.h"

namespace ds::quant {
namespace {

constexpr int64_t kPartValues = 1 << 20;

struct Pair {
  const StoredTensor *a, *b;
  WeightCoding ca, cb;
};
struct Part {
  size_t pair;
  int64_t row, rows, col, cols;
};

// Rectangles of about kPartValues whose borders suit the blocks of both sides.
void add_parts(const Pair& p, size_t index, std::vector<Part>& parts) {
  const int64_t rows = p.ca.rows, cols = p.ca.cols;
  if (rows == 0 || cols == 0) return;
  int64_t unit = std::lcm(std::max<int64_t>(p.ca.block_cols, 2), std::max<int64_t>(p.cb.block_cols, 2));
  unit = std::min(std::lcm(unit, int64_t{2}), cols);
  const int64_t part_cols = std::min(cols, std::max<int64_t>(kPartValues / unit, 1) * unit);
  const int64_t part_rows = std::max<int64_t>(kPartValues / part_cols, 1);
  for (int64_t r = 0; r < rows; r += part_rows)
    for (int64_t c = 0; c < cols; c += part_cols)
      parts.push_back({index, r, std::min(part_rows, rows - r), c, std::min(part_cols, cols - c)});
}

TensorStats compare(const std::vector<float>& a, const std::vector<float>& b) {
  TensorStats s;
  s.n = static_cast<int64_t>(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) {
      ++s.n_non_finite;
      // The same non-finite value is no error; anything else spoils the tensor.
      if (!(std::isnan(a[i]) && std::isnan(b[i])) && a[i] != b[i]) s.error = INFINITY;
      continue;
    }
    const double x = a[i], d = x - b[i];
    s.signal += x * x;
    s.error += d * d;
    s.max_value = std::max(s.max_value, std::fabs(x));
    s.max_error = std::max(s.max_error, std::fabs(d));
  }
  return s;
}

bool same_bytes(const ModelFolder& a, const StoredTensor& x, const ModelFolder& b, const StoredTensor& y) {
  if (x.bytes() != y.bytes()) return false;
  std::vector<char> p(1 << 20), q(1 << 20);
  for (uint64_t at = 0; at < x.bytes(); at += p.size()) {
    const size_t n = std::min<uint64_t>(p.size(), x.bytes() - at);
    a.read(x, at, p.data(), n);
    b.read(y, at, q.data(), n);
    if (std::memcmp(p.data(), q.data(), n) != 0) return false;
  }
  return true;
}

// What the loaders of the field require beyond readable values.
void check_structure(const ModelFolder& out, std::vector<std::string>& problems) {
  bool has_fp8 = false;
  std::set<std::string> kept;
  const Json* q = find(out.config_json(), "quantization_config");
  for (const char* key : {"modules_to_not_convert", "ignored_layers"})
    if (const Json* list = q ? find(*q, key) : nullptr; list && list->is_array())
      for (const Json& m : *list)
        if (m.is_string()) kept.insert(as_string(m));
  int64_t total = 0;
  for (const StoredTensor& t : out.tensors()) {
    total += static_cast<int64_t>(t.bytes());
    const WeightCoding c = out.coding(t);
    if (!c.problem.empty()) problems.push_back(out.where(t) + " " + c.problem);
    has_fp8 |= c.format == &kE4M3Format;
    const std::string& name = t.info.name;
    if (c.format == &kE4M3Format && name.size() > 7 && kept.count(name.substr(0, name.size() - 7)))
      problems.push_back(out.where(t) + " is F8_E4M3 but in the skip list of quantization_config");
    const int64_t width = dtype_bytes(t.info.dtype);
    if (width > 1 && t.info.begin % width != 0)
      problems.push_back(out.where(t) + " starts at no multiple of its element size: torch cannot view it");
  }
  if (has_fp8 && !q)
    problems.push_back(out.path() + "/config.json has FP8 weights but no quantization_config");
  if (!has_fp8 && q)
    problems.push_back(out.path() + "/config.json has a quantization_config but no FP8 weights");
  if (!out.has_index()) return;
  const std::string path = out.path() + "/model.safetensors.index.json";
  const Json index = parse_json(read_file(path), path, ErrorKind::kBadModel);
  const Json* metadata = find(index, "metadata");
  const Json* size = metadata ? find(*metadata, "total_size") : nullptr;
  if (!size || !is_int(*size) || as_int(*size) != total)
    problems.push_back(path + ": metadata.total_size is " + (size ? dump(*size) : "missing") +
                       ", tensors have " + std::to_string(total) + " bytes");
  const size_t listed = find(index, "weight_map")->size();
  if (listed != out.tensors().size())
    problems.push_back(path + " lists " + std::to_string(listed) + " of " +
                       std::to_string(out.tensors().size()) + " tensors");
}

}  // namespace

std::vector<const TensorStats*> VerifyReport::below(double min_sqnr_db) const {
  std::vector<const TensorStats*> found;
  for (const TensorStats& t : tensors)
    if (t.error > 0 && !(t.sqnr_db() >= min_sqnr_db)) found.push_back(&t);
  std::stable_sort(found.begin(), found.end(),
                   [](const TensorStats* a, const TensorStats* b) { return a->sqnr_db() < b->sqnr_db(); });
  return found;
}

VerifyReport verify(const ModelFolder& model, const ModelFolder& out, const QuantizeOptions& o) {
  const int64_t start = now_ns();
  VerifyReport report;
  check_structure(out, report.problems);
  std::vector<Pair> pairs;
  std::vector<Part> parts;
  for (const StoredTensor& a : model.tensors()) {
    if (model.is_companion(a)) continue;
    const StoredTensor* b = out.find(a.info.name);
    if (!b) {
      report.problems.push_back(model.where(a) + " is missing in " + out.path());
      continue;
    }
    Pair p{&a, b, model.coding(a), out.coding(*b)};
    if (!p.ca.problem.empty() || !p.cb.problem.empty()) continue;  // named above, or copied as it was
    if (p.ca.rows != p.cb.rows || p.ca.cols != p.cb.cols) {
      report.problems.push_back(out.where(*b) + " has another shape than in MODEL: " +
                                shape_text(b->info.shape) + " for " + shape_text(a.info.shape));
      continue;
    }
    if (!p.ca.format || !p.cb.format) {
      if (!same_bytes(model, a, out, *b)) report.problems.push_back(out.where(*b) + " differs from MODEL");
      continue;
    }
    add_parts(p, pairs.size(), parts);
    pairs.push_back(std::move(p));
  }
  for (const StoredTensor& b : out.tensors())
    if (!out.is_companion(b) && !model.find(b.info.name))
      report.problems.push_back(out.where(b) + " is not in MODEL");

  struct Buffers {
    BandScratch a, b;
    std::vector<float> x, y;
  };
  ThreadPool pool(o.n_threads);
  std::vector<Buffers> buffers(o.n_threads);
  std::vector<TensorStats> part_stats(parts.size());
  int64_t total = 0;
  for (const Part& p : parts) total += p.rows * p.cols;
  std::atomic<int64_t> done{0};
  std::atomic<bool> stopped{false};
  pool.parallel_for(static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) {
      if (stopped || (o.stop && o.stop())) {
        stopped = true;
        return;
      }
      const Part& part = parts[i];
      const Pair& p = pairs[part.pair];
      Buffers& buf = buffers[thread];
      buf.x.resize(part.rows * part.cols);
      buf.y.resize(buf.x.size());
      read_values(model, *p.a, p.ca, o.isa, part.row, part.rows, part.col, part.cols, buf.a, buf.x.data());
      read_values(out, *p.b, p.cb, o.isa, part.row, part.rows, part.col, part.cols, buf.b, buf.y.data());
      part_stats[i] = compare(buf.x, buf.y);
      if (p.cb.format == &kE4M3Format)
        count_codes(part_stats[i], reinterpret_cast<const uint8_t*>(buf.b.in.data()), part.rows * part.cols);
      done += part.rows * part.cols;
      if (thread == 0 && o.progress) o.progress(done, total);
    }
  });
  if (stopped) throw Error(ErrorKind::kInterrupted, "stopped on request", out.path());
  report.tensors.resize(pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i) report.tensors[i].name = pairs[i].a->info.name;
  for (size_t i = 0; i < parts.size(); ++i) report.tensors[parts[i].pair].add(part_stats[i]);
  for (const TensorStats& t : report.tensors)
    if (t.n_nan > 0 && !std::isfinite(t.error))
      report.problems.push_back(out.path() + ": tensor " + t.name + " has " + std::to_string(t.n_nan) +
                                " NaN codes where MODEL has numbers");
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace ds::quant
