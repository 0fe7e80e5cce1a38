output "image_repository" {
  description = "Where the image is pushed; its digest is the variable image."
  value       = "${local.region}-docker.pkg.dev/${local.project}/${google_artifact_registry_repository.images.repository_id}/commons-mirror"
}

output "image" {
  description = "What runs now: an apply that shall change something else hands it on."
  value       = var.image
}

output "start_a_run" {
  description = "Starts a run by hand."
  value       = "gcloud run jobs execute ${google_cloud_run_v2_job.export.name} --project=${local.project} --region=${local.region}"
}

output "status_page" {
  description = "Shows the status page on this machine; wants a person of var.operators."
  value       = "gcloud run services proxy ${google_cloud_run_v2_service.function["status"].name} --project=${local.project} --region=${local.region}"
}
