# Every store is where mirror.yaml says, for both multi-regions and for a single region.

provider "google" {
  project      = "commons-local"
  access_token = "none"
}

variables {
  project_number = "123456789012"
  image          = "us-central1-docker.pkg.dev/commons-local/mirror/commons-mirror@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  alert_email    = "alerts@example.org"
}

run "us" {
  command = plan

  variables {
    config_file = "tests/us.yaml"
  }

  assert {
    condition     = [google_bigquery_dataset.loading.location, google_bigquery_dataset.published.location, google_storage_bucket.data.location, google_storage_bucket.ledger.location] == ["US", "US", "US", "US"] && google_kms_key_ring.warehouse.location == "us"
    error_message = "Datasets, buckets and their keys are in the US."
  }
  assert {
    condition     = alltrue([for place in [google_kms_key_ring.region.location, google_cloud_scheduler_job.export.region, google_cloud_run_v2_job.export.location, google_artifact_registry_repository.images.location, google_cloud_run_v2_service.function["load"].location] : place == "us-central1"])
    error_message = "What is regional is in us-central1."
  }
  assert {
    condition     = alltrue([for topic in google_pubsub_topic.mirror : one(topic.message_storage_policy).allowed_persistence_regions == toset(["us-central1"])])
    error_message = "Messages stay in us-central1."
  }
}

run "eu" {
  command = plan

  variables {
    config_file = "tests/eu.yaml"
  }

  assert {
    condition     = [google_bigquery_dataset.loading.location, google_bigquery_dataset.published.location, google_storage_bucket.data.location, google_storage_bucket.ledger.location] == ["EU", "EU", "EU", "EU"] && google_kms_key_ring.warehouse.location == "europe"
    error_message = "Datasets, buckets and their keys are in the EU; to Cloud KMS that is europe."
  }
  assert {
    condition     = alltrue([for place in [google_kms_key_ring.region.location, google_cloud_scheduler_job.export.region, google_cloud_run_v2_job.export.location, google_artifact_registry_repository.images.location, google_cloud_run_v2_service.function["load"].location] : place == "europe-west1"])
    error_message = "What is regional is in europe-west1."
  }
  assert {
    condition     = google_cloud_scheduler_job.export.schedule == "0 3,15 * * *" && google_cloud_scheduler_job.export.time_zone == "UTC" && google_monitoring_slo.coverage.goal == 0.999
    error_message = "What mirror.yaml leaves out has the code's defaults."
  }
}

run "a_single_region" {
  command = plan

  variables {
    config_file = "tests/region.yaml"
  }

  assert {
    condition     = google_bigquery_dataset.published.location == "europe-west3" && google_storage_bucket.data.location == "EUROPE-WEST3" && google_kms_key_ring.warehouse.location == "europe-west3" && google_kms_key_ring.region.location == "europe-west3"
    error_message = "All is in europe-west3."
  }
  assert {
    condition     = google_kms_key_ring.warehouse.name != google_kms_key_ring.region.name
    error_message = "Two rings in one place have two names."
  }
  assert {
    condition     = google_monitoring_slo.coverage.goal == 0.95 && google_cloud_scheduler_job.export.schedule == "30 1 * * *"
    error_message = "Objective and schedule are mirror.yaml's."
  }
}

run "rejects_a_region_outside_the_location" {
  command         = plan
  expect_failures = [google_kms_key_ring.warehouse]

  variables {
    config_file = "tests/london.yaml"
  }
}
