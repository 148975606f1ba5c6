// SHA-256 (FIPS 180-4): names frozen plans, model files and the links of the drift ledger.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace ds {

class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  std::string hex();  // ends the digest: call once

 private:
  void block(const unsigned char* p);
  std::array<uint32_t, 8> h_;
  std::array<unsigned char, 64> buffer_{};
  uint64_t n_bytes_ = 0;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace ds
