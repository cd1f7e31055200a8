// SQL: the trigger that refuses hand-made changes of the ledger's tables (LG401).
// The engine itself writes through the access methods, which fire no triggers.
#include "engine/database.hpp"
#include "pg/error.hpp"
#include "pg/postgres.hpp"

using namespace ledger;

// Rows may be inserted while the tables belong to no installation yet: that is
// when pg_restore copies them back. The first write by the engine ends it. The row that says
// whose the tables are is never dumped: nobody but the engine has reason to insert it.
LEDGER_FUNCTION(ledger_guard) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("ledger_data.guard() must be called as a trigger"),
                errhint("It is on the ledger's tables already."));
    const auto *trigger = reinterpret_cast<const TriggerData *>(fcinfo->context);
    const char *table = RelationGetRelationName(trigger->tg_relation);
    if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event)) {
        if (strcmp(table, "installation") == 0)
            raise(Status::append_only, "rows of \"ledger_data.installation\" cannot be inserted by hand",
                  "The row says how transactions are numbered: under another one transfers would not count "
                  "in balances.",
                  "The first write to the ledger makes the row.");
        if (!installation_is_current()) return PointerGetDatum(nullptr);
        raise(Status::append_only, psprintf("rows of \"ledger_data.%s\" cannot be inserted by hand", table),
              "The ledger is in use, and what it knows of balances would no longer be true.",
              "Use ledger.transfer(). To restore a dump, drop and create the extension and restore before "
              "any use.");
    }
    raise(Status::append_only,
          psprintf("rows of \"ledger_data.%s\" cannot be changed or removed by hand", table),
          "Transfers, audit records and seals are append-only; accounts change through their functions.",
          "To undo a transfer, use ledger.reverse_transfer(); for an account, ledger.alter_account().");
}
