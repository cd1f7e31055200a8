// The audit's triggers of a table: which there are, whether each is exactly as
// ledger.enable_audit() puts it there, and how one that was weakened is put back.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

enum class AuditTrigger : std::uint8_t { row, statement, truncate };
inline constexpr AuditTrigger kAuditTriggers[] = {AuditTrigger::row, AuditTrigger::statement,
                                                  AuditTrigger::truncate};
const char *name_of(AuditTrigger which);

// One of them, as pg_trigger has it. A trigger of that name with another function is not ours.
struct Armed {
    bool exists;
    bool is_clone;          // of the trigger of the table that this one is a partition of
    bool is_plain;          // as installed, but perhaps for its state
    char state;             // tgenabled
    const char *arguments;  // the excluded columns, each ended by a zero byte
    std::size_t arguments_size;

    bool is_exact() const { return is_plain && state == TRIGGER_FIRES_ALWAYS; }
};

struct ArmedTable {
    Armed triggers[std::size(kAuditTriggers)];

    const Armed &operator[](AuditTrigger which) const { return triggers[static_cast<int>(which)]; }
    Armed &operator[](AuditTrigger which) { return triggers[static_cast<int>(which)]; }
    bool is_audited() const { return (*this)[AuditTrigger::row].exists; }
};

// ledger.audit(), or InvalidOid where there is no ledger.
Oid audit_function();

// The triggers in the current memory context, as the catalog has them; what the running command
// has not made visible yet is left out.
ArmedTable armed_table(Oid relation);

// True if the trigger is gone, excludes other columns, or is another and not as installed.
bool is_weaker(const Armed &before, const Armed &now);

// Makes the trigger fire always.
void enable_always(Oid relation, AuditTrigger which);

// Makes the trigger with these arguments, whatever the current user may do: for tables that are
// audited already.
void add_trigger(Oid relation, AuditTrigger which, const Armed &arguments_of);

// Runs work, whose changes of the audit's triggers are the ledger's own: none is recorded or refused.
extern int exempt_depth;
template <typename Work>
void with_exemption(Work work) {
    ++exempt_depth;
    PG_TRY();
    { work(); }
    PG_FINALLY();
    { --exempt_depth; }
    PG_END_TRY();
}

}  // namespace ledger
