output "buckets" {
  description = "The buckets, by what they hold."
  value       = { for content, bucket in google_storage_bucket.this : content => "gs://${bucket.name}" }
}

output "images" {
  description = "The images that jobs run, by name; build_command makes them."
  value       = local.images
}

output "accounts" {
  description = "The service accounts, by what they do."
  value       = { for name, account in google_service_account.this : name => account.email }
}

output "build_command" {
  description = "Builds and pushes the images; run it in the root of the repository."
  value = join(" ", [
    "gcloud builds submit . --config=cloudbuild.yaml --project=${var.project_id} --region=${var.region}",
    "--service-account=projects/${var.project_id}/serviceAccounts/${google_service_account.this["builder"].email}",
    "--gcs-source-staging-dir=gs://${google_storage_bucket.this["staging"].name}/source",
    "--substitutions=_REGISTRY=${local.registry},_TAG=${var.image_tag}",
  ])
}

output "run_command" {
  description = "Runs all four stages; see docs/cloud.md for one stage, and for options."
  value = join(" ", [
    "gcloud workflows run ${google_workflows_workflow.run.name} --project=${var.project_id} --location=${var.region}",
    "--data='${jsonencode({ run = "first", corpus = "gs://${google_storage_bucket.this["raw"].name}/speech.tsv" })}'",
  ])
}

# What `--env outputs.json` gives to Beam where the command line does not.
output "beam_flags" {
  description = "Flags that run a verb on Dataflow, started from your own machine."
  value = merge(
    {
      runner                = "DataflowRunner"
      project               = var.project_id
      region                = var.region
      temp_location         = local.beam_environment.tempLocation
      staging_location      = local.beam_environment.stagingLocation
      service_account_email = local.beam_environment.serviceAccountEmail
      subnetwork            = local.beam_environment.subnetwork
      no_use_public_ips     = ""
      sdk_container_image   = local.images.worker
      worker_machine_type   = var.beam.machine_type
      max_num_workers       = tostring(var.beam.max_workers)
      disk_size_gb          = tostring(var.beam.disk_gb)
    },
    var.beam.flexible_scheduling ? { flexrs_goal = "COST_OPTIMIZED" } : {},
    var.kms_key == null ? {} : { dataflow_kms_key = var.kms_key },
  )
}

output "server_url" {
  description = "Where the search server answers; null without one."
  value       = one(google_cloud_run_v2_service.server[*].uri)
}
