# The functions in chain order, as in functions/index.ts: what each listens to and its size. How all of them are deployed
# stands below, once; what one of them may do stands in its own file.
locals {
  functions = {
    load      = { topic = "objects", memory = "512Mi", instances = 10 }
    transform = { topic = "completions", memory = "512Mi", instances = 10 }
    sli       = { topic = "completions", memory = "512Mi", instances = 5 }
    views     = { topic = "completions", memory = "512Mi", instances = 5 }
    alert     = { topic = "failures", memory = "512Mi", instances = 2 }
    status    = { topic = null, memory = "512Mi", instances = 2 }
  }
  listeners = { for name, each in local.functions : name => each if each.topic != null }

  # Secrets are no part of this; see secrets.tf.
  environment = {
    GOOGLE_CLOUD_PROJECT = local.project
    BIGQUERY_LOCATION    = local.location
    DATA_BUCKET          = google_storage_bucket.data.name
    LEDGER_BUCKET        = google_storage_bucket.ledger.name
    KMS_KEY              = google_kms_crypto_key.tables.id
    LOGS_LOCATION        = "https://console.cloud.google.com/logs/query;query=jsonPayload.step:*?project=${local.project}"
  }
}

resource "google_service_account" "function" {
  for_each = local.functions

  account_id   = "mirror-${each.key}"
  display_name = "Commons Mirror: ${each.key}"
}

resource "google_cloud_run_v2_service" "function" {
  for_each = local.functions

  name     = "mirror-${each.key}"
  location = local.region
  # Pub/Sub's push counts as internal. The page is for people; without the invoker's role nobody gets in there either.
  ingress = each.key == "status" ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_ONLY"
  # A service holds nothing.
  deletion_protection = false

  template {
    service_account = google_service_account.function[each.key].email
    # One minute more than a handler's own budget of 540 seconds.
    timeout = "600s"
    # A handler mostly waits for BigQuery.
    max_instance_request_concurrency = 8

    scaling {
      min_instance_count = 0
      max_instance_count = each.value.instances
    }

    containers {
      image = var.image

      resources {
        limits            = { cpu = "1", memory = each.value.memory }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = merge(local.environment, { FUNCTION_TARGET = each.key })
        content {
          name  = env.key
          value = env.value
        }
      }

      # Pinned, so that a new version of the secret is a new revision.
      dynamic "env" {
        for_each = [for name, reader in local.secrets : name if reader == each.key]
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
  }

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

# One push subscription per function, of its name.
resource "google_pubsub_subscription" "push" {
  for_each = local.listeners

  name  = each.key
  topic = google_pubsub_topic.mirror[each.value.topic].id

  # The longest; it is the push's timeout too.
  ack_deadline_seconds       = 600
  message_retention_duration = "604800s"

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # "Still running" spends an attempt too: 100 is the most that there are.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.mirror["dead"].id
    max_delivery_attempts = 100
  }

  # Never; by default it goes after 31 idle days, and the failures' one is idle as long as all is well.
  expiration_policy {
    ttl = ""
  }

  push_config {
    # functions-framework makes a CloudEvent of a push to a path of this form.
    push_endpoint = "${google_cloud_run_v2_service.function[each.key].uri}/projects/${local.project}/topics/${local.topics[each.value.topic]}"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloud_run_v2_service.function[each.key].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.push, google_pubsub_topic_iam_member.dead_letters]
}

# Whom a push comes from. It can do nothing but call the functions.
resource "google_service_account" "push" {
  account_id   = "mirror-push"
  display_name = "Commons Mirror: Pub/Sub's push"
}

# Cloud Run lets in only who may invoke that very function.
resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = local.listeners

  name     = google_cloud_run_v2_service.function[each.key].name
  location = local.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

# Pub/Sub's own account signs the push's token as this account, and as no other.
resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.agents.pubsub
}

# Every step reads the plan and compares and sets its markers: an overwrite is a deletion too, hence objectUser.
resource "google_storage_bucket_iam_member" "ledger" {
  for_each = toset(["load", "transform", "sli", "views"])

  bucket = google_storage_bucket.ledger.name
  role   = "roles/storage.objectUser"
  member = google_service_account.function[each.key].member
}

# "Done" goes to whoever comes next.
resource "google_pubsub_topic_iam_member" "completions" {
  for_each = toset(["load", "transform", "sli", "views"])

  topic  = google_pubsub_topic.mirror["completions"].id
  role   = "roles/pubsub.publisher"
  member = google_service_account.function[each.key].member
}

# A failure goes to the alert function.
resource "google_pubsub_topic_iam_member" "failures" {
  for_each = toset(["load", "transform", "sli", "views"])

  topic  = google_pubsub_topic.mirror["failures"].id
  role   = "roles/pubsub.publisher"
  member = google_service_account.function[each.key].member
}

# Project-wide, since a job belongs to a project and no narrower resource has this role. It permits to start jobs, and to
# see one's own; which tables a job may touch is decided by the datasets.
resource "google_project_iam_member" "bigquery_jobs" {
  for_each = toset(["load", "transform", "sli", "views"])

  project = local.project
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.function[each.key].member
}
