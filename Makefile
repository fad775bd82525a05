# Heraclius: the one Makefile. `make help` is the map of the targets.
#
# Non-recursive. Sources are found by their place, nothing is listed by hand:
#   <folder>/*.c                one static archive per folder, build/<flavour>/<folder>.a; FOLDERS names them
#   <folder>/<name>_main.c      a program, build/<flavour>/<name> (admin_main.c becomes heraclius-admin)
#   tests/<folder>/test_*.c     a cmocka program each, build/<flavour>/tests/<folder>/test_*
#   tests/<folder>/*_main.c     a program each, beside them
#   tests/<folder>/fuzz_*.c     a libFuzzer target each, build/fuzz/tests/<folder>/fuzz_*, from the objects of asan
#   tests/<folder>/*.c          (the rest) helpers, linked to every program of that folder, and to those of
#                               other folders that include "tests/<folder>/..."
# Every file under build/ is written beside its place and then moved, so two makes at once do no harm.
# A program is linked with the archives of the folders that it (or a helper) includes and with what lies
# below them by the include arrows, so a broken file in one folder stops only those who use it.

SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

APPLIANCE := $(addprefix appliance/,admin slots setup console net disk logs node replica transfer exec base config status)
FOLDERS := client $(APPLIANCE) protocol ring store bft merkle init
FLAVOURS := gcc clang asan tsan cov pic
# Flavours that only a goal that names them needs: libsodium as the only cryptographic back end; the other architectures of the appliance.
SPECIAL := alone arm64 s390x
FLAVOUR ?= gcc
DIR ?=
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := $(shell sed -n 's/^.define HERACLIUS_VERSION "\(.*\)"/\1/p' client/heraclius.h 2>/dev/null)
SONAME := libheraclius.so.$(firstword $(subst ., ,$(VERSION)))

# What lies below each folder: whatever the include arrows of tests/tidy/rules.py lead to.
BELOW_merkle := merkle
BELOW_bft := bft merkle
BELOW_store := store merkle
BELOW_ring := ring
BELOW_protocol := protocol bft merkle
BELOW_appliance/base := appliance/base protocol bft merkle
BELOW_appliance/status := appliance/status ring
BELOW_appliance/config := appliance/config appliance/status ring
BELOW_appliance/exec := appliance/exec appliance/base protocol store bft merkle
BELOW_appliance/transfer := appliance/transfer appliance/exec appliance/base protocol store bft merkle
BELOW_appliance/replica := appliance/replica appliance/transfer appliance/exec appliance/base appliance/status protocol ring store bft merkle
BELOW_appliance/node := appliance/node appliance/config $(BELOW_appliance/replica)
BELOW_appliance/admin := appliance/admin appliance/slots appliance/setup appliance/config appliance/status protocol ring bft merkle
BELOW_appliance/console := appliance/console appliance/status protocol ring bft merkle
BELOW_appliance/setup := appliance/setup appliance/config appliance/status protocol ring bft merkle
BELOW_appliance/net := appliance/net ring
BELOW_appliance/disk := appliance/disk ring
BELOW_appliance/logs := appliance/logs ring
BELOW_appliance/slots := appliance/slots appliance/setup appliance/config appliance/status protocol ring bft merkle
BELOW_client := client protocol ring bft merkle
BELOW_init := init

MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null)
BORINGSSL_DIR ?= /usr/lib/$(MULTIARCH)/android

