#include "quant/bands.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "core/numbers.h"
#include "quant/fp4.h"

namespace ds::quant {
namespace {

constexpr int64_t kJobBytes = 2 << 20;  // fits a core's cache: the band is read from memory once
constexpr int64_t kMaxJobValues = 2 << 20;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct BlockScale {
  float stored = 1, factor = 1;  // factor: what values are divided (or multiplied) by
};

bool multiplies(QuantRecipe recipe) { return recipe != QuantRecipe::kDeepseek; }

float up_to_power_of_two(float s) {
  const uint32_t bits = std::bit_cast<uint32_t>(s);
  return std::bit_cast<float>((bits + 0x7FFFFFu) & 0x7F800000u);
}

// A zero block has scale 1. Scales stay normal floats, so that blocks of subnormals keep what BF16 can say
// and no reader meets a scale it flushes to zero.
BlockScale scale_for(float amax, const QuantizeOptions& o) {
  constexpr float kLeast = 0x1p-126f;
  BlockScale s;
  if (o.recipe == QuantRecipe::kDeepgemm) amax = std::max(amax, 1e-4f);
  if (amax == 0) return s;
  float inverse = 0;
  if (o.recipe == QuantRecipe::kHf) {
    inverse = std::min(448 / amax, 0x1p126f);
    s.stored = 1 / inverse;
  } else {
    s.stored = std::max(amax / 448, kLeast);
  }
  if (o.scales == ScaleKind::kPow2) {
    s.stored = up_to_power_of_two(s.stored);
    inverse = 1 / s.stored;
  }
  s.factor = o.recipe == QuantRecipe::kDeepseek ? s.stored
             : o.recipe == QuantRecipe::kHf     ? inverse
                                                : 1 / s.stored;
  return s;
}

// The scales of the given values as F32: [block rows touched, block columns touched]; row and col at borders
// or inside one block.
void read_scales(const ModelFolder& model, const WeightCoding& c, int64_t row, int64_t rows, int64_t col,
                 int64_t cols, std::vector<float>& out) {
  const int64_t first_row = row / c.block_rows, n_rows = ceil_div(row + rows, c.block_rows) - first_row;
  const int64_t first_col = col / c.block_cols, n_cols = ceil_div(col + cols, c.block_cols) - first_col;
  const TensorFormat& format = *format_of(c.scale->info.dtype);
  const int64_t row_bytes = format.bytes_of(c.scale_cols());
  std::vector<std::byte> bytes(n_rows * row_bytes);
  model.read(*c.scale, first_row * row_bytes, bytes.data(), bytes.size());
  out.resize(n_rows * n_cols);
  for (int64_t r = 0; r < n_rows; ++r)
    format.decode_row(bytes.data() + r * row_bytes + format.bytes_of(first_col), n_cols, &out[r * n_cols]);
  for (int64_t i = 0; i < n_rows * n_cols; ++i)
    if (!std::isfinite(out[i]))
      throw Error(ErrorKind::kBadModel,
                  "scale [" + std::to_string(first_row + i / n_cols) + ", " +
                      std::to_string(first_col + i % n_cols) + "] is not finite",
                  model.where(*c.scale), "the checkpoint is damaged: fetch it again");
}

// The stored bytes of a rectangle, rows packed.
void read_rectangle(const ModelFolder& model, const StoredTensor& t, const WeightCoding& c, int64_t row,
                    int64_t rows, int64_t col, int64_t cols, std::vector<std::byte>& to) {
  const int64_t row_bytes = c.format->bytes_of(c.cols), part = c.format->bytes_of(cols);
  to.resize(rows * part);
  if (part == row_bytes) {
    model.read(t, row * row_bytes, to.data(), to.size());
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    model.read(t, (row + r) * row_bytes + c.format->bytes_of(col), to.data() + r * part, part);
}

// Replaces what is not finite by 0 and says where it was.
struct Special {
  int64_t at;
  float value;
};
std::vector<Special> take_non_finite(float* values, int64_t n) {
  std::vector<Special> found;
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(values[i])) found.push_back({i, std::exchange(values[i], 0.0f)});
  return found;
}

void encode_band(const ModelFolder& model, const QuantizeOptions& o, const BandJob& job, BandScratch& s) {
  const QuantStep& step = *job.step;
  const BlockQuantKernel& kernel = block_quant_kernel(o.isa);
  const int64_t n_values = job.rows * job.cols;
  Band band{nullptr, step.source->info.dtype, 0, job.cols, job.cols, step.block_cols};
  if (!step.coding.is_scaled()) {
    read_rectangle(model, *step.source, step.coding, job.row, job.rows, job.col, job.cols, s.in);
    band.data = s.in.data();
  } else {
    s.values.resize(n_values);
    read_values(model, *step.source, step.coding, o.isa, job.row, job.rows, job.col, job.cols, s,
                s.values.data());
    band.data = s.values.data();
    band.dtype = DType::kF32;
  }
  const int64_t n_blocks = band.n_blocks(), n_block_rows = ceil_div(job.rows, step.block_rows);
  s.amax.assign(n_block_rows * n_blocks, 0);
  const auto find_amax = [&] {
    uint32_t most = 0;
    for (int64_t b = 0; b < n_block_rows; ++b) {
      Band part = band;
      part.data =
          static_cast<const char*>(band.data) + b * step.block_rows * job.cols * dtype_bytes(band.dtype);
      part.rows = std::min(step.block_rows, job.rows - b * step.block_rows);
      kernel.amax(part, s.amax.data() + b * n_blocks);
    }
    for (const uint32_t a : s.amax) most = std::max(most, a);
    return most;
  };
  s.stats = {};
  std::vector<Special> specials;
  if (find_amax() >= 0x7F800000u) {
    if (!step.coding.is_scaled()) {
      s.values.resize(n_values);
      step.coding.format->decode_row(s.in.data(), n_values, s.values.data());
      band.data = s.values.data();
      band.dtype = DType::kF32;
    }
    specials = take_non_finite(s.values.data(), n_values);
    if (o.nan_policy == NanPolicy::kFail && !specials.empty()) {
      const int64_t at = specials[0].at;
      throw Error(ErrorKind::kBadModel,
                  "element [" + std::to_string(job.row + at / job.cols) + ", " +
                      std::to_string(job.col + at % job.cols) + "] is " +
                      (std::isnan(specials[0].value) ? "NaN" : "infinite"),
                  model.where(*step.source), "--nan-policy zero or keep goes on");
    }
    std::fill(s.amax.begin(), s.amax.end(), 0);
    find_amax();
  }
  s.factors.resize(s.amax.size());
  s.out_scales.resize(s.amax.size() * 4);
  s.out.resize(n_values);
  s.errors.assign(s.amax.size(), {});
  uint8_t* codes = reinterpret_cast<uint8_t*>(s.out.data());
  for (size_t b = 0; b < s.amax.size(); ++b) {
    const float amax = std::bit_cast<float>(s.amax[b]);
    const BlockScale scale = scale_for(amax, o);
    s.factors[b] = scale.factor;
    std::memcpy(s.out_scales.data() + 4 * b, &scale.stored, 4);
    s.stats.max_value = std::max(s.stats.max_value, static_cast<double>(amax));
  }
  for (int64_t b = 0; b < n_block_rows; ++b) {
    Band part = band;
    part.data =
        static_cast<const char*>(band.data) + b * step.block_rows * job.cols * dtype_bytes(band.dtype);
    part.rows = std::min(step.block_rows, job.rows - b * step.block_rows);
    kernel.encode(part, s.factors.data() + b * n_blocks, multiplies(o.recipe),
                  codes + b * step.block_rows * job.cols, job.cols, s.errors.data() + b * n_blocks);
  }
  for (size_t b = 0; b < s.amax.size(); ++b)
    add_block(s.stats, s.errors[b], load_unaligned<float>(s.out_scales.data() + 4 * b));
  if (o.nan_policy == NanPolicy::kKeep)
    for (const Special& special : specials) codes[special.at] = f32_to_e4m3(special.value);
  s.stats.n = n_values;
  s.stats.n_non_finite = static_cast<int64_t>(specials.size());
  count_codes(s.stats, codes, n_values);
}

[[noreturn]] void fail_non_finite(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kBadModel, what + " is NaN or infinite", where, "--nan-policy keep goes on");
}

// Blocks of GGUF, whose scales may be infinite or NaN.
void decode_blocks_band(const ModelFolder& model, const QuantizeOptions& o, const BandJob& job,
                        BandScratch& s) {
  const int64_t n = job.rows * job.cols;
  s.values.resize(n);
  read_values(model, *job.step->source, job.step->coding, o.isa, job.row, job.rows, job.col, job.cols, s,
              s.values.data());
  s.out.resize(n * 2);
  s.n_nan_codes = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = f32_to_bf16(s.values[i]);
    std::memcpy(s.out.data() + 2 * i, &bits, 2);
    s.n_nan_codes += !std::isfinite(s.values[i]);
  }
  if (s.n_nan_codes > 0 && o.nan_policy == NanPolicy::kFail)
    fail_non_finite(
        "a value of rows " + std::to_string(job.row) + " to " + std::to_string(job.row + job.rows - 1),
        model.where(*job.step->source));
}

