#include "io/keep_apart.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "core/error.h"
#include "temp_folder.h"

using namespace ds;
using namespace ds::io;
using namespace ds::test;

namespace {

// The word of the refusal, or "".
std::string refusal(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs) {
  try {
    keep_apart(outputs, inputs);
    return "";
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kUsage);
    return e.message();
  }
}

}  // namespace

TEST_CASE("an output is no input, no file of an input folder, and no other output") {
  const TempFolder d;
  d.write("in.jsonl", "{}");
  std::filesystem::create_directory(d / "model");
  d.write("model/config.json", "{}");
  std::filesystem::create_symlink(d / "in.jsonl", d / "link");
  const std::string in = d / "in.jsonl", model = d / "model";
  CHECK(refusal({d / "out", "", "-"}, {in, model, "-", ""}).empty());
  CHECK(refusal({in}, {in}).find("one of the inputs") != std::string::npos);
  CHECK(refusal({d / "link"}, {in}).find("one of the inputs") != std::string::npos);
  CHECK(refusal({in}, {d / "link"}).find("one of the inputs") != std::string::npos);
  CHECK(refusal({d / "model/../in.jsonl"}, {in}).find("one of the inputs") != std::string::npos);
  CHECK(refusal({d / "model/config.json"}, {model}).find("input folder") != std::string::npos);
  CHECK(refusal({d / "model/config.json"}, {model + "/"}).find("input folder") != std::string::npos);
  CHECK(refusal({d / "model/new.json"}, {model}).empty());
  CHECK(refusal({d / "model2"}, {model}).empty());
  CHECK(refusal({d / "out", d / "out"}, {}).find("two outputs") != std::string::npos);
  CHECK(refusal({"-", "-"}, {}).find("two outputs") != std::string::npos);
  CHECK(refusal({"/dev/null", "/dev/null"}, {"/dev/null"}).empty());
}
