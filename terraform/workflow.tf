locals {
  # Dataflow's FlexTemplateRuntimeEnvironment.
  beam_environment = merge(
    {
      serviceAccountEmail  = google_service_account.this["worker"].email
      subnetwork           = "regions/${var.region}/subnetworks/${google_compute_subnetwork.workers.name}"
      ipConfiguration      = "WORKER_IP_PRIVATE"
      tempLocation         = "gs://${google_storage_bucket.this["staging"].name}/temp"
      stagingLocation      = "gs://${google_storage_bucket.this["staging"].name}/staging"
      sdkContainerImage    = local.images.worker
      machineType          = var.beam.machine_type
      launcherMachineType  = var.beam.launcher_machine_type
      maxWorkers           = var.beam.max_workers
      diskSizeGb           = var.beam.disk_gb
      additionalUserLabels = local.labels
    },
    var.beam.flexible_scheduling ? { flexrsGoal = "FLEXRS_COST_OPTIMIZED" } : {},
    var.kms_key == null ? {} : { kmsKeyName = var.kms_key },
  )

  # Vertex AI's CustomJob, but for its name and its arguments.
  custom_job = merge(
    {
      labels = local.labels
      jobSpec = {
        serviceAccount = google_service_account.this["trainer"].email
        scheduling = {
          timeout                   = "${var.training.timeout_hours * 3600}s"
          strategy                  = var.training.spot ? "SPOT" : "STANDARD"
          restartJobOnWorkerRestart = true
        }
        workerPoolSpecs = [{
          replicaCount = 1
          # A conditional would turn the count into text; what is null is left out instead.
          machineSpec = {
            for field, value in {
              machineType      = var.training.machine_type
              acceleratorType  = var.training.accelerator_count == 0 ? null : var.training.accelerator_type
              acceleratorCount = var.training.accelerator_count == 0 ? null : var.training.accelerator_count
            } : field => value if value != null
          }
          diskSpec      = { bootDiskType = "pd-ssd", bootDiskSizeGb = var.training.disk_gb }
          containerSpec = { imageUri = local.images.trainer }
        }]
      }
    },
    var.kms_key == null ? {} : { encryptionSpec = { kmsKeyName = var.kms_key } },
  )
}

resource "google_workflows_workflow" "run" {
  name                    = var.name
  project                 = var.project_id
  region                  = var.region
  description             = "prepare, translate, train, build, evaluate: one stage or all of them"
  service_account         = google_service_account.this["launcher"].email
  source_contents         = file("${path.module}/workflow.yaml")
  call_log_level          = "LOG_ERRORS_ONLY"
  execution_history_level = "EXECUTION_HISTORY_BASIC"
  deletion_protection     = var.workflow.protected
  crypto_key_name         = var.kms_key
  labels                  = local.labels

  user_env_vars = {
    NAME        = var.name
    REGION      = var.region
    DATA        = google_storage_bucket.this["data"].name
    MODELS      = google_storage_bucket.this["models"].name
    TEMPLATES   = jsonencode({ for verb, spec in google_storage_bucket_object.template : verb => "gs://${spec.bucket}/${spec.name}" })
    ENVIRONMENT = jsonencode(local.beam_environment)
    CUSTOM_JOB  = jsonencode(local.custom_job)
    LIMITS      = jsonencode(var.workflow)
  }

  # It must not run before its accounts may do what it asks of them.
  depends_on = [
    google_artifact_registry_repository_iam_member.this,
    google_kms_crypto_key_iam_member.agents,
    google_project_iam_member.launcher,
    google_project_iam_member.this,
    google_service_account_iam_member.launcher,
    google_storage_bucket_iam_member.this,
  ]
}
