# SPDX-License-Identifier: GPL-2.0
# toa: build, install, test. `make help` lists the targets.

KDIR ?= /lib/modules/$(shell uname -r)/build

all: | $(KDIR)/Makefile ## build toa.ko for the running kernel (KDIR=... for another, DEBUG=1 for the log of decisions)
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(NO_BTF) TOA_VERSION=$(TOA_VERSION) modules

# Some kernels' headers have what makes BTF: 600 kB of memory while the module is loaded, for nothing.
NO_BTF = CONFIG_DEBUG_INFO_BTF_MODULES=

# DKMS has the file only.
TOA_VERSION = $(shell scripts/version 2>/dev/null || cat VERSION 2>/dev/null)

# Without headers: one line that says what to install. (Kbuild looks for the kernel's compiler.)
OS_RELEASE = /etc/os-release
$(KDIR)/Makefile:
	@release='$(patsubst /lib/modules/%/build,%,$(KDIR))'; \
	test ! -r $(OS_RELEASE) || . $(OS_RELEASE); \
	case "$$release $$ID $$ID_LIKE" in \
	*/*) echo "TOA: KDIR=$(KDIR) has no headers of a kernel: it has no Makefile" ;; \
	*debian*) echo "TOA: no headers of kernel $$release: apt-get install linux-headers-$$release" ;; \
	*suse*) echo "TOA: no headers of kernel $$release: zypper install kernel-$${release##*-}-devel" ;; \
	*uek*) echo "TOA: no headers of kernel $$release: dnf install kernel-uek-devel-$$release" ;; \
	*rhel* | *fedora* | *centos*) \
		echo "TOA: no headers of kernel $$release: dnf install kernel-devel-$$release (yum on 7)" ;; \
	*) echo "TOA: no headers of kernel $$release: install the package that has them, as kernel-devel" ;; \
	esac >&2; false

clean: ## remove what was built
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean

# Where the tools go: $(DESTDIR)$(PREFIX)/sbin and so on. The module goes to
# $(DESTDIR)/lib/modules/RELEASE.
PREFIX ?= /usr
RELEASE = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h)
CONF = $(DESTDIR)/etc/modprobe.d/toa.conf
MAN = s/^\.Os$$/.Os toa $(TOA_VERSION)/; /^\.Os/s/~/\\(ti/

# A distribution's headers ask to sign, and name a key that only the distribution has: errors, and no signature.
SIG_KEY = $(or $(shell sed -n 's/^CONFIG_MODULE_SIG_KEY="\(.*\)"/\1/p' $(KDIR)/include/config/auto.conf),signing_key.priv)
SIGN = $(if $(filter pkcs11:%,$(SIG_KEY))$(wildcard $(SIG_KEY) $(KDIR)/$(SIG_KEY)),,CONFIG_MODULE_SIG_ALL=)

# The kernel's own depmod wants a System.map, which headers lack, and says so.
install: all install-tools ## install the module for the kernel it was built for, toactl, man pages
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) $(SIGN) cmd_depmod=: modules_install
	depmod $(if $(DESTDIR),-b $(DESTDIR)) $(RELEASE)

install-tools:
	tools/put-together $(DESTDIR)$(PREFIX)/sbin/toactl
	install -d $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/man/man4
	sed '$(MAN)' man/toactl.8 >$(DESTDIR)$(PREFIX)/share/man/man8/toactl.8
	sed '$(MAN)' man/toa.4 >$(DESTDIR)$(PREFIX)/share/man/man4/toa.4
	install -D -m 644 toa.h $(DESTDIR)$(PREFIX)/include/toa.h
	test -e $(CONF) || install -D -m 644 packaging/toa.conf $(CONF)

uninstall: ## take away what install put there, for all kernels (a toa.conf that was changed stays)
	@for file in $(foreach dir,extra updates,$(DESTDIR)/lib/modules/*/$(dir)/toa.ko*); do \
		test "$$(modinfo -F author "$$file" 2>/dev/null)" = "The toa authors" || continue; \
		echo rm "$$file"; rm "$$file" || exit; \
		release=$${file%/*/*}; release=$${release##*/}; \
		test ! -e $(DESTDIR)/lib/modules/$$release/modules.dep || depmod $(if $(DESTDIR),-b $(DESTDIR)) $$release; \
	done
	rm -f $(DESTDIR)$(PREFIX)/sbin/toactl $(DESTDIR)$(PREFIX)/share/man/man8/toactl.8 \
		$(DESTDIR)$(PREFIX)/share/man/man4/toa.4 $(DESTDIR)$(PREFIX)/include/toa.h
	! cmp -s packaging/toa.conf $(CONF) || rm $(CONF)

sign: ## sign toa.ko for Secure Boot (KEY=private.pem CERT=certificate.der)
	$(if $(and $(KEY),$(CERT)),,$(error usage: make sign KEY=private.pem CERT=certificate.der))
	$(KDIR)/scripts/sign-file sha256 $(KEY) $(CERT) toa.ko

deb: ## build toa-dkms and toa-utils for Debian and Ubuntu, into build/
	scripts/package deb

rpm: ## build toa-dkms and toa-utils for RHEL and its like, into build/
	scripts/package rpm

dist: ## make a tarball of this version, with what CHANGELOG.md says of it, into build/
	scripts/dist

unit: ## the quick loop: test the option parser in user space, as any user, in seconds
	$(MAKE) -C tests/unit check

check: ## run the tests, in QEMU (KERNELS="6.1 6.12 ..." picks kernels)
	scripts/check

check-all: ## run them on every kernel of scripts/kernels that is a package, and end with a table
	scripts/check-all

check-debug: ## run long tests on kernels built to find mistakes (KASAN, lockdep, ...), or on KERNELS; takes hours
	scripts/check-all --debug $(KERNELS)

mutants: ## show that the tests can fail: each wrong version of the module must make one fail
	tests/mutants/run

prove: ## prove what tests cannot reach: the parser with every input, the order of the table's loads and stores
	tests/prove/run

fuzz: ## fuzz the option parser (RUNS=10000000)
	$(MAKE) -C tests/unit fuzz

bench: ## measure what the module costs (KERNELS="6.1 6.12 ..."), into build/bench
	scripts/bench $(KERNELS)

plot: ## the same, and make the picture of it, doc/cost.svg
	scripts/bench --plot doc/cost.svg $(KERNELS)

soak: ## mixed traffic through a bad network, every answer compared (CONNS=20000, KERNEL=6.1)
	CONNS=$(or $(CONNS),20000) scripts/soak $(or $(KERNEL),6.1)

# It takes half an hour on a machine that does nothing else.
months: ## age the module: a million connections, and abandoned handshakes; all must be as after boot (COUNT=1000000, KERNEL=7.3)
	scripts/vm --root busybox --timeout 36000 --test-timeout 36000 $(or $(KERNEL),7.3) -- \
		"months $(or $(COUNT),1000000)"

demo: ## see the module work in QEMU, with nginx, HAProxy and curl
	scripts/demo

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

.PHONY: all clean install unit check check-all check-debug mutants prove fuzz bench plot soak months demo help
.PHONY: install-tools uninstall sign deb rpm dist
