# Everything that is made goes to .cache. Paths with spaces are fine; the recipes use none that is absolute.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Debian keeps sbin out of an ordinary user's PATH.
export PATH := $(CURDIR)/.cache/venv/bin:$(PATH):/usr/sbin:/sbin

.PHONY: help setup demo test unit lint sanity build molecule long bench lab lab-up lab-down lab-shell lab-logs clean clean-all

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## system packages (as root) and the Python environment; the other targets do this by themselves
	@tests/setup.sh

demo: setup ## a whole migration on a real cluster with live traffic: of JOURNEY, shifted by BACKEND
	@tests/demo/run

test: ## the tests: unit, lint, sanity, build, molecule; with LONG=1 the long scenarios, too
	@tests/run

unit: ## unit tests
lint: ## yamllint, ansible-lint, shellcheck, antsibull-docs, antsibull-changelog
sanity: ## ansible-test sanity
build: ## build the collection's artifact and check what is in it
molecule: ## the Molecule scenarios, on the lab
long: ## the long ones
unit lint sanity build molecule long:
	@tests/run $@

bench: lab ## measure binding and verifying beside the usual ways, and each BACKEND's way back: .cache/bench/report.json
	@tests/bench/run

lab: setup ## build the lab's programs (minutes, the first time)
	@tests/lab/lab build

lab-up: lab ## start the lab, with the old gateway and its applications
	@tests/lab/lab up

lab-down: ## stop the lab
	@tests/lab/lab down

lab-shell: ## a shell on the operator's host in the lab, with KUBECONFIG set
	@tests/lab/lab shell

lab-logs: ## list the lab's logs; NAME=istiod shows one
	@tests/lab/lab logs $(NAME)

clean: ## stop the lab, remove what tests, demo and bench have written
	@test ! -d .cache/lab || tests/lab/lab down
	rm -rf .cache/test .cache/tree .cache/demo .cache/bench tests/output

clean-all: clean ## remove the Python environment and the lab's programs too
	@test ! -d .cache || chmod -R u+w .cache
	rm -rf .cache
