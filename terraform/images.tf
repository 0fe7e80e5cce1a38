# The image of every function and of the job. Branches have a package of their own, so that none of theirs ever pushes the
# running one out.
resource "google_artifact_registry_repository" "images" {
  repository_id = "mirror"
  location      = local.region
  format        = "DOCKER"
  description   = "Commons Mirror: commons-mirror is deployed, commons-mirror-branch only built."
  kms_key_name  = google_kms_crypto_key.region.id

  cleanup_policies {
    id     = "keep-the-last-ten"
    action = "KEEP"
    most_recent_versions {
      package_name_prefixes = ["commons-mirror"]
      keep_count            = 10
    }
  }

  cleanup_policies {
    id     = "delete-after-30-days"
    action = "DELETE"
    condition {
      older_than = "2592000s"
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.region, google_project_service.api]
}
