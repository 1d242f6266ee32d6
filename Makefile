# make            the release programs, build/tallyd and build/tallyctl
# make help       every target
#
# Honours CC CFLAGS LDFLAGS PREFIX DESTDIR JOBS V. Objects live in build/<variant>/.

VARIANT ?= release
PREFIX ?= /usr/local
DESTDIR ?=
# Tests at a time: they wait more than they work, so that two CPUs have enough for six.
JOBS ?= 6
PYTEST ?= python3 -m pytest
# One after the other if pytest-xdist is not there. loadgroup, for it hands them out singly.
PYTEST_ARGS ?= $(shell $(firstword $(PYTEST)) -c 'import xdist' 2>/dev/null && \
	echo --dist loadgroup -n $(JOBS))
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy

PACKAGES := libuv libmicrohttpd hiredis sqlite3 libcjson inih libsodium
CTL_PACKAGES := libcurl libcjson
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) $(CTL_PACKAGES))
PKG_LIBS := $(shell pkg-config --libs $(PACKAGES)) -lm
CTL_PKG_LIBS := $(shell pkg-config --libs $(CTL_PACKAGES))

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough
ifdef WERROR
WARNINGS += -Werror
endif

variant_cflags_release := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
variant_ldflags_release := -pie -Wl,-z,relro,-z,now
variant_cflags_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer -O1
variant_ldflags_asan := -fsanitize=address,undefined
variant_cflags_coverage := -O0 --coverage -fprofile-update=atomic
variant_ldflags_coverage := --coverage
variant_cflags_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -O1
variant_ldflags_fuzz := -fsanitize=address,undefined

ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -Iinclude $(WARNINGS) $(CFLAGS) \
	$(variant_cflags_$(VARIANT)) -isystem $(shell pkg-config --variable=includedir libuv) \
	$(PKG_CFLAGS) -pthread
ALL_LDFLAGS := $(variant_ldflags_$(VARIANT)) $(LDFLAGS) -pthread

B := build/$(VARIANT)
PROGRAM_DIR := $(if $(filter release,$(VARIANT)),build,$(B))
PROGRAM := $(PROGRAM_DIR)/tallyd
CTL := $(PROGRAM_DIR)/tallyctl

