#include "quant/gguf_export.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "checkpoint/gguf_names.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/numbers.h"
#include "core/parallel.h"
#include "quant/bands.h"
#include "quant/gguf_blocks.h"
#include "quant/gguf_mixture.h"
#include "quant/gguf_names.h"
#include "quant/output_folder.h"

namespace ds::quant {
namespace {

using Order = GgufSource::Order;
constexpr int64_t kPieceValues = 1 << 20;

// Rows [row, row + n) of a GGUF tensor as F32.
class RowReader {
 public:
  RowReader(const ModelFolder& model, Isa isa, const GgufTensor& tensor, const GgufSource& source)
      : model_(model),
        isa_(isa),
        tensor_(tensor),
        source_(source),
        coding_(source.parts.empty() ? WeightCoding{} : model.coding(*source.parts[0])) {}

  void read(int64_t row, int64_t n, BandScratch& scratch, std::vector<float>& column, float* to) const {
    const int64_t cols = tensor_.cols();
    if (!source_.made.empty()) {
      std::copy_n(source_.made.data() + row * cols, n * cols, to);
      return;
    }
    if (source_.order == Order::kRotaryPairs && tensor_.shape.size() == 1) {  // a bias is one row
      column.resize(cols);
      values(0, 0, 1, scratch, column.data());
      for (int64_t i = 0; i < cols; ++i) to[i] = column[paired(i, cols)];
      return;
    }
    const int64_t per_part = tensor_.rows() / static_cast<int64_t>(source_.parts.size());
    for (int64_t i = 0; i < n;) {
      const int64_t at = row + i, part = at / per_part;
      int64_t run = 1;
      if (source_.order == Order::kKeyB) {
        // Row (head, r) is column r of the head's keys: [Dn] values Rkv apart. A run shares one read.
        const int64_t latent = coding_.cols, head = at / latent;
        run = std::min(n - i, latent - at % latent);
        column.resize(source_.key_dim * latent);
        values(0, head * (source_.key_dim + source_.value_dim), source_.key_dim, scratch, column.data());
        for (int64_t r = 0; r < run; ++r)
          for (int64_t k = 0; k < cols; ++k) to[(i + r) * cols + k] = column[k * latent + at % latent + r];
      } else {
        const int64_t source_row = source_row_of(at % per_part);
        while (i + run < n && (at + run) / per_part == part &&
               source_row_of(at % per_part + run) == source_row + run)
          ++run;
        values(part, source_row, run, scratch, to + i * cols);
      }
      i += run;
    }
  }

 private:
  int64_t source_row_of(int64_t row) const {
    if (source_.order == Order::kValueB) {
      const int64_t head = row / source_.value_dim;
      return head * (source_.key_dim + source_.value_dim) + source_.key_dim + row % source_.value_dim;
    }
    return source_.order == Order::kRotaryPairs ? paired(row, tensor_.rows()) : row;
  }
  int64_t paired(int64_t i, int64_t n) const { return paired_from(i, n, source_.n_heads); }
  void values(int64_t part, int64_t row, int64_t rows, BandScratch& scratch, float* to) const {
    const StoredTensor& t = *source_.parts[part];
    const WeightCoding c = source_.parts.size() == 1 ? coding_ : model_.coding(t);
    if (!c.format)
      throw Error(ErrorKind::kBadModel,
                  "has dtype " + t.info.dtype_name + ", which GGUF export does not read", model_.where(t));
    read_values(model_, t, c, isa_, row, rows, 0, c.cols, scratch, to);
  }

