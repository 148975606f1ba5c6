#include "filter/embedded.h"

#include "core/error.h"

// DS_DATA_DIR comes from the build. The assembler reads the files: no generated C array has to be compiled.
#define DS_EMBED(symbol, name)                                                                       \
  asm(".section .rodata\n.balign 64\n.global " #symbol "\n" #symbol ":\n.incbin \"" DS_DATA_DIR name \
      "\"\n.global " #symbol "_end\n" #symbol "_end:\n.byte 0\n.previous\n");                        \
  extern "C" const char symbol[], symbol##_end[]

DS_EMBED(ds_data_exceptions, "en-exceptions.tsv");
DS_EMBED(ds_data_han, "han-simplify.tsv");
DS_EMBED(ds_data_entities_en, "entities-en.tsv");
DS_EMBED(ds_data_entities_zh, "entities-zh.tsv");
DS_EMBED(ds_data_embedder, "embedder.safetensors");

namespace ds::filter {

std::string_view embedded_file(std::string_view name) {
  const auto view = [](const char* begin, const char* end) {
    return std::string_view(begin, static_cast<size_t>(end - begin));
  };
  if (name == "en-exceptions.tsv") return view(ds_data_exceptions, ds_data_exceptions_end);
  if (name == "han-simplify.tsv") return view(ds_data_han, ds_data_han_end);
  if (name == "entities-en.tsv") return view(ds_data_entities_en, ds_data_entities_en_end);
  if (name == "entities-zh.tsv") return view(ds_data_entities_zh, ds_data_entities_zh_end);
  if (name == "embedder.safetensors") return view(ds_data_embedder, ds_data_embedder_end);
  DS_CHECK(!"no such embedded file");
  return {};
}

}  // namespace ds::filter
