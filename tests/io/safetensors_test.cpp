#include "io/safetensors.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "core/numbers.h"
#include "io/temp_folder.h"

using namespace ds;
using namespace ds::io;

namespace {

std::string with_length(uint64_t length, const std::string& rest) {
  return std::string(reinterpret_cast<const char*>(&length), 8) + rest;
}
std::string container(const std::string& json, const std::string& data) {
  return with_length(json.size(), json + data);
}

// Opens it; the message of the error, or "" when it was accepted. Only kBadModel may come out.
std::string refusal(const std::string& bytes) {
  const test::TempFolder folder;
  try {
    SafetensorsFile file(folder.write("model.safetensors", bytes));
    for (const TensorInfo& t : file.tensors()) (void)file.data(t);
    return "";
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    CHECK(e.where().find("model.safetensors") != std::string::npos);
    return e.message();
  }
}
bool mentions(const std::string& text, const char* word) { return text.find(word) != std::string::npos; }

std::string header_refusal(const std::string& json, uint64_t data_bytes) {
  try {
    parse_safetensors_header(json, data_bytes, "f");
    return "";
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kBadModel);
    return e.message();
  }
}

}  // namespace

TEST_CASE("what was written is read back, data aligned to 64") {
  std::vector<TensorInfo> tensors(4);
  tensors[0] = {"w", DType::kBF16, "", {2, 3}, 0, 0};
  tensors[1] = {"empty", DType::kF32, "", {0, 5}, 0, 0};
  tensors[2] = {"scalar", DType::kF64, "", {}, 0, 0};
  tensors[3] = {"strange \"名\"", DType::kUnknown, "F4_X", {7}, 100, 104};
  const std::string header = make_safetensors_header(tensors, {{"format", "pt"}});
  CHECK(header.size() % 64 == 0);
  std::string data(12 + 8 + 4, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i);
  const test::TempFolder folder;
  const SafetensorsFile file(folder.write("f", header + data));
  REQUIRE(file.tensors().size() == 4);
  CHECK(file.metadata().at("format") == "pt");
  const TensorInfo* w = file.find("w");
  REQUIRE(w);
  CHECK(w->shape == std::vector<int64_t>{2, 3});
  CHECK(w->dtype == DType::kBF16);
  CHECK(file.data(*w).size() == 12);
  CHECK(file.find("empty")->n_elements() == 0);
  CHECK(file.data(*file.find("empty")).empty());
  CHECK(file.find("scalar")->n_elements() == 1);
  CHECK(std::to_integer<int>(file.data(*file.find("scalar"))[0]) == 12);
  const TensorInfo* strange = file.find("strange \"名\"");
  REQUIRE(strange);
  CHECK(strange->dtype == DType::kUnknown);
  CHECK(strange->dtype_name == "F4_X");
  CHECK(file.data(*strange).size() == 4);
  CHECK(file.find("absent") == nullptr);
  // A moved file still finds its tensors.
  SafetensorsFile first(folder / "f");
  const SafetensorsFile second(std::move(first));
  CHECK(second.find("w")->shape.size() == 2);
  CHECK(shape_text(w->shape) == "[2, 3]");
}

TEST_CASE("data may start at any byte") {
  for (int pad = 0; pad < 9; ++pad) {
    const test::TempFolder folder;
    const std::string json =
        R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})" + std::string(pad, ' ');
    const float values[2] = {1.5f, -2.0f};
    const SafetensorsFile file(
        folder.write("f", container(json, std::string(reinterpret_cast<const char*>(values), 8))));
    CHECK(load_unaligned<float>(file.data(*file.find("x")).data() + 4) == -2.0f);
  }
}

TEST_CASE("header lengths that lie") {
  CHECK(mentions(refusal(""), "0 bytes long"));
  CHECK(mentions(refusal("1234567"), "7 bytes long"));
  CHECK(!refusal(std::string(8, '\0')).empty());  // an empty header is no JSON object
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{100}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 62,
        uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7, ~uint64_t{0} - 8}) {
    CAPTURE(length);
    CHECK(mentions(refusal(with_length(length, "{}")), "header length"));
  }
  CHECK(refusal(with_length(2, "{}")).empty());
}

TEST_CASE("a file cut anywhere is refused, never read past its end") {
  const std::string whole = container(R"({"a":{"dtype":"I8","shape":[5],"data_offsets":[0,5]}})", "12345");
  CHECK(refusal(whole).empty());
  for (size_t n = 0; n < whole.size(); ++n) CHECK(!refusal(whole.substr(0, n)).empty());
  CHECK(!refusal(whole + "x").empty());
}