# Cryptographic back ends: BoringSSL beside libsodium, or libsodium alone, where Debian has no BoringSSL (s390x) or CRYPTO=sodium says so.
# Files of the one end in _boring.c or _boringssl.c, those of the other in _alone.c; nothing else differs.
CRYPTO ?= boringssl
$(if $(filter-out boringssl sodium,$(CRYPTO)),$(error CRYPTO is boringssl or sodium, not $(CRYPTO)))
CRYPTO_alone := sodium
CRYPTO_s390x := sodium
crypto_of = $(or $(CRYPTO_$1),$(CRYPTO))
LEFT_OUT_boringssl := %_alone.c
LEFT_OUT_sodium := %_boring.c %_boringssl.c
CRYPTO_CFLAGS_sodium := -DLIBSODIUM_ALONE
CRYPTO_LIBS_boringssl = -L$(SYSROOT_$1)$(BORINGSSL_DIR_$1) -Wl,-rpath,$(BORINGSSL_DIR_$1) -Wl,--as-needed -lcrypto -lsodium
CRYPTO_LIBS_sodium = -Wl,--as-needed -lsodium
crypto_libs = $(call CRYPTO_LIBS_$(call crypto_of,$1),$1)
$(foreach f,$(FLAVOURS) alone,$(eval BORINGSSL_DIR_$f := $(BORINGSSL_DIR)))
LIBS = $(call crypto_libs,$1) -luring -llmdb -ljansson -lmicrohttpd -lgnutls -lck -lpopt -ledit -lpthread -lm
CLIENT_LIBS = $(call crypto_libs,pic) -luring -ljansson -lpthread -lm

WARN := -Wall -Wextra -Werror -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes
BASE_ANYWHERE := -std=c17 -D_GNU_SOURCE $(WARN) -I. -fno-omit-frame-pointer
BASE := $(BASE_ANYWHERE) -isystem /usr/include/android
HARD := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
LINK_HARD := -pie -Wl,-z,relro,-z,now
# PID 1 needs no library and no loader; sanitizers want theirs.
ALONE_gcc_init := -static-pie
ALONE_clang_init := -static-pie
ALONE_arm64_init := -static-pie
ALONE_s390x_init := -static-pie
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all

CC_gcc := gcc
CFLAGS_gcc := $(BASE) $(HARD) -O2 -g
LDFLAGS_gcc := $(LINK_HARD)
CC_clang := clang
CFLAGS_clang := $(BASE) $(HARD) -O3 -g
LDFLAGS_clang := $(LINK_HARD)
CC_asan := clang
CFLAGS_asan := $(BASE) -O1 -g -fsanitize=fuzzer-no-link $(SAN)
LDFLAGS_asan := $(SAN)
# A fuzz target is an asan program with libFuzzer's main(): one compilation serves both.
LDFLAGS_fuzz := -fsanitize=fuzzer $(SAN)
CC_tsan := clang
CFLAGS_tsan := $(BASE) -fPIE -O1 -g -fsanitize=thread
LDFLAGS_tsan := -pie -fsanitize=thread
CC_cov := clang
CFLAGS_cov := $(BASE) -O1 -g -fprofile-instr-generate -fcoverage-mapping
LDFLAGS_cov := -fprofile-instr-generate -fcoverage-mapping
CC_pic := gcc
CFLAGS_pic := $(BASE) -fPIC -fvisibility=hidden -fstack-protector-strong -D_FORTIFY_SOURCE=2 -O2 -g
LDFLAGS_pic := -Wl,-z,relro,-z,now
CC_alone := gcc
CFLAGS_alone := $(CFLAGS_gcc)
LDFLAGS_alone := $(LDFLAGS_gcc)

# Other architectures: Debian's cross compilers, and Debian's libraries of that architecture in a tree of their own (image/sysroot), which stand
# before whatever this machine has for them.
TRIPLET_arm64 := aarch64-linux-gnu
TRIPLET_s390x := s390x-linux-gnu
define CROSS
CC_$1 := $$(TRIPLET_$1)-gcc
AR_$1 := $$(TRIPLET_$1)-gcc-ar
SYSROOT_$1 := build/image/sysroot.$1
BORINGSSL_DIR_$1 := /usr/lib/$$(TRIPLET_$1)/android
CFLAGS_$1 := $$(BASE_ANYWHERE) --sysroot=$$(SYSROOT_$1) -isystem $$(SYSROOT_$1)/usr/include/android \
             -isystem $$(SYSROOT_$1)/usr/include/$$(TRIPLET_$1) -isystem $$(SYSROOT_$1)/usr/include $$(HARD) -O2 -g
