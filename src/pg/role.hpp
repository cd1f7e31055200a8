// Who is calling: for requests, and for whatever belongs to a role.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// The role of SET ROLE, or else the session's user. SECURITY DEFINER functions, the
// ledger's own and others', do not change it.
Oid calling_role();

// The functions below raise 42501 in code that PostgreSQL runs for another role, such as
// the expression of an index in ANALYZE: there the caller is not known.

// The caller's name, in the current memory context.
text *calling_role_name();

// True if the caller has the privileges of the role of that name. Of a role that is gone
// only a superuser has them.
bool has_privileges_of(const text *role);

}  // namespace ledger