TEST_CASE("offsets: outside, backwards, overlapping, with gaps, not what the shape needs") {
  const auto two = [](const char* a, const char* b) {
    return std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + a +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
  };
  CHECK(header_refusal(two("[0,4]", "[4,8]"), 8).empty());
  CHECK(header_refusal(two("[4,8]", "[0,4]"), 8).empty());  // any order in the file
  CHECK(mentions(header_refusal(two("[0,4]", "[2,6]"), 6), "overlaps"));
  CHECK(mentions(header_refusal(two("[0,4]", "[0,4]"), 4), "overlaps"));
  CHECK(mentions(header_refusal(two("[0,4]", "[6,10]"), 10), "gap"));
  CHECK(mentions(header_refusal(two("[1,5]", "[5,9]"), 9), "gap"));
  CHECK(mentions(header_refusal(two("[0,4]", "[4,8]"), 9), "tensors end at byte 8"));
  CHECK(mentions(header_refusal(two("[0,4]", "[4,8]"), 7), "outside"));
  CHECK(mentions(header_refusal(two("[0,4]", "[8,4]"), 8), "outside"));
  CHECK(mentions(header_refusal(two("[0,4]", "[4,18446744073709551615]"), 8), "outside"));
  CHECK(mentions(header_refusal(two("[0,4]", "[4,7]"), 7), "needs 4 bytes"));
  for (const char* wrong : {"[-4,0]", "[0.0,4.0]", "[\"0\",4]", "[0]", "[4,8,8]", "[]", "{}", "null", "4",
                            "[0,18446744073709551616]", "[0,1e3]", "[[0],[4]]"}) {
    CAPTURE(wrong);
    CHECK(!header_refusal(two("[0,4]", wrong), 8).empty());
  }
}

TEST_CASE("shapes that overflow, are negative or no list") {
  const auto shaped = [](const std::string& shape, const std::string& dtype = "F32") {
    return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[0,4]}})";
  };
  CHECK(header_refusal(shaped("[1]"), 4).empty());
  CHECK(header_refusal(shaped("[]"), 4).empty());
  for (const char* shape :
       {"[4294967296,4294967296]", "[9223372036854775807,2]", "[9223372036854775808]",
        "[18446744073709551615]", "[4611686018427387904]", "[4611686018427387905]", "[3037000500,3037000500]",
        "[65536,65536,65536,65536]", "[0,4294967296,4294967296,4294967296]", "[-1]", "[1.0]", "[\"1\"]",
        "[null]", "[[1]]", "{}", "1", "null", "[2]", "[0]"}) {
    CAPTURE(shape);
    CHECK(!header_refusal(shaped(shape), 4).empty());
  }
  // No bytes, and yet sizes that products of its columns would overflow.
  for (const char* shape :
       {"[0,4611686018427387904]", "[4611686018427387904,0]", "[0,4294967296,4294967296]"})
    CHECK(!header_refusal(
               R"({"t":{"dtype":"I8","shape":)" + std::string(shape) + R"(,"data_offsets":[0,0]}})", 0)
               .empty());
  CHECK(header_refusal(R"({"t":{"dtype":"I8","shape":[0,16384],"data_offsets":[0,0]}})", 0).empty());
  // An unknown dtype's size comes from the file, but its shape must not overflow either.
  CHECK(header_refusal(shaped("[8]", "F4"), 4).empty());
  CHECK(!header_refusal(shaped("[4294967296,4294967296]", "F4"), 4).empty());
}

TEST_CASE("entries with missing or wrong members, names twice, metadata that is no text") {
  for (
      const char* json :
      {"[]", "1", "\"x\"", "null", "{\"a\":1}", "{\"a\":null}", "{\"a\":[]}", "{\"a\":{}}", "{",
       R"({"a":{"dtype":"U8","shape":[0]}})", R"({"a":{"dtype":"U8","data_offsets":[0,0]}})",
       R"({"a":{"shape":[0],"data_offsets":[0,0]}})", R"({"a":{"dtype":1,"shape":[0],"data_offsets":[0,0]}})",
       R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
       R"({"__metadata__":1})", R"({"__metadata__":{"a":1}})", R"({"__metadata__":{"a":{}}})",
       "{\"a\xFF\":{}}"}) {
    CAPTURE(json);
    CHECK(!header_refusal(json, 0).empty());
  }
  CHECK(header_refusal("{}", 0).empty());
  CHECK(header_refusal(R"({"__metadata__":{}})", 0).empty());
  CHECK(mentions(
      header_refusal(
          R"({"n":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"n":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}})",
          0),
      "twice"));
  // One reader takes the first of two fields, another the last.
  for (const char* field : {R"("dtype":"I8")", R"("shape":[0,3])", R"("data_offsets":[0,0])"})
    CHECK(mentions(
        header_refusal(R"({"n":{"dtype":"U8","shape":[0],"data_offsets":[0,0],)" + std::string(field) + "}}",
                       0),
        "is there twice"));
}

TEST_CASE("deep and broken JSON ends in a message") {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
  CHECK(!header_refusal(deep, 0).empty());
  CHECK(!header_refusal(std::string(1'000'000, '['), 0).empty());
  CHECK(!header_refusal(
             R"({"a":{"dtype":"U8","shape":[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]],"data_offsets":[0,0]}})",
             0)
             .empty());
}

TEST_CASE("any single changed byte is refused or read within bounds") {
  const std::string json = R"({"a":{"dtype":"I8","shape":[2,2],"data_offsets":[0,4]},)"
                           R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  const std::string whole = container(json, "12345678");
  std::mt19937 rng(5);
  for (size_t i = 0; i < 8 + json.size(); ++i) {
    for (int k = 0; k < 6; ++k) {
      std::string broken = whole;
      broken[i] = static_cast<char>(k == 0 ? broken[i] ^ 1 : rng());
      refusal(broken);  // checks the kind of error inside
    }
  }
}
