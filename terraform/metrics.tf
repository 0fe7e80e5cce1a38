# What functions/sli/points.ts writes; a test holds kinds, types and labels together. Declared here, so that objectives and
# charts exist before the first run.

resource "google_monitoring_metric_descriptor" "coverage" {
  type         = "custom.googleapis.com/commons_mirror/coverage"
  display_name = "Coverage"
  description  = "Rows loaded / (rows loaded + error rows) of a run, per table and in total."
  metric_kind  = "GAUGE"
  value_type   = "DOUBLE"
  unit         = "1"

  labels {
    key         = "table"
    description = "schema.table, or total"
  }
}

resource "google_monitoring_metric_descriptor" "rows" {
  type         = "custom.googleapis.com/commons_mirror/rows"
  display_name = "Rows"
  description  = "Rows of a run by result. Each run's count begins anew."
  metric_kind  = "CUMULATIVE"
  value_type   = "INT64"
  unit         = "{row}"

  labels {
    key         = "result"
    description = "loaded or error"
  }
}

# For a source that is a backup: written once per run. A direct source has none.
resource "google_monitoring_metric_descriptor" "backup_age" {
  type         = "custom.googleapis.com/commons_mirror/backup_age"
  display_name = "Backup age"
  description  = "Age of the backup that a run mirrors, at the run's start."
  metric_kind  = "GAUGE"
  value_type   = "DOUBLE"
  unit         = "s"
}

# A publication is a line in the log of `views`; counted here, so that the chain need not write one more metric.
resource "google_logging_metric" "published" {
  name        = "commons_mirror/published"
  description = "Runs published."
  filter      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"mirror-views\" AND jsonPayload.message=\"Published\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

# From a run's start to its publication.
resource "google_logging_metric" "run_seconds" {
  name            = "commons_mirror/run_seconds"
  description     = "Seconds from a run's start to its publication."
  filter          = "${google_logging_metric.published.filter} AND jsonPayload.seconds>=0"
  value_extractor = "EXTRACT(jsonPayload.seconds)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "s"
  }

  # A minute to a day, each bucket half as wide again.
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 18
      growth_factor      = 1.5
      scale              = 60
    }
  }
}
