#include "filter/passes/segment.h"

#include <xxhash.h>

#include <cstdio>
#include <cstring>

#include "core/json_value.h"
#include "io/json.h"

namespace ds::filter {
namespace {

constexpr char kMagic[] = "dsfseg4\n";

struct BlockHead {
  uint64_t n_entries, kept_bytes, other_bytes;
};

// Closing bytes of the file: how long the info is, checksum of all before, magic.
struct Tail {
  uint64_t entries_bytes, info_bytes, checksum;
  char magic[8];
};

// The same of a .sig file.
struct SignatureTail {
  uint64_t n = 0, checksum = 0;  // XXH3 of the signatures
  char magic[8] = {'d', 's', 'f', 's', 'i', 'g', '3', '\n'};
};

}  // namespace

std::string segment_name(const std::string& folder, size_t file, size_t segment) {
  char name[64];
  std::snprintf(name, sizeof name, "/s-%06zu-%06zu", file, segment);
  return folder + name;
}

struct SegmentWriter::State {
  explicit State(const std::string& stem)
      : entries(stem + ".seg"),
        signatures(stem + ".sig"),
        hash(XXH3_createState()),
        signature_hash(XXH3_createState()) {
    XXH3_64bits_reset(hash);
    XXH3_64bits_reset(signature_hash);
  }
  ~State() {
    XXH3_freeState(hash);
    XXH3_freeState(signature_hash);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  AtomicFile entries, signatures;
  XXH3_state_t *hash, *signature_hash;
  uint64_t n_signatures = 0, bytes = 0;
};

void SegmentBlock::clear() {
  heads_.clear();
  kept_.clear();
  others_.clear();
  signatures_.clear();
  n_kept_ = 0;
}

void SegmentBlock::add(const SegmentEntry& e) {
  heads_.push_back({static_cast<uint8_t>(e.fate), e.stage, 0, 0, e.bytes.size(), e.offset, e.line});
  if (e.fate == Fate::kKept) {
    kept_ += e.bytes;
    kept_ += '\n';
    ++n_kept_;
  } else {
    others_ += e.bytes;
  }
}

SegmentWriter::SegmentWriter(const std::string& stem) : state_(std::make_shared<State>(stem)) {}

void SegmentWriter::put(const void* bytes, size_t n) {
  state_->entries.write({static_cast<const char*>(bytes), n});
  XXH3_64bits_update(state_->hash, bytes, n);
  state_->bytes += n;
}

void SegmentWriter::add(const SegmentBlock& b) {
  const BlockHead head{b.heads_.size(), b.kept_.size(), b.others_.size()};
  put(&head, sizeof head);
  put(b.heads_.data(), b.heads_.size() * sizeof(EntryHead));
  put(b.kept_.data(), b.kept_.size());
  put(b.others_.data(), b.others_.size());
  const size_t n = b.signatures_.size() * sizeof(Signature);
  state_->signatures.write({reinterpret_cast<const char*>(b.signatures_.data()), n});
  XXH3_64bits_update(state_->signature_hash, b.signatures_.data(), n);
  state_->n_signatures += b.signatures_.size();
}

void SegmentWriter::commit(const SegmentInfo& info) {
  Json json{{"begin_offset", static_cast<int64_t>(info.begin_offset)},
            {"end_offset", static_cast<int64_t>(info.end_offset)},
            {"end_line", static_cast<int64_t>(info.end_line)},
            {"ends_file", info.ends_file},
            {"partial", info.partial},
            {"damage", info.damage},
            {"statistics", statistics_json(info.statistics)}};
  const std::string text = dump(json);
  Tail tail{state_->bytes, text.size(), 0, {}};
  put(text.data(), text.size());
  tail.checksum = XXH3_64bits_digest(state_->hash);
  std::memcpy(tail.magic, kMagic, 8);
  state_->entries.write({reinterpret_cast<const char*>(&tail), sizeof tail});
  SignatureTail signature_tail;
  signature_tail.n = state_->n_signatures;
  signature_tail.checksum = XXH3_64bits_digest(state_->signature_hash);
  state_->signatures.write({reinterpret_cast<const char*>(&signature_tail), sizeof signature_tail});
  // The signatures first: a segment counts once its .seg is there. No waiting for the disk: what a power cut
  // leaves has a wrong checksum and is made again.
  state_->signatures.commit(false);
  state_->entries.commit(false);
}

namespace {

bool check(const MappedFile& file, Tail& tail, bool whole) {
  const auto bytes = file.bytes();
  if (bytes.size() < sizeof tail) return false;
  std::memcpy(&tail, bytes.data() + bytes.size() - sizeof tail, sizeof tail);
  if (std::memcmp(tail.magic, kMagic, 8) != 0) return false;
  const uint64_t body = bytes.size() - sizeof tail;
  if (tail.entries_bytes > body || tail.info_bytes != body - tail.entries_bytes) return false;
  return !whole || XXH3_64bits(bytes.data(), body) == tail.checksum;
}

}  // namespace

int64_t count_signatures(std::span<const std::byte> file) {
  SignatureTail tail;
  const SignatureTail good;
  if (file.size() < sizeof tail) return -1;
  const size_t body = file.size() - sizeof tail;
  std::memcpy(&tail, file.data() + body, sizeof tail);
  const bool fits = std::memcmp(tail.magic, good.magic, sizeof tail.magic) == 0 &&
                    body % sizeof(Signature) == 0 && tail.n == body / sizeof(Signature) &&
                    XXH3_64bits(file.data(), body) == tail.checksum;
  return fits ? static_cast<int64_t>(tail.n) : -1;
}

bool read_segment_info(const std::string& stem, SegmentInfo& out) {
  if (!file_exists(stem + ".seg") || !file_exists(stem + ".sig")) return false;
  if (count_signatures(MappedFile(stem + ".sig").bytes()) < 0) return false;
  const MappedFile file(stem + ".seg");
  Tail tail{};
  if (!check(file, tail, true)) return false;
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()) + tail.entries_bytes,
                              tail.info_bytes);
  const std::string where = stem + ".seg";
  const Json json = parse_json(text, where);
  const auto count = [&](const char* key) -> uint64_t {
    const Json* v = find(json, key);
    if (!v || !is_int(*v)) throw Error(ErrorKind::kBadData, std::string(key) + " is missing", where);
    return static_cast<uint64_t>(as_int(*v));
  };
  out.begin_offset = count("begin_offset");
  out.end_offset = count("end_offset");
  out.end_line = count("end_line");
  const Json* ends = find(json, "ends_file");
  const Json* partial = find(json, "partial");
  const Json* damage = find(json, "damage");
  const Json* statistics = find(json, "statistics");
  if (!ends || !ends->is_boolean() || !partial || !partial->is_boolean() || !damage || !damage->is_string() ||
      !statistics)
    throw Error(ErrorKind::kBadData, "the closing record is incomplete", where);
  out.ends_file = ends->get<bool>();
  out.partial = partial->get<bool>();
  out.damage = as_string(*damage);
  out.statistics = statistics_from_json(*statistics, where);
  return true;
}

