// Compressed streams made by Python's lzma and bz2 modules and by zstd --long=31.
#include "io/compress.h"

#include <doctest/doctest.h>

#include <string>

#include "io/temp_folder.h"

using namespace ds;
using namespace ds::io;
using ds::test::TempFolder;

namespace {

const std::string kText = "{\"text\":\"one\"}\n{\"text\":\"two\"}\n";

std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

const std::string kXz = from_hex(
    "fd377a585a000004e6d6b4460200210116000000742fe5a3e0001d001a5d003d888a86948813e0f3894a79c19c9e587d"
    "df45aecfa024ee9b0000000005e82327e48f7f8d0001361e3d1995531fb6f37d010000000004595a");
const std::string kBzip2 = from_hex(
    "425a68393141592653596ace176700000d5980001010000010020184ca20003100d34d0254d1ea6d27a906285636658b"
    "ca15a564387c5dc914e14241ab385d9c");
const std::string kLongWindow =
    from_hex("28b52ffd04a8dd0000a87b2274657874223a226f6e65227d0a74776f227d0a010052cc3a90e2dfee");

// All content, and what the end was: "" or the error.
std::pair<std::string, std::string> content(const std::string& bytes) {
  const TempFolder folder;
  const std::string path = folder.write("f", bytes);
  std::pair<std::string, std::string> out;
  try {
    ByteSource source(path);
    char buffer[7];
    while (const size_t n = source.read(buffer, sizeof buffer)) out.first.append(buffer, n);
  } catch (const Error& e) {
    out.second = e.what();
  }
  return out;
}

std::string packed(Compression compression, const std::string& text) {
  std::string out;
  ByteSink sink(compression, [&](std::string_view bytes) { out += bytes; });
  sink.write(text);
  sink.finish();
  return out;
}

}  // namespace

TEST_CASE("endings in any case, behind a name; padding and skippable frames between members; skipping") {
  for (const auto& [name, kind] : {std::pair("a.gz", Compression::kGzip),
                                   {"a.JSONL.GZ", Compression::kGzip},
                                   {"a.Zst", Compression::kZstd},
                                   {"a.zstd", Compression::kZstd},
                                   {"a.xz", Compression::kXz},
                                   {"a.bz2", Compression::kBzip2},
                                   {".gz", Compression::kNone},
                                   {"gz", Compression::kNone},
                                   {"a.gz.txt", Compression::kNone}})
    CHECK(compression_from_name(name) == kind);
  for (const Compression kind :
       {Compression::kGzip, Compression::kZstd, Compression::kXz, Compression::kBzip2}) {
    const std::string one = packed(kind, "one"), zeros(512, '\0');
    CHECK(content(one + one + zeros + one + zeros).first == "oneoneone");
    CHECK(content(one + one + zeros + one + zeros).second == "");
    CHECK(content(one + zeros + "x").second != "");
  }
  for (int low = 0; low < 16; ++low)  // each of the sixteen kinds of skippable frame
    CHECK(content(std::string(1, static_cast<char>(0x50 + low)) + std::string("\x2a\x4d\x18\x02\0\0\0zz", 9) +
                  packed(Compression::kZstd, "text"))
              .first == "text");
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + ",";
  for (const Compression kind : {Compression::kNone, Compression::kGzip})
    for (const size_t n_read : {0, 5, 200'000})
      for (const size_t n_skipped : {1, 1000, 300'000}) {
        ByteSource source(folder.write("f", kind == Compression::kNone ? text : packed(kind, text)));
        std::string rest(text.size(), ' ');
        for (size_t got = 0; got < n_read;) got += source.read(rest.data(), n_read - got);
        CHECK(source.skip(n_skipped));
        size_t n = 0;
        while (const size_t got = source.read(rest.data() + n, rest.size() - n)) n += got;
        CHECK(rest.substr(0, n) == text.substr(n_read + n_skipped));
      }
}

TEST_CASE("xz, bzip2 and zstd with a window of 2 GiB are read") {
  for (const std::string& bytes : {kXz, kBzip2, kLongWindow}) {
    CHECK(content(bytes) == std::pair(kText, std::string()));
    CHECK(content(bytes + bytes) == std::pair(kText + kText, std::string()));  // one stream behind another
  }
}

TEST_CASE("what stands before a damage is handed out, the damage is named") {
  const std::string large = [] {
    std::string text;
    for (int i = 0; i < 40000; ++i) text += "line " + std::to_string(i) + "\n";
    return text;
  }();
  for (const Compression c :
       {Compression::kGzip, Compression::kZstd, Compression::kXz, Compression::kBzip2}) {
    const std::string good = packed(c, large);
    CHECK(content(good) == std::pair(large, std::string()));
    // The last checksum: in gzip the length stands behind it, in xz and bzip2 an index or the whole stream's.
    std::string bad = good;
    bad[bad.size() - (c == Compression::kGzip ? 8 : c == Compression::kBzip2 ? 2 : 1)] ^= 1;
    const auto got = content(bad);
    INFO("format ", static_cast<int>(c), ", ", got.first.size(), " of ", large.size(), " bytes, ",
         got.second);
    CHECK((got.first == large));
    CHECK(got.second.find("is damaged") != std::string::npos);
    const auto cut = content(good.substr(0, good.size() / 2));
    CHECK(large.compare(0, cut.first.size(), cut.first) == 0);
    CHECK(cut.second.find("ends early") != std::string::npos);
  }
}

TEST_CASE("a file's ending names its compression in any case") {
  CHECK(compression_from_name("a.jsonl.GZ") == Compression::kGzip);
  CHECK(compression_from_name("a.Zst") == Compression::kZstd);
  CHECK(compression_from_name("a.xz") == Compression::kXz);
  CHECK(compression_from_name("a.bz2") == Compression::kBzip2);
  CHECK(compression_from_name(".gz") == Compression::kNone);
  CHECK(compression_ending("part-00000.zstd") == ".zstd");
}
