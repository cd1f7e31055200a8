// Ed25519 signatures of digests, with a key from a file that only the server reads.
#pragma once

#include "core/sha256.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// The row (signature bytea, public_key bytea) of fcinfo's function; both NULL where
// ledger.signing_key_file is empty. Raises 58P01 or 22023 where the file is not
// there or holds no Ed25519 private key in PEM form.
Datum sign_digest(FunctionCallInfo fcinfo, std::int64_t seal, const Hash &hash);

}  // namespace ledger