SegmentReader::SegmentReader(const std::string& stem) : file_(stem + ".seg") {
  Tail tail{};
  if (!check(file_, tail, false)) throw Error(ErrorKind::kBadData, "the segment is cut short", file_.path());
  entries_bytes_ = tail.entries_bytes;
}

void SegmentReader::damaged() const {
  throw Error(ErrorKind::kBadData, "the segment is damaged", file_.path());
}

bool SegmentReader::next(Block& out) {
  if (at_ == entries_bytes_) return false;
  const char* p = reinterpret_cast<const char*>(file_.bytes().data());
  BlockHead head;
  if (entries_bytes_ - at_ < sizeof head) damaged();
  std::memcpy(&head, p + at_, sizeof head);
  at_ += sizeof head;
  const uint64_t left = entries_bytes_ - at_;
  if (head.n_entries > left / sizeof(EntryHead) || head.kept_bytes > left || head.other_bytes > left ||
      head.n_entries * sizeof(EntryHead) + head.kept_bytes + head.other_bytes > left)
    damaged();
  out = {p + at_, head.n_entries, {}, {}};
  at_ += head.n_entries * sizeof(EntryHead);
  out.kept = {p + at_, head.kept_bytes};
  at_ += head.kept_bytes;
  out.others = {p + at_, head.other_bytes};
  at_ += head.other_bytes;
  return true;
}

void SegmentReader::each(const Block& block, const std::function<void(const SegmentEntry&)>& visit) const {
  std::string_view kept = block.kept, others = block.others;
  for (uint64_t i = 0; i < block.n; ++i) {
    EntryHead e;
    std::memcpy(&e, block.heads + i * sizeof e, sizeof e);
    const bool is_kept = e.fate == static_cast<uint8_t>(Fate::kKept);
    std::string_view& bytes = is_kept ? kept : others;
    if (e.fate > 2 || e.length > bytes.size() || (is_kept && e.length == bytes.size())) damaged();
    visit({static_cast<Fate>(e.fate), e.stage, e.offset, e.line, bytes.substr(0, e.length)});
    bytes.remove_prefix(e.length + is_kept);
  }
}

}  // namespace ds::filter
