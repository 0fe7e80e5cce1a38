# mirror.yaml, the one place of schedule, names, locations and retention. The defaults are those of
# functions/mirror/config.ts; a test holds them together.
locals {
  config = yamldecode(file(var.config_file))

  project   = local.config.project
  region    = local.config.region
  location  = local.config.location
  dataset   = local.config.dataset
  schedule  = try(local.config.schedule, "0 3,15 * * *")
  time_zone = try(local.config.timeZone, "UTC")
  source    = try(local.config.source.type, "url")
  coverage  = try(local.config.coverage.total, 0.999)

  max_backup_age_hours = try(local.config.source.maxBackupAgeHours, 12)

  # Bucket names are global: the project's name makes them unique.
  data_bucket   = "${local.project}-mirror-data"
  ledger_bucket = "${local.project}-mirror-ledger"

  # Datasets, buckets and their keys live in the dataset's location; Cloud Run, Scheduler, topics, secrets and images in
  # the region. "EU" is `europe` to Cloud KMS.
  key_location = lookup({ US = "us", EU = "europe" }, local.location, local.location)

  # Rows leave the location on no way: where data are pinned to a place, the code that streams them is there too. London
  # and Zurich are in Europe, and not in the EU multi-region.
  region_fits = (
    local.location == "US" ? startswith(local.region, "us-") :
    local.location == "EU" ? startswith(local.region, "europe-") && !contains(["europe-west2", "europe-west6"], local.region) :
    local.location == local.region
  )

  # Google's own accounts that do work on the mirror's behalf. bootstrap.sh makes them exist.
  agents = {
    storage  = "serviceAccount:service-${var.project_number}@gs-project-accounts.iam.gserviceaccount.com"
    bigquery = "serviceAccount:bq-${var.project_number}@bigquery-encryption.iam.gserviceaccount.com"
    pubsub   = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    secrets  = "serviceAccount:service-${var.project_number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    images   = "serviceAccount:service-${var.project_number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
  }
}
