#include "bench/records/output.h"

namespace ds::bench {

RecordOutput::RecordOutput(const std::string& path, io::OutputStream& stream) : stream_(stream) {
  if (path != "-") file_ = std::make_unique<io::AtomicFile>(path);
}

void RecordOutput::write(const std::string& text) {
  ++n_writes_;
  if (file_) return file_->write(text);
  stream_.write(text);
  stream_.flush();
}

void RecordOutput::finish() {
  if (file_) file_->commit();
}

}  // namespace ds::bench
