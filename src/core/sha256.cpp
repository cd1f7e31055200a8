#include "core/sha256.hpp"

#include <openssl/evp.h>

namespace ledger {

namespace {

EVP_MD *method = nullptr;
EVP_MD_CTX *context = nullptr;

}  // namespace

bool prepare_sha256() {
    if (!method) method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (!context) context = EVP_MD_CTX_new();
    return method && context && EVP_DigestInit_ex2(context, method, nullptr);
}

// With a context that was prepared these cannot fail.

void begin_sha256() {
    EVP_DigestInit_ex2(context, nullptr, nullptr);
}

void add_sha256(const void *data, std::size_t size) {
    EVP_DigestUpdate(context, data, size);
}

Hash end_sha256() {
    Hash hash;
    EVP_DigestFinal_ex(context, hash.data(), nullptr);
    return hash;
}

Hash sha256(std::string_view data) {
    begin_sha256();
    add_sha256(data.data(), data.size());
    return end_sha256();
}

}  // namespace ledger
