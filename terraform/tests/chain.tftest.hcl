# The chain as planned by the provider itself, without a project: nothing here exists, and no credentials are used. Values
# that only Google gives, such as a service's address, come from applies against a mock in mocked.tftest.hcl.

provider "google" {
  project      = "commons-local"
  access_token = "none"
}

variables {
  config_file    = "../mirror.yaml"
  project_number = "123456789012"
  image          = "us-central1-docker.pkg.dev/commons-local/mirror/commons-mirror@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  alert_email    = "alerts@example.org"
}

run "buckets" {
  command = plan

  assert {
    condition     = one(one(google_storage_bucket.data.lifecycle_rule).condition).age == 2 && one(one(google_storage_bucket.data.lifecycle_rule).action).type == "Delete"
    error_message = "The data bucket deletes rows at the age of exactly 2 days, and has no other rule."
  }
  assert {
    condition     = one(google_storage_bucket.data.soft_delete_policy).retention_duration_seconds == 0 && !one(google_storage_bucket.data.versioning).enabled
    error_message = "What is deleted from the data bucket is gone: neither soft delete nor versions."
  }
  assert {
    condition = alltrue([for bucket in [google_storage_bucket.data, google_storage_bucket.ledger] :
      bucket.public_access_prevention == "enforced" && bucket.uniform_bucket_level_access && length(bucket.encryption) == 1 && !bucket.force_destroy
    ])
    error_message = "No bucket is public, each has a key of its own, and none goes with its objects."
  }
  assert {
    condition     = one(google_storage_bucket.ledger.versioning).enabled && one(one(google_storage_bucket.ledger.lifecycle_rule).condition).days_since_noncurrent_time == 30 && one(one(google_storage_bucket.ledger.lifecycle_rule).condition).age == null
    error_message = "The ledger is versioned, and loses only what has been replaced."
  }
  assert {
    condition     = google_storage_notification.manifests.object_name_prefix == "chunks/" && google_storage_notification.manifests.event_types == toset(["OBJECT_FINALIZE"]) && google_storage_notification.manifests.payload_format == "JSON_API_V1"
    error_message = "Only manifests are told of."
  }
}

