#include "bench/records/output.h"

namespace ds::bench {

RecordOutput::RecordOutput(const std::string& path, io::OutputStream& stream, bool to_person)
    : stream_(stream), to_person_(to_person) {
  if (path != "-") file_ = std::make_unique<io::AtomicFile>(path);
}

void RecordOutput::write(const std::string& text) {
  ++n_writes_;
  if (to_person_) reader_.add(text, "run");
  if (file_) {
    file_->write(text);
    file_->flush();
    return;
  }
  if (to_person_) return;
  stream_.write(text);
  stream_.flush();
}

void RecordOutput::finish() {
  if (file_) file_->commit();
}

}  // namespace ds::bench
