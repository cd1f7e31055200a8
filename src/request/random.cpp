#include "request/random.hpp"

namespace ledger {

text *random_token() {
    char bytes[32];
    char digits[2 * sizeof bytes];
    if (!pg_strong_random(bytes, sizeof bytes))
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("there are no random bytes to be had"),
                errhint("See that the server's OpenSSL library works."));
    hex_encode(bytes, sizeof bytes, digits);
    return cstring_to_text_with_len(digits, sizeof digits);
}

}  // namespace ledger