run "subscriptions" {
  command = plan

  assert {
    condition     = keys(google_pubsub_subscription.push) == ["alert", "load", "sli", "transform", "views"]
    error_message = "Every function that listens has one push subscription, of its name."
  }
  assert {
    condition     = alltrue([for each in google_pubsub_subscription.push : each.ack_deadline_seconds == 600])
    error_message = "The push may take 600 seconds."
  }
  assert {
    condition     = alltrue([for each in google_pubsub_subscription.push : one(each.dead_letter_policy).max_delivery_attempts == 100])
    error_message = "Every push subscription has dead letters, after 100 attempts."
  }
  assert {
    condition     = alltrue([for each in values(google_pubsub_subscription.push) : one(each.expiration_policy).ttl == "" && each.message_retention_duration == "604800s"])
    error_message = "No push subscription ever expires."
  }
  assert {
    condition     = one(google_pubsub_subscription.dead.expiration_policy).ttl == "" && length(google_pubsub_subscription.dead.push_config) == 0 && google_pubsub_subscription.dead.message_retention_duration == "2678400s"
    error_message = "The dead letters wait for 31 days, in a pull subscription that never expires."
  }
  assert {
    condition     = alltrue([for each in google_pubsub_subscription.push : one(each.retry_policy).minimum_backoff == "10s" && one(each.retry_policy).maximum_backoff == "600s"])
    error_message = "Redelivery backs off from 10 to 600 seconds."
  }
  assert {
    condition     = alltrue([for each in google_pubsub_subscription.push : one(one(each.push_config).oidc_token).service_account_email == "mirror-push@commons-local.iam.gserviceaccount.com"])
    error_message = "Every push carries a token of the push account."
  }
  assert {
    condition     = keys(google_pubsub_subscription_iam_member.dead_letters) == keys(google_pubsub_subscription.push) && alltrue([for each in google_pubsub_subscription_iam_member.dead_letters : each.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"])
    error_message = "Pub/Sub may move each subscription's messages to the dead letters."
  }
}

run "services" {
  command = plan

  assert {
    condition     = keys(google_cloud_run_v2_service.function) == ["alert", "load", "sli", "status", "transform", "views"]
    error_message = "One service per function."
  }
  assert {
    condition     = alltrue([for name, each in google_cloud_run_v2_service.function : one(each.template).service_account == "mirror-${name}@commons-local.iam.gserviceaccount.com"])
    error_message = "Each service has an account of its own."
  }
  assert {
    condition     = one(one(google_cloud_run_v2_job.export.template).template).service_account == "mirror-export@commons-local.iam.gserviceaccount.com"
    error_message = "The export has an account of its own."
  }
  assert {
    condition     = alltrue([for each in google_cloud_run_v2_service.function : one(each.template).timeout == "600s" && !each.deletion_protection])
    error_message = "A service answers within 600 seconds, and can be replaced."
  }
  assert {
    condition     = alltrue([for name, each in google_cloud_run_v2_service.function : each.ingress == (name == "status" ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_ONLY")])
    error_message = "Only the page is reachable from outside."
  }
  assert {
    condition     = alltrue([for each in google_cloud_run_v2_service.function : one(one(each.template).containers).image == var.image]) && one(one(one(google_cloud_run_v2_job.export.template).template).containers).image == var.image
    error_message = "One image, by digest."
  }
  assert {
    condition     = one(one(google_cloud_run_v2_job.export.template).template).max_retries == 2 && one(one(google_cloud_run_v2_job.export.template).template).timeout == "21600s" && !google_cloud_run_v2_job.export.deletion_protection
    error_message = "The export has two retries and six hours for each attempt."
  }
  assert {
    condition     = keys(google_cloud_run_v2_service_iam_member.push) == keys(google_pubsub_subscription.push) && alltrue([for each in google_cloud_run_v2_service_iam_member.push : each.member == "serviceAccount:mirror-push@commons-local.iam.gserviceaccount.com"])
    error_message = "Only Pub/Sub's push may call a function that listens."
  }
  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.operators) == 0
    error_message = "Nobody may see the page unless named."
  }
}

run "schedule" {
  command = plan

  assert {
    condition     = google_cloud_scheduler_job.export.schedule == yamldecode(file("../mirror.yaml")).schedule && google_cloud_scheduler_job.export.time_zone == yamldecode(file("../mirror.yaml")).timeZone
    error_message = "The schedule is mirror.yaml's."
  }
  assert {
    condition     = jsondecode(base64decode(one(google_cloud_scheduler_job.export.http_target).body)) == { overrides = { containerOverrides = [{ env = [{ name = "TRIGGER", value = "scheduled" }] }] } }
    error_message = "A scheduled execution says that it is one."
  }
  assert {
    condition     = one(one(google_cloud_scheduler_job.export.http_target).oauth_token).service_account_email == "mirror-schedule@commons-local.iam.gserviceaccount.com" && google_cloud_run_v2_job_iam_member.schedule.role == "roles/run.jobsExecutorWithOverrides"
    error_message = "The schedule has an account of its own, which may override."
  }
}

run "datasets" {
  command = plan

  assert {
    condition     = google_bigquery_dataset.loading.default_table_expiration_ms == 172800000 && google_bigquery_dataset.loading.max_time_travel_hours == "48"
    error_message = "A loading table expires after two days, and stays readable the shortest time that there is."
  }
  assert {
    condition     = alltrue([for each in [google_bigquery_dataset.loading, google_bigquery_dataset.published] : !each.delete_contents_on_destroy && length(each.default_encryption_configuration) == 1]) && length(google_bigquery_table.sli.encryption_configuration) == 1 && google_bigquery_table.sli.deletion_protection
    error_message = "Every dataset and table has the mirror's key, and none goes with its rows."
  }
  assert {
    condition = toset([for each in google_bigquery_dataset.loading.access : "${each.role} ${each.user_by_email}${each.special_group}"]) == toset([
      "OWNER projectOwners",
      "WRITER mirror-load@commons-local.iam.gserviceaccount.com",
      "WRITER mirror-transform@commons-local.iam.gserviceaccount.com",
      "READER mirror-sli@commons-local.iam.gserviceaccount.com",
      "READER mirror-views@commons-local.iam.gserviceaccount.com",
    ])
    error_message = "The loading dataset is for the steps alone."
  }
  assert {
    condition = toset([for each in google_bigquery_dataset.published.access : "${each.role} ${each.user_by_email}${each.special_group}"]) == toset([
      "OWNER projectOwners",
      "WRITER mirror-sli@commons-local.iam.gserviceaccount.com",
      "WRITER mirror-views@commons-local.iam.gserviceaccount.com",
    ])
    error_message = "Only sli and views write what analysts read; nobody reads it unless named."
  }
}

run "readers" {
  command = plan

  variables {
    analysts  = ["analysts@example.org"]
    operators = ["operators@example.org"]
    consumers = [{ project = "other", dataset = "reports" }]
  }

  assert {
    condition     = [for each in google_bigquery_dataset.published.access : each.group_by_email if each.role == "READER"] == ["analysts@example.org"]
    error_message = "Analysts read the published dataset."
  }
  assert {
    condition     = alltrue([for each in google_bigquery_dataset.loading.access : each.group_by_email == ""])
    error_message = "No group reads the loading dataset."
  }
  assert {
    condition     = [for each in google_bigquery_dataset.published.access : one(one(each.dataset).dataset).dataset_id if length(each.dataset) > 0] == ["reports"]
    error_message = "A consumer is an authorized dataset."
  }
  assert {
    condition     = length(google_pubsub_topic_iam_member.operators) == 3 && google_cloud_run_v2_job_iam_member.operators["operators@example.org"].role == "roles/run.jobsExecutor"
    error_message = "Operators retry and start runs, and cannot pass as the schedule."
  }
}

run "encryption" {
  command = plan

  assert {
    condition     = alltrue([for key in [google_kms_crypto_key.tables, google_kms_crypto_key.objects, google_kms_crypto_key.region] : key.rotation_period == "7776000s" && key.deletion_policy == "ABANDON"])
    error_message = "Keys rotate every 90 days and are never destroyed."
  }
  assert {
    condition     = alltrue([for secret in google_secret_manager_secret.secret : length(one(one(one(secret.replication).user_managed).replicas).customer_managed_encryption) == 1 && secret.deletion_protection])
    error_message = "Every secret has the mirror's key."
  }
  assert {
    condition     = alltrue([for member in google_project_iam_member.bigquery_jobs : member.role == "roles/bigquery.jobUser"]) && google_project_iam_member.sli_points.role == "roles/monitoring.metricWriter" && length(google_project_iam_member.build) == 0
    error_message = "Project-wide are the right to start jobs, and the right to write points; nothing else."
  }
}

run "secrets" {
  command = plan

  assert {
    condition     = { for name, each in google_secret_manager_secret_iam_member.reader : name => each.member } == { SLACK_WEBHOOK_URL = "serviceAccount:mirror-alert@commons-local.iam.gserviceaccount.com", SOURCE_URL = "serviceAccount:mirror-export@commons-local.iam.gserviceaccount.com" }
    error_message = "Each secret has one reader."
  }
}

run "secrets_of_a_source_on_aptible" {
  command = plan

  variables {
    config_file = "tests/aptible.yaml"
  }

  assert {
    condition     = keys(google_secret_manager_secret.secret) == ["APTIBLE_PASSWORD", "APTIBLE_USERNAME", "SLACK_WEBHOOK_URL"]
    error_message = "A source on Aptible has a user and a password, and no URL."
  }
}

run "alerts" {
  command = plan

  assert {
    condition     = keys(google_monitoring_alert_policy.alert) == ["dead_letters", "job_failure", "silence", "slow_burn"]
    error_message = "Silence, coverage, dead letters and the job each have an alert; a direct source has no backup."
  }
  assert {
    condition     = alltrue([for each in google_monitoring_alert_policy.alert : one(one(each.conditions).condition_prometheus_query_language).disable_metric_validation])
    error_message = "An alert can be made before its metric exists."
  }
  assert {
    condition     = one(one(google_monitoring_alert_policy.alert["silence"].conditions).condition_prometheus_query_language).query == "(sum(increase(logging_googleapis_com:user_commons_mirror_published{monitored_resource=\"cloud_run_revision\"}[14h])) or vector(0)) < 1"
    error_message = "14 hours without a publication are told."
  }
  assert {
    condition     = google_monitoring_slo.coverage.goal == 0.999 && google_monitoring_slo.coverage.rolling_period_days == 28
    error_message = "The objective is mirror.yaml's coverage, over 28 days."
  }
  assert {
    condition     = google_monitoring_notification_channel.email.type == "email"
    error_message = "The alerts go by e-mail, past the alert function."
  }
}

run "alerts_of_a_source_on_aptible" {
  command = plan

  variables {
    config_file = "tests/aptible.yaml"
  }

  assert {
    condition     = keys(google_monitoring_alert_policy.alert) == ["dead_letters", "job_failure", "old_backup", "silence", "slow_burn"]
    error_message = "A backup that is too old has an alert."
  }
  # aptible.yaml allows 6 hours; the next run has 14.
  assert {
    condition     = one(one(google_monitoring_alert_policy.alert["old_backup"].conditions).condition_prometheus_query_language).query == "(time() - max(max_over_time((timestamp(custom_googleapis_com:commons_mirror_backup_age{monitored_resource=\"global\"}) - custom_googleapis_com:commons_mirror_backup_age{monitored_resource=\"global\"})[20h:5m])) or vector(72001)) > 72000"
    error_message = "The age is that of the last mirrored backup, now; without one in all that time, it is too old as well."
  }
}

run "builds" {
  command = plan

  variables {
    build = { repository = "projects/commons-local/locations/us-central1/connections/git/repositories/mirror" }
  }

  assert {
    condition     = one(google_cloudbuild_trigger.build["apply"].approval_config).approval_required && !one(google_cloudbuild_trigger.build["plan"].approval_config).approval_required
    error_message = "An apply waits for a person."
  }
  assert {
    condition     = one(one(google_cloudbuild_trigger.build["apply"].repository_event_config).push).branch == "^main$" && one(one(google_cloudbuild_trigger.build["plan"].repository_event_config).push).invert_regex
    error_message = "main is applied, every other branch only planned."
  }
  assert {
    condition     = alltrue([for each in google_project_iam_member.build : !contains(["roles/owner", "roles/editor", "roles/viewer"], each.role)])
    error_message = "No primitive role."
  }
  assert {
    condition     = alltrue([for key, each in google_project_iam_member.build : startswith(key, "apply ") || !can(regex("(?i)admin|owner|editor|user$", each.role))])
    error_message = "A branch's build only looks."
  }
}

run "rejects_a_tag" {
  command         = plan
  expect_failures = [var.image]

  variables {
    image = "us-central1-docker.pkg.dev/commons-local/mirror/commons-mirror:latest"
  }
}

run "rejects_a_project_id_as_number" {
  command         = plan
  expect_failures = [var.project_number]

  variables {
    project_number = "commons-local"
  }
}

run "rejects_a_source_that_is_no_postgresql" {
  command         = plan
  expect_failures = [var.secrets]

  variables {
    secrets = { SOURCE_URL = "mysql://reader@db.example.org/app" }
  }
}
