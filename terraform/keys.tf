# Rings and keys can never be deleted, and a destroyed key makes unreadable what is left of the data. So a removal abandons
# them; bootstrap.sh takes those that exist into the state again.

resource "google_kms_key_ring" "warehouse" {
  name     = "mirror-warehouse"
  location = local.key_location

  lifecycle {
    precondition {
      condition     = local.region_fits
      error_message = "mirror.yaml: region ${local.region} is not in location ${local.location}. Next: choose a region within it; for a single region, the same."
    }
  }
}

# Everything regional: topics, secrets, images.
resource "google_kms_key_ring" "region" {
  name     = "mirror-region"
  location = local.region
}

locals {
  # 90 days. BigQuery keeps an old table on its old version, which stays enabled.
  key_rotation = "7776000s"
}

resource "google_kms_crypto_key" "tables" {
  #checkov:skip=CKV_GCP_82:deletion_policy ABANDON keeps the key even from a destroy, which prevent_destroy would make fail
  name            = "tables"
  key_ring        = google_kms_key_ring.warehouse.id
  rotation_period = local.key_rotation
  deletion_policy = "ABANDON"
}

resource "google_kms_crypto_key" "objects" {
  #checkov:skip=CKV_GCP_82:as for the key of the tables
  name            = "objects"
  key_ring        = google_kms_key_ring.warehouse.id
  rotation_period = local.key_rotation
  deletion_policy = "ABANDON"
}

resource "google_kms_crypto_key" "region" {
  #checkov:skip=CKV_GCP_82:as for the key of the tables
  name            = "region"
  key_ring        = google_kms_key_ring.region.id
  rotation_period = local.key_rotation
  deletion_policy = "ABANDON"
}

# BigQuery encrypts with its own account, never with the one that runs the job: no function needs the key.
resource "google_kms_crypto_key_iam_member" "tables" {
  crypto_key_id = google_kms_crypto_key.tables.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.agents.bigquery
}

# Likewise Cloud Storage, for both buckets.
resource "google_kms_crypto_key_iam_member" "objects" {
  crypto_key_id = google_kms_crypto_key.objects.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.agents.storage
}

# Pub/Sub for the topics' messages, Secret Manager for the secrets, Artifact Registry for the images.
resource "google_kms_crypto_key_iam_member" "region" {
  for_each = toset(["pubsub", "secrets", "images"])

  crypto_key_id = google_kms_crypto_key.region.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.agents[each.key]
}