void decode_band(const ModelFolder& model, const QuantizeOptions& o, const BandJob& job, BandScratch& s) {
  const QuantStep& step = *job.step;
  const WeightCoding& c = step.coding;
  if (step.source->blocks) return decode_blocks_band(model, o, job, s);
  read_rectangle(model, *step.source, c, job.row, job.rows, job.col, job.cols, s.in);
  read_scales(model, c, job.row, job.rows, job.col, job.cols, s.in_scales);
  s.out.resize(job.rows * job.cols * 2);
  s.n_nan_codes = 0;
  uint16_t* out = reinterpret_cast<uint16_t*>(s.out.data());
  const uint8_t* codes = reinterpret_cast<const uint8_t*>(s.in.data());
  const int64_t n_blocks = ceil_div(job.cols, c.block_cols);
  if (c.format == &kE2M1Format) {
    std::vector<uint8_t> exponents(job.rows * n_blocks);
    read_fp4_scales(model, c, job.row, job.rows, job.col, job.cols, exponents.data());
    fp4_to_bf16(codes, exponents.data(), job.rows, job.cols, c.block_cols, out);
    return;
  }
  s.n_nan_codes = nan_codes_of(codes, job.rows * job.cols);
  if (s.n_nan_codes > 0 && o.nan_policy == NanPolicy::kFail)
    fail_non_finite(
        "a value of rows " + std::to_string(job.row) + " to " + std::to_string(job.row + job.rows - 1),
        model.where(*step.source));
  const BlockQuantKernel& kernel = block_quant_kernel(o.isa);
  for (int64_t r = 0; r < job.rows;) {
    const int64_t n = std::min(job.rows - r, c.block_rows - (job.row + r) % c.block_rows);
    const int64_t block_row = (job.row + r) / c.block_rows - job.row / c.block_rows;
    kernel.decode_bf16(codes + r * job.cols, n, job.cols, job.cols, c.block_cols,
                       s.in_scales.data() + block_row * n_blocks, out + r * job.cols, job.cols);
    r += n;
  }
}

