mock_provider "google" {}

variables {
  project_id = "my-project-123"
  image_tag  = "0a1b2c3"
  budget     = { enabled = false }
}

run "a_budget_may_be_left_out" {
  command = plan

  assert {
    condition     = length(google_billing_budget.this) == 0
    error_message = "There is no budget."
  }
}

run "training_without_accelerators" {
  command = apply

  variables {
    training = { machine_type = "n2-standard-16", accelerator_count = 0 }
  }

  assert {
    condition     = keys(jsondecode(google_workflows_workflow.run.user_env_vars.CUSTOM_JOB).jobSpec.workerPoolSpecs[0].machineSpec) == ["machineType"]
    error_message = "A machine without accelerators names none."
  }
}

run "a_key_encrypts_everything" {
  command = plan

  variables {
    kms_key = "projects/keys/locations/europe-west4/keyRings/ring/cryptoKeys/key"
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : bucket.encryption[0].default_kms_key_name == var.kms_key])
    error_message = "The key encrypts buckets."
  }

  assert {
    condition     = google_artifact_registry_repository.images.kms_key_name == var.kms_key && google_workflows_workflow.run.crypto_key_name == var.kms_key && local.beam_environment.kmsKeyName == var.kms_key && local.custom_job.encryptionSpec.kmsKeyName == var.kms_key
    error_message = "The key encrypts images, the workflow and jobs."
  }

  assert {
    condition     = length(google_kms_crypto_key_iam_member.agents) == 6
    error_message = "Six of Google's agents may use the key."
  }
}

run "labels_are_everywhere" {
  command = plan

  variables {
    labels = { team = "speech" }
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : bucket.labels.team == "speech"]) && google_artifact_registry_repository.images.labels.team == "speech" && google_workflows_workflow.run.labels.team == "speech" && local.beam_environment.additionalUserLabels.team == "speech" && local.custom_job.labels.team == "speech"
    error_message = "What can bear labels bears them."
  }
}

run "a_schedule_starts_the_workflow" {
  command = apply

  variables {
    schedule = { cron = "0 3 * * 1", argument = { run = "weekly", corpus = "gs://b/c.tsv" } }
  }

  assert {
    condition     = jsondecode(jsondecode(base64decode(google_cloud_scheduler_job.run[0].http_target[0].body)).argument).run == "weekly"
    error_message = "The argument is JSON inside of JSON, as Workflows takes it."
  }

  assert {
    condition     = google_cloud_scheduler_job.run[0].http_target[0].oauth_token[0].service_account_email == google_service_account.this["scheduler"].email
    error_message = "The scheduler calls as its own account."
  }
}

run "a_server_is_not_public" {
  command = apply

  variables {
    server = { index = "gs://b/first/index", invokers = ["group:ear@example.org"] }
  }

  assert {
    condition     = google_cloud_run_v2_service.server[0].ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY" && [for grant in google_cloud_run_v2_service_iam_member.invokers : grant.member] == ["group:ear@example.org"]
    error_message = "Only those named may call the server, from inside."
  }
}
