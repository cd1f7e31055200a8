// SHA-256 by OpenSSL, with one context for all hashes: to make a context and to
// look up the algorithm takes longer than to hash a record.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "text.hpp"

using Hash = std::array<char, 32>;

inline std::string_view view(const Hash &hash) {
    return {hash.data(), hash.size()};
}
inline std::string to_hex(const Hash &hash) {
    return to_hex(view(hash));
}

inline Hash parse_hash(std::string_view text) {
    Hash hash;
    if (text.size() != hash.size() * 2) throw Malformed("a hash has 64 hexadecimal digits");
    decode_hex(text, hash.data());
    return hash;
}

class Sha256 {
  public:
    Sha256()
        : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr), &EVP_MD_free),
          context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
        require(algorithm_ && context_ && EVP_DigestInit_ex2(context_.get(), algorithm_.get(), nullptr));
    }

    // The hash of the parts, one after the other.
    Hash operator()(std::initializer_list<std::string_view> parts) {
        require(EVP_DigestInit_ex2(context_.get(), nullptr, nullptr));
        for (const std::string_view part : parts)
            require(EVP_DigestUpdate(context_.get(), part.data(), part.size()));
        Hash hash;
        require(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char *>(hash.data()), nullptr));
        return hash;
    }

  private:
    static void require(bool done) {
        if (!done) throw std::runtime_error("OpenSSL cannot compute SHA-256");
    }

    std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm_;
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// The one of this thread.
inline Sha256 &sha256() {
    thread_local Sha256 hasher;
    return hasher;
}
