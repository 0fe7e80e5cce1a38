# By e-mail, past Slack and the alert function: what these tell is that the chain itself is silent or stuck. All in PromQL
# where a metric may not have been written yet: only there its existence need not be proven when the alert is made.

resource "google_monitoring_notification_channel" "email" {
  display_name = "Commons Mirror"
  type         = "email"
  labels       = { email_address = var.alert_email }
}

locals {
  # A metric's name in PromQL: the first slash is a colon, every other character is an underscore.
  promql = {
    coverage   = "custom_googleapis_com:commons_mirror_coverage{monitored_resource=\"global\",table=\"total\"}"
    rows       = "custom_googleapis_com:commons_mirror_rows{monitored_resource=\"global\"}"
    backup_age = "custom_googleapis_com:commons_mirror_backup_age{monitored_resource=\"global\"}"
    published  = "logging_googleapis_com:user_commons_mirror_published{monitored_resource=\"cloud_run_revision\"}"
    seconds    = "logging_googleapis_com:user_commons_mirror_run_seconds"
    executions = "run_googleapis_com:job_completed_execution_count{monitored_resource=\"cloud_run_job\",job_name=\"mirror-export\"}"
    failed     = "run_googleapis_com:job_completed_execution_count{monitored_resource=\"cloud_run_job\",job_name=\"mirror-export\",result=\"failed\"}"
    dead       = "pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource=\"pubsub_subscription\",subscription_id=\"mirror-dead\"}"
  }

  # Cloud Monitoring takes a goal above 0 and up to 0.999.
  goal = min(0.999, max(0.001, local.coverage))

  backup_hours = local.max_backup_age_hours + var.silence_hours

  alerts = {
    silence = {
      name  = "Commons Mirror: nothing published for ${var.silence_hours} hours"
      query = "(sum(increase(${local.promql.published}[${var.silence_hours}h])) or vector(0)) < 1"
      text  = "Analysts read a run that is older than ${var.silence_hours} hours. It fires after the first apply too, until the first run is published. Next: commons-mirror status, then docs/operations.md, \"A run that stands still\"."
    }
    dead_letters = {
      name  = "Commons Mirror: dead letters"
      query = "max(${local.promql.dead}) > 0"
      text  = "A message was delivered 100 times and not taken, or Slack could not be reached. Next: gcloud pubsub subscriptions pull mirror-dead --project=${local.project}, then docs/operations.md, \"Dead letters\"."
    }
    job_failure = {
      name  = "Commons Mirror: the export failed"
      query = "sum(increase(${local.promql.failed}[15m])) > 0"
      text  = "Every attempt of an execution has failed. Next: commons-mirror status, and the job's log; then gcloud run jobs execute mirror-export --project=${local.project} --region=${local.region}."
    }
    # A run takes no backup that is older than mirror.yaml allows, so that the age at its start tells nothing: what grows is
    # the age of the last one that was mirrored. Healthy, it is at most the allowed age and the schedule's longest gap.
    old_backup = {
      name  = "Commons Mirror: the backup is too old"
      query = "(time() - max(max_over_time((timestamp(${local.promql.backup_age}) - ${local.promql.backup_age})[${local.backup_hours}h:5m])) or vector(${local.backup_hours * 3600 + 1})) > ${local.backup_hours * 3600}"
      text  = "The newest backup that was mirrored is older than ${local.backup_hours} hours: source.maxBackupAgeHours of mirror.yaml, ${local.max_backup_age_hours}, and ${var.silence_hours} hours for the next run. It fires after the first apply too, until a first run has loaded its rows. Next: commons-mirror status, then the backups of the database; docs/operations.md, \"Failed\"."
    }
    slow_burn = {
      name  = "Commons Mirror: coverage falls"
      query = "(1 - avg_over_time(${local.promql.coverage}[3d])) / ${1 - local.goal} > 2"
      text  = "For three days rows have been refused at twice the rate that the objective of ${local.goal} allows. Next: docs/operations.md, \"The errors table\"."
    }
  }
}

resource "google_monitoring_alert_policy" "alert" {
  # A direct source has no backup.
  for_each = { for name, alert in local.alerts : name => alert if name != "old_backup" || local.source == "aptible" }

  display_name          = each.value.name
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]

  conditions {
    display_name = each.value.name
    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = "0s"
      evaluation_interval       = "300s"
      disable_metric_validation = true
    }
  }

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }

  depends_on = [
    google_monitoring_metric_descriptor.coverage,
    google_monitoring_metric_descriptor.backup_age,
    google_logging_metric.published,
  ]
}

# The objective over rows, as mirror.yaml states it in coverage.total.

resource "google_monitoring_custom_service" "mirror" {
  service_id   = "commons-mirror"
  display_name = "Commons Mirror"
}

resource "google_monitoring_slo" "coverage" {
  service             = google_monitoring_custom_service.mirror.service_id
  slo_id              = "coverage"
  display_name        = "Rows that BigQuery holds"
  goal                = local.goal
  rolling_period_days = 28

  request_based_sli {
    good_total_ratio {
      good_service_filter = "metric.type=\"${google_monitoring_metric_descriptor.rows.type}\" resource.type=\"global\" metric.label.result=\"loaded\""
      bad_service_filter  = "metric.type=\"${google_monitoring_metric_descriptor.rows.type}\" resource.type=\"global\" metric.label.result=\"error\""
    }
  }
}

# Two runs a day: a window of an hour, as for a web service, would mostly hold nothing. A day holds two runs.
resource "google_monitoring_alert_policy" "fast_burn" {
  display_name          = "Commons Mirror: coverage has collapsed"
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]

  conditions {
    display_name = "A day's runs burn the error budget of 28 days ten times too fast"
    condition_threshold {
      filter          = "select_slo_burn_rate(\"${google_monitoring_slo.coverage.name}\", \"24h\")"
      comparison      = "COMPARISON_GT"
      threshold_value = 10
      duration        = "0s"
    }
  }

  documentation {
    content   = "Far more rows than usual went to the errors table. Next: docs/operations.md, \"The errors table\"."
    mime_type = "text/markdown"
  }
}
