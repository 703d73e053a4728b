# What one can do here; `make` alone lists it. Each target installs what it needs into .venv and .build.
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.build/bin:$(PATH)
# Packages of another project would come before those of .venv.
unexport PYTHONPATH PYTHONHOME
export PYTHONUTF8 := 1
# Not its script in .venv/bin, as of no other package: scripts name the folder that .venv was made in.
PYTEST := python -m pytest

# What is asked for stands on make's command line; what a shell exports under such a name is meant for something else.
quote = '$(subst ','\'',$(1))'
given = $(if $(filter command,$(origin $(1))),$(if $($(1)),$(2)$(call quote,$($(1)))))
ifneq ($(origin ENV),command line)
exported := $(ENV)
ENV = $(if $(exported),$(warning ENV=$(exported) is the shell's and not used here: say make $(MAKECMDGOALS) ENV=… for another environment than dev))dev
endif
unexport ENV
options = $(if $(filter command,$(origin OPTIONS)),$(OPTIONS))

.DEFAULT_GOAL := help
.PHONY: help run test lint check copies mutants e2e by-hand gitops drills bench bench-page bench-recette bench-growth deploy undeploy url diff promote seal environments cluster pages docs adopt new-environment lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: ## serve API and page here, with the values of ENV (default: dev), without Docker or a cluster
	@tools/setup.sh run
	@python -m tools run $(call quote,$(ENV))

# With CURRENT_DOCUMENTS=1, a PDF or a presentation of other sources is an error, not a note.
test: ## run every check that needs no cluster
	@tools/setup.sh test
	@$(MAKE) --no-print-directory lint
	@$(PYTEST) -n 2 --dist loadfile

copies: ## change fresh clones as a copy would: names, ports, a workload more; their tests must stay green (some minutes)
	@tools/setup.sh test
	@$(PYTEST) tests/copies -n 2 --dist worksteal

mutants: ## weaken NGINX's and gunicorn's settings one by one: a test must see each (some minutes)
	@tools/setup.sh test
	@$(PYTEST) tests/mutants/test_servers.py

lint: ## run the linters alone
	ruff check
	ruff format --check
	python -m mypy
	python -m yamllint --strict .
	shellcheck .ci/run .ci/restart-runtime tools/*.sh tests/cluster/*.sh
	hadolint src/api/Dockerfile src/front/Dockerfile
	actionlint
	zizmor --offline --persona pedantic --quiet .github
	python -m check_jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	python -m check_jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	python -m check_jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/incident.yml .github/ISSUE_TEMPLATE/change.yml
	@mkdir -p .build/rendered
	@for overlay in deploy/overlays/*; do kubectl kustomize $$overlay > .build/rendered/$${overlay##*/}.yaml; done
	python -m checkov.main --config-file .checkov.yaml
	python -m tools check

check: ## say what is wrong in the overlays, with file and line, without a cluster: [OPTIONS=--live, to ask it too]
	@tools/setup.sh check
	@python -m tools check $(options)

seal: ## encrypt a value for one cluster, for Git: ENV=recette KEY=DB_PASSWORD [CERT=file]; asks for it, or reads the standard input
	@tools/setup.sh seal
	@python -m tools seal $(call quote,$(ENV)) $(call quote,$(KEY)) $(call given,CERT,--certificate=)

environments: ## show how the environments differ
	@tools/setup.sh deploy
	@python -m tools compare

# RECORD=1 writes what is measured into docs/mesures.json; then `make docs`.
RECORDED := $(if $(RECORD),--record)

e2e: ## run the tests on the cluster of KUBECONFIG (README says which variables); RECORD=1 keeps the figures
	@$(MAKE) --no-print-directory by-hand gitops

by-hand: # of them, those that apply overlays as a user does
	@tools/setup.sh e2e
	@$(PYTEST) tests/cluster --ignore=tests/cluster/drills --ignore=tests/cluster/gitops $(RECORDED)

gitops: # and those that have Argo CD do so
	@tools/setup.sh e2e
	@$(PYTEST) tests/cluster/gitops $(RECORDED)

drills: ## run operations and faults under traffic on that cluster; RECORD=1 keeps the figures
	@tools/setup.sh e2e
	@$(PYTEST) tests/cluster/drills $(RECORDED)

bench: ## measure the API against FastAPI, and the commands here: [IMAGE_PYTHON=…, with requirements/bench.txt]; RECORD=1 keeps the latter
	@tools/setup.sh bench
	@python -m bench.workers $(RECORDED) $(if $(IMAGE_PYTHON),--python "$(IMAGE_PYTHON)")

bench-page: ## have Lighthouse judge the page, on a phone and on a desk
	@tools/setup.sh bench-page
	@python -m bench.page

bench-recette: ## find the highest rate that what Argo CD follows, or ENV, holds on the current cluster; RECORD=1 keeps it
	@tools/setup.sh bench-recette
	@python -m bench.recette $(call given,ENV) $(RECORDED)

bench-growth: ## measure there how its API grows from 1 pod to 6; RECORD=1 keeps it
	@tools/setup.sh bench-recette
	@python -m bench.growth $(call given,ENV) $(RECORDED)

deploy: ## build the images and bring ENV to the cluster of the current context
	@tools/setup.sh deploy
	@python -m tools deploy $(call quote,$(ENV))

undeploy: ## take ENV off the cluster of the current context
	@tools/setup.sh deploy
	@python -m tools undeploy $(call quote,$(ENV))

url: ## print how the front of ENV is reached on the cluster of the current context
	@tools/setup.sh deploy
	@python -m tools url $(call quote,$(ENV))

diff: ## say what the files here change, and what follows: [REF=main] [OPTIONS=--live|--markdown|--json]
	@tools/setup.sh deploy
	@python -m tools diff $(call given,REF) $(options) || test $$? = 1 -o $$? = 141  # 1: something changes; 141: `| head`

promote: ## set an image of what Argo CD follows: IMAGE=api DIGEST=sha256:… [SOURCE=commit] [ENV=…, if it follows several]
	@tools/setup.sh deploy
	@python -m tools promote $(call quote,$(IMAGE)) $(call quote,$(DIGEST)) $(call given,SOURCE) $(call given,ENV,--environment=)

adopt: ## give this copy its names: OWNER=acme REPOSITORY=acme/site [REGISTRY=host] [PRODUCT=globex] [ENVIRONMENTS="dev=test"]
	@tools/setup.sh adopt
	@python -m tools adopt $(call given,OWNER,--owner=) $(call given,REPOSITORY,--repository=) $(call given,REGISTRY,--registry=) \
	  $(call given,PRODUCT,--product=) $(foreach one,$(ENVIRONMENTS),--environment=$(call quote,$(one)))

new-environment: ## add an environment: NAME=preprod FROM=recette [NODE_PORT=30082] [OPTIONS=--no-argocd]
	@tools/setup.sh check
	@python -m tools new-environment $(call quote,$(NAME)) --from $(call quote,$(FROM)) $(call given,NODE_PORT,--node-port=) $(options)

cluster: ## make a local cluster with kind: [KUBERNETES=1.36.1], one of the versions that kind has images of
	@tools/setup.sh cluster
	@python -m tools cluster $(call given,KUBERNETES)

pages: ## write what README and docs/ take from manifests and from measured figures
	@tools/setup.sh check
	@python -m documents.pages

docs: pages ## write the pages, and build the documents that are files with LibreOffice, pandoc and Chromium
	@tools/setup.sh docs
	@python -m documents.slides
	@python -m documents.pdf

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: ## pin the Python packages anew, after an edit of a .in file
	$(LOCK) src/api/requirements.in -o src/api/requirements.txt
	$(LOCK) requirements/test.in -c src/api/requirements.txt -o requirements/test.txt
	@for set in run go bench documents seal; do $(LOCK) requirements/$$set.in -c requirements/test.txt -o requirements/$$set.txt; done

clean: ## remove what the targets above installed and built
	rm -rf .venv .build
