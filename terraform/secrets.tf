locals {
  # Environment variable → the one that reads it.
  secrets = merge(
    { SLACK_WEBHOOK_URL = "alert" },
    local.source == "aptible" ? { APTIBLE_USERNAME = "export", APTIBLE_PASSWORD = "export" } : { SOURCE_URL = "export" },
  )
}

resource "google_secret_manager_secret" "secret" {
  for_each = local.secrets

  secret_id           = "mirror-${replace(lower(each.key), "_", "-")}"
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

# The value is write-only: it goes to Secret Manager and nowhere else.
resource "google_secret_manager_secret_version" "secret" {
  for_each = local.secrets

  secret                 = google_secret_manager_secret.secret[each.key].id
  secret_data_wo         = lookup(var.secrets, each.key, "")
  secret_data_wo_version = lookup(var.secret_versions, each.key, 1)

  # Its reader names its version: the old one goes when the reader has the new one.
  lifecycle {
    create_before_destroy = true
  }
}

# Each secret has one reader.
resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.secrets

  secret_id = google_secret_manager_secret.secret[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value == "export" ? google_service_account.export.member : google_service_account.function[each.value].member
}
