// Files that a user or another machine hands over: compressed input, profiles, lexicons, embedders, segments,
// clusters.
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/json_value.h"
#include "filter/passes/segment.h"
#include "filter/passes/shards.h"
#include "filter/semantic/embedder.h"
#include "filter/stages/lexicon.h"
#include "filter/stages/profile.h"
#include "io/compress.h"
#include "io/json.h"

using namespace ds;
using namespace ds::filter;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static const std::string folder = [] {
    const auto path = std::filesystem::temp_directory_path() / ("ds-fuzz-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
    return path.string();
  }();
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto put = [&](const char* name) {
    const std::string path = folder + "/" + name;
    AtomicFile file(path);
    file.write(bytes);
    file.commit(false);  // no waiting for the disk
    return path;
  };
  try {
    switch (data[0] % 6) {
      case 0: {
        ByteSource source(put("input"));
        char buffer[4096];
        size_t total = 0;
        while (const size_t n = source.read(buffer, sizeof buffer))
          if ((total += n) > (64 << 20)) break;
        break;
      }
      case 1: {
        Profile profile = default_profile();
        apply_profile(profile, parse_json(bytes, "profile", ErrorKind::kBadModel), "profile");
        break;
      }
      case 2: {
        Lexicon lexicon;
        lexicon.add(bytes, "lexicon");
        lexicon.finish();
        Document doc;
        const std::string text = "some text, p o r n and 色 情, d1sguised";
        doc.text = text;
        prepare(doc);
        Lexicon::Work work;
        lexicon.find(doc, work);
        break;
      }
      case 3:
        Embedder::load(put("e.safetensors"));
        break;
      case 4: {
        put("s.sig");
        put("s.seg");
        SegmentInfo info;
        read_segment_info(folder + "/s", info);
        SegmentReader reader(folder + "/s");
        SegmentReader::Block block;
        while (reader.next(block)) reader.each(block, [](const SegmentEntry&) {});
        break;
      }
      default:
        read_clusters(put("clusters"));
    }
  } catch (const Error&) {
  }
  return 0;
}