  const ModelFolder& model_;
  Isa isa_;
  const GgufTensor& tensor_;
  const GgufSource& source_;
  WeightCoding coding_;
};

void encode(GgufType type, const float* x, int64_t n, uint8_t* out) {
  if (const GgufBlockRow* blocks = find_gguf_blocks(type)) return blocks->encode(x, n, out);
  if (type == GgufType::kF32) {
    std::memcpy(out, x, n * 4);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t h = f32_to_bf16(x[i]);
    std::memcpy(out + 2 * i, &h, 2);
  }
}

GgufType wide_type(QuantTarget target) {
  switch (target) {
    case QuantTarget::kGgufQ4_0:
      return GgufType::kQ4_0;
    case QuantTarget::kGgufQ4_K:
      return GgufType::kQ4_K;
    case QuantTarget::kGgufQ6_K:
      return GgufType::kQ6_K;
    case QuantTarget::kGgufQ8_0:
      return GgufType::kQ8_0;
    default:
      return GgufType::kBF16;
  }
}

}  // namespace

// What is not finite fails, becomes 0, or stays, where the type can say it.
void apply_nan_policy(const QuantizeOptions& o, const GgufTensor& t, int64_t row, std::vector<float>& x,
                      const std::string& where) {
  const int64_t cols = t.cols();
  const auto place = [&](size_t i) {
    return "element [" + std::to_string(row + static_cast<int64_t>(i) / cols) + ", " +
           std::to_string(static_cast<int64_t>(i) % cols) + "] is ";
  };
  const GgufBlockRow* blocks = find_gguf_blocks(t.type);
  for (size_t i = 0; i < x.size(); ++i) {
    if (blocks && std::isfinite(x[i]) && std::fabs(x[i]) > blocks->most)
      throw Error(ErrorKind::kBadModel,
                  place(i) + std::to_string(x[i]) + ", beyond what " + blocks->name + " can hold",
                  where + ": tensor " + t.name, "--to gguf:bf16 holds it");
    if (std::isfinite(x[i])) continue;
    if (o.nan_policy == NanPolicy::kFail || (o.nan_policy == NanPolicy::kKeep && blocks))
      throw Error(ErrorKind::kBadModel, place(i) + (std::isnan(x[i]) ? "NaN" : "infinite"),
                  where + ": tensor " + t.name,
                  o.nan_policy == NanPolicy::kFail
                      ? "--nan-policy zero or keep goes on"
                      : blocks->name + std::string(" cannot hold it: --nan-policy zero goes on"));
    if (o.nan_policy == NanPolicy::kZero) x[i] = 0;
  }
}

GgufReport export_gguf(const ModelFolder& model, const QuantizeOptions& o) {
  const int64_t start = now_ns();
  GgufModel gguf = name_for_gguf(model, wide_type(o.target));
  const std::string header = gguf.metadata.header(gguf.tensors);
  GgufReport report;
  report.notes = gguf.notes;
  report.n_tensors = static_cast<int64_t>(gguf.tensors.size());
  report.bytes_planned = static_cast<int64_t>(header.size());
  for (const GgufTensor& t : gguf.tensors) {
    ++report.n_of_type[gguf_type_name(t.type)];
    report.bytes_planned += (t.bytes() + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
  }
  if (o.out.empty()) return report;
  const bool to_stdout = o.out == "-";
  std::unique_ptr<AtomicFile> file;
  if (!to_stdout) {
    check_apart(model.path(), o.out);
    struct stat st {};
    const bool is_link = ::lstat(o.out.c_str(), &st) == 0 && S_ISLNK(st.st_mode);
    const bool is_special = ::stat(o.out.c_str(), &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    if (is_link && !is_special)
      throw Error(ErrorKind::kCannotCreate, "is a link, and links are never written through", o.out,
                  "give the file it points to");
    if (file_exists(o.out) && !is_special && !o.force)
      throw Error(ErrorKind::kCannotCreate, "exists", o.out,
                  "--force replaces it once the new one is complete");
    file = std::make_unique<AtomicFile>(o.out);
    if (!is_special) require_space(o.out, report.bytes_planned, "free some space");
  }
  const int fd = to_stdout ? STDOUT_FILENO : file->fd();
  const std::string where = to_stdout ? "<stdout>" : o.out;
  write_all(fd, header, where);
  int64_t written = static_cast<int64_t>(header.size());

  ThreadPool pool(o.n_threads);
  std::vector<BandScratch> scratch(o.n_threads);
  std::vector<std::vector<float>> values(o.n_threads), columns(o.n_threads);
  std::string bytes;
  for (size_t i = 0; i < gguf.tensors.size(); ++i) {
    const GgufTensor& t = gguf.tensors[i];
    const RowReader reader(model, o.isa, t, gguf.sources[i]);
    const int64_t cols = t.cols(), row_bytes = gguf_row_bytes(t.type, cols);
    const int64_t piece_rows = std::max<int64_t>(kPieceValues / std::max<int64_t>(cols, 1), 1);
    const int64_t batch_rows = piece_rows * o.n_threads;
    for (int64_t row = 0; row < t.rows() && cols > 0; row += batch_rows) {
      if (o.stop && o.stop()) throw Error(ErrorKind::kInterrupted, "stopped on request", where);
      const int64_t n = std::min(batch_rows, t.rows() - row);
      bytes.resize(n * row_bytes);
      pool.parallel_for(n, piece_rows, [&](int64_t begin, int64_t end, int thread) {
        std::vector<float>& x = values[thread];
        x.resize((end - begin) * cols);
        reader.read(row + begin, end - begin, scratch[thread], columns[thread], x.data());
        apply_nan_policy(o, t, row + begin, x, model.path());
        encode(t.type, x.data(), (end - begin) * cols,
               reinterpret_cast<uint8_t*>(bytes.data()) + begin * row_bytes);
      });
      write_all(fd, bytes, where);
      written += static_cast<int64_t>(bytes.size());
      if (o.progress) o.progress(written, report.bytes_planned);
    }
    const int64_t padding = (kGgufAlignment - t.bytes() % kGgufAlignment) % kGgufAlignment;
    write_all(fd, std::string(padding, '\0'), where);
    written += padding;
  }
  if (file) file->commit(o.sync);
  report.bytes_written = written;
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace ds::quant
