#include "infer/logits_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace ds::infer {
namespace {

// A file without a name beside the output (the same disk, with room for it), or in TMPDIR when that is no
// usual folder.
FileHandle open_spool(const std::string& path) {
  const size_t slash = path.rfind('/');
  const char* temporary = std::getenv("TMPDIR");
  for (std::string name : {slash == std::string::npos ? std::string("./") : path.substr(0, slash + 1),
                           std::string(temporary && *temporary ? temporary : "/tmp") + "/"}) {
    name += "ds-logits-XXXXXX";
    FileHandle fd(::mkostemp(name.data(), O_CLOEXEC));
    if (fd.get() < 0) continue;
    ::unlink(name.c_str());
    return fd;
  }
  throw Error(ErrorKind::kCannotCreate, "cannot create a temporary file: " + os_error(), path,
              "set TMPDIR to a folder with room");
}

}  // namespace

LogitsFile::LogitsFile(const std::string& path, int64_t vocab_size)
    : file_(path), spool_(open_spool(path)), where_(path), vocab_size_(vocab_size) {}

void LogitsFile::begin(const std::string& name, const std::string& where) {
  if (name == "__metadata__")
    throw Error(ErrorKind::kBadData, "the id \"__metadata__\" cannot name a tensor", where,
                "choose another id");
  if (names_.contains(name))
    throw Error(ErrorKind::kBadData, "the id \"" + name + "\" came before", where,
                "ids name the tensors of --logits and must differ");
  if (n_floats_ > 0 &&
      (::ftruncate(spool_.get(), kept_bytes_) != 0 || ::lseek(spool_.get(), kept_bytes_, SEEK_SET) < 0))
    throw Error(ErrorKind::kIo, "cannot shorten the temporary file: " + os_error(), where_);
  name_ = name;
  n_floats_ = 0;
}

void LogitsFile::append(std::span<const float> logits) {
  n_floats_ += static_cast<int64_t>(logits.size());
  write_all(spool_.get(), {reinterpret_cast<const char*>(logits.data()), logits.size_bytes()}, where_);
}

void LogitsFile::end() {
  TensorInfo info;
  info.name = name_;
  info.dtype = DType::kF32;
  info.dtype_name = dtype_name(DType::kF32);
  info.shape = {n_floats_ / vocab_size_, vocab_size_};
  tensors_.push_back(std::move(info));
  names_.insert(name_);
  kept_bytes_ += n_floats_ * 4;
  n_floats_ = 0;
}

void LogitsFile::commit() {
  file_.write(make_safetensors_header(tensors_, {}));
  std::vector<char> buffer(1 << 20);
  for (int64_t at = 0; at < kept_bytes_;) {
    const ssize_t n =
        ::pread(spool_.get(), buffer.data(), std::min<int64_t>(buffer.size(), kept_bytes_ - at), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Error(ErrorKind::kIo, "cannot read the temporary file back: " + os_error(), where_);
    file_.write({buffer.data(), static_cast<size_t>(n)});
    at += n;
  }
  file_.commit();
}

}  // namespace ds::infer
