// SHA-256 (FIPS 180-4) by OpenSSL's libcrypto, with one context a process that
// is used again for every hash: making one costs more than a short hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ledger {

using Hash = std::array<std::uint8_t, 32>;

// Prepares the context; false where libcrypto offers no SHA-256. To be called once,
// before anything else here.
bool prepare_sha256();

// One hash at a time: begin, add as often as you like, end.
void begin_sha256();
void add_sha256(const void *data, std::size_t size);
Hash end_sha256();

Hash sha256(std::string_view data);

}  // namespace ledger
