#include "io/gguf.h"

#include <doctest/doctest.h>

#include <cstring>

#include "core/error.h"
#include "core/rng.h"

using namespace ds;
using namespace ds::io;

namespace {

GgufHeader parse(const std::string& file, GgufArrays arrays = GgufArrays::kRead) {
  return parse_gguf_header({reinterpret_cast<const std::byte*>(file.data()), file.size()}, "f", arrays);
}

// The message of the refusal, "" when it is read. Only kBadModel may come out.
std::string refusal(const std::string& file) {
  try {
    parse(file);
    return "";
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    CHECK(e.where() == "f");
    CHECK_FALSE(e.hint().empty());
    return e.message();
  }
}
bool mentions(const std::string& text, const char* word) { return text.find(word) != std::string::npos; }

std::string small_file() {
  GgufMetadata m;
  m.set_string("general.architecture", "llama");
  m.set_u32("llama.block_count", 4000000000);
  m.set_f32("llama.eps", 0.5);
  m.set_bool("flag", true);
  m.set_strings("words", {"a", "", "b\n"});
  m.set_i32s("numbers", {1, -2});
  std::vector<GgufTensor> tensors(2);
  tensors[0].name = "m", tensors[0].shape = {3, 2};
  tensors[1].name = "v", tensors[1].shape = {5}, tensors[1].type = GgufType::kBF16;
  return m.header(tensors) + std::string(64, '\1');
}

std::string replaced(std::string file, const std::string& from, const std::string& to) {
  const size_t at = file.find(from);
  REQUIRE(at != std::string::npos);
  REQUIRE(from.size() == to.size());
  return file.replace(at, from.size(), to);
}
template <class T>
std::string bytes_of(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

TEST_CASE("GGUF: what is written is read") {
  const std::string file = small_file();
  const GgufHeader h = parse(file);
  CHECK(dump(h.metadata) == R"({"general.architecture":"llama","llama.block_count":4000000000,)"
                            R"("llama.eps":0.5,"flag":true,"words":["a","","b\n"],"numbers":[1,-2]})");
  REQUIRE(h.tensors.size() == 2);
  CHECK(h.tensors[0].name == "m");
  CHECK(h.tensors[0].shape == std::vector<int64_t>{3, 2});
  CHECK(h.tensors[1].type == 30);
  CHECK(h.tensors[1].offset == 32);
  CHECK(h.data_begin == file.size() - 64);
}

TEST_CASE("GGUF: long arrays can be left out") {
  GgufMetadata m;
  m.set_strings("words", std::vector<std::string>(1001, "w"));
  m.set_i32s("numbers", std::vector<int32_t>(1001));
  m.set_i32s("few", {1});
  std::vector<GgufTensor> none;
  const std::string file = m.header(none);
  CHECK(dump(parse(file, GgufArrays::kSkipLong).metadata) == R"({"words":null,"numbers":null,"few":[1]})");
  CHECK(parse(file).metadata["words"].size() == 1001);
}

TEST_CASE("GGUF: arrays of every type, read or left out, end where the next key begins") {
  const auto key = [](const std::string& name) { return bytes_of(uint64_t{name.size()}) + name; };
  const auto file_of = [&](const std::string& array) {
    return "GGUF" + bytes_of(uint32_t{3}) + bytes_of(uint64_t{0}) + bytes_of(uint64_t{2}) + key("a") +
           bytes_of(uint32_t{9}) + array + key("b") + bytes_of(uint32_t{4}) + bytes_of(uint32_t{7});
  };
  constexpr uint64_t kMany = 1001;
  const struct {
    uint32_t type;
    size_t bytes;
  } kTypes[] = {{0, 1}, {1, 1}, {2, 2}, {3, 2}, {4, 4}, {5, 4}, {6, 4}, {7, 1}, {10, 8}, {11, 8}, {12, 8}};
  for (const auto& t : kTypes) {
    const std::string array = bytes_of(t.type) + bytes_of(kMany) + std::string(kMany * t.bytes, '\0');
    for (const GgufArrays arrays : {GgufArrays::kRead, GgufArrays::kSkipLong}) {
      CAPTURE(t.type);
      const GgufHeader h = parse(file_of(array), arrays);
      CHECK(h.metadata["b"] == 7);
      CHECK(h.metadata["a"].size() == (arrays == GgufArrays::kRead ? kMany : 0));
    }
  }
  // Of arrays the elements' sizes are not known: they are read.
  std::string nested = bytes_of(uint32_t{9}) + bytes_of(kMany);
  for (uint64_t i = 0; i < kMany; ++i)
    nested += bytes_of(uint32_t{0}) + bytes_of(i % 3) + std::string(i % 3, 'x');
  CHECK(parse(file_of(nested), GgufArrays::kSkipLong).metadata["b"] == 7);
  const std::string none = "GGUF" + bytes_of(uint32_t{3}) + bytes_of(uint64_t{0}) + bytes_of(uint64_t{1}) +
                           key("general.alignment") + bytes_of(uint32_t{4}) + bytes_of(uint32_t{0});
  CHECK(mentions(refusal(none), "metadata general.alignment is 0"));
}

TEST_CASE("GGUF: damage is refused with its place, whatever it claims") {
  const std::string file = small_file();
  for (size_t n = 0; n < file.size() - 64; ++n) CHECK_FALSE(refusal(file.substr(0, n)).empty());
  CHECK(mentions(refusal("GGML" + file.substr(4)), "does not begin with GGUF"));
  CHECK(mentions(refusal(file.substr(0, 4) + bytes_of(1) + file.substr(8)), "version 1"));
  CHECK(mentions(refusal(file.substr(0, 4) + bytes_of(0x03000000) + file.substr(8)), "big-endian"));
  const auto huge = bytes_of(UINT64_MAX);
  CHECK(mentions(refusal(file.substr(0, 8) + huge + file.substr(16)), "tensors"));
  CHECK(mentions(refusal(file.substr(0, 16) + huge + file.substr(24)), "keys"));
  CHECK(mentions(refusal(replaced(file, bytes_of(uint32_t{8}) + bytes_of(uint64_t{3}),
                                  bytes_of(uint32_t{8}) + bytes_of(uint64_t{1} << 40))),
                 "metadata words claims"));
  CHECK(mentions(refusal(replaced(file, bytes_of(uint64_t{2}) + bytes_of(uint64_t{3}),
                                  bytes_of(uint64_t{1} << 62) + bytes_of(uint64_t{3}))),
                 "tensor m has a dimension"));
  CHECK(mentions(refusal(replaced(file, bytes_of(uint32_t{30}) + bytes_of(uint64_t{32}),
                                  bytes_of(uint32_t{30}) + bytes_of(uint64_t{96}))),
                 "tensor v begins"));
  CHECK(mentions(refusal(replaced(file, bytes_of(uint32_t{30}) + bytes_of(uint64_t{32}),
                                  bytes_of(uint32_t{30}) + bytes_of(uint64_t{31}))),
                 "not aligned"));
  GgufMetadata m;
  m.set_u32("a", 1);
  m.set_u32("a", 1);
  std::vector<GgufTensor> none;
  CHECK(mentions(refusal(m.header(none)), "given twice"));
  // Anything else, byte by byte: read or refused, never more.
  CounterRng rng(11, 0);
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = file;
    const auto at = static_cast<size_t>(rng.next_double() * static_cast<double>(file.size() - 64));
    damaged[at] = static_cast<char>(static_cast<int>(rng.next_double() * 256));
    refusal(damaged);
  }
}
