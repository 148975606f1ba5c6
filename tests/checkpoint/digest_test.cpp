#include "checkpoint/digest.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/error.h"

namespace ds::checkpoint {

namespace fs = std::filesystem;

TEST_CASE("a repository of the Hugging Face cache has the digest of its files") {
  const fs::path root = fs::absolute("digest_test_cache"),
                 snapshot = root / "models--Org--Tiny" / "snapshots" / "abc";
  fs::remove_all(root);
  fs::create_directories(snapshot);
  fs::create_directories(root / "blobs");
  std::ofstream(root / "blobs" / "1") << "{}";
  fs::create_symlink(root / "blobs" / "1", snapshot / "config.json");  // as the hub's client lays them out
  const char* before = std::getenv("HF_HUB_CACHE");
  const std::string kept = before ? before : "";
  ::setenv("HF_HUB_CACHE", root.c_str(), 1);
  CHECK(model_digest("Org/Tiny") == model_digest(snapshot.string()));
  CHECK_THROWS_AS(model_digest("Org/None"), Error);
  before ? ::setenv("HF_HUB_CACHE", kept.c_str(), 1) : ::unsetenv("HF_HUB_CACHE");
  fs::remove_all(root);
}

TEST_CASE("the digest of a folder counts all that makes the model, of a GGUF its parts") {
  const fs::path root = fs::absolute("digest_test_folder");
  fs::remove_all(root);
  fs::create_directories(root / "layers");
  const auto digest_with = [&](const char* file, const char* content) {
    std::ofstream(root / file) << content;
    return model_digest(root.string());
  };
  const std::string first = digest_with("config.json", "{}");
  const std::string below = digest_with("layers/a.safetensors", "a");
  CHECK(first != below);
  CHECK(digest_with("layers/a.safetensors", "b") != below);
  CHECK(digest_with("layers/a.safetensors", "a") == below);
  CHECK(digest_with("README.md", "of the model") == below);
  fs::remove_all(root);

  const std::string parts = DS_SOURCE_DIR "/tests/golden/gguf/qwen3_q8_0_split3";
  const std::string whole = model_digest(parts + "/model-00001-of-00003.gguf");
  CHECK(whole.starts_with("sha256:"));
  fs::create_directories(root);
  for (const auto& part : fs::directory_iterator(parts)) fs::copy(part.path(), root / part.path().filename());
  const std::string copy = (root / "model-00001-of-00003.gguf").string();
  CHECK(model_digest(copy) == whole);
  std::fstream last(root / "model-00003-of-00003.gguf", std::ios::in | std::ios::out | std::ios::binary);
  last.seekp(-1, std::ios::end);
  last.put('\x55').flush();
  CHECK(model_digest(copy) != whole);
  fs::remove_all(root);
}

}  // namespace ds::checkpoint
