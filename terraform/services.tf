locals {
  labels = merge({ application = var.name }, var.labels)

  services = toset(concat(
    [
      "aiplatform", "artifactregistry", "billingbudgets", "cloudbuild", "cloudresourcemanager",
      "compute", "dataflow", "iam", "logging", "monitoring", "storage", "workflowexecutions",
      "workflows",
    ],
    var.schedule == null ? [] : ["cloudscheduler"],
    var.server == null ? [] : ["run"],
    var.kms_key == null ? [] : ["cloudkms"],
  ))
}

data "google_project" "this" {
  project_id = var.project_id
}

resource "google_project_service" "this" {
  for_each = local.services

  project = var.project_id
  service = "${each.key}.googleapis.com"

  # Others in the project may use them.
  disable_on_destroy = false
}
