# What the people of var.operators need for docs/operations.md, each on its resource; nothing of it reads a row.

# The page: gcloud run services proxy mirror-status.
resource "google_cloud_run_v2_service_iam_member" "operators" {
  for_each = var.operators

  name     = google_cloud_run_v2_service.function["status"].name
  location = local.region
  role     = "roles/run.invoker"
  member   = "group:${each.key}"
}

# commons-mirror status reads the ledger; retry --redo and publish write to it.
resource "google_storage_bucket_iam_member" "operators" {
  for_each = var.operators

  bucket = google_storage_bucket.ledger.name
  role   = "roles/storage.objectUser"
  member = "group:${each.key}"
}

# A retry is a message. Not to mirror-dead: that is Pub/Sub's.
resource "google_pubsub_topic_iam_member" "operators" {
  for_each = { for pair in setproduct(var.operators, ["objects", "completions", "failures"]) : join("/", pair) => pair }

  topic  = google_pubsub_topic.mirror[each.value[1]].id
  role   = "roles/pubsub.publisher"
  member = "group:${each.value[0]}"
}

# A new run by hand. Without overrides: nobody passes as the schedule.
resource "google_cloud_run_v2_job_iam_member" "operators" {
  for_each = var.operators

  name     = google_cloud_run_v2_job.export.name
  location = local.region
  role     = "roles/run.jobsExecutor"
  member   = "group:${each.key}"
}

# To read dead letters, and to take away those that are dealt with.
resource "google_pubsub_subscription_iam_member" "operators" {
  for_each = var.operators

  subscription = google_pubsub_subscription.dead.id
  role         = "roles/pubsub.subscriber"
  member       = "group:${each.key}"
}
