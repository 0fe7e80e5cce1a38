# load: service, account, subscription and the rights of every step are in functions.tf; the loading dataset, which it
# writes, in datasets.tf.

# It reads the manifest, and BigQuery reads the parts on its behalf.
resource "google_storage_bucket_iam_member" "load_reads" {
  bucket = google_storage_bucket.data.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.function["load"].member
}

# A load job asks for storage.buckets.get, which objectViewer lacks.
resource "google_storage_bucket_iam_member" "load_bucket" {
  bucket = google_storage_bucket.data.name
  role   = "roles/storage.legacyBucketReader"
  member = google_service_account.function["load"].member
}
