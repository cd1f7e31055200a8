# ledger: PGXS build of the extension, its client programs and its tests.
#   make, make install, make installcheck    as with any PGXS extension
#   make check                               every test, on throwaway clusters
#   make lint | format | bench | torture | mutants | fuzz | leak | sanitize    see docs/development.md

EXTENSION = ledger
MODULE_big = ledger
SQL_PARTS = $(addprefix sql/,schema.sql tables.sql request.sql account.sql transfer.sql hold.sql tcc.sql balance.sql stock.sql chain.sql operations.sql audit.sql access.sql)
DATA = sql/ledger--0.1.sql sql/ledger--0.1--0.2.sql sql/ledger--0.2.sql sql/ledger--0.2--0.3.sql
DATA_built = sql/ledger--0.3.sql
sources = $(sort $(wildcard src/*.cpp src/*/*.cpp))
headers = $(wildcard src/*/*.hpp)
OBJS = $(sources:.cpp=.o)
CLIENTS = $(patsubst client/%.cpp,build/%,$(wildcard client/*.cpp))

REGRESS = setup account transfer invariants batch limits savepoint stock reads hold tcc guard access request key arguments role size signature hostile audit seal
# Outputs go to build/: pg_regress would take sql/account.sql for a test of that name.
REGRESS_OPTS = --inputdir=test --outputdir=build/regress --encoding=UTF8 --load-extension=ledger
ISOLATION = snapshot escrow limits_in_flight prepared reversal fold first_use requests_in_flight keys_in_flight roles_in_flight holds_in_flight tcc_in_flight chain audit_in_flight
ISOLATION_OPTS = --inputdir=test --outputdir=build/isolation --load-extension=ledger

EXTRA_CLEAN = build $(DATA_built)

PG_CONFIG ?= pg_config
CXX_STANDARD = -std=c++20
# PostgreSQL's headers come by -isystem: our warnings are about our code.
PG_CPPFLAGS = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server) -DPGDLLEXPORT='__attribute__((visibility("default")))'
PG_CXXFLAGS = $(CXX_STANDARD) -Wall -Wextra -Werror -Wno-register -fno-exceptions -fno-rtti -fno-threadsafe-statics \
	-fvisibility=hidden -fno-strict-aliasing -fwrapv $(LEDGER_CXXFLAGS)

override with_llvm = no
SHLIB_LINK = -lcrypto
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

installcheck: | build
build:
	@mkdir -p $@

all: clients

$(OBJS): $(headers) Makefile

# The script in one piece, each part under its name.
sql/ledger--0.3.sql: $(SQL_PARTS) Makefile
	@{ printf '%s\n' '-- Made of the parts in sql/ by the Makefile. Do not edit.' \
		'\echo Use "CREATE EXTENSION ledger" to load this file. \quit'; \
	   for part in $(SQL_PARTS); do printf '\n-- %s\n\n' "$$part"; cat "$$part"; done; } > $@

clients: $(CLIENTS)

build/%: client/%.cpp $(wildcard client/*.hpp)
	@mkdir -p build
	$(CXX) $(CXX_STANDARD) -O2 -g -Wall -Wextra -Werror -Iclient -Ibuild -I$(shell $(PG_CONFIG) --includedir) -o $@ $< \
		-L$(shell $(PG_CONFIG) --libdir) -lpq -lpthread $(CLIENT_LIBS)

# The auditor's program comes with the extension; the others are for its tests and demos. It
# knows what each version ships.
build/ledger_verify: CLIENT_LIBS = -lcrypto
build/ledger_verify: build/shipped_sql.hpp

build/shipped_sql.hpp: sql/ledger--0.1.sql sql/ledger--0.2.sql sql/ledger--0.3.sql Makefile
	@mkdir -p build
	@{ printf '%s\n' '#pragma once' 'struct ShippedSql { const char *version, *script; };' 'inline constexpr ShippedSql kShippedSql[] = {'; \
	   for script in $(filter %.sql,$^); do \
	     printf '{"%s", R"SQL(' "$$(basename $$script .sql | sed 's/ledger--//')"; cat $$script; printf ')SQL"},\n'; \
	   done; echo '};'; } > $@

install: $(if $(CLIENTS),install-verify)
uninstall: uninstall-verify

install-verify: build/ledger_verify docs/ledger_verify.1
	$(MKDIR_P) '$(DESTDIR)$(bindir)' '$(DESTDIR)$(mandir)/man1'
	$(INSTALL_PROGRAM) build/ledger_verify '$(DESTDIR)$(bindir)/'
	$(INSTALL_DATA) docs/ledger_verify.1 '$(DESTDIR)$(mandir)/man1/'

uninstall-verify:
	rm -f '$(DESTDIR)$(bindir)/ledger_verify' '$(DESTDIR)$(mandir)/man1/ledger_verify.1'

.PHONY: clients install-verify uninstall-verify

# --- tests ---------------------------------------------------------------
# They run as an unprivileged user, on throwaway clusters, against what
# `make install` put in place. installcheck uses a running server instead.

PG_REGRESS = $(pgxsdir)/src/test/regress/pg_regress
PG_ISOLATION_REGRESS = $(pgxsdir)/src/test/isolation/pg_isolation_regress
TEMP_INSTANCE = --bindir=$(bindir) --temp-config=test/ledger.conf --temp-instance=build/tmp_$@

check: unit regress isolation tap

unit: build/unit_test
	build/unit_test --gtest_brief=1

build/unit_test: $(wildcard src/core/*.cpp src/core/*.hpp test/unit/*.cpp)
	@mkdir -p build
	$(CXX) $(CXX_STANDARD) -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
		-Isrc -o $@ $(filter %.cpp,$^) -lcrypto -lgtest -lgtest_main

regress:
	@mkdir -p build
	$(PG_REGRESS) $(TEMP_INSTANCE) $(REGRESS_OPTS) $(REGRESS)

isolation:
	@mkdir -p build
	$(PG_ISOLATION_REGRESS) $(TEMP_INSTANCE) --temp-config=test/isolation.conf $(ISOLATION_OPTS) $(ISOLATION)

tap: clients build/torture build/torture_clock.so build/fuzz_arguments
	rm -rf build/tap && mkdir -p build/tap
	PATH="$(bindir):$$PATH" PG_REGRESS=$(PG_REGRESS) TESTDIR=$(CURDIR)/build/tap TESTDATADIR=$(CURDIR)/build/tap TESTLOGDIR=$(CURDIR)/build/tap \
		PERL5LIB=$(pgxsdir)/src/test/perl:$(CURDIR)/test/t LEDGER_BUILD=$(CURDIR)/build \
		prove $(PROVE_FLAGS) $(or $(PROVE_TESTS),$(sort $(wildcard test/t/*.pl)))

# Random programs that change audited tables: the log has to replay to the tables.
audit-programs:
	LEDGER_PROGRAMS=$(or $(PROGRAMS),1000) $(MAKE) tap PROVE_TESTS=test/t/054_audit_order.pl

# --- quality -------------------------------------------------------------

all_formatted = $(sources) $(headers) $(wildcard client/*.?pp test/unit/*.cpp test/torture/*.?pp test/bench/*.cpp test/fuzz/*.?pp test/fuzz/*/*.?pp)
tidy_flags = $(CXX_STANDARD) $(PG_CPPFLAGS) -D_GNU_SOURCE -fno-exceptions

