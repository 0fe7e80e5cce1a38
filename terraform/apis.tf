# bootstrap.sh applies these first; what needs them is made by the apply after it.
resource "google_project_service" "api" {
  for_each = toset([
    "artifactregistry", "bigquery", "cloudbuild", "cloudkms", "cloudresourcemanager", "cloudscheduler", "iam", "logging",
    "monitoring", "pubsub", "run", "secretmanager", "serviceusage", "storage",
  ])

  service = "${each.key}.googleapis.com"
  # Others in the project may use them.
  disable_on_destroy = false
}
