#!/usr/bin/env bash
# What must exist before the one `terraform apply`: the first APIs, the bucket of the state, Google's service agents, and the
# first image. May be run again at any time; it makes what is missing. See docs/deploy.md.
#
#   terraform/bootstrap.sh ALERT_EMAIL
#
# Wants gcloud (logged in, also for applications: gcloud auth application-default login), bq, terraform, and docker.
set -euo pipefail
cd "$(dirname "$0")"

email=${1:?Usage: terraform/bootstrap.sh ALERT_EMAIL}
for tool in gcloud bq terraform docker; do
  command -v "$tool" >/dev/null || { echo "bootstrap.sh: $tool is not installed" >&2; exit 2; }
done

# Top-level keys of mirror.yaml, plain words all of them.
setting() { sed -n "s/^$1: *['\"]\{0,1\}\([A-Za-z0-9-]*\).*/\1/p" ../mirror.yaml; }
project=$(setting project) region=$(setting region) location=$(setting location)
[ -n "$project" ] && [ -n "$region" ] && [ -n "$location" ] || {
  echo "bootstrap.sh: mirror.yaml says project '$project', region '$region', location '$location'. Next: set all three" >&2
  exit 2
}
case $location in
  US) key_location=us ;;
  EU) key_location=europe ;;
  *) key_location=$location ;;
esac
number=$(gcloud projects describe "$project" --format='value(projectNumber)')

echo "== APIs that Terraform itself needs"
gcloud services enable --project="$project" \
  serviceusage.googleapis.com cloudresourcemanager.googleapis.com iam.googleapis.com storage.googleapis.com

echo "== The state's bucket"
state="$project-mirror-terraform"
gcloud storage buckets describe "gs://$state" --project="$project" >/dev/null 2>&1 ||
  gcloud storage buckets create "gs://$state" --project="$project" --location="$location" \
    --uniform-bucket-level-access --public-access-prevention
gcloud storage buckets update "gs://$state" --versioning

cat > bootstrap.auto.tfvars <<TFVARS
# Written by bootstrap.sh; no secret is in it. Commit it.
project_number = "$number"
alert_email    = "$email"
TFVARS

terraform init -input=false -reconfigure -backend-config="bucket=$state"
# Wanted by every plan, and not yet known: nothing that is applied below uses it.
unknown_image="$region-docker.pkg.dev/$project/mirror/commons-mirror@sha256:$(printf '0%.0s' {1..64})"
first() { terraform apply -input=false -auto-approve -var="image=$unknown_image" "$@"; }

echo "== All APIs"
first -target=google_project_service.api

echo "== Google's service agents: they exist only once they are asked for"
for service in pubsub secretmanager artifactregistry cloudscheduler run; do
  gcloud beta services identity create --project="$project" --service="$service.googleapis.com"
done
gcloud storage service-agent --project="$project"
bq show --project_id="$project" --encryption_service_account

echo "== Key rings and keys of an earlier life: they cannot be deleted, so they are taken over"
adopt() { # adopt ADDRESS ID DESCRIBE…
  local address=$1 id=$2
  shift 2
  if ! terraform state list "$address" 2>/dev/null | grep -q . && "$@" --project="$project" >/dev/null 2>&1; then
    terraform import -input=false -var="image=$unknown_image" "$address" "$id"
  fi
}
adopt_ring() { # adopt_ring NAME LOCATION RING KEY…
  local name=$1 place=$2 ring=$3 key
  shift 3
  local id="projects/$project/locations/$place/keyRings/$ring"
  adopt "google_kms_key_ring.$name" "$id" gcloud kms keyrings describe "$ring" --location="$place"
  for key in "$@"; do
    adopt "google_kms_crypto_key.$key" "$id/cryptoKeys/$key" \
      gcloud kms keys describe "$key" --keyring="$ring" --location="$place"
  done
}
adopt_ring warehouse "$key_location" mirror-warehouse tables objects
adopt_ring region "$region" mirror-region region

echo "== The images' repository, with its key"
first -target=google_artifact_registry_repository.images

echo "== The first image"
image="$region-docker.pkg.dev/$project/mirror/commons-mirror"
gcloud auth configure-docker "$region-docker.pkg.dev" --quiet
docker build --platform=linux/amd64 --tag="$image:bootstrap" ..
docker push "$image:bootstrap"
digest=$(gcloud artifacts docker images describe "$image:bootstrap" --format='value(image_summary.digest)')

cat <<NEXT

Next, once, in terraform/:

  export TF_VAR_secrets='{"SOURCE_URL":"postgres://…","SLACK_WEBHOOK_URL":"https://…"}'
  terraform apply -var="image=$image@$digest"
NEXT
