# Starts a run. Cloud Scheduler delivers at least once; the export's lease lets one run live at a time.

resource "google_service_account" "schedule" {
  account_id   = "mirror-schedule"
  display_name = "Commons Mirror: schedule"
}

resource "google_cloud_scheduler_job" "export" {
  name        = "mirror-export"
  description = "Starts a run of Commons Mirror."
  region      = local.region
  schedule    = local.schedule
  time_zone   = local.time_zone

  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/${google_cloud_run_v2_job.export.id}:run"
    headers     = { "Content-Type" = "application/json" }
    # By this the ledger tells the schedule's runs from those started by hand.
    body = base64encode(jsonencode({
      overrides = { containerOverrides = [{ env = [{ name = "TRIGGER", value = "scheduled" }] }] }
    }))

    oauth_token {
      service_account_email = google_service_account.schedule.email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.schedule]
}

# The invoker's role would do for a plain execution; the override asks for run.jobs.runWithOverrides. This job alone.
resource "google_cloud_run_v2_job_iam_member" "schedule" {
  name     = google_cloud_run_v2_job.export.name
  location = local.region
  role     = "roles/run.jobsExecutorWithOverrides"
  member   = google_service_account.schedule.member
}
