#include "infer/model_list.h"

#include <algorithm>
#include <map>

#include "checkpoint/locate.h"
#include "checkpoint/model_folder.h"
#include "core/cpu.h"
#include "core/json_value.h"
#include "model/model.h"
#include "report/words.h"

namespace ds::infer {
namespace {

constexpr size_t kNameColumns = 38, kTypeColumns = 13, kWeightColumns = 7, kSizeColumns = 10;

// Columns of UTF-8, near enough for names of files.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}
std::string padded(std::string text, size_t columns) {
  return text.append(columns - std::min(columns, width(text)), ' ');
}
// A name may hold line feeds and escape sequences; a table must not.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return text;
}

ListedModel described(const ModelPlace& place) {
  ListedModel m;
  m.name = place.name;
  m.path = place.path;
  m.problem = place.problem;
  m.available_bytes = available_memory_bytes();
  if (m.problem) return m;
  try {
    const auto folder = open_model(place.path);
    m.model_type = folder->model_type();
    std::map<std::string, int64_t> bytes_of_type;
    for (const StoredTensor& t : folder->tensors()) {
      const auto bytes = static_cast<int64_t>(t.bytes());
      bytes_of_type[t.info.dtype_name] += bytes;
      m.weight_bytes += bytes;
    }
    int64_t most = -1;
    for (const auto& [type, bytes] : bytes_of_type)
      if (bytes > most) {
        most = bytes;
        m.weights = type;
      }
    folder->require_readable();
    model::check_loadable(folder);
  } catch (const Error& error) {
    m.problem = error;
  }
  return m;
}

}  // namespace

const char* const kModelListHead =
    "MODEL                                  TYPE          WEIGHTS       SIZE  FITS\n";

std::string ListedModel::text() const {
  std::string line = printable(name);
  if (width(line) > kNameColumns) line += "\n" + std::string(kNameColumns, ' ');
  const std::string size = weight_bytes ? report::decimal_size(weight_bytes) : "";
  line = padded(line, kNameColumns);
  line += " " + padded(printable(model_type), kTypeColumns) + " " + padded(weights, kWeightColumns);
  line += " " + std::string(kSizeColumns - std::min(kSizeColumns, size.size()), ' ') + size;
  line += problem ? "  -" : fits() ? "  yes" : "  no";
  line += "\n";
  if (problem) line += report::fold("  cannot be run: " + printable(problem->message()), 80, 4);
  return line;
}

Json ListedModel::json() const {
  Json j = Json::object();
  j["name"] = name;
  j["path"] = path;
  j["model_type"] = model_type;
  j["weights"] = weights;
  j["weight_bytes"] = weight_bytes;
  j["available_bytes"] = available_bytes;
  j["fits"] = fits();
  if (problem) {
    Json e = Json::object();
    e["message"] = problem->what();
    e["where"] = problem->where();
    e["hint"] = problem->hint();
    j["error"] = std::move(e);
  }
  return j;
}

int64_t list_models(const std::vector<std::string>& folders,
                    const std::function<void(const ListedModel&)>& each) {
  int64_t n = 0;
  for (const std::string& folder : folders.empty() ? std::vector<std::string>{hub_cache()} : folders)
    for (const ModelPlace& place : find_models(folder)) {
      each(described(place));
      ++n;
    }
  return n;
}

}  // namespace ds::infer
