#include "filter/passes/inputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "io/compress.h"
#include "io/files.h"
#include "io/other_formats.h"

namespace ds::filter {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFetch = "fetch it, as by git annex get or dvc pull";

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// DVC leaves a.jsonl.dvc where a.jsonl was not fetched; git-annex a link that leads nowhere.
std::string absent_data(const fs::directory_entry& entry) {
  std::error_code gone;
  fs::path path = entry.path();
  if (path.extension() == ".dvc") {
    path.replace_extension();
    return is_data_name(path.filename().string()) && !fs::exists(path, gone) ? path.string() : "";
  }
  const bool dangling = entry.is_symlink(gone) && !entry.exists(gone);
  return dangling && is_data_name(path.filename().string()) ? path.string() : "";
}

// Links to folders are not followed: they may go round in circles.
void list_folder(const fs::path& folder, InputFiles& out) {
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    const fs::path& path = it->path();
    std::error_code gone;
    if (it->is_directory(gone) && !it->is_symlink(gone))
      list_folder(path, out);
    else if (it->is_regular_file(gone) && is_data_name(path.filename().string()))
      out.paths.push_back(path.string());
    else if (const std::string absent = absent_data(*it); !absent.empty())
      out.absent.push_back(absent);
    else
      out.left_out.push_back(path.string());
  }
  if (error) throw Error(ErrorKind::kNoInput, "cannot list the folder: " + error.message(), folder.string());
}

}  // namespace

bool is_data_name(const std::string& file_name) {
  const std::string packed = lower_case(file_name);
  const std::string name = packed.substr(0, packed.size() - compression_ending(packed).size());
  if (name.starts_with("._")) return false;  // macOS: attributes of the file beside it
  for (const char* ending : {".jsonl", ".jsonlines", ".jl", ".ndjson", ".ldjson", ".json", ".txt"})
    if (name.ends_with(ending)) return true;
  for (const std::string_view part : {"part-", "part-r-", "part-m-"})  // what Spark and Hadoop write
    if (name.starts_with(part) && name.size() > part.size() &&
        name.find_first_not_of("0123456789", part.size()) == name.npos)
      return true;
  return false;
}

InputFiles find_inputs(const std::vector<std::string>& inputs) {
  InputFiles all;
  for (const auto& input : inputs) {
    std::error_code error;
    if (input != "-" && fs::is_directory(input, error)) {
      InputFiles found;
      list_folder(input, found);
      if (found.paths.empty() && !found.absent.empty())
        throw Error(ErrorKind::kNoInput,
                    "no data file in the folder, the content of " + std::to_string(found.absent.size()) +
                        " is not there: " + found.absent[0],
                    input, kFetch);
      if (found.paths.empty())
        throw Error(ErrorKind::kNoInput,
                    "no data file in the folder, " + std::to_string(found.left_out.size()) + " left out",
                    input,
                    "names end in .jsonl, .jsonlines, .jl, .ndjson, .ldjson, .json or .txt, .gz, .zst, .xz "
                    "or .bz2 behind "
                    "it, or are part-00000; a file given by itself may have any name");
      std::sort(found.paths.begin(), found.paths.end());
      std::sort(found.left_out.begin(), found.left_out.end());
      std::sort(found.absent.begin(), found.absent.end());
      all.absent.insert(all.absent.end(), found.absent.begin(), found.absent.end());
      all.n_from_folders += found.paths.size();
      all.paths.insert(all.paths.end(), found.paths.begin(), found.paths.end());
      all.left_out.insert(all.left_out.end(), found.left_out.begin(), found.left_out.end());
    } else {
      if (input != "-" && !file_exists(input)) throw Error(ErrorKind::kNoInput, "does not exist", input);
      if (input != "-" && ::access(input.c_str(), R_OK) != 0)
        throw Error(ErrorKind::kNoInput, "cannot read: " + os_error(), input);
      all.paths.push_back(input);
    }
  }
  return all;
}

std::string folder_note(const InputFiles& inputs) {
  static constexpr size_t kShown = 3;
  if (inputs.n_from_folders == 0) return "";
  const auto counted = [](size_t n) { return std::to_string(n) + (n == 1 ? " file" : " files"); };
  const auto listed = [](const std::vector<std::string>& names) {
    std::string list;
    for (size_t i = 0; i < std::min(kShown, names.size()); ++i) list += (i ? ", " : "") + names[i];
    return list + (names.size() > kShown ? ", ..." : "");
  };
  std::string note = counted(inputs.n_from_folders) + " from folders, ";
  if (!inputs.absent.empty())
    note +=
        counted(inputs.absent.size()) + " without content (" + kFetch + "): " + listed(inputs.absent) + "; ";
  if (inputs.left_out.empty()) return note + "none left out";
  return note + counted(inputs.left_out.size()) + " left out, not data by name: " + listed(inputs.left_out);
}

void check_formats(const std::vector<FilePlan>& plan, const InputOptions& options) {
  for (const FilePlan& file : plan) {
    struct stat st {};
    if (file.path == "-" || ::stat(file.path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    std::string head(kTellingBytes, '\0');
    size_t n = 0;
    try {
      ByteSource source(file.path);
      for (size_t got = 1; got > 0 && n < head.size(); n += got)
        got = source.read(head.data() + n, head.size() - n);
    } catch (const Error&) {  // damaged, or not to be opened: said when it is read
    }
    head.resize(n);
    if (!options.transcode || !has_utf16_mark(head))
      refuse_other_formats(head, !options.text_lines, file.path);
  }
}

std::vector<FilePlan> plan_files(const std::vector<std::string>& inputs, int shard, int n_shards) {
  std::vector<FilePlan> plan;
  if (n_shards == 1 || inputs.size() != 1) {
    for (size_t f = 0; f < inputs.size(); ++f)
      if (f % n_shards == static_cast<size_t>(shard)) plan.push_back({f, inputs[f], 0, 0, ~0ull, false});
    return plan;
  }
  const std::string& path = inputs[0];
  struct stat st {};
  if (path == "-" || ::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode))
    throw Error(ErrorKind::kUsage, "a stream cannot be split into shards", path, "give files");
  if (ByteSource(path).compression() != Compression::kNone)
    throw Error(ErrorKind::kUsage, "one compressed file cannot be split into shards", path,
                "give several files, or one that is not compressed");
  const uint64_t size = static_cast<uint64_t>(st.st_size);
  const auto border = [&](int i) { return size / n_shards * i + std::min<uint64_t>(i, size % n_shards); };
  FilePlan part{0, path, border(shard), 0, shard + 1 == n_shards ? ~0ull : border(shard + 1), false};
  // A line belongs to the shard that its first byte is in: begin one byte early and skip to the line's end.
  if (part.offset > 0) {
    --part.offset;
    part.find_line_start = true;
  }
  plan.push_back(part);
  return plan;
}

}  // namespace ds::filter
