# sli: service, account, subscription and the rights of every step are in functions.tf; the datasets in datasets.tf.

# Project-wide, since a custom metric's points have no narrower resource. It permits to write points, and to read none.
resource "google_project_iam_member" "sli_points" {
  project = local.project
  role    = "roles/monitoring.metricWriter"
  member  = google_service_account.function["sli"].member
}
