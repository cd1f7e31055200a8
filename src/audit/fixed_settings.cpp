#include "audit/fixed_settings.hpp"

namespace ledger {

namespace {

struct FixedSetting {
    const char *name;
    const char *value;
};
// Under this search_path every name that is not of the system is written with its schema.
constexpr FixedSetting kFixedSettings[] = {
    {"search_path", "pg_catalog, pg_temp"}, {"lc_monetary", "C"}, {"lc_numeric", "C"}, {"lc_time", "C"}};

}  // namespace

int fix_names_and_locales() {
    const int level = NewGUCNestLevel();
    for (const FixedSetting &setting : kFixedSettings)
        if (strcmp(GetConfigOption(setting.name, false, false), setting.value) != 0)
            (void)set_config_option(setting.name, setting.value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                                    true, 0, false);
    return level;
}

}  // namespace ledger
