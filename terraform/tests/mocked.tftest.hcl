# What only an apply knows, applied against a mock of Google.

mock_provider "google" {
  mock_resource "google_cloud_run_v2_service" {
    defaults = { uri = "https://mirror-function-abc-uc.a.run.app" }
  }
  mock_resource "google_cloud_run_v2_job" {
    defaults = { id = "projects/commons-local/locations/us-central1/jobs/mirror-export" }
  }
  mock_resource "google_kms_crypto_key" {
    defaults = { id = "projects/commons-local/locations/us/keyRings/ring/cryptoKeys/key" }
  }
  mock_resource "google_service_account" {
    defaults = {
      name   = "projects/commons-local/serviceAccounts/mirror-any@commons-local.iam.gserviceaccount.com"
      id     = "projects/commons-local/serviceAccounts/mirror-any@commons-local.iam.gserviceaccount.com"
      email  = "mirror-any@commons-local.iam.gserviceaccount.com"
      member = "serviceAccount:mirror-any@commons-local.iam.gserviceaccount.com"
    }
  }
  mock_resource "google_pubsub_topic" {
    defaults = { id = "projects/commons-local/topics/one" }
  }
  mock_resource "google_secret_manager_secret_version" {
    defaults = { version = "7" }
  }
  mock_resource "google_monitoring_slo" {
    defaults = { name = "projects/123456789012/services/commons-mirror/serviceLevelObjectives/coverage" }
  }
}

variables {
  project_number = "123456789012"
  image          = "us-central1-docker.pkg.dev/commons-local/mirror/commons-mirror@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  alert_email    = "alerts@example.org"
  secrets = {
    SOURCE_URL        = "postgres://reader:secret@db.example.org/app"
    SLACK_WEBHOOK_URL = "https://hooks.slack.com/services/secret"
  }
}

run "everything" {
  assert {
    condition     = one(google_pubsub_subscription.push["load"].push_config).push_endpoint == "https://mirror-function-abc-uc.a.run.app/projects/commons-local/topics/mirror-objects"
    error_message = "A push goes to a path of which functions-framework makes a CloudEvent."
  }
  assert {
    condition     = alltrue([for each in google_pubsub_subscription.push : one(one(each.push_config).oidc_token).audience == "https://mirror-function-abc-uc.a.run.app"])
    error_message = "The token's audience is the service's address, without a path: Cloud Run takes no other."
  }
  assert {
    condition = { for each in one(one(google_cloud_run_v2_service.function["sli"].template).containers).env : each.name => each.value } == {
      BIGQUERY_LOCATION    = "US"
      DATA_BUCKET          = "commons-local-mirror-data"
      FUNCTION_TARGET      = "sli"
      GOOGLE_CLOUD_PROJECT = "commons-local"
      KMS_KEY              = "projects/commons-local/locations/us/keyRings/ring/cryptoKeys/key"
      LEDGER_BUCKET        = "commons-local-mirror-ledger"
      LOGS_LOCATION        = "https://console.cloud.google.com/logs/query;query=jsonPayload.step:*?project=commons-local"
    }
    error_message = "A step's environment, and no secret in it."
  }
  assert {
    condition     = [for each in one(one(google_cloud_run_v2_service.function["alert"].template).containers).env : one(one(each.value_source).secret_key_ref).version if each.name == "SLACK_WEBHOOK_URL"] == ["7"]
    error_message = "The alert's secret is pinned to its version."
  }
  assert {
    condition     = [for each in one(one(one(google_cloud_run_v2_job.export.template).template).containers).env : one(one(each.value_source).secret_key_ref).version if each.name == "SOURCE_URL"] == ["7"] && [for each in one(one(one(google_cloud_run_v2_job.export.template).template).containers).env : each.value if each.name == "TRIGGER"] == ["manual"]
    error_message = "The export's secret is pinned to its version; an execution is by hand unless the schedule says otherwise."
  }
  assert {
    condition     = alltrue([for each in google_secret_manager_secret_version.secret : each.secret_data == null && each.secret_data_wo == null])
    error_message = "No secret is in the state."
  }
  assert {
    condition     = one(google_cloud_scheduler_job.export.http_target).uri == "https://run.googleapis.com/v2/projects/commons-local/locations/us-central1/jobs/mirror-export:run"
    error_message = "The schedule runs the job."
  }
  assert {
    condition     = one(one(google_monitoring_alert_policy.fast_burn.conditions).condition_threshold).filter == "select_slo_burn_rate(\"projects/123456789012/services/commons-mirror/serviceLevelObjectives/coverage\", \"24h\")"
    error_message = "The fast burn is the objective's, over a day."
  }
}

# Whoever removes the mirror says so first; see docs/deploy.md.
run "unprotected" {
  variables {
    deletion_protection = false
  }

  assert {
    condition     = google_storage_bucket.data.force_destroy && google_storage_bucket.ledger.force_destroy && google_bigquery_dataset.published.delete_contents_on_destroy && google_bigquery_dataset.loading.delete_contents_on_destroy
    error_message = "Without protection, data goes with its store."
  }
  assert {
    condition     = !google_bigquery_table.sli.deletion_protection && alltrue([for each in google_secret_manager_secret.secret : !each.deletion_protection])
    error_message = "Without protection, tables and secrets go."
  }
  assert {
    condition     = google_kms_crypto_key.tables.deletion_policy == "ABANDON"
    error_message = "Keys stay even then."
  }
}