lint: all
	clang-format --dry-run --Werror $(all_formatted)
	for file in $(sources); do clang-tidy --quiet $$file -- $(tidy_flags) 2>/dev/null || exit 1; done
	cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
		--suppress=missingInclude --error-exitcode=1 -Isrc -DPGDLLEXPORT= -DPG_VERSION_NUM=150000 \
		'-DLEDGER_FUNCTION(x)=Datum x(FunctionCallInfo fcinfo)' src client
	script/check_module ledger.so

format:
	clang-format -i $(all_formatted)

bench:
	test/bench/run $(BENCH_FLAGS)

# What was measured last, into docs/.
bench-docs:
	test/bench/document

# What the benchmarks need beside pgbench.
build/bench_%: test/bench/%.cpp $(wildcard client/*.hpp)
	@mkdir -p build
	$(CXX) $(CXX_STANDARD) -O2 -g -Wall -Wextra -Werror -Iclient -I$(shell $(PG_CONFIG) --includedir) -o $@ $< \
		-L$(shell $(PG_CONFIG) --libdir) -lpq -lpthread -lhiredis

build/torture: test/torture/torture.cpp $(wildcard test/torture/*.hpp client/*.hpp)
	@mkdir -p build
	$(CXX) $(CXX_STANDARD) -O2 -g -Wall -Wextra -Werror -Iclient -I$(shell $(PG_CONFIG) --includedir) -o $@ $< \
		-L$(shell $(PG_CONFIG) --libdir) -lpq -lpthread

# A clock for the servers that the driver can set wrong.
build/torture_clock.so: test/torture/clock.cpp
	@mkdir -p build
	$(CXX) $(CXX_STANDARD) -O2 -g -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -o $@ $<

torture: build/torture build/torture_clock.so build/ledger_verify
	test/torture/run $(TORTURE_FLAGS)

torture-plants: build/torture build/torture_clock.so build/ledger_verify
	test/torture/plants $(PLANTS)

mutants:
	test/mutants/run $(MUTANTS_FLAGS)

leak:
	test/leak/run $(LEAK_FLAGS)

sanitize:
	script/sanitize asan
	script/sanitize valgrind

# --- fuzzing: test/fuzz/run --------------------------------------------------

build/fuzz_arguments: test/fuzz/arguments.cpp test/fuzz/values.hpp $(wildcard client/*.hpp)
	@mkdir -p build
	$(CXX) $(CXX_STANDARD) -O1 -g -Wall -Wextra -Werror -Iclient -I$(shell $(PG_CONFIG) --includedir) -o $@ $< \
		-L$(shell $(PG_CONFIG) --libdir) -lpq

fuzz_bytes = $(patsubst test/fuzz/bytes/%.cpp,build/fuzz/%,$(wildcard test/fuzz/bytes/*.cpp))

build/fuzz/%: test/fuzz/bytes/%.cpp test/fuzz/bytes/bytes.hpp $(wildcard src/core/* client/*.hpp)
	@mkdir -p build/fuzz
	clang++ $(CXX_STANDARD) -O1 -g -Wall -Wextra -Werror -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-Isrc -Iclient -I$(shell $(PG_CONFIG) --includedir) -o $@ $< $(wildcard src/core/*.cpp) -lcrypto

fuzz-bytes: $(fuzz_bytes)

fuzz:
	test/fuzz/run $(FUZZ_FLAGS)

.PHONY: check unit regress isolation tap audit-programs lint format bench bench-docs torture torture-plants mutants leak sanitize fuzz fuzz-bytes