LDFLAGS_$1 := --sysroot=$$(SYSROOT_$1) -B$$(SYSROOT_$1)/usr/lib/$$(TRIPLET_$1) -L$$(SYSROOT_$1)/usr/lib/$$(TRIPLET_$1) \
              -L$$(SYSROOT_$1)/lib/$$(TRIPLET_$1) $$(LINK_HARD)
$$(SYSROOT_$1)/whole: image/sysroot.packages
	@image/sysroot --arch $1 --cache build/image
endef
$(foreach a,arm64 s390x,$(eval $(call CROSS,$a)))

comma := ,
EXTRA_CFLAGS ?=
EXTRA_LDFLAGS ?=

# ---------------------------------------------------------------- what is there

$(foreach d,$(FOLDERS),$(eval MAINS_$d := $(sort $(wildcard $d/*_main.c))))
$(foreach d,$(FOLDERS),$(eval SRC_$d := $(filter-out $(MAINS_$d),$(sort $(wildcard $d/*.c)))))

# The rules of some hundred test programs take make a while to read: these goals, which build none of them, do without.
WITHOUT_TESTS := test-rollback test-succession all lib local-programs run start stop status reset setup help install uninstall image images repro \
                 boot cluster diverse-cluster start-time split-map big-endian test-upgrade test test-long test-unit test-fuzz test-tidy test-system \
                 test-image recipe scale-model
TESTDIRS := $(if $(filter-out $(WITHOUT_TESTS),$(or $(MAKECMDGOALS),all)),$(patsubst tests/%/,%,$(sort $(dir $(wildcard tests/*/*.c)))))
$(foreach d,$(TESTDIRS),$(eval TMAINS_$d := $(wildcard tests/$d/test_*.c tests/$d/*_main.c)))
$(foreach d,$(TESTDIRS),$(eval TFUZZ_$d := $(wildcard tests/$d/fuzz_*.c)))
$(foreach d,$(TESTDIRS),$(eval THELP_$d := $(filter-out $(TMAINS_$d) $(TFUZZ_$d),$(wildcard tests/$d/*.c))))

# INCLUDES_<file>: the folders of which a test's source includes something, as "folder" or "tests/folder"; COMMON_<d>: those of all helpers and
# headers of a test folder. Found by name and once per program, not per flavour: otherwise make reads for seconds before it does anything.
INCLUDED := $(if $(TESTDIRS),$(shell grep -Hos '^\#include "[a-z_0-9/]*/' tests/*/*.c tests/*/*.h 2>/dev/null \
              | sed 's/^/INCLUDES_/; s/:\#include "/+=/; s,/$$,,' | sort -u))
$(foreach w,$(INCLUDED),$(eval $w))
$(foreach d,$(TESTDIRS),$(eval COMMON_$d := $(sort $(foreach f,$(THELP_$d) $(wildcard tests/$d/*.h),$(INCLUDES_$f)))))

# Helper folders and product folders of one program $2 of test folder $1.
helpers1 = $(sort $1 $(filter $(TESTDIRS),$(patsubst tests/%,%,$(filter tests/%,$(COMMON_$1) $(if $2,$(INCLUDES_$2))))))
helpers_of = $(sort $(foreach d,$(call helpers1,$1,$2),$(call helpers1,$d,)))
direct_of = $(sort $(filter $(FOLDERS),$1 $(INCLUDES_$2) $(foreach d,$(HELPERS_$2),$(COMMON_$d))))
folders_of = $(foreach f,$(FOLDERS),$(if $(filter $f,$(foreach x,$(call direct_of,$1,$2),$(BELOW_$x))),$f))
$(foreach d,$(TESTDIRS),$(foreach m,$(TMAINS_$d) $(TFUZZ_$d),$(eval HELPERS_$m := $(call helpers_of,$d,$m))))
$(foreach d,$(TESTDIRS),$(foreach m,$(TMAINS_$d) $(TFUZZ_$d),$(eval BENEATH_$m := $(call folders_of,$d,$m))))

main_name = $(patsubst %_main,%,$(basename $(notdir $1)))
program_name = $(if $(filter admin console setup net slots disk logs,$(main_name)),heraclius-)$(main_name)

# ---------------------------------------------------------------- rules of one flavour

# $1 flavour, $2 folder
define FOLDER_RULES
OBJ_$1_$2 := $$(patsubst %.c,build/$1/obj/%.o,$$(filter-out $$(LEFT_OUT_$$(call crypto_of,$1)),$$(SRC_$2)))
build/$1/$2.list: FORCE
	@mkdir -p $$(@D); echo '$$(OBJ_$1_$2)' | cmp -s - $$@ || echo '$$(OBJ_$1_$2)' > $$@
build/$1/$2.a: $$(OBJ_$1_$2) build/$1/$2.list
	@$$(or $$(AR_$1),$$(AR)) rcs $$@.$$$$$$$$ $$(OBJ_$1_$2) && mv $$@.$$$$$$$$ $$@
$$(foreach m,$$(MAINS_$2),$$(eval $$(call PROGRAM_RULES,$1,$2,$$m,build/$1/$$(call program_name,$$m))))
endef

# $1 flavour, $2 folder, $3 source, $4 program
define PROGRAM_RULES
PROGRAMS_$1 += $4
$4: $(3:%.c=build/$1/obj/%.o) $(foreach f,$(BELOW_$2),build/$1/$f.a)
	@echo "  LINK  $$@"
	@$$(CC_$1) $$(if $$(ALONE_$1_$2),$$(filter-out -pie,$$(LDFLAGS_$1)) $$(ALONE_$1_$2),$$(LDFLAGS_$1)) $$(EXTRA_LDFLAGS) -Wl,-Map=$$@.map \
	  -o $$@.$$$$$$$$ $$(filter %.o %.a,$$^) $$(if $$(ALONE_$1_$2),,$$(call LIBS,$1)) && mv $$@.$$$$$$$$ $$@
endef

# $1 flavour, $2 tests folder
define TESTDIR_RULES
build/$1/tests/$2.list: FORCE
	@mkdir -p $$(@D); echo '$$(THELP_$2)' | cmp -s - $$@ || echo '$$(THELP_$2)' > $$@
build/$1/tests/$2.a: $$(THELP_$2:%.c=build/$1/obj/%.o) build/$1/tests/$2.list
	@$$(or $$(AR_$1),$$(AR)) rcs $$@.$$$$$$$$ $$(THELP_$2:%.c=build/$1/obj/%.o) && mv $$@.$$$$$$$$ $$@
$$(foreach m,$$(TMAINS_$2),$$(eval $$(call TEST_RULES,$1,$2,$$m)))
$$(if $$(filter asan,$1),$$(foreach m,$$(TFUZZ_$2),$$(eval $$(call FUZZ_RULES,$2,$$m))))
endef

# $1 tests folder, $2 source
define FUZZ_RULES
TESTS_fuzz += build/fuzz/$(basename $2)
build/fuzz/$(basename $2): $(2:%.c=build/asan/obj/%.o) \
    $(HELPERS_$2:%=build/asan/tests/%.a) $(BENEATH_$2:%=build/asan/%.a)
	@echo "  LINK  $$@"; mkdir -p $$(@D)
	@$$(CC_asan) $$(LDFLAGS_fuzz) $$(EXTRA_LDFLAGS) -o $$@.$$$$$$$$ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
	  $$(call LIBS,asan) && mv $$@.$$$$$$$$ $$@
endef

# $1 flavour, $2 tests folder, $3 source
define TEST_RULES
TESTS_$1_$2 += build/$1/$(patsubst %_main,%,$(basename $3))
TESTS_$1 += build/$1/$(patsubst %_main,%,$(basename $3))
build/$1/$(patsubst %_main,%,$(basename $3)): $(3:%.c=build/$1/obj/%.o) \
    $(HELPERS_$3:%=build/$1/tests/%.a) $(BENEATH_$3:%=build/$1/%.a)
	@echo "  LINK  $$@"; mkdir -p $$(@D)
	@$$(CC_$1) $$(LDFLAGS_$1) $$(EXTRA_LDFLAGS) $(if $(filter sim,$2),-Wl$(comma)-Map=$$@.map) -o $$@.$$$$$$$$ $$(filter %.o,$$^) \
	  -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group -lcmocka $$(call LIBS,$1) && mv $$@.$$$$$$$$ $$@
endef

define FLAVOUR_RULES
FLAGS_$1 := $$(CC_$1) $$(CFLAGS_$1) $$(CRYPTO_CFLAGS_$$(call crypto_of,$1)) $$(EXTRA_CFLAGS)
build/$1/flags: FORCE
	@mkdir -p $$(@D); echo '$$(subst ','"'"',$$(FLAGS_$1))' | cmp -s - $$@ || echo '$$(subst ','"'"',$$(FLAGS_$1))' > $$@
build/$1/obj/%.o: %.c build/$1/flags $$(if $$(SYSROOT_$1),$$(SYSROOT_$1)/whole)
	@mkdir -p $$(@D); echo "  CC    $1 $$<"
	@$$(FLAGS_$1) -MMD -MP -MF $$(@:.o=.d) -MT $$@ -c -o $$@.$$$$$$$$ $$< && mv $$@.$$$$$$$$ $$@
build/$1/obj/appliance/admin/admin_page.o: $$(wildcard appliance/admin/page/*)
$$(foreach d,$$(FOLDERS),$$(eval $$(call FOLDER_RULES,$1,$$d)))
$$(foreach d,$$(TESTDIRS),$$(eval $$(call TESTDIR_RULES,$1,$$d)))
-include $$(wildcard build/$1/obj/*/*.d build/$1/obj/*/*/*.d)
.PHONY: build-$1 tests-$1 units-$1 product-$1
product-$1: $$(PROGRAMS_$1)
tests-$1: $$(if $$(DIR),$$(TESTS_$1_$$(DIR)),$$(TESTS_$1))
units-$1: $$(foreach t,$$(if $$(DIR),$$(TESTS_$1_$$(DIR)),$$(TESTS_$1)),$$(if $$(filter test_%,$$(notdir $$t)),$$t))
build-$1: product-$1 tests-$1
endef

# Somebody in a node's process, for tests/system/confined.py.
build/gcc/tests/intruder.so: tests/system/intruder/intruder.c build/gcc/flags
	@mkdir -p $(@D); $(FLAGS_gcc) -fPIC -shared -o $@ $< -lpthread

.PHONY: FORCE all
FORCE:
# Only the flavours that the goals name are read: build/asan/..., units-asan and the like; the goals below need gcc (and pic); any other, all of them.
WITH_GCC := $(WITHOUT_TESTS) heraclius unit sim vectors vectors-check
named_in = $(filter $(FLAVOURS) $(SPECIAL),$(subst fuzz,asan,$(word 2,$(subst -, ,$(subst /, ,$1)))))
flavours_of = $(or $(call named_in,$1),$(if $(filter $(WITH_GCC),$1),gcc pic $(FLAVOUR) $(filter $(SPECIAL),$(ARCH))),$(FLAVOURS))
$(foreach f,$(sort $(foreach g,$(or $(MAKECMDGOALS),all),$(call flavours_of,$g))),$(eval $(call FLAVOUR_RULES,$f)))

.PHONY: tests-fuzz
tests-fuzz: $(TESTS_fuzz)

# ---------------------------------------------------------------- product

all: product-$(FLAVOUR) $(if $(filter build/gcc/heraclius,$(PROGRAMS_gcc)),heraclius) lib ## the programs and the library, gcc -O2 -g

heraclius: build/gcc/heraclius
	@ln -sfn build/gcc/heraclius $@

# The shared library: what the public header declares, and what that needs; nothing else is visible.
API = ${shell sed -n 's/^HERACLIUS_API [^(]*[ *]\(heraclius_[a-z_0-9]*\)(.*/\1/p' client/heraclius.h}
LIB_ARCHIVES := $(foreach f,$(BELOW_client),build/pic/$f.a)
.PHONY: lib install uninstall
lib: $(if $(SRC_client),build/libheraclius.so build/libheraclius.pc) ## libheraclius.so and its pkg-config file

build/$(SONAME): $(LIB_ARCHIVES) client/heraclius.h
	@echo "  LINK  $@"
	@$(CC_pic) -shared $(LDFLAGS_pic) -Wl,-soname,$(SONAME) -Wl,--no-undefined $(API:%=-Wl,-u,%) -o $@ $(LIB_ARCHIVES) $(CLIENT_LIBS)
build/libheraclius.so: build/$(SONAME)
	@ln -sfn $(SONAME) $@
build/libheraclius.pc: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: libheraclius' \
	  'Description: verified reads and writes of a Heraclius system' 'Version: $(VERSION)' \
	  'Libs: -L$${libdir} -lheraclius' 'Cflags: -I$${includedir}' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

install: all ## programs, library, header, pkg-config file and man pages into $(DESTDIR)$(PREFIX)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/pkgconfig include share/man/man1 share/man/man3 share/man/man5 share/man/man8)
	install -m 755 build/gcc/heraclius build/gcc/heracliusd build/gcc/heraclius-admin build/gcc/heraclius-console $(DESTDIR)$(PREFIX)/bin/
	install -m 644 build/$(SONAME) $(DESTDIR)$(PREFIX)/lib/
	ln -sfn $(SONAME) $(DESTDIR)$(PREFIX)/lib/libheraclius.so
	install -m 644 client/heraclius.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 build/libheraclius.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/
	for m in $(wildcard docs/man/*.[1358]); do install -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/; done

uninstall: ## removes what install put there
	@rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/heraclius bin/heracliusd bin/heraclius-admin bin/heraclius-console lib/$(SONAME) lib/libheraclius.so \
	  include/heraclius.h lib/pkgconfig/libheraclius.pc) \
	  $(foreach m,$(wildcard docs/man/*.[1358]),$(DESTDIR)$(PREFIX)/share/man/man*/$(notdir $m))

# ---------------------------------------------------------------- tests

.PHONY: setup test test-long test-unit test-fuzz test-tidy test-system test-image sim unit
.PHONY: vectors vectors-check bench experiment bench-recovery bench-idle bench-cost bench-sizing bench-apart
.PHONY: scale-model broken coverage format clean help
setup: ## installs missing Debian packages (without root: prints the one line to run)
	@tests/setup

test: ## everything in its short form, about 25 minutes on two cores; ends with "N passed, N failed"
	@tests/run all

test-long: ## the long forms
	@tests/run long

test-unit: ## unit tests, gcc and asan; DIR=merkle for one folder, FLAVOURS_RUN=tsan for other flavours
	@tests/run unit $(if $(DIR),--dir $(DIR)) $(if $(FLAVOURS_RUN),--flavours $(FLAVOURS_RUN))

unit: tests-$(FLAVOUR) ## builds and runs DIR's unit tests in FLAVOUR, plainly
	@for t in $(filter-out %_main,$(if $(DIR),$(TESTS_$(FLAVOUR)_$(DIR)),$(TESTS_$(FLAVOUR)))); do \
	  case $$t in */test_*) echo "== $$t"; timeout 300 $$t || exit 1;; esac; done

test-fuzz: ## fuzz targets, briefly over their kept corpora
	@tests/run fuzz

test-tidy: ## house style, as far as a machine can check it
	@tests/run tidy

test-system: ## system tests against real processes
	@tests/run system

test-image: ## the image, in virtual machines
	@tests/run image

# For tests/broken/scenarios: how gcc compiles, how it links, and with what.
.PHONY: recipe
recipe:
	@echo '$(CC_gcc) $(CFLAGS_gcc)'; echo '$(CC_gcc) $(LDFLAGS_gcc)'; echo '-lcmocka $(call LIBS,gcc)'

DURATION ?= 60
SEED ?= $(shell od -An -N7 -tu8 /dev/urandom | tr -d ' ')
sim: build/gcc/tests/sim/sim_system ## the simulator of the whole system for DURATION seconds, from SEED (else a fresh one, which it prints)
	@cd build && gcc/tests/sim/sim_system --duration $(DURATION) --seed $(SEED)

scale-model: ## cost, throughput and latency over 1 to 1,024 clusters a side by a model, ours beside the paper's; four minutes
	@tests/setup bench && $(MAKE) --no-print-directory build/gcc/tests/model/scale_model && tests/model/scale

broken: ## removes each rule of the "broken on purpose" list; each must be caught
	@tests/run broken

vectors: build/gcc/tests/vectors_gen/vectors_gen ## writes spec/vectors/*.json anew from the fixed seed
	@build/gcc/tests/vectors_gen/vectors_gen spec/vectors

vectors-check: build/gcc/tests/vectors_gen/vectors_gen ## the committed vectors are what the generator gives
	@tests/run vectors

ROWS ?=
FULL ?=
bench: ## each figure that counts beside what it must be, redis and etcd in the same run, some 25 minutes; ROWS=get,put a part, FULL=1 runs of 60 s
	@tests/bench/run --rows '$(ROWS)' $(if $(FULL),--full)

# For make alone: a shell has a SECONDS of its own.
STEP_SECONDS := $(if $(filter command,$(origin SECONDS)),$(SECONDS))
experiment: ## the paper's experiment: throughput, latency over users, clusters, mixes, faults, load; plots; SECONDS=5 a step (60), PARTS=users,load
	@tests/bench/experiment $(if $(STEP_SECONDS),--seconds $(STEP_SECONDS)) $(if $(PARTS),--parts '$(PARTS)')

bench-recovery: ## pauses when a leader is killed or slow; how long a node that lost everything takes to vote again
	@tests/bench/recovery

bench-idle: ## what an idle node with a million keys takes of a CPU, thread by thread
	@$(MAKE) -s && tests/bench/idle

bench-cost: ## the cost model: what each part of the work costs a decision and an operation, and which stands in the way of each row
	@$(MAKE) -s && tests/bench/cost_model

bench-apart: ## eight systems beside each other that share nothing but this machine: what that alone costs
	@tests/bench/apart

bench-sizing: ## what a node needs: memory and disk a key, network and processor an operation
	@tests/bench/sizing

coverage: ## line coverage of the unit tests, build/coverage/
	@tests/run coverage

format: ## clang-format over our sources
	clang-format -i $(wildcard $(addsuffix /*.[ch],$(FOLDERS)) tests/*/*.[ch])

clean: ## removes build/ and image/out/ (never local/)
	rm -rf build heraclius image/out

# ---------------------------------------------------------------- a system on this machine

COORDINATORS ?=
SHARDS ?=
NODES ?=
SET ?=
export YES
SIZES = $(if $(COORDINATORS),--coordinators $(COORDINATORS)) $(if $(SHARDS),--shards $(SHARDS)) $(if $(NODES),--nodes $(NODES)) \
  $(foreach s,$(SET),--set $(s))

.PHONY: run start stop status reset local-programs
local-programs: product-gcc heraclius
	@:
run: setup ## a whole Heraclius here: builds, starts, live status until ctrl-C, which stops it and keeps the data
	@$(MAKE) --no-print-directory -j2 local-programs
	@appliance/local run $(SIZES)
start: setup ## the same in the background; COORDINATORS=2 SHARDS=2 NODES=7 for other sizes, SET=checkpoint_blocks=64 for a limit
	@$(MAKE) --no-print-directory -j2 local-programs
	@appliance/local start $(SIZES)
stop: ## stops it, keeps the data
	@appliance/local stop
status: ## which processes are up, and what the clusters say
	@appliance/local status
reset: ## stops it and deletes the data; asks first (YES=1 does not)
	@appliance/local reset

# ---------------------------------------------------------------- the appliance

ARCH ?= amd64
IMAGE_FLAVOUR := $(or $(filter $(SPECIAL),$(ARCH)),gcc)
NODE ?= build/$(IMAGE_FLAVOUR)/heracliusd
OUT ?= image/out
LEVEL ?= 19
OWNER ?=
RELEASE ?=
NUMBER ?=
ONLY ?=
SIGN_KEY ?=
SIGN_CERT ?=
IMAGE_VERSION ?=
FRESH ?=
IMAGE_PROGRAMS = $(filter $(addprefix build/$(IMAGE_FLAVOUR)/heraclius-,admin console setup net slots disk logs),$(PROGRAMS_$(IMAGE_FLAVOUR)))

.PHONY: setup-image image images repro boot cluster cluster-chaos diverse-cluster start-time split-map big-endian test-upgrade test-roll \
        test-rollback test-succession
test-upgrade: ## a machine upgrades itself by UEFI, in a virtual machine: on trial, blessed, back by itself when the image is bad
	@tests/image/upgrade.py long
test-roll: setup-image ## heraclius upgrade, to one machine: a release that panics and one that never votes fall back by themselves, a good one stays
	@python3 tests/image/rolled.py
test-rollback: setup-image ## a machine on an older copy of its data disk does not vote and says so, in a virtual machine beside seven local nodes
	@tests/image/rollback.py long
test-succession: setup-image ## a machine is a member of a system that succeeds a lost one, from the backup on its disk, beside seven local nodes
	@python3 tests/image/succession.py
setup-image:
	@tests/setup $(if $(filter amd64,$(ARCH)),image,images)
image: setup-image product-$(IMAGE_FLAVOUR) ## the appliance: UKI, raw disk, ISO, SBOM in image/out/; NODE=PATH, OWNER=KEY|CARD, ARCH=arm64|s390x
	@image/build --arch $(ARCH) --out $(OUT) --level $(LEVEL) --init build/$(IMAGE_FLAVOUR)/init --node $(NODE) $(IMAGE_PROGRAMS:%=--program %) \
	  $(if $(OWNER),--owner $(OWNER)) $(if $(ONLY),--only $(ONLY)) $(if $(SIGN_KEY),--sign-key $(SIGN_KEY) --sign-cert $(SIGN_CERT)) \
	  $(if $(RELEASE),--release $(RELEASE)) $(if $(NUMBER),--number $(NUMBER)) $(if $(IMAGE_VERSION),--version $(IMAGE_VERSION)) $(if $(FRESH),--fresh)
repro: setup-image ## builds the image twice, in different folders, as different users, in different languages: every byte must be the same
	@image/repro --arch $(ARCH) $(if $(filter-out 19,$(LEVEL)),LEVEL=$(LEVEL))
images: ## make image for amd64, arm64 and s390x, one after the other
	@for arch in amd64 arm64 s390x; do $(MAKE) --no-print-directory image ARCH=$$arch || exit 1; done
boot: ## one virtual machine from image/out with its console here; KVM=1 is faster; without a terminal: one line of what was measured
	@image/boot --out $(OUT) --arch $(ARCH)
cluster: setup-image product-gcc heraclius ## eight virtual machines from one image, from keys to verified answers, twice; one line of figures
	@image/cluster
cluster-chaos: setup-image product-gcc heraclius ## the same under load: kills, cuts, torn and damaged disks, a bad release and a good one; SEED=N
	@image/cluster-chaos $(if $(SEED),--seed $(SEED))
diverse-cluster: images local-programs ## four nodes of one cluster on three architectures, two endians, two crypto back ends: same roots
	@$(MAKE) --no-print-directory build/alone/heracliusd build/alone/heraclius-setup
	@image/diverse-cluster --out $(OUT)
start-time: setup-image product-gcc heraclius ## from power-on to a vote: how long, and where it goes, of a virtual machine that is started five times
	@tests/bench/start_time
split-map: ## a machine with eight CPUs beside local nodes: the split thread map, one pinned CPU a thread, the same root
	@tests/setup image && python3 tests/image/threads.py
big-endian: ## unit tests of the pure folders, and the vectors, as s390x programs under emulation
	@tests/setup images && tests/big_endian

help: ## this map
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*## /\t/' | sort | expand -t 16
