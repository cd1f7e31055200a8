#include "pg/error.hpp"

namespace ledger {

int sqlstate(Status status) {
    const char *s = condition(status).sqlstate;
    return MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]);
}

void raise(Status status, const char *message, const char *detail, const char *hint) {
    ereport(ERROR, (errcode(sqlstate(status)), errmsg_internal("%s", message),
                    detail ? errdetail_internal("%s", detail) : 0, hint ? errhint("%s", hint) : 0));
    pg_unreachable();
}

}  // namespace ledger
