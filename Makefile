# SPDX-License-Identifier: GPL-2.0
# toa: build, install, test. `make help` lists the targets.

KDIR ?= /lib/modules/$(shell uname -r)/build

all: ## build toa.ko for the running kernel (KDIR=... for another, DEBUG=1 for the log of decisions)
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

clean: ## remove what was built
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean

install: all ## install for the kernel it was built for, and run depmod
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
	depmod

check: ## run the tests, in QEMU (KERNELS="6.1 6.12 ..." picks kernels)
	scripts/check

check-all: ## run them on every kernel of scripts/kernels, and end with a table
	scripts/check-all

mutants: ## show that the tests can fail: each wrong version of the module must make one fail
	tests/mutants/run

fuzz: ## fuzz the option parser (RUNS=10000000)
	$(MAKE) -C tests/unit fuzz

bench: ## measure what the module costs, in instructions (KERNELS="6.1 6.12 ...")
	scripts/bench $(KERNELS)

demo: ## see the module work in QEMU, with nginx, HAProxy and curl
	scripts/demo

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

.PHONY: all clean install check check-all mutants fuzz bench demo help
