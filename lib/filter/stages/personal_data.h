// Personal data and secrets in a text. Scanners start from rare characters (@, runs of digits, key prefixes)
// and read a bounded stretch around them: linear time whatever the text.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "filter/stages/settings.h"
#include "filter/text/document.h"

namespace ds::filter {

// An address of the net is of either version, an id_card a US social security number too, a bank_card an IBAN
// too.
enum class PersonalKind : uint8_t { kEmail, kPhone, kIp, kIdCard, kBankCard, kSecret };
const char* personal_kind_name(
    PersonalKind kind);                        // "email", "phone", "ip", "id_card", "bank_card", "secret"
const char* personal_mask(PersonalKind kind);  // what a masked one is replaced by: "<EMAIL>" and so on

struct PersonalHit {
  uint32_t begin, end;  // code points
  PersonalKind kind;
};
// In text order, without overlaps.
void find_personal_data(const Document& doc, std::vector<PersonalHit>& out);

// GB 11643: 17 digits and a check character; the birth date must exist. 15-digit cards are void since 2013.
bool valid_chinese_id(std::string_view id);
bool valid_luhn(std::string_view digits);

}  // namespace ds::filter
