# status: service and account are in functions.tf. A page over the ledger.

# It shows every run, and changes none.
resource "google_storage_bucket_iam_member" "status_reads" {
  bucket = google_storage_bucket.ledger.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.function["status"].member
}