SOURCES := $(sort $(wildcard src/*.c src/*/*.c))
ALL_OBJECTS := $(SOURCES:%.c=$(B)/%.o)
# tallyctl is src/ctl and what it uses of src/base, without libuv; tallyd is all but src/ctl.
CTL_OBJECTS := $(filter $(B)/src/ctl/%,$(ALL_OBJECTS))
BASE_OBJECTS := $(filter $(B)/src/base/%,$(ALL_OBJECTS))
OBJECTS := $(filter-out $(CTL_OBJECTS),$(ALL_OBJECTS))
LIBRARY_OBJECTS := $(filter-out $(B)/src/main.o,$(OBJECTS))
CTL_LIBRARY_OBJECTS := $(filter-out $(B)/src/ctl/main.o,$(CTL_OBJECTS))
UNIT_SOURCES := $(sort $(wildcard tests/unit/test_*.c))
UNIT_TESTS := $(UNIT_SOURCES:%.c=$(B)/%)
TEST_LIB_SOURCES := $(sort $(wildcard tests/lib/*.c))
TEST_LIB_OBJECTS := $(TEST_LIB_SOURCES:%.c=$(B)/%.o)
# What loads the daemon, and what it is measured against.
BENCH_PROGRAMS := $(addprefix $(B)/tests/bench/,send constant hincrby transaction)
SENDER_OBJECTS := $(addprefix $(B)/tests/bench/,request.o answers.o options.o samples.o)
# What unit tests can make fail, each counted; see tests/lib/faults.h. The 64s are the names that
# these functions have with _FILE_OFFSET_BITS=64, which hiredis asks for.
WRAPPED := malloc calloc realloc strdup strndup pwrite64 fdatasync fsync ftruncate64 renameat \
	openat64 unlinkat readdir64 sqlite3_step sqlite3_exec
WRAP_FLAGS := $(WRAPPED:%=-Wl,--wrap=%)

# cppcheck has to be told what <sys/queue.h> defines.
QUEUE_H = $(shell $(CC) -M -include sys/queue.h -x c /dev/null | grep -o '/[^ ]*sys/queue.h')

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-5s %s\n' '$(1)' '$(2)'
else
Q :=
say =
endif

.DEFAULT_GOAL := all
.PHONY: all
all: $(PROGRAM) $(CTL) ## the programs, build/tallyd and build/tallyctl

$(PROGRAM): $(OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# An archive, of which the linker takes only what is used.
$(B)/base.a: $(BASE_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(CTL): $(CTL_OBJECTS) $(B)/base.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(CTL_PKG_LIBS)

# Objects depend on the flags they were made with, through a file that changes with them.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS)' > $@
.PHONY: FORCE
FORCE:

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/%.o: private ALL_CFLAGS += -Itests
$(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(TEST_LIB_OBJECTS) $(LIBRARY_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) $(WRAP_FLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

# Those of tallyctl, by the longer of the two patterns: tests/lib is the daemon's.
$(B)/tests/unit/test_ctl_%: $(B)/tests/unit/test_ctl_%.o $(CTL_LIBRARY_OBJECTS) $(B)/base.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(CTL_PKG_LIBS) -lcmocka

$(B)/tests/bench/send: $(SENDER_OBJECTS)
$(BENCH_PROGRAMS): %: %.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

-include $(ALL_OBJECTS:.o=.d) $(UNIT_SOURCES:%.c=$(B)/%.d) $(TEST_LIB_OBJECTS:.o=.d) \
	$(BENCH_PROGRAMS:%=%.d) $(SENDER_OBJECTS:.o=.d)
.SECONDARY:

.PHONY: check check-unit check-integration
check: check-unit check-integration ## all tests

# What each says is kept together. 255 makes xargs begin no other.
check-unit: $(UNIT_TESTS) ## unit tests (cmocka)
	@printf '%s\n' $(UNIT_TESTS) | xargs -P $(JOBS) -I{} sh -c \
		'said=$$($(UNIT_RUNNER) {} 2>&1); status=$$?; printf "%s\n" "$$said"; \
		[ $$status -eq 0 ] || { echo "{} failed"; exit 255; }'

check-integration: $(PROGRAM) $(CTL) $(BENCH_PROGRAMS) ## the real programs, a private Redis, real SQLite (pytest)
	TALLYD_BIN=$(abspath $(PROGRAM)) BENCH_PROGRAMS=$(abspath $(B)/tests/bench) \
		$(PYTEST) -q tests/integration $(PYTEST_ARGS)

RUN_BENCH = TALLYD_BIN=$(abspath $(PROGRAM)) BENCH_PROGRAMS=$(abspath $(B)/tests/bench) \
	$(firstword $(PYTEST)) tests/bench/bench.py
.PHONY: bench bench-readme scale soak
bench: $(PROGRAM) $(BENCH_PROGRAMS) ## speed side by side; ONLY=events,flush BASE=commit PEER=NAME=URL
	$(RUN_BENCH) $(ONLY:%=--only %) $(BASE:%=--base %) $(PEER:%=--peer %)

bench-readme: ## puts what the last `make bench` printed, and its plot, into README.md
	$(firstword $(PYTEST)) tests/bench/readme.py

scale: $(PROGRAM) $(BENCH_PROGRAMS) ## what more users cost, up to a million
	$(RUN_BENCH) --only scale

soak: $(PROGRAM) $(BENCH_PROGRAMS) ## MINUTES=30 of honest load: memory, descriptors, every byte
	$(RUN_BENCH) --only soak $(MINUTES:%=--minutes %)

CYCLES ?= 20
.PHONY: crash
crash: $(PROGRAM) ## CYCLES=20 kills, stops, losses under load, against books; SEED=n
	TALLYD_BIN=$(abspath $(PROGRAM)) $(firstword $(PYTEST)) tests/crash/campaign.py --cycles $(CYCLES) $(SEED:%=--seed %)

RUNS ?= 1000000
FUZZ_CC ?= clang
.PHONY: fuzz
fuzz: ## RUNS=1000000 bodies from the corpus on, each read in both ways (libFuzzer)
	$(MAKE) VARIANT=fuzz CC=$(FUZZ_CC) build/fuzz/fuzz_report
	@mkdir -p build/fuzz/found
	build/fuzz/fuzz_report -runs=$(RUNS) -max_len=2048 -dict=tests/fuzz/report.dict \
		-artifact_prefix=build/fuzz/ build/fuzz/found tests/fuzz/corpus/report

FUZZED := tests/fuzz/fuzz_report src/account/report src/account/report_plain
build/fuzz/fuzz_report: $(FUZZED:%=$(B)/%.o) $(B)/base.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ -lcjson -lm

.PHONY: asan valgrind coverage
asan: ## all tests under AddressSanitizer and UBSan
	$(MAKE) VARIANT=asan check

valgrind: $(UNIT_TESTS) $(PROGRAM) $(CTL) ## unit tests and a smoke run under valgrind
	MODEL_SEEDS=200 $(MAKE) check-unit UNIT_RUNNER='valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect'
	TALLYD_VALGRIND=1 TALLYD_BIN=$(abspath $(PROGRAM)) $(PYTEST) -q tests/integration -m smoke $(PYTEST_ARGS)

coverage: ## line coverage of src/ by all tests; fails under 85 %
	find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	$(MAKE) VARIANT=coverage check PYTEST_ARGS='-m "not long" $(PYTEST_ARGS)'
	gcovr -r . --object-directory build/coverage -f src/ -s --fail-under-line 85

.PHONY: lint format format-check
lint: ## static checks of C, shell, includes, rules and options
	$(MAKE) WERROR=1 VARIANT=lint all
	cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability \
		--inline-suppr --error-exitcode=1 -Iinclude --include=$(QUEUE_H) --suppress=missingIncludeSystem --suppress=ctuuninitvar src
	printf '%s\n' $(SOURCES) | xargs -P $(JOBS) -I{} \
		$(CLANG_TIDY) --quiet --warnings-as-errors='*' {} -- $(filter-out -f%,$(ALL_CFLAGS))
	shellcheck scripts/quickstart scripts/tallyd-setup scripts/test scripts/lib.sh .ci/run config/tallyctl.bash
	scripts/check-includes
	scripts/check-rules
	scripts/check-options $(abspath build/lint/tallyd)

format: ## lets clang-format decide
	$(CLANG_FORMAT) -i $(SOURCES) $(wildcard include/*/*.h tests/*/*.c tests/*/*.h)

format-check: ## fails if clang-format would change something
	$(CLANG_FORMAT) --dry-run --Werror $(SOURCES) $(wildcard include/*/*.h tests/*/*.c tests/*/*.h)

.PHONY: install uninstall clean help
# The unit names the programs' paths; systemd looks into both /usr/lib and /usr/local/lib. It
# starts nothing, not even tallyd-setup, before the unit's user and groups are there: so they are
# made here, unless this is for a package, or by somebody who may not.
install: $(PROGRAM) $(CTL) ## into DESTDIR/PREFIX: programs, samples, systemd unit, its user and groups
	install -Dm755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/tallyd
	install -Dm755 $(CTL) $(DESTDIR)$(PREFIX)/bin/tallyctl
	install -Dm755 scripts/tallyd-setup $(DESTDIR)$(PREFIX)/sbin/tallyd-setup
	install -Dm644 config/tallyctl.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/tallyctl
	install -Dm644 README.md $(DESTDIR)$(PREFIX)/share/doc/tallyd/README.md
	install -d $(DESTDIR)$(PREFIX)/share/tallyd $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m644 config/*.conf config/gost.yml $(DESTDIR)$(PREFIX)/share/tallyd
	sed 's|/usr/local|$(PREFIX)|g' config/tallyd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/tallyd.service
	install -Dm644 config/tallyd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/tallyd.conf
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || \
		systemd-sysusers $(PREFIX)/lib/sysusers.d/tallyd.conf || \
		echo "make the user and the groups of the unit: $(PREFIX)/sbin/tallyd-setup" >&2

uninstall: ## what install put there; /etc/tallyd, the data, the user and the groups stay
	rm -f $(DESTDIR)$(PREFIX)/bin/tallyd $(DESTDIR)$(PREFIX)/bin/tallyctl \
		$(DESTDIR)$(PREFIX)/sbin/tallyd-setup \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/tallyctl \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/tallyd.service \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/tallyd.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/tallyd $(DESTDIR)$(PREFIX)/share/tallyd

clean: ## everything that was built
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 22