void fp4_to_fp8_band(const ModelFolder& model, const BandJob& job, BandScratch& s) {
  const QuantStep& step = *job.step;
  const WeightCoding& c = step.coding;
  read_rectangle(model, *step.source, c, job.row, job.rows, job.col, job.cols, s.in);
  const int64_t n_groups = ceil_div(job.cols, c.block_cols), n_blocks = ceil_div(job.cols, step.block_cols);
  std::vector<uint8_t> exponents(job.rows * n_groups);
  read_fp4_scales(model, c, job.row, job.rows, job.col, job.cols, exponents.data());
  s.out.resize(job.rows * job.cols);
  s.out_scales.resize(ceil_div(job.rows, step.block_rows) * n_blocks);
  for (int64_t r = 0, b = 0; r < job.rows; r += step.block_rows, ++b) {
    const int64_t n = std::min(step.block_rows, job.rows - r);
    if (!fp4_to_e4m3(reinterpret_cast<const uint8_t*>(s.in.data()) + r * job.cols / 2,
                     exponents.data() + r * n_groups, n, job.cols, c.block_cols, step.block_cols,
                     reinterpret_cast<uint8_t*>(s.out.data()) + r * job.cols,
                     reinterpret_cast<uint8_t*>(s.out_scales.data()) + b * n_blocks))
      throw Error(ErrorKind::kBadModel,
                  "scales inside one " + std::to_string(step.block_rows) + "x" +
                      std::to_string(step.block_cols) + " block (rows from " + std::to_string(job.row + r) +
                      ") differ too much for FP8 to hold the same values",
                  model.where(*step.source), "--to bf16 holds them, or try --block with smaller blocks");
  }
}

}  // namespace

void read_values(const ModelFolder& model, const StoredTensor& t, const WeightCoding& c, Isa isa, int64_t row,
                 int64_t rows, int64_t col, int64_t cols, BandScratch& s, float* to) {
  read_rectangle(model, t, c, row, rows, col, cols, s.in);
  if (!c.is_scaled()) return c.format->decode_row(s.in.data(), rows * cols, to);
  const uint8_t* codes = reinterpret_cast<const uint8_t*>(s.in.data());
  read_scales(model, c, row, rows, col, cols, s.in_scales);
  const int64_t n_blocks = ceil_div(cols, c.block_cols);
  if (c.format == &kE2M1Format) {
    c.format->decode_row(s.in.data(), rows * cols, to);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < cols; ++k)
        to[r * cols + k] *= s.in_scales[r / c.block_rows * n_blocks + k / c.block_cols];
    return;
  }
  const BlockQuantKernel& kernel = block_quant_kernel(isa);
  for (int64_t r = 0; r < rows;) {
    const int64_t n = std::min(rows - r, c.block_rows - (row + r) % c.block_rows);
    const int64_t block_row = (row + r) / c.block_rows - row / c.block_rows;
    kernel.decode_f32(codes + r * cols, n, cols, cols, c.block_cols,
                      s.in_scales.data() + block_row * n_blocks, to + r * cols, cols);
    r += n;
  }
}

