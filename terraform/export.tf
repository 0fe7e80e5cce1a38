# The export: a Cloud Run job, since it may run for hours.

resource "google_service_account" "export" {
  account_id   = "mirror-export"
  display_name = "Commons Mirror: export"
}

resource "google_cloud_run_v2_job" "export" {
  name     = "mirror-export"
  location = local.region
  # A job holds nothing.
  deletion_protection = false

  template {
    task_count = 1

    template {
      service_account = google_service_account.export.email
      # Per attempt; half of the way to the next run of a day with two.
      timeout = "21600s"
      # Three attempts: what fails the third one is told and fails the run.
      max_retries = 2

      containers {
        image   = var.image
        command = ["node"]
        args    = ["dist/export/main.js"]

        # Rows are streamed: memory does not grow with the database. COPY's bytes and their checksums want the processors.
        resources {
          limits = { cpu = "2", memory = "1Gi" }
        }

        dynamic "env" {
          # The scheduler overrides TRIGGER: an execution by hand keeps this one.
          for_each = merge(local.environment, { TRIGGER = "manual" })
          content {
            name  = env.key
            value = env.value
          }
        }

        # Pinned, so that the next execution has the new value of a secret, and a running one keeps its own.
        dynamic "env" {
          for_each = [for name, reader in local.secrets : name if reader == "export"]
          content {
            name = env.value
            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret_version.secret[env.value].secret
                version = google_secret_manager_secret_version.secret[env.value].version
              }
            }
          }
        }
      }

      dynamic "vpc_access" {
        for_each = var.network[*]
        content {
          # The source is private, Google's APIs are not.
          egress = "PRIVATE_RANGES_ONLY"
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
          }
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

# It creates parts and manifests; without the right to delete it can overwrite none.
resource "google_storage_bucket_iam_member" "export_creates" {
  bucket = google_storage_bucket.data.name
  role   = "roles/storage.objectCreator"
  member = google_service_account.export.member
}

# A later attempt reads the manifests of an earlier one.
resource "google_storage_bucket_iam_member" "export_reads" {
  bucket = google_storage_bucket.data.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.export.member
}

# Claim, lease and plan are compared and set: an overwrite is a deletion too, hence objectUser.
resource "google_storage_bucket_iam_member" "export_ledger" {
  bucket = google_storage_bucket.ledger.name
  role   = "roles/storage.objectUser"
  member = google_service_account.export.member
}

# A failed export is told like any other failure.
resource "google_pubsub_topic_iam_member" "export_failures" {
  topic  = google_pubsub_topic.mirror["failures"].id
  role   = "roles/pubsub.publisher"
  member = google_service_account.export.member
}
