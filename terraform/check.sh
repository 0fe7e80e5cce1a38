#!/bin/sh
# Checks what is in this folder: form, validity and `terraform test` against the real provider, and a policy scan. No
# project and no credentials are used. What is not at hand is told and not checked; everything else must pass.
set -eu
cd "$(dirname "$0")"

missing=''
not_checked() { missing="$missing!!!   $1
"; }

if ! command -v terraform >/dev/null; then
  not_checked 'form, validity, tests: install Terraform 1.11 or newer'
else
  terraform fmt -check -recursive -diff

  # A copy, so that neither .terraform nor a lock file appears here; mirror.yaml is one folder up.
  copy=$(mktemp -d)
  trap 'rm -rf "$copy"' EXIT
  mkdir "$copy/terraform"
  cp -r ./*.tf ./*.json tests "$copy/terraform"
  cp ../mirror.yaml "$copy"
  if log=$(terraform -chdir="$copy/terraform" init -backend=false -input=false 2>&1); then
    terraform -chdir="$copy/terraform" validate
    # Nothing may reach a real project.
    env -u GOOGLE_APPLICATION_CREDENTIALS -u GOOGLE_CREDENTIALS GOOGLE_OAUTH_ACCESS_TOKEN=none \
      terraform -chdir="$copy/terraform" test
  else
    echo "$log"
    not_checked 'validity and tests: terraform init could not get the google provider, see above'
  fi
fi

if command -v checkov >/dev/null; then
  checkov --directory . --framework terraform --compact --quiet --skip-download
else
  not_checked 'policies: pip install checkov==3.3.30'
fi

if [ -n "$missing" ]; then
  printf '\n!!! NOT CHECKED\n%s' "$missing"
fi
