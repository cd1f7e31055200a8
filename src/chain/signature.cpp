#include "chain/signature.hpp"

#include "core/record.hpp"
#include "engine/settings.hpp"
#include "pg/result.hpp"

extern "C" {
#include "storage/fd.h"
}

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ledger {

namespace {

constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kPublicKeyBytes = 32;

struct Signature {
    std::uint8_t signature[kSignatureBytes];
    std::uint8_t public_key[kPublicKeyBytes];
};

// As PostgreSQL asks of the key of its TLS certificate: ours and nobody else's, or root's and
// readable by our group.
bool is_private(const struct stat &about) {
    if (about.st_uid == geteuid()) return (about.st_mode & (S_IRWXG | S_IRWXO)) == 0;
    return about.st_uid == 0 && (about.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) == 0;
}

// The file as it is; a key is a few hundred bytes. Nothing waits for it, and no buffer
// but the caller's has it afterwards.
int read_key_file(char *text, int room) {
    const int file = OpenTransientFile(settings.signing_key_file, O_RDONLY | O_NONBLOCK);
    struct stat about;
    const bool is_file = file >= 0 && fstat(file, &about) == 0 && S_ISREG(about.st_mode);
    if (is_file && !is_private(about))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("the signing key \"%s\" is open to others", settings.signing_key_file),
                errdetail("Who can read it can sign."),
                errhint("Let it belong to the server's user and have mode 0600, or to root and have 0640."));
    const auto size = is_file ? static_cast<int>(read(file, text, room)) : -1;
    if (file < 0 || (is_file && size < 0))
        ereport(ERROR, errcode_for_file_access(),
                errmsg("could not read the signing key \"%s\": %m", settings.signing_key_file),
                errhint("See ledger.signing_key_file: a file that the server's user can read, in PEM form."));
    CloseTransientFile(file);
    return size;
}

// Needs nothing of PostgreSQL, so what libcrypto allocates is always freed.
bool sign(const char *pem, int size, const SignedBytes &bytes, Signature &result) {
    BIO *memory = BIO_new_mem_buf(pem, size);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(
        memory, nullptr, [](char *, int, int, void *) { return 0; }, nullptr);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    std::size_t signature_size = kSignatureBytes, key_size = kPublicKeyBytes;
    const bool done =
        key && context && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
        EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key) == 1 &&
        EVP_DigestSign(context, result.signature, &signature_size, bytes.data(), bytes.size()) == 1 &&
        EVP_PKEY_get_raw_public_key(key, result.public_key, &key_size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    BIO_free(memory);
    ERR_clear_error();
    return done;
}

Datum bytea_of(const std::uint8_t *bytes, std::size_t size) {
    return PointerGetDatum(
        cstring_to_text_with_len(reinterpret_cast<const char *>(bytes), static_cast<int>(size)));
}

}  // namespace

Datum sign_digest(FunctionCallInfo fcinfo, std::int64_t seal, const Hash &hash) {
    Datum values[2] = {};
    bool nulls[2] = {true, true};
    if (settings.signing_key_file && settings.signing_key_file[0]) {
        char pem[4096];
        const int size = read_key_file(pem, sizeof pem);
        Signature result;
        const bool done = size > 0 && sign(pem, size, signed_bytes(seal, hash), result);
        explicit_bzero(pem, sizeof pem);
        if (!done)
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("\"%s\" is not a private key for Ed25519", settings.signing_key_file),
                    errdetail("It must be in PEM form and not encrypted."),
                    errhint("Make one with: openssl genpkey -algorithm ed25519 -out FILE."));
        values[0] = bytea_of(result.signature, kSignatureBytes);
        values[1] = bytea_of(result.public_key, kPublicKeyBytes);
        nulls[0] = nulls[1] = false;
    }
    return row_result(fcinfo, values, nulls);
}

}  // namespace ledger
