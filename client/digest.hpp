// A digest that was kept: a seal's number and hash, perhaps signed.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "findings.hpp"
#include "json.hpp"
#include "records.hpp"
#include "seal.hpp"

struct Digest {
    std::string file;
    int64_t seal = 0;
    Hash hash{};
    std::optional<std::string> signature;
    std::optional<std::string> public_key;  // 32 bytes

    // What is signed.
    std::string record() const {
        std::string bytes;
        record::Writer writer(bytes);
        writer.begin(record::kSignedScope);
        writer.integer(seal);
        writer.bytes(view(hash));
        return bytes;
    }
};

inline Digest read_digest(const std::string &path, const std::string &content) {
    return json::parse(content, [&](const json::Value &object) {
        Digest digest{path, seal_number(json::integer(object, "seal")), json::hash(object, "hash"), {}, {}};
        digest.signature = json::optional_bytes(object, "signature");
        digest.public_key = json::optional_bytes(object, "public_key");
        return digest;
    });
}

// An Ed25519 public key.
class PublicKey {
  public:
    static std::optional<PublicKey> from_bytes(const std::string &bytes) {
        PublicKey key(EVP_PKEY_new_raw_public_key(
            EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size()));
        return key.key_ ? std::optional(std::move(key)) : std::nullopt;
    }

    static PublicKey from_pem(const std::string &path) {
        const std::string pem = json::read_file(path);
        const std::unique_ptr<BIO, decltype(&BIO_free)> input(
            BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
        PublicKey key(PEM_read_bio_PUBKEY(input.get(), nullptr, nullptr, nullptr));
        if (!key.key_ || EVP_PKEY_get_base_id(key.key_.get()) != EVP_PKEY_ED25519)
            throw Malformed(path + ": not an Ed25519 public key in PEM");
        return key;
    }

    std::string bytes() const {
        std::string bytes(32, '\0');
        size_t length = bytes.size();
        EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char *>(bytes.data()), &length);
        return bytes;
    }

    bool verify(const std::string &message, const std::string &signature) const {
        const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                              &EVP_MD_CTX_free);
        return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
               EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char *>(signature.data()),
                                signature.size(), reinterpret_cast<const unsigned char *>(message.data()),
                                message.size()) == 1;
    }

  private:
    explicit PublicKey(EVP_PKEY *key) : key_(key, &EVP_PKEY_free) {}

    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

// What is wrong with a digest's signature, or "". A trusted key makes one a must;
// without it the digest's own key shows no more than that the two belong together.
inline std::string signature_problem(const Digest &digest, const std::optional<PublicKey> &trusted) {
    if (!digest.signature) return trusted ? "it is not signed" : "";
    if (!digest.public_key) return "it has a signature, but no public key";
    if (trusted && trusted->bytes() != *digest.public_key)
        return "it is signed by the key " + to_hex(*digest.public_key) + ", expected " +
               to_hex(trusted->bytes());
    const std::optional<PublicKey> own = PublicKey::from_bytes(*digest.public_key);
    if (!own || !own->verify(digest.record(), *digest.signature))
        return "its signature is not one of its seal and hash by its key";
    return "";
}

inline void check(const Digest &digest, const std::optional<PublicKey> &trusted, Findings &findings) {
    const std::string problem = signature_problem(digest, trusted);
    if (!problem.empty())
        findings.push_back(
            {kRewritten, {.scope = "digest", .seq = digest.seal}, digest.file + ": " + problem});
}
