# Rows in clear, until BigQuery has them: deleted at the age of two days, like the loading dataset's tables.
resource "google_storage_bucket" "data" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs take the place of access logs, which name no principal
  #checkov:skip=CKV_GCP_78:a version would outlive the deletion after two days
  name                        = local.data_bucket
  location                    = upper(local.location)
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  encryption {
    default_kms_key_name = google_kms_crypto_key.objects.id
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = 2
    }
  }

  # Off, both: deleted rows would stay.
  soft_delete_policy {
    retention_duration_seconds = 0
  }
  versioning {
    enabled = false
  }

  depends_on = [google_kms_crypto_key_iam_member.objects]
}

# The chain's only state: keys and counts, no row values.
resource "google_storage_bucket" "ledger" {
  #checkov:skip=CKV_GCP_62:as for the data bucket
  name                        = local.ledger_bucket
  location                    = upper(local.location)
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  encryption {
    default_kms_key_name = google_kms_crypto_key.objects.id
  }

  versioning {
    enabled = true
  }

  # Only what has been replaced: a run's lease is written every 15 seconds. No live document is ever deleted.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
      num_newer_versions         = 3
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.objects]
}

# A manifest has appeared: that starts its chunk's load. The prefix keeps the parts, thousands a run, silent.
resource "google_storage_notification" "manifests" {
  bucket             = google_storage_bucket.data.name
  topic              = google_pubsub_topic.mirror["objects"].id
  event_types        = ["OBJECT_FINALIZE"]
  object_name_prefix = "chunks/"
  payload_format     = "JSON_API_V1"

  depends_on = [google_pubsub_topic_iam_member.notifications]
}

# Cloud Storage publishes the notification with its own account, to this topic alone.
resource "google_pubsub_topic_iam_member" "notifications" {
  topic  = google_pubsub_topic.mirror["objects"].id
  role   = "roles/pubsub.publisher"
  member = local.agents.storage
}
