# alert: service, account and subscription are in functions.tf, its secret in secrets.tf. It starts no job and publishes nothing: its own failure goes
# to the dead letters, whose alert does not pass through here.

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