// The first of n values whose bits under `mask` are all set; n: none has.
template <class Bits>
int64_t find_bits(const char* bytes, int64_t n, Bits mask) {
  Bits any = 0;
  for (int64_t i = 0; i < n && any == 0; i += 1024)
    for (int64_t k = i; k < std::min(n, i + 1024); ++k) {
      const Bits value = load_unaligned<Bits>(bytes + k * static_cast<int64_t>(sizeof(Bits)));
      any |= static_cast<Bits>((value & mask) == mask);
    }
  if (any == 0) return n;
  int64_t at = 0;
  while ((load_unaligned<Bits>(bytes + at * static_cast<int64_t>(sizeof(Bits))) & mask) != mask) ++at;
  return at;
}

// Where the first NaN or infinity of n values stands; n: nowhere, also in types that have none.
int64_t find_non_finite(DType dtype, const char* bytes, int64_t n) {
  switch (dtype) {
    case DType::kF32:
      return find_bits<uint32_t>(bytes, n, 0x7F800000u);
    case DType::kBF16:
      return find_bits<uint16_t>(bytes, n, 0x7F80);
    case DType::kF16:
      return find_bits<uint16_t>(bytes, n, 0x7C00);
    case DType::kF8E4M3:
      return find_bits<uint8_t>(bytes, n, 0x7F);
    case DType::kF8E8M0:
      return find_bits<uint8_t>(bytes, n, 0xFF);
    default:
      return n;
  }
}

bool is_weight_or_scale(const std::string& name) {
  return name.ends_with("weight") || name.ends_with("bias") || name.find("scale") != name.npos;
}

// A copy changes nothing: --nan-policy zero is for values that are encoded.
void check_copied(const ModelFolder& model, const BandJob& job, const BandScratch& s) {
  const TensorInfo& info = job.step->source->info;
  const int64_t width = dtype_bytes(info.dtype);
  if (width == 0 || !is_weight_or_scale(info.name)) return;
  const int64_t n = job.rows / width;
  const int64_t at = find_non_finite(info.dtype, reinterpret_cast<const char*>(s.out.data()), n);
  if (at < n)
    fail_non_finite("value " + std::to_string(job.row / width + at), model.where(*job.step->source));
}

void add_jobs(const QuantStep& step, std::vector<BandJob>& jobs) {
  if (step.treatment == Treatment::kCopy) {
    const int64_t n = static_cast<int64_t>(step.source->bytes());
    for (int64_t at = 0; at < n; at += kJobBytes)
      jobs.push_back({&step, at, std::min(kJobBytes, n - at), 0, 0});
    return;
  }
  const WeightCoding& c = step.coding;
  // Borders: of the blocks written, and columns also of the blocks read.
  const int64_t unit_rows = std::min(std::max<int64_t>(step.block_rows, 1), std::max<int64_t>(c.rows, 1));
  int64_t unit_cols = std::lcm(std::max<int64_t>(step.block_cols, 1), std::max<int64_t>(c.block_cols, 1));
  if (c.format) unit_cols = std::lcm(unit_cols, c.format->block_cols);  // whole bytes of FP4, blocks of GGUF
  if (unit_cols > c.cols) unit_cols = std::max<int64_t>(c.cols, 1);
  const int64_t fit_cols = std::max<int64_t>(kMaxJobValues / unit_rows / unit_cols, 1) * unit_cols;
  const int64_t cols = std::min(c.cols, fit_cols);
  if (c.rows == 0 || cols == 0) return;
  const int64_t rows = std::max<int64_t>(kJobBytes / 2 / cols / unit_rows, 1) * unit_rows;
  for (int64_t row = 0; row < c.rows; row += rows)
    for (int64_t col = 0; col < c.cols; col += cols)
      jobs.push_back({&step, row, std::min(rows, c.rows - row), col, std::min(cols, c.cols - col)});
}

int64_t job_bytes(const BandJob& job) {
  if (job.step->treatment == Treatment::kCopy) return job.rows;
  return job.step->coding.format->bytes_of(job.rows * job.cols);
}

void convert_band(const ModelFolder& model, const QuantizeOptions& o, const BandJob& job, BandScratch& s) {
  s.out_scales.clear();
  switch (job.step->treatment) {
    case Treatment::kCopy:
      s.out.resize(job.rows);
      model.read(*job.step->source, job.row, s.out.data(), job.rows);
      if (o.nan_policy == NanPolicy::kFail) check_copied(model, job, s);
      return;
    case Treatment::kEncode:
      return encode_band(model, o, job, s);
    case Treatment::kDecode:
      return decode_band(model, o, job, s);
    case Treatment::kFp4ToE4M3:
      return fp4_to_fp8_band(model, job, s);
  }
}

}  // namespace ds::quant
