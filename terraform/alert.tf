# alert: service, account and subscription are in functions.tf. It starts no job and publishes nothing: its own failure goes
# to the dead letters, whose alert does not pass through here.

resource "google_secret_manager_secret" "slack_webhook_url" {
  secret_id           = "mirror-slack-webhook-url"
  deletion_protection = var.deletion_protection

  replication {
    user_managed {
      replicas {
        location = local.region
        customer_managed_encryption {
          kms_key_name = google_kms_crypto_key.region.id
        }
      }
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.region]
}

resource "google_secret_manager_secret_version" "slack_webhook_url" {
  secret                 = google_secret_manager_secret.slack_webhook_url.id
  secret_data_wo         = var.slack_webhook_url
  secret_data_wo_version = var.secret_versions.slack_webhook_url

  # The service names its version: the old one goes when the service has the new one.
  lifecycle {
    create_before_destroy = true
  }
}

# This one secret, of which only the alert knows.
resource "google_secret_manager_secret_iam_member" "slack_webhook_url" {
  secret_id = google_secret_manager_secret.slack_webhook_url.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["alert"].member
}

# It reads a run's plan, to name the command that retries …
resource "google_storage_bucket_iam_member" "alert_reads" {
  bucket = google_storage_bucket.ledger.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.function["alert"].member
}

# … and writes only what has been told.
resource "google_storage_bucket_iam_member" "alert_told" {
  bucket = google_storage_bucket.ledger.name
  role   = "roles/storage.objectUser"
  member = google_service_account.function["alert"].member

  condition {
    title      = "told only"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.ledger_bucket}/objects/told/\")"
  }
}
