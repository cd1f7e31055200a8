#include "pg/role.hpp"

namespace ledger {

namespace {

// A restricted operation runs code of a table's owner in the session of another role, often a
// superuser's. Neither of the two is the caller: the owner's code could call with the rights of
// the session, or of the owner of a SECURITY DEFINER function.
Oid known_caller() {
    if (InSecurityRestrictedOperation())
        ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                errmsg("cannot use keys or requests within security-restricted operation"),
                errhint("Call the function from a statement of the role's own."));
    return calling_role();
}

}  // namespace

Oid calling_role() {
    return GetOuterUserId();
}

text *calling_role_name() {
    return cstring_to_text(GetUserNameFromId(known_caller(), false));
}

bool has_privileges_of(const text *role) {
    const Oid caller = known_caller();
    const Oid owner = get_role_oid(text_to_cstring(role), true);
    if (owner == caller) return true;
    return OidIsValid(owner) ? has_privs_of_role(caller, owner) : superuser_arg(caller);
}

}  // namespace ledger
