# Optional: Cloud Build on every push. Two accounts, since a branch's code runs before anybody has reviewed it: `mirror-plan`
# may look and push images of branches; `mirror-apply` may change the project, and only after a person's approval.

locals {
  # Project-wide, all of them, each for its reason; only where builds are wanted.
  build_roles = var.build == null ? {} : {
    plan = {
      "roles/logging.logWriter"               = "A build with its own account writes its own log"
      "roles/iam.securityReviewer"            = "A plan reads every resource's IAM policy"
      "roles/artifactregistry.reader"         = "A plan reads the repository"
      "roles/bigquery.metadataViewer"         = "A plan reads datasets and table schemas, and no rows"
      "roles/cloudbuild.builds.viewer"        = "A plan reads these triggers"
      "roles/cloudkms.viewer"                 = "A plan reads rings and keys, and uses none"
      "roles/cloudscheduler.viewer"           = "A plan reads the schedule"
      "roles/logging.viewer"                  = "A plan reads the log-based metrics; no row value is ever logged"
      "roles/monitoring.viewer"               = "A plan reads descriptors, alerts and the dashboard"
      "roles/pubsub.viewer"                   = "A plan reads topics and subscriptions, and no message"
      "roles/run.viewer"                      = "A plan reads services and the job"
      "roles/secretmanager.viewer"            = "A plan reads the secrets' names and versions, and no value"
      "roles/serviceusage.serviceUsageViewer" = "A plan reads which APIs are on"
      "roles/storage.bucketViewer"            = "A plan reads the buckets' settings, and no object"
    }
    apply = {
      "roles/logging.logWriter"               = "A build with its own account writes its own log"
      "roles/artifactregistry.admin"          = "It makes the repository and pushes to it"
      "roles/bigquery.dataOwner"              = "It makes the datasets with their access lists"
      "roles/cloudbuild.builds.editor"        = "It makes these triggers"
      "roles/cloudkms.admin"                  = "It makes keys and grants them; it cannot decrypt"
      "roles/cloudscheduler.admin"            = "It makes the schedule"
      "roles/iam.serviceAccountAdmin"         = "It makes the accounts"
      "roles/iam.serviceAccountUser"          = "It deploys services that run as those accounts"
      "roles/logging.configWriter"            = "It makes the log-based metrics"
      "roles/monitoring.editor"               = "It makes descriptors, alerts and the dashboard"
      "roles/pubsub.admin"                    = "It makes topics and subscriptions with their grants"
      "roles/resourcemanager.projectIamAdmin" = "It makes the project-wide grants; with it, whoever approves a build approves anything"
      "roles/run.admin"                       = "It makes services and the job with their grants"
      "roles/secretmanager.admin"             = "It makes the secrets with their grants"
      "roles/serviceusage.serviceUsageAdmin"  = "It turns APIs on"
      "roles/storage.admin"                   = "It makes the buckets with their grants"
    }
  }
  build_grants = merge([
    for account, roles in local.build_roles : {
      for role, reason in roles : "${account} ${role}" => { account = account, role = role }
    }
  ]...)
  state_bucket = "${local.project}-mirror-terraform"
}

resource "google_service_account" "build" {
  for_each = local.build_roles

  account_id   = "mirror-${each.key}"
  display_name = "Commons Mirror: Cloud Build, ${each.key}"
}

# The reasons stand in the list above, one beside each role.
resource "google_project_iam_member" "build" {
  #checkov:skip=CKV_GCP_41:deploying means to act as the functions' accounts; the build waits for a person's approval
  #checkov:skip=CKV_GCP_49:deploying means to make accounts and to grant; the build waits for a person's approval
  for_each = local.build_grants

  project = local.project
  role    = each.value.role
  member  = google_service_account.build[each.value.account].member
}

# A plan reads the state, without locking it; an apply writes it. No secret is in it.
resource "google_storage_bucket_iam_member" "build_state" {
  for_each = local.build_roles

  bucket = local.state_bucket
  role   = each.key == "apply" ? "roles/storage.objectUser" : "roles/storage.objectViewer"
  member = google_service_account.build[each.key].member
}

# A branch's image is built and pushed, but never deployed.
resource "google_artifact_registry_repository_iam_member" "plan_pushes" {
  count = var.build == null ? 0 : 1

  repository = google_artifact_registry_repository.images.name
  location   = local.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build["plan"].member
}

resource "google_cloudbuild_trigger" "build" {
  for_each = local.build_roles

  name            = "mirror-${each.key}"
  location        = local.region
  description     = each.key == "apply" ? "After approval: build, then apply" : "Build, then plan"
  service_account = google_service_account.build[each.key].id
  filename        = "cloudbuild.yaml"

  repository_event_config {
    repository = var.build.repository
    push {
      branch       = "^${var.build.branch}$"
      invert_regex = each.key == "plan"
    }
  }

  approval_config {
    approval_required = each.key == "apply"
  }

  substitutions = {
    _ACTION      = each.key
    _REGION      = local.region
    _PACKAGE     = each.key == "apply" ? "commons-mirror" : "commons-mirror-branch"
    _ALERT_EMAIL = var.alert_email
  }

  depends_on = [google_project_iam_member.build]
}
