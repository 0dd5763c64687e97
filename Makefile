# lockify: everything a developer runs. Needs Go and make; go fetches the rest.

GO       ?= go
FUZZTIME ?= 10s
BENCH    ?= .
COUNT    ?= 1
SEEDS    ?= 100
BUDGET   ?= 200s
OLD      ?= HEAD~1
REF      ?= HEAD~1
DURATION ?= 5m
OUT      ?= chaos-out
CONNECTIONS ?= 100000
VERSION  ?= 0.7~git$(shell git rev-list --count HEAD 2>/dev/null || echo 0)
BINARIES := lockifyd lockctl lockbench
TOOL     := $(GO) tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help build package test-package test-systemd tour demo test race test-kernel sim chaos soak security bench-disk model model-full upgrade fuzz bench bench-compare peers lint vulncheck etcd tidy-check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/lockifyd, bin/lockctl, bin/lockbench
	@mkdir -p bin
	$(GO) build -trimpath -o bin/ $(BINARIES:%=./cmd/%)

package: ## a Debian package in out/: binaries, unit, configuration, manual pages, completion: VERSION=...
	@GO=$(GO) tools/package.sh $(VERSION) out

test-package: ## it is installed, started, upgraded and removed on a copy of this Debian (as root)
	@deb=$$(GO=$(GO) tools/package.sh $(VERSION) out) && \
	LOCKIFY_DEB=$$PWD/$$deb $(GO) test -count=1 -timeout 3m -v ./deploy

test-systemd: ## a real systemd boots in namespaces, and runs, watches, upgrades and removes the package (on Debian with systemd, as root)
	@deb=$$(GO=$(GO) tools/package.sh $(VERSION) out) && \
	LOCKIFY_DEB=$$PWD/$$deb LOCKIFY_SYSTEMD=1 $(GO) test -count=1 -timeout 3m -run TestSystemd -v ./deploy

tour: OUT = tour-out
tour: ## from an empty directory to a cluster with TLS and rights, a failure, an upgrade: shown and checked (as root, needs curl)
	@mkdir -p $(OUT)
	@OUT=$(abspath $(OUT)) $(GO) run ./docs --show docs/guide/tour.md

demo: build ## five nodes, a real file system's locks, with and without self-owner notification
	@bin/lockbench demo

test: ## go vet, gofmt, and all tests
	$(GO) vet ./...
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt wants to change:"; echo "$$bad"; exit 1; fi
	$(GO) test -timeout 10m ./...
	cd tools && $(GO) vet . && $(GO) test -count=1 -timeout 5m . # what they read is of another module, so Go would not see changes

# Packages that have nothing to race: state machines and simulations, whose tests take
# many times as long under the detector, and what reads files.
PURE := lockspace|cluster|sim|perf/trace|perf/replay|perf/peers|internal/lint|models

race: ## the tests of all that has goroutines, under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 10m $$($(GO) list ./... | grep -vE '^[^/]+/[^/]+/[^/]+/($(PURE))$$')

test-kernel: ## the Linux kernel, in qemu, as a host of our target and as a target (on Debian, as root)
	@dir=$$(tools/kernel.sh) && \
	LOCKIFY_KERNEL=$$dir $(GO) test -count=1 -short -timeout 8m -v ./blockdev/nvme/kerneltest

sim: build ## simulated clusters, SEEDS=100: deliberate bugs are found, no invariant fails
	@bin/lockbench sim --seeds $(SEEDS) --budget $(BUDGET)

chaos: build ## daemons in network namespaces, faults, checked with porcupine: DURATION=5m OUT=chaos-out, as root
	@bin/lockbench chaos --duration $(DURATION) --out $(OUT)

soak: build ## verified I/O over NVMe/TCP while connections break: DURATION=5m
	@bin/lockbench soak --duration $(DURATION) --quiet

security: build ## attacks on a lockifyd, and what others notice: DURATION=5s CONNECTIONS=100000 OUT=security.json
	@bin/lockbench security --quiet --duration $(if $(filter file,$(origin DURATION)),5s,$(DURATION)) --connections $(CONNECTIONS) $(if $(filter-out chaos-out,$(OUT)),--json $(OUT))

bench-disk: build ## NVMe/TCP between two processes, and what the machine can do
	@bin/lockbench disk

model: ## the protocol's models, exhaustively (needs spin and a C compiler)
	@$(GO) run ./models

model-full: ## the same with the large variants
	@$(GO) run ./models -full

upgrade: ## nodes of the commit OLD=HEAD~1 are replaced one by one, under load
	@dir=$$(mktemp -d) && trap 'git worktree remove --force $$dir; rm -rf $$dir' EXIT && \
	git worktree add --quiet --detach $$dir $(OLD) && \
	(cd $$dir && $(GO) build -o $$dir/lockifyd-old ./cmd/lockifyd) && \
	LOCKIFY_OLD=$$dir/lockifyd-old $(GO) test -count=1 -run TestUpgradeFrom ./cmd/lockifyd

fuzz: ## each fuzz target for FUZZTIME=10s
	@grep -l '^func Fuzz' --include='*_test.go' -r . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$target"; \
			GO=$(GO) tools/fuzz.sh "$$(dirname "$$file")" "$$target" $(FUZZTIME) || exit 1; \
		done || exit 1; \
	done

bench: ## the benchmarks: BENCH=pattern COUNT=1
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) . ./lockspace ./engine ./wire ./blockdev ./blockdev/uring

bench-compare: ## the benchmarks of the commit REF and of this tree, in turn: REF=HEAD~1 BENCH=pattern COUNT=6
	@GO=$(GO) tools/bench-compare.sh $(REF) '$(BENCH)' $(if $(filter 1,$(COUNT)),6,$(COUNT))

lint: ## staticcheck, in the version of tools/go.mod; and the client builds for macOS
	$(TOOL) staticcheck ./...
	GOOS=darwin GOARCH=arm64 $(GO) build .

vulncheck: ## known vulnerabilities in what lockify calls; says so if the database cannot be reached
	@GO=$(GO) tools/vulncheck.sh ./...

peers: build ## lockify against Redis, etcd, NATS and ZooKeeper: PEERS="--rounds 5 --json out.json" (on Debian, as root)
	@tools/peers.sh $(PEERS)

etcd: ## the etcd server that tests use, into Go's cache, in the version of tools/go.mod
	@$(TOOL) -n go.etcd.io/etcd/server/v3

tidy-check: ## go.mod and go.sum say what the code needs, no more
	$(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff

clean: ## remove what the other targets have made
	rm -rf bin out chaos-out tour-out
